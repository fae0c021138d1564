"""The command line as a whole: exit codes, errors of one line, and help. Whole commands: tests/e2e.

The help is checked for all commands: no short help is cut off, every option that is offered is read.
"""

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from ppp import config
from ppp.cli import main
from ppp.cli.lazy import LazyGroup


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["ppp", *arguments])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["run", "--help"], ["node", "show", "-h"]])
def test_help_is_a_success(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, *arguments) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["run", "--frobnicate"], ["check"], ["run", "--jobs", "0"], ["show", "--matrix", "x"]]
)
def test_an_invalid_command_line_shows_the_usage(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Usage: " in shown.err


def test_an_error_is_one_line_and_has_its_own_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "show", "--data", str(tmp_path)) == 22
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"ppp: no ledger at {tmp_path}")
    assert shown.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_error_shows_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "check", "py312-\x1b[31m\x07host", "six") == 12
    shown = capsys.readouterr().err
    assert "no such environment" in shown
    assert shown.rstrip("\n").isprintable()


# ---------------------------------------------------------------- help

#: What click writes into, on a terminal of 80 columns.
HELP_WIDTH = 78


def all_commands(
    command: click.Command, path: tuple[str, ...] = ("ppp",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command and group with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            children = {name: command.get_command(context, name) for name in command.list_commands(context)}
        for name, child in children.items():
            assert child, f"no command {name}"
            yield from all_commands(child, (*path, name))


COMMANDS: Mapping[tuple[str, ...], click.Command] = dict(all_commands(main.cli))
GROUPS = {path: command for path, command in COMMANDS.items() if isinstance(command, click.Group)}
LEAVES = {path: command for path, command in COMMANDS.items() if path not in GROUPS}


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_no_short_help_is_cut_off(path: tuple[str, ...]) -> None:
    group = GROUPS[path]
    with click.Context(group, info_name=" ".join(path), terminal_width=HELP_WIDTH) as context:
        listed = group.get_help(context).partition("Commands:")[2].strip().splitlines()
        names = group.list_commands(context)
    assert len(listed) == len(names), "each command has one line"
    assert not [line for line in listed if "..." in line]
    assert not [line for line in listed if not line.endswith(".")]


LAZY_GROUPS = {path: group for path, group in GROUPS.items() if isinstance(group, LazyGroup)}


@pytest.mark.parametrize("path", LAZY_GROUPS, ids=" ".join)
def test_a_command_that_is_not_imported_is_listed_as_it_describes_itself(path: tuple[str, ...]) -> None:
    group = LAZY_GROUPS[path]
    with click.Context(group) as context:
        completed = {item.value: item.help for item in group.shell_complete(context, "")}
        names = group.list_commands(context)
    assert completed == {name: COMMANDS[*path, name].get_short_help_str(limit=200) for name in names}
    assert completed


def test_completion_offers_what_begins_so() -> None:
    with click.Context(main.cli) as context:
        assert [item.value for item in main.cli.shell_complete(context, "s")] == [
            each for each in main.cli.list_commands(context) if each.startswith("s")
        ]
        assert {item.value for item in main.cli.shell_complete(context, "--v")} == {"--version"}


#: Modules that take long to import, and the names under which commands define themselves.
HEAVY = {
    *("docker", "datasette", "jsonschema", "apscheduler", "prometheus_client", "rich", "requests", "jinja2", "nacl"),
    *("sqlite_utils", "pypi_simple", "numpy", "uvicorn", "feedparser", "ppp.check", "ppp.publish", "ppp.ledger"),
}
STARTED = {"ppp.cli.main", "ppp.cli.lazy", "ppp.cli.signals"}


#: What reading the ledger does not need: what checks cells, and what asks an index.
CHECKING = {"docker", "datasette", "pypi_simple", "requests", "feedparser", "uvicorn", "ppp.check.cell", "ppp.pipeline"}


def imported_by(words: str) -> set[str]:
    """Return the modules that a command has imported when it ends."""
    program = f"""
import sys
from ppp.cli.main import main
sys.argv = ["ppp", *{words.split()}]
try:
    main()
except SystemExit:
    print("imported:", *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.rpartition("imported:")[2].split())


@pytest.mark.parametrize("words", ["--version", "--help", "peer --help", "frobnicate"])
def test_a_start_imports_no_command_and_nothing_that_takes_long(words: str) -> None:
    imported = imported_by(words)
    assert {name for name in imported if name.startswith("ppp.cli.")} == STARTED
    assert not imported & HEAVY


@pytest.mark.parametrize("words", ["show --data nowhere", "queue --data nowhere"])
def test_to_read_the_ledger_nothing_is_imported_that_checks_cells(words: str) -> None:
    imported = imported_by(words)
    assert "ppp.ledger.schema" in imported
    assert not imported & CHECKING


#: What `make_context` reads, wherever a command has it.
LOG_OPTIONS = {"log_format", "quiet", "verbose"}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_that_is_offered_is_read(path: tuple[str, ...]) -> None:
    command = LEAVES[path]
    assert command.callback
    function = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(command.callback)))).body[0]
    assert isinstance(function, ast.FunctionDef)
    read = {node.id for statement in function.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    hidden = {parameter.name for parameter in command.params if not parameter.expose_value}
    assert hidden in (set(), LOG_OPTIONS), "every other option reaches the function"
    assert not hidden or read & {"make_context"}, "it reads the options of the log"
    assert {parameter.name for parameter in command.params} - hidden <= read


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_groups_offer_no_options(path: tuple[str, ...]) -> None:
    assert {parameter.name for parameter in GROUPS[path].params} <= {"version"}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_is_written_in_sentences(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    texts = [option.help or "" for option in command.params if isinstance(option, click.Option)]
    for text in [command.help or "", *texts]:
        assert re.match("[A-Z0-9]", text), text
        assert text.rstrip().endswith("."), text
        assert not re.match("(Give|Say|Tell|Hear|Mend|Hold|Come)\\b", text), text


def test_settings_that_are_named_in_help_exist() -> None:
    named = set(re.findall(r"\bPPP_[A-Z_]+", " ".join(_help_text(path) for path in COMMANDS)))
    source = Path(inspect.getsourcefile(config) or "").read_text("utf-8")
    assert named
    assert not [name for name in named if f'"{name}"' not in source]


def _help_text(path: tuple[str, ...]) -> str:
    with click.Context(COMMANDS[path], info_name=" ".join(path)) as context:
        return COMMANDS[path].get_help(context)
