"""Settings and matrices: all mistakes are reported together, each with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

import ppp
from ppp.config import Config, JournalMode, load, load_valid, take_credentials
from ppp.matrix_files import load_matrix
from ppp.model.credentials import Credentials
from ppp.model.drift import DriftLimits
from ppp.model.errors import ConfigError, MatrixError
from ppp.model.model_options import ModelOptions
from ppp.model.node_seed import NodeSeed
from ppp.model.queue_policy import Criterion, QueuePolicy
from ppp.model.record import Network
from ppp.resources import resource
from ppp.schemas import schema_errors

GOOD = resource("matrices/default.toml").read_text("utf-8")


def test_no_setting_is_required() -> None:
    config = load({})
    assert config.index_url == PYPI_SIMPLE_ENDPOINT
    assert config.feed_url == f"{PYPI_SIMPLE_ENDPOINT.removesuffix('/simple/')}/rss/updates.xml"
    assert config.data == Path("data")
    assert 1 <= config.jobs <= 256
    assert config.model is None


def test_an_empty_setting_counts_as_not_set() -> None:
    names = (
        "PPP_INDEX_URL",
        "PPP_FEED_URL",
        "PPP_JOURNAL_URL",
        "PPP_JOURNAL",
        "PPP_BASE_URL",
        "PPP_JOBS",
        "PPP_MODEL",
        "PPP_CONTACT",
        "PPP_DATA",
    )
    assert load(dict.fromkeys(names, "")) == load({})


def test_every_setting_is_read(tmp_path: Path) -> None:
    model = tmp_path / "tiny.gguf"
    model.touch()
    config = load(
        {
            "PPP_INDEX_URL": "http://mirror.example:8080/simple",
            "PPP_FEED_URL": "https://feed.example/updates.xml",
            "PPP_BASE_URL": "https://ppp.example/watch",
            "PPP_REPOSITORY_URL": "https://git.example/owner/ppp",
            "PPP_DATASETTE_URL": "https://data.example",
            "PPP_JOBS": "7",
            "PPP_MODEL": str(model),
            "PPP_CONTACT": "watch@node.example",
            "PPP_DATA": "/var/lib/ppp",
        }
    )
    assert config == Config(
        data=Path("/var/lib/ppp"),
        index_url="http://mirror.example:8080/simple/",
        feed_url="https://feed.example/updates.xml",
        journal_url="http://mirror.example:8080/pypi",
        base_url="https://ppp.example/watch/",
        repository_url="https://git.example/owner/ppp/",
        datasette_url="https://data.example/",
        contact="watch@node.example",
        model=model,
        jobs=7,
    )
    assert config.public == Path("/var/lib/ppp/public")
    assert config.cache == Path("/var/lib/ppp/cache")


def test_the_default_feed_is_that_of_the_index() -> None:
    assert (
        load({"PPP_INDEX_URL": "https://mirror.example/root/simple/"}).feed_url
        == "https://mirror.example/rss/updates.xml"
    )


def test_the_journal_is_beside_the_index() -> None:
    assert load({}).journal_url == f"{PYPI_SIMPLE_ENDPOINT.removesuffix('/simple/')}/pypi"
    assert load({"PPP_INDEX_URL": "https://mirror.example/root/simple/"}).journal_url == "https://mirror.example/pypi"
    index = {"PPP_INDEX_URL": f"https://user:{SECRET}@mirror.example/simple"}
    assert load(index).journal_credentials == load(index).index_credentials
    other = load(index | {"PPP_JOURNAL_URL": "https://journal.example/rpc"})
    assert (other.journal_url, other.journal_credentials) == ("https://journal.example/rpc", None)


@pytest.mark.parametrize("word", [*JournalMode, "Feed", ""])
def test_the_way_to_follow_an_index(word: str) -> None:
    assert load({"PPP_JOURNAL": word}).journal == JournalMode(word.lower() or "auto")


def test_an_unknown_way_to_follow_an_index() -> None:
    with pytest.raises(ConfigError, match="PPP_JOURNAL='rss' is none of auto, changelog, index, feed, off"):
        load({"PPP_JOURNAL": "rss"})


def test_the_data_option_overrides_the_setting() -> None:
    assert load({"PPP_DATA": "there"}, data=Path("here")).data == Path("here")


def test_the_user_agent_has_the_contact() -> None:
    agent = load({"PPP_CONTACT": "watch@node.example"}).user_agent
    assert agent == f"the-pypi-place/{ppp.__version__} (watch@node.example)"
    assert "PPP_CONTACT" in load({}).user_agent


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            {
                "PPP_INDEX_URL": "ftp://mirror.example",
                "PPP_FEED_URL": "http://[",
                "PPP_BASE_URL": "ppp.example",
                "PPP_JOBS": "many",
                "PPP_MODEL": "/absent.gguf",
                "PPP_CONTACT": "a\r\nX-Evil: 1",
            }
        )
    message = str(caught.value)
    for name in ("PPP_INDEX_URL", "PPP_FEED_URL", "PPP_BASE_URL", "PPP_JOBS", "PPP_MODEL", "PPP_CONTACT"):
        assert f"{name}=" in message
    assert "\n" not in message


def test_nodes_that_share_the_work_are_keys_in_any_case_and_between_any_separators() -> None:
    keys = tuple(f"{number:064x}" for number in (10, 11, 12))
    config = load({"PPP_SHARE_NODES": f"\n{keys[0].upper()},{keys[1]} ,\t{keys[2]}\n", "PPP_REPLICAS": "2"})
    assert (config.share_nodes, config.replicas) == (keys, 2)
    assert (load({}).share_nodes, load({}).replicas) == ((), 1)
    assert load({"PPP_SHARE_NODES": " ", "PPP_REPLICAS": "1"}).share_nodes == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PPP_SHARE_NODES": "5eed"}, "PPP_SHARE_NODES names '5eed', which is no key of 64 hex digits"),
        ({"PPP_SHARE_NODES": "https://peer.example/"}, "names 'https://peer.example/', which is no key"),
        ({"PPP_SHARE_NODES": f"{'ab' * 32} {'AB' * 32}"}, f"PPP_SHARE_NODES names {'ab' * 32} twice"),
        ({"PPP_SHARE_NODES": " ".join(f"{n:064x}" for n in range(1000))}, "names 1000 nodes, more than 999"),
        ({"PPP_SHARE_NODES": "ab" * 32, "PPP_REPLICAS": "0"}, "PPP_REPLICAS='0' is not a number from 1 to 999"),
        ({"PPP_SHARE_NODES": "ab" * 32, "PPP_REPLICAS": "two"}, "PPP_REPLICAS='two' is not a number"),
        ({"PPP_REPLICAS": "2"}, "PPP_REPLICAS=2 says nothing without PPP_SHARE_NODES"),
    ],
)
def test_invalid_shares(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(settings)
    assert words in str(caught.value)


def test_invalid_settings_are_left_out_and_the_others_are_used() -> None:
    environ = {
        "PPP_JOBS": "many",
        "PPP_INDEX_URL": "gopher",
        "PPP_CONTACT": "operator@node.example",
        "PPP_MODEL": "/nowhere/model.gguf",
        "PATH": "/bin",
    }
    config, mistakes = load_valid(environ, data=Path("here"))
    assert [word for word in ("PPP_JOBS='many'", "PPP_INDEX_URL='gopher'", "/nowhere/model.gguf") if word in mistakes]
    assert "PPP_CONTACT" not in mistakes
    assert (config.data, config.contact, config.model) == (Path("here"), "operator@node.example", None)
    assert load_valid({"PPP_JOBS": "3"})[1] == ""


def test_how_a_model_is_run() -> None:
    assert load({}).model_options == ModelOptions()
    settings = {"THREADS": "3", "CONTEXT": "2048", "SECONDS": "60", "MEMORY_MIB": "3000"}
    options = load({f"PPP_MODEL_{name}": value for name, value in settings.items()}).model_options
    assert options == ModelOptions(threads=3, context_tokens=2048, seconds=60, memory_mib=3000)


@pytest.mark.parametrize(
    ("name", "value", "least", "most"),
    [
        ("THREADS", "0", 1, 256),
        ("THREADS", "half", 1, 256),
        ("CONTEXT", "511", 512, 131_072),
        ("CONTEXT", "131073", 512, 131_072),
        ("SECONDS", "0.5", 1, 86_400),
        ("SECONDS", "86401", 1, 86_400),
        ("MEMORY_MIB", "255", 256, 1_000_000),
        ("MEMORY_MIB", "-1", 256, 1_000_000),
    ],
)
def test_an_invalid_option_of_a_model_says_what_is_valid(name: str, value: str, least: int, most: int) -> None:
    with pytest.raises(ConfigError) as caught:
        load({f"PPP_MODEL_{name}": value})
    assert caught.value.message == f"PPP_MODEL_{name}={value!r} is not a number from {least} to {most}"


@pytest.mark.parametrize("value", ["0", "257", "-1", "2.5", "9" * 5000, "1e2", " 4"])
def test_an_invalid_number_of_jobs(value: str) -> None:
    with pytest.raises(ConfigError, match=r"PPP_JOBS=.* is not a number from 1 to 256"):
        load({"PPP_JOBS": value})


@pytest.mark.parametrize(
    "value", ["mirror.example", "file:///srv/simple", "https:///simple", "http://[", "//mirror.example"]
)
def test_an_invalid_address(value: str) -> None:
    with pytest.raises(ConfigError, match=r"PPP_INDEX_URL=.* is not an http.s. address"):
        load({"PPP_INDEX_URL": value})


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false", "False", "no", "No"])
def test_a_boolean_setting_that_is_off(word: str) -> None:
    assert load({"PPP_CANARY": word}).canary is False


@pytest.mark.parametrize("word", ["", "on", "ON", "1", "true", "True", "yes", "YES"])
def test_a_boolean_setting_that_is_on_or_not_set(word: str) -> None:
    assert load({"PPP_CANARY": word}).canary is True


@pytest.mark.parametrize("word", ["maybe", "2", "offf", " off", "-"])
def test_an_invalid_boolean_setting(word: str) -> None:
    with pytest.raises(ConfigError, match=rf"PPP_CANARY='{word}' is neither on \(1, true, yes, on\) nor off \(0, "):
        load({"PPP_CANARY": word})


def test_the_network_is_the_gateway_by_default() -> None:
    assert load({}).network is Network.GATEWAY
    assert load({"PPP_NETWORK": "open"}).network is Network.OPEN
    assert load({"PPP_NETWORK": "open"}, network="gateway").network is Network.GATEWAY
    for wrong in ("none", "OPEN", "closed"):
        with pytest.raises(ConfigError, match=f"PPP_NETWORK='{wrong}' is neither gateway nor open"):
            load({"PPP_NETWORK": wrong})


def test_the_image_of_nginx_can_be_set() -> None:
    assert load({}).nginx_image == "nginx:alpine"
    assert load({"PPP_NGINX_IMAGE": "mirror.example/nginx:1"}).nginx_image == "mirror.example/nginx:1"


def refusal(tmp_path: Path, change: Callable[[str], str]) -> str:
    path = tmp_path / "matrix.toml"
    path.write_text(change(GOOD), "utf-8")
    with pytest.raises(MatrixError) as caught:
        load_matrix(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_all_shipped_matrices_load() -> None:
    for path in sorted(resource("matrices").glob("*.toml")):
        matrix = load_matrix(path)
        assert matrix.environments
        assert len({e.id for e in matrix.environments}) == len(matrix.environments)


def test_a_matrix_without_a_policy_has_the_default_one(tmp_path: Path) -> None:
    table = GOOD[GOOD.index("[queue]") : GOOD.index("[[environment]]")]
    (path := tmp_path / "matrix.toml").write_text(GOOD.replace(table, ""))
    assert load_matrix(path) == load_matrix(resource("matrices/default.toml"))
    path.write_text(GOOD.replace(table, '[queue]\norder = ["age"]\n'))
    assert load_matrix(path).queue == QueuePolicy(order=(Criterion.AGE,))


def test_three_mistakes_are_reported_together_with_their_places(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        lambda text: (
            text.replace("memory_mb = 2048", 'memory_mb = "lots"')
            .replace("import = 60", "")
            .replace('platform = "alpine"\nimage = "python:3.9-alpine"', 'platform = "windows"\nimage = "x"')
        ),
    )
    assert "has 3 mistakes: " in message
    assert "environment[3].platform: 'windows' is not one of ['slim', 'alpine', 'host']" in message
    assert "limits.memory_mb: 'lots' is not of type 'integer'" in message
    assert "timeouts_s: 'import' is a required property" in message


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('id = "py39-slim"', 'id = "py311-slim"', "environment[0].id: 'py311-slim' should be 'py39-slim'"),
        ('"risk", "age"', '"luck", "age"', "queue.order[3]: 'luck' is not one of ['asked', 'watchlist', "),
        (
            '"risk", "age"',
            '"age", "age"',
            "queue.order: ['asked', 'watchlist', 'downloads', 'age', 'age'] has non-unique",
        ),
        ("fair_share = 3", "fair_share = 0", "queue.fair_share: 0 is less than the minimum of 1"),
        ("keep_days = 14", "keep_weeks = 2", "queue: Additional properties are not allowed ('keep_weeks'"),
        (
            'python = "3.11"\nplatform = "slim"',
            'python = "3.9"\nplatform = "slim"',
            "environment[1].id: 'py311-slim' should",
        ),
        ('image = "python:3.9-slim"', "", "environment[0]: 'image' is a required property"),
        ("cpus = 2.0", "cpus = 0", "limits.cpus: 0 is less than or equal to the minimum of 0"),
        ("file_mb", "files_mb", "limits: 'file_mb' is a required property"),
        ("version = ", "# version = ", "pip: 'version' is a required property"),
        ("download = 300", "download = 0", "timeouts_s.download: 0 is less than the minimum of 1"),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    assert old in GOOD
    assert mistake in refusal(tmp_path, lambda text: text.replace(old, new, 1))


def test_an_environment_that_is_used_twice(tmp_path: Path) -> None:
    row = '[[environment]]\nid = "py39-slim"\npython = "3.9"\nplatform = "slim"\nimage = "other"\n'
    message = refusal(tmp_path, lambda text: f"{text}\n{row}")
    assert "has 1 mistake: environment[6].id: 'py39-slim' is used twice" in message


def test_mistakes_are_in_the_order_of_the_rows(tmp_path: Path) -> None:
    row = '[[environment]]\nid = "pyX"\npython = "3.9"\nplatform = "host"\n'
    message = refusal(tmp_path, lambda text: text + row * 6)
    assert message.index("environment[9]") < message.index("environment[10]")


@pytest.mark.parametrize("text", ["environment = 3", "[[environment]]\n[limits]", "environment = [1]", ""])
def test_a_document_of_any_shape_is_reported(tmp_path: Path, text: str) -> None:
    assert "is a required property" in refusal(tmp_path, lambda _: text)


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    assert "is not TOML: " in refusal(tmp_path, lambda text: text.replace("[limits]", "[limits"))
    assert "line 9" in refusal(tmp_path, lambda text: text.replace("[limits]", "[limits"))


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "matrix.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MatrixError, match="is not TOML"):
        load_matrix(path)


def test_a_missing_matrix_file(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"cannot read .*absent\.toml: No such file .*--matrix"):
        load_matrix(tmp_path / "absent.toml")


def test_a_missing_shipped_file() -> None:
    with pytest.raises(ConfigError, match=r"own file matrices/absent\.toml is missing"):
        resource("matrices/absent.toml")


def test_the_number_of_mistakes_can_be_limited() -> None:
    document = {f"key{n}": n for n in range(50)}
    assert len(schema_errors("matrices/matrix.schema.json", document)) > 3
    assert len(schema_errors("matrices/matrix.schema.json", document, limit=2)) == 2


def test_a_long_mistake_is_shortened() -> None:
    (mistake,) = schema_errors("matrices/matrix.schema.json", "x" * 10_000)
    assert mistake.startswith("the document: 'xxx")
    assert len(mistake) < 200


SECRET = "s3cr3t-t0ken"


def test_credentials_are_taken_out_of_the_addresses() -> None:
    config = load({"PPP_INDEX_URL": f"https://user:{SECRET}@mirror.example/simple"})
    assert config.index_url == "https://mirror.example/simple/"
    assert config.feed_url == "https://mirror.example/rss/updates.xml"
    assert config.index_credentials == Credentials(origin="https://mirror.example", user="user", password=SECRET)
    assert config.feed_credentials == config.index_credentials, "one server"
    assert SECRET not in repr(config)


def test_another_servers_feed_gets_its_own_credentials_only() -> None:
    index = {"PPP_INDEX_URL": f"https://user:{SECRET}@mirror.example/simple/"}
    assert load(index | {"PPP_FEED_URL": "https://feed.example/"}).feed_credentials is None
    config = load(index | {"PPP_FEED_URL": "https://other:word@feed.example/x"})
    assert config.feed_url == "https://feed.example/x"
    assert config.feed_credentials == Credentials(origin="https://feed.example", user="other", password="word")


@pytest.mark.parametrize("name", ["PPP_BASE_URL", "PPP_REPOSITORY_URL", "PPP_DATASETTE_URL"])
def test_an_address_that_is_published_may_have_no_credentials(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*would publish") as caught:
        load({name: f"https://user:{SECRET}@ppp.example/"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["PPP_INDEX_URL", "PPP_FEED_URL", "PPP_JOURNAL_URL", "PPP_BASE_URL", "PPP_REPOSITORY_URL"]
)
@pytest.mark.parametrize("url", ["htp://user:{}@h.example/", "user:{}@h.example", "https://user:{}/x@h.example/"])
def test_the_mistake_in_an_address_is_reported_without_its_password(name: str, url: str) -> None:
    with pytest.raises(ConfigError, match="is not an http") as caught:
        load({name: url.format(SECRET)})
    assert SECRET not in str(caught.value)


def test_netrc_is_read_for_the_host_of_the_index_alone(tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine mirror.example login user password {SECRET}\ndefault login other password word\n")
    credentials = Credentials(origin="https://mirror.example", user="user", password=SECRET)
    index = {"PPP_INDEX_URL": "https://mirror.example/simple/"}
    assert load(index | {"HOME": str(tmp_path)}).index_credentials == credentials
    assert load(index | {"NETRC": str(netrc)}).index_credentials == credentials
    assert load({"HOME": str(tmp_path)}).index_credentials is None, "the default entry is for no host that we choose"
    given = load({"PPP_INDEX_URL": "https://own:word@mirror.example/simple/", "HOME": str(tmp_path)})
    assert given.index_credentials == Credentials(origin="https://mirror.example", user="own", password="word")


@pytest.mark.parametrize("content", ["machine", "machine mirror.example password", "\0\0", None])
def test_a_netrc_that_cannot_be_read_has_no_entry(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / ".netrc").write_text(content)
    assert load({"PPP_INDEX_URL": "https://mirror.example/", "HOME": str(tmp_path)}).index_credentials is None


@pytest.mark.attack("credentials")
def test_programs_that_this_one_starts_inherit_no_credentials() -> None:
    environ = {
        "PPP_INDEX_URL": f"https://user:{SECRET}@mirror.example/simple/",
        "PPP_FEED_URL": f"https://user:{SECRET}@feed.example/x",
        "PPP_JOURNAL_URL": f"https://user:{SECRET}@journal.example/pypi",
        "PPP_DATA": "a@b",
        "PPP_NODE_KEY": "5eed" * 16,
    }
    config = load(environ)
    take_credentials(environ, config)
    assert environ == {
        "PPP_INDEX_URL": "https://mirror.example/simple/",
        "PPP_FEED_URL": "https://feed.example/x",
        "PPP_JOURNAL_URL": "https://journal.example/pypi",
        "PPP_DATA": "a@b",
    }
    assert config.node_seed == NodeSeed(seed=b"\x5e\xed" * 16)
    public = {"PPP_FEED_URL": "https://feed.example/@x"}
    take_credentials(public, load(public))
    assert public == {"PPP_FEED_URL": "https://feed.example/@x"}


@pytest.mark.attack("credentials")
@pytest.mark.parametrize("text", ["5EED" * 16, "5eed" * 15, "5eed" * 16 + "0", "zz" * 32, "5eed " * 16, "é" * 64])
def test_a_node_key_that_is_none_is_named_and_never_shown(text: str) -> None:
    with pytest.raises(ConfigError, match=r"PPP_NODE_KEY is not a key of 64 hex digits") as caught:
        load({"PPP_NODE_KEY": text})
    assert text[:8] not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    environ = {"PPP_NODE_KEY": text}
    config, mistakes = load_valid(environ)
    take_credentials(environ, config)
    assert (config.node_seed, environ) == (None, {})
    assert text[:8] not in mistakes


@pytest.mark.attack("credentials")
@pytest.mark.parametrize("around", ["{}", "{}\n", " {}\r\n"])
def test_a_node_key_from_the_environment_has_no_text_form(around: str) -> None:
    config = load({"PPP_NODE_KEY": around.format("5eed" * 16)})
    assert config.node_seed is not None
    assert config.node_seed.seed.hex() == "5eed" * 16
    for shown in (repr(config), str(config.node_seed), f"{config.node_seed}"):
        assert "5eed" not in shown
        assert r"\xed" not in shown


def test_what_is_done_to_tell_drift_from_faults_is_bounded() -> None:
    assert load({}).drift_limits == DriftLimits()
    limits = {"PPP_DRIFT_CELLS": "3", "PPP_DRIFT_RUNS": "9", "PPP_DRIFT_SECONDS": "60"}
    assert load(limits).drift_limits == DriftLimits(cells=3, runs=9, seconds=60)
    assert load({**limits, "PPP_DRIFT": "off"}).drift_limits is None
    with pytest.raises(ConfigError) as caught:
        load(dict.fromkeys(limits, "0"))
    assert all(f"{name}='0'" in caught.value.message for name in limits)
