"""How commands end: an exit status for each kind of ending, and one line that says why. Whole commands: tests/e2e."""

import sys
from pathlib import Path

import pytest

from ppp.cli import main


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command in this process; give its exit status."""
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


@pytest.mark.parametrize("arguments", [["frobnicate"], ["run", "--frobnicate"], ["check"], ["run", "--jobs", "0"]])
def test_what_is_no_command_says_how_it_is_used(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Usage: " in shown.err


def test_an_error_is_one_line_and_has_its_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "--data", str(tmp_path), "show") == 22
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"ppp: no ledger at {tmp_path}")
    assert shown.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_error_shows_nothing_that_a_terminal_would_act_upon(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "check", "py312-\x1b[31m\x07host", "six") == 12
    shown = capsys.readouterr().err
    assert "no such environment" in shown
    assert shown.rstrip("\n").isprintable()
