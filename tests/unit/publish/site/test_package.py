"""A package's page: results, causes, history, and commands to reproduce them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ppp.ledger.store import Store
from ppp.model.drift import Culprit, Drift
from ppp.model.record import Blame, Record
from ppp.model.release import Release
from ppp.publish.api.package import reproduce_command
from ppp.publish.build import build

DAY = 1_714_003_200


@pytest.fixture
def shown(small: Store, tmp_path: Path, page: Callable[[Path], object]) -> Callable[[str], str]:
    """The text of a package's page, after a build."""

    def read(package: str) -> str:
        build(small.db, tmp_path / "public", base_url="https://ppp.example/")
        path = tmp_path / "public" / "p" / package / "index.html"
        return " ".join(page(path).text.split())  # type: ignore[attr-defined]

    return read


def test_failures_are_explained_and_reproducible(shown: Callable[[str], str]) -> None:
    output = shown("needs-gcc")
    assert "needs-gcc 1.1 works on Debian slim with Python 3.9 and 3.12; it fails on Alpine." in output
    assert "1.1, the newest release checked (PyPI's newest was not recorded). Data as of" in output
    assert "environment new in 1.1, last good 1.0" in output
    assert "Last passed with 1.0. Pin it: pip install needs-gcc==1.0 or uv add needs-gcc==1.0" in output
    assert "FAIL py39-alpine py312-alpine during install alone no-compiler blame: environment" in output
    assert 'scripts/nox -s "check(py39-alpine)" "check(py312-alpine)" -- needs-gcc==1.1' in output
    assert "Last passed with 1.0." in output
    assert "building error: command 'gcc' failed" in output
    assert "\x1b" not in output
    assert output.count("it did not work") == 1


def test_installed_distributions_nodes_and_durations(shown: Callable[[str], str]) -> None:
    output = shown("six")
    assert "Installed in all 4 environments six 1.17.0" in output
    assert "ab" * 32 in output
    assert "py39-slim 10 ms 10 ms 10 ms 10 ms 3.12.1 2024-04-25 00:00Z py" in output
    assert "bytes downloaded in it, on x86_64 environment" in output, "where nodes are alike, none is named"
    assert "Why" not in output


def test_links_to_findings_badge_and_data(shown: Callable[[str], str]) -> None:
    output = shown("needs-gcc")
    assert "Newly broken, Fails on Alpine only" in output
    assert "SKIP 10 ms SKIP 10 ms 3.12.1" in output
    assert "[![needs-gcc: installs & imports](https://ppp.example/badge/needs-gcc.svg)]" in output
    assert "api/v1/p/needs-gcc.json" in output


def test_nodes_that_disagree_are_counted(shown: Callable[[str], str]) -> None:
    assert "1 of 2 2 records" in shown("old")


def test_a_standin_is_said_once(shown: Callable[[str], str]) -> None:
    output = shown("wheels-only")
    assert output.count("stand-in") == 1
    assert "stand-in py312-alpine: ran on substitutes for the official images." in output
    assert "No other release was checked." in output


def test_the_newest_release_is_by_version_order(
    small: Store, record: Callable[..., Record], shown: Callable[[str], str]
) -> None:
    small.add_record(record("six", "1.9.0", "py312-slim", observed_at=DAY + 5000))
    output = shown("six")
    assert "1.17.0, the newest release checked" in output
    assert output.index("1.17.0, the newest") < output.index("1.9.0 PASS")


def test_an_error_does_not_replace_a_result(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store.add_record(record("six"))
    store.add_record(record("six", result="ERROR", observed_at=DAY + 60))
    build(store.db, tmp_path / "public")
    path = tmp_path / "public" / "p" / "six" / "index.html"
    output = " ".join(page(path).text.split())  # type: ignore[attr-defined]
    assert "six 2.1.0 works on Debian slim with Python 3.12." in output
    assert "1 of 1 2 records" in output


def test_the_detail_of_a_pass_is_in_its_cell(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store.add_record(record("six", cause="no-modules", detail="it holds no module to import"))
    build(store.db, tmp_path / "public")
    output = " ".join(page(tmp_path / "public" / "p" / "six" / "index.html").text.split())  # type: ignore[attr-defined]
    assert "PASS no-modules it holds no module to import" in output


def test_different_failures_are_separate_groups(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    cases = {"py39-slim": "crash", "py311-slim": "crash", "py312-slim": "exits"}
    for environment, cause in cases.items():
        store.add_record(
            record("six", "1.0", environment, result="FAIL", cause=cause, blame=Blame.PACKAGE, detail="same")
        )
    build(store.db, tmp_path / "public")
    html = (tmp_path / "public" / "p" / "six" / "index.html").read_text()
    assert html.count('<article class="failure fail">') == 2
    assert "The interpreter was ended by a signal" in html
    assert "Importing it ended the process" in html
    assert "../../causes/crash/index.html" in html
    assert "../../causes/exits/index.html" in html


def test_an_unknown_cause_has_no_page(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store.add_record(record("six", "1.0", result="FAIL", cause="from-the-future", blame=Blame.PACKAGE))
    build(store.db, tmp_path / "public")
    links = page(tmp_path / "public" / "p" / "six" / "index.html").links  # type: ignore[attr-defined]
    assert [link for link in links if "causes/" in link] == ["../../causes/index.html"]
    index = page(tmp_path / "public" / "causes" / "index.html")
    assert "1 more cell has a cause unknown to this version of PPP." in index.text  # type: ignore[attr-defined]


def test_siblings_decide_if_the_log_is_not_conclusive(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    failed = {"result": "FAIL", "cause": "import-error", "blame": Blame.PACKAGE, "detail": "no such thing"}
    store.add_record(record("six", "1.0", "py312-slim"))
    store.add_record(record("six", "1.0", "py312-alpine", **failed))
    build(store.db, tmp_path / "public")
    output = " ".join(page(tmp_path / "public" / "p" / "six" / "index.html").text.split())  # type: ignore[attr-defined]
    assert "import-error blame: environment (judged by the other cells)" in output
    assert "blame: package" not in output


def test_many_long_logs_share_a_budget(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    for number in range(9):
        log = f"log {number} " + "&" * 100_000
        environment = f"py3{number}-slim"
        made = record(
            "six", "1.0", environment, result="FAIL", cause=f"cause-{number}",
            log_sha256=hashlib.sha256(log.encode()).hexdigest(),
        )  # fmt: skip
        store.add_record(made, log)
    build(store.db, tmp_path / "public")
    page = tmp_path / "public" / "p" / "six" / "index.html"
    assert page.stat().st_size < 50_000
    assert "The log is in the ledger" in page.read_text()


def test_the_command_is_quoted_for_a_shell() -> None:
    six = Release(package="six", version="1.17.0")
    assert reproduce_command(six, "py312-alpine") == 'scripts/nox -s "check(py312-alpine)" -- six==1.17.0'
    other = Release(package="six", version="1!2.0")
    assert reproduce_command(other, "py312-slim") == "scripts/nox -s \"check(py312-slim)\" -- 'six==1!2.0'"


@pytest.fixture
def with_drift(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> Callable[[Drift], tuple[str, object]]:
    """The text of the page of a release that fails with this drift, and the same in the package's file."""

    def read(drift: Drift) -> tuple[str, object]:
        cause = {"result": "FAIL", "cause": "dependency-drift", "blame": Blame.DEPENDENCY}
        store.add_record(record("old", "1.0", drift=drift, **cause))
        public = tmp_path / "public"
        build(store.db, public, base_url="https://ppp.example/")
        document = json.loads((public / "api" / "v1" / "p" / "old.json").read_bytes())
        text = page(public / "p" / "old" / "index.html").text  # type: ignore[attr-defined]
        return " ".join(text.split()), document["cells"][0]["drift"]

    return read


@pytest.mark.parametrize(
    ("culprits", "result_then", "said"),
    [
        (
            (Culprit(name="werkzeug", works_with="0.16.1", fails_with="1.0.0"),),
            "PASS",
            "It passes today with werkzeug<1.0.0, as running it showed.",
        ),
        ((), "PASS", "It passed with the index as of its upload: what it depends on has changed since."),
        ((), "FAIL", "It failed with the index as of its upload too."),
    ],
)
def test_the_bound_that_fixes_a_failure_is_shown(
    with_drift: Callable[[Drift], tuple[str, object]], culprits: tuple[Culprit, ...], result_then: str, said: str
) -> None:
    drift = Drift(as_of=DAY - 1000, result_then=result_then, runs=5, culprits=culprits)
    text, published = with_drift(drift)
    assert said in text
    assert published == drift.to_json()
