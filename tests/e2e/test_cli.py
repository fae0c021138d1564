"""What the commands answer, to a person and to a program; and that every command in README.md exists."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from cell_environments import FetchedPip
from local_index import LocalIndex, reply
from program import Program, new_program
from projects import all_projects

from ppp.cli import main
from ppp.model.canonical import sha256_hex
from ppp.resources import resource
from ppp.schemas import schema_errors

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SESSION = re.compile(r'scripts/nox -s (ppp|run|watch|publish|serve|"check\(([\w-]+)\)")(?: -- (.*)|$)')

# ---------------------------------------------------------------- README and --help


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name) or click.Command(None), (*path, name))


COMMANDS: Mapping[tuple[str, ...], click.Command] = dict(commands(main.cli))


def readme_commands() -> list[str]:
    """Return each command line of README.md without its `ppp`."""
    code = [*re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE), *re.findall(r"`([^`\n]+)`", README)]
    lines = [line.partition("  #")[0].strip() for block in code for line in block.splitlines()]
    found = []
    for line in lines:
        if line.startswith("ppp "):
            found.append(line.removeprefix("ppp "))
        elif match := SESSION.match(line):
            session, environment, rest = match.groups()
            words = f"check {environment}" if environment else "" if session == "ppp" else session
            found.append(f"{words} {rest or ''}".strip())
    return found


def test_readme_shows_commands() -> None:
    lines = readme_commands()
    assert "show --failing --env py311-alpine" in lines
    assert any(line.startswith("check py312-slim ") for line in lines)
    assert len(lines) > 8


@pytest.mark.parametrize("line", readme_commands())
def test_commands_of_the_readme_are_in_help(line: str) -> None:
    words = shlex.split(line)
    path: tuple[str, ...] = ()
    while words and (*path, words[0]) in COMMANDS:
        path = (*path, words.pop(0))
    command = COMMANDS[path]
    assert path or words[0].startswith("-"), f"{line!r} is not a command"
    # As the whole program makes it: click keeps the help option of the first context that asks for it.
    with click.Context(command, info_name="ppp", **main.cli.context_settings) as context:
        known = {word for parameter in command.get_params(context) for word in parameter.opts}
        shown = command.get_help(context)
    for option in [word.partition("=")[0] for word in words if word.startswith("-")]:
        assert option in known, f"{option} of {line!r} is not in {sorted(known)}"
        assert option in shown
    takes_words = any(isinstance(parameter, click.Argument) for parameter in command.params)
    assert takes_words or not words or words[0].startswith("-"), (
        f"{line!r} gives arguments to a command that takes none"
    )


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_has_a_help_text(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert not [option.name for option in options if not option.help]


# ---------------------------------------------------------------- answers


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip) -> Iterator[Program]:
    """A node that has checked one project, which fails."""
    folder = tmp_path_factory.mktemp("cli")
    with LocalIndex() as index, new_program(folder, index) as program:
        index.add_pip(pinned_pip.wheel)
        index.add(*(project for project in all_projects() if project.name in {"raises", "passes"}))
        index.set_response("/feed", reply(feed("raises 1.0", "never-checked 2.0")))
        program.run_ok("run", "--package", "raises")
        yield program


def feed(*titles: str) -> bytes:
    items = "".join(
        f"<item><title>{title}</title><link>https://index.example/project/{title.replace(' ', '/')}/</link></item>"
        for title in titles
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode()


def answer(node: Program, *arguments: str) -> Any:
    return json.loads(node.run_in_process_ok(*arguments, "--json"))


@pytest.mark.online
def test_check_shows_each_phase_and_the_log(node: Program) -> None:
    done = node.run("check", node.environment, "raises==1.0")
    assert done.code == 1, done
    first, *rest = done.out.splitlines()
    assert first == f"✗ FAIL    raises==1.0 in {node.environment} import-error: import raises: ValueError: no"
    phases = [line.split()[:2] for line in rest[1:5]]
    assert phases == [["download", "PASS"], ["install", "alone"], ["install", "with"], ["import", "FAIL"]]
    assert "  the log of `import` ends with:" in rest
    assert "  | ValueError: no" in rest
    assert "  blame     package" in rest


@pytest.mark.online
def test_check_fails_for_what_is_asked(node: Program) -> None:
    words = ("check", node.environment, "raises==1.0", "passes", "--format=github")
    assert node.run(*words, "--fail-on", "none").code == 0
    done = node.run(*words, "--fail-on", "timeout, error")
    assert (done.code, [line.partition(" ")[0] for line in done.out.splitlines()]) == (0, ["::warning", "✓"])


@pytest.mark.online
def test_check_prints_records_as_json(node: Program) -> None:
    found = answer(node, "check", node.environment, "passes")
    log, name = found.pop("log"), found.pop("record")
    assert (log, len(name)) == (None, 64)
    assert schema_errors("site/schemas/record.schema.json", found) == []
    assert (found["package"], found["environment"], found["result"]) == ("passes", node.environment, "PASS")
    assert node.query("SELECT package, result FROM records WHERE record = ?", name) == [("passes", "PASS")]


@pytest.mark.online
def test_show(node: Program) -> None:
    out = node.run_in_process_ok("show")
    assert re.search(r"^raises==1\.0 +✗ FAIL", out, re.MULTILINE)
    assert f"✗ FAIL    raises==1.0 import-error: import raises: ValueError: no [{node.environment}]" in out
    (shown,) = answer(node, "show", "raises")["results"]
    assert shown["log"].rstrip().endswith("ValueError: no")
    assert sha256_hex(shown["log"].encode()) == shown["log_sha256"]
    assert schema_errors("site/schemas/record.schema.json", _without(shown, "record", "log", "blamed_by")) == []
    listed = [result for result in answer(node, "show")["results"] if result["package"] == "raises"]
    assert listed == [_without(shown, "log")], "over all packages the logs are left out"


def _without(record: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in record.items() if name not in names}


@pytest.mark.online
def test_watch_skips_the_feed_on_a_machine_without_a_sandbox(node: Program) -> None:
    done = node.run_in_process("watch")
    assert (done.code, done.out) == (0, "0 cells are queued: `ppp run` checks them\n")
    reason = "releases of the open feed are not run on the host platform without a sandbox"
    assert node.query("SELECT DISTINCT reason, detail FROM skips") == [("unsandboxed", reason)]


def test_watch_queues_the_feed_for_containers(program: Program, local: LocalIndex) -> None:
    local.set_response("/feed", reply(feed("six 1.17.0", "numpy 2.1")))
    # The shipped matrix: this starts no container.
    matrix = str(resource("matrices/default.toml"))
    words = ("watch", "--matrix", matrix, "--env", "py312-slim", "--env", "py39-alpine")
    waiting = answer(program, *words)
    assert waiting["queued"] == 0, "on the open network, releases of the feed are not run"
    assert {(row["cells"], row["what_to_do"]) for row in waiting["waiting"]} == {(2, "run with --network gateway")}
    local.set_response("/feed", reply(feed("six 1.17.0", "numpy 2.1")))
    program.settings["PPP_NETWORK"] = "gateway"
    assert answer(program, *words) == {"queued": 4}
    queue = program.query("SELECT package, environment, source FROM queue ORDER BY package, environment DESC")
    assert queue == [(p, e, "feed") for p in ("numpy", "six") for e in ("py39-alpine", "py312-slim")]
    assert local.request_headers[-1]["User-Agent"].startswith("the-pypi-place/")


def test_a_node_s_key(program: Program) -> None:
    assert program.run_in_process("node", "show").code == 26
    made = answer(program, "node", "init")
    assert re.fullmatch("[0-9a-f]{64}", made["id"])
    assert made == {"id": made["id"], "key": made["id"]} == answer(program, "node", "show")
    assert program.run_in_process_ok("node", "show") == f"id and public key: {made['id']}\n"
    assert (program.data / "node.key").stat().st_mode & 0o777 == 0o600


def test_peers(program: Program) -> None:
    key = "ab" * 32
    program.run_in_process_ok("peer", "add", "http://[200:db8::1]:8001", "--key", key)
    peer, founder = answer(program, "peer", "list")
    assert (peer["node"], peer["url"]) == (key, "http://[200:db8::1]:8001/")
    program.run_in_process_ok("peer", "remove", key)
    (shipped,) = program.run_in_process_ok("peer", "list").splitlines()
    assert shipped == f"{founder['node']}  no address  trusted by matrices/trusted-keys.txt"
    assert program.run_in_process_ok("peer", "sync") == "no peers: add one with `ppp peer add URL`\n"


def test_an_output_that_is_closed_early(program: Program) -> None:
    process = program.start("--help")
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert (process.stderr.read(), process.wait(30)) == ("", 1)


def test_an_option_overrides_a_setting(program: Program) -> None:
    made = answer(program, "node", "init")
    assert answer(program, "node", "show") == made
    program.settings["PPP_DATA"] = str(program.data.with_name("elsewhere"))
    assert program.run_in_process("node", "show").code == 26
    assert answer(program, "node", "show", "--data", str(program.data)) == made
