"""A node whose clock is wrong signs no wrong times: it refuses to check anything, and leaves nothing behind."""

import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from local_index import LocalIndex, Responder
from program import Program, new_program

pytestmark = pytest.mark.attack("history")


@pytest.fixture
def local() -> Iterator[LocalIndex]:
    with LocalIndex() as index:
        yield index


@pytest.fixture
def program(tmp_path: Path, local: LocalIndex) -> Iterator[Program]:
    with new_program(tmp_path, local) as made:
        yield made


def dated(date: str | None, age: str | None = None, *, status: int = 200) -> Responder:
    """Answer with an empty page and these headers."""
    page = b"<!DOCTYPE html><html></html>"

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response_only(status)
        for name, value in (("Date", date), ("Age", age), ("Content-Type", "text/html")):
            if value is not None:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(page)))
        request.end_headers()
        request.wfile.write(page)

    return send


def at(offset_s: float) -> str:
    return formatdate(time.time() + offset_s, usegmt=True)


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("offset_s", [-90, 90, -86_400 * 400, 86_400 * 400])
def test_a_wrong_clock_refuses_to_check(program: Program, local: LocalIndex, command: str, offset_s: int) -> None:
    local.set_response("/simple/pip/", dated(at(offset_s)))
    arguments = ("--no-feed", "--package", "six") if command == "run" else (program.environment, "six")
    done = program.run_in_process(command, *arguments)
    assert done.code == 39, done
    (line,) = done.err.splitlines()
    assert "this machine's clock says" in line
    assert "of which 60 are allowed" in line
    assert "set-ntp" in line
    assert not program.data.exists()


def test_a_page_that_is_missing_has_a_date_too(program: Program, local: LocalIndex) -> None:
    local.set_response("/simple/pip/", dated(at(-300), status=404))
    assert program.run_in_process("run", "--no-feed", "--package", "six").code == 39


@pytest.mark.parametrize(
    ("date", "age"),
    [(0, None), (-30, None), (-5000, "5000"), (None, None), ("yesterday", None), (0, "soon")],
)
def test_a_clock_that_is_right_or_cannot_be_compared_does_not_stop_a_run(
    program: Program, local: LocalIndex, date: int | str | None, age: str | None
) -> None:
    local.set_response("/simple/pip/", dated(at(date) if isinstance(date, int) else date, age))
    done = program.run_in_process("run", "--no-feed", "--package", "six")
    # There is no such package here, which is found out only after the clock was accepted.
    assert done.code == 13, done
