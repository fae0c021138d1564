"""The log of a run: as JSON in lines, only warnings, or with the times of phases."""

import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ppp.cli import main
from ppp.log_lines import LogFormat, write_error
from ppp.model.errors import MatrixError
from ppp.model.record import Record
from ppp.progress import LineReporter
from ppp.run_logs import JsonReporter, Verbosity, log_reporter

NOW = datetime(2026, 11, 29, 6, 30, tzinfo=UTC)


def json_lines(written: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.splitlines()]


def reporter(verbosity: Verbosity = Verbosity.NORMAL) -> tuple[JsonReporter, io.StringIO]:
    stream = io.StringIO()
    return JsonReporter(stream, verbosity=verbosity, now=lambda: NOW), stream


def report(to: Any, record: Record) -> None:
    to.note("a remark")
    to.warn("it went wrong")
    to.begin(1)
    to.checked(record)
    to.end()


def test_each_line_is_an_object_with_time_level_and_event(record: Callable[..., Record]) -> None:
    json_reporter, stream = reporter()
    failed = record("six", "1.0", "py312-slim", result="FAIL", cause="no-compiler", detail="no gcc")
    report(json_reporter, failed)
    lines = json_lines(stream.getvalue())
    assert {line["time"] for line in lines} == {"2026-11-29T06:30:00.000+00:00"}
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "note"),
        ("warning", "warning"),
        ("info", "begin"),
        ("info", "checked"),
        ("info", "end"),
    ]
    checked = lines[3]
    assert (checked["package"], checked["version"], checked["environment"]) == ("six", "1.0", "py312-slim")
    assert (checked["result"], checked["cause"], checked["record"]) == ("FAIL", "no-compiler", failed.id)
    assert (checked["done"], checked["total"]) == (1, 1)
    assert "phases" not in checked


def test_a_verbose_log_has_the_times_of_phases(record: Callable[..., Record]) -> None:
    json_reporter, stream = reporter(Verbosity.VERBOSE)
    report(json_reporter, record("six"))
    assert [*json_lines(stream.getvalue())[3]["phases"]] == ["download", "nodeps", "full", "import"]
    text = io.StringIO()
    report(log_reporter(text, log_format=LogFormat.TEXT, verbosity=Verbosity.VERBOSE), record("six"))
    assert "download 10 ms, nodeps 10 ms, full 10 ms, import 10 ms; record " in text.getvalue()


def test_a_quiet_log_has_warnings_alone(record: Callable[..., Record]) -> None:
    json_reporter, stream = reporter(Verbosity.QUIET)
    report(json_reporter, record("six"))
    assert [line["event"] for line in json_lines(stream.getvalue())] == ["warning"]
    text = io.StringIO()
    report(log_reporter(text, log_format=LogFormat.TEXT, verbosity=Verbosity.QUIET), record("six"))
    assert text.getvalue() == "warning: it went wrong\n"


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("word", ["a\nb", "\x1b[2J", "\u2028", "\u202egnp.exe", "\ud800", '"}{"', "x" * 100_000])
def test_no_text_ends_a_line_or_reaches_a_terminal(word: str) -> None:
    json_reporter, stream = reporter()
    json_reporter.note(word)
    json_reporter.warn(word)
    written = stream.getvalue()
    assert written.isascii()
    assert written.count("\n") == 2
    assert all(character.isprintable() for character in written.replace("\n", ""))
    assert [line["message"] for line in json_lines(written)] == [word[:10_000]] * 2


def test_the_error_that_ends_a_command_is_a_line_too() -> None:
    stream = io.StringIO()
    write_error(stream, MatrixError("it is wrong", hint="fix it"))
    (line,) = json_lines(stream.getvalue())
    assert (line["level"], line["kind"], line["exit_code"]) == ("error", "MatrixError", 11)
    assert (line["message"], line["hint"]) == ("it is wrong", "fix it")


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    monkeypatch.setattr(sys, "argv", ["ppp", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code, capsys.readouterr().err


def test_a_command_writes_its_error_in_the_format_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ("check", "py1-slim", "six", "--data", str(tmp_path))
    code, err = run(monkeypatch, capsys, *wrong)
    assert (code, err.startswith("ppp: ")) == (12, True)
    code, err = run(monkeypatch, capsys, *wrong, "--log-format", "json")
    assert (code, json_lines(err)[-1]["exit_code"]) == (12, 12)
    monkeypatch.setenv("PPP_LOG_FORMAT", "json")
    code, err = run(monkeypatch, capsys, *wrong)
    assert (code, json_lines(err)[-1]["exit_code"]) == (12, 12)


def test_quiet_and_verbose_contradict_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = run(monkeypatch, capsys, "publish", "--data", str(tmp_path), "-q", "-v")
    assert code == 2
    assert "contradict" in err


def test_without_options_the_reporter_suits_the_stream() -> None:
    made = log_reporter(io.StringIO(), log_format=LogFormat.TEXT, verbosity=Verbosity.NORMAL)
    assert type(made) is LineReporter
