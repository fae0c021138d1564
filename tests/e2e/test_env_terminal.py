"""`ppp env` on a terminal: one line for each bar at any width, Ctrl-C at any moment, and a shell that is one."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cell_environments import host_environ
from my_lib import MARKERS, WheelServer, new_project, wheel_server
from program import REMOVED_SETTINGS
from terminal import CTRL_C, HIDE_CURSOR, SHOW_CURSOR, TerminalSession, Typed, run_on_terminal


@pytest.fixture
def server() -> Iterator[WheelServer]:
    with wheel_server() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, server: WheelServer) -> Path:
    return new_project(tmp_path / "my-lib", server.lock_of(MARKERS))


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    ours = {name: value for name, value in host_environ().items() if not name.startswith(REMOVED_SETTINGS)}
    folders = {"UV_CACHE_DIR": str(tmp_path / "uv"), "PPP_ENV_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    return {**ours, **folders}


def on_terminal(
    environ: Mapping[str, str], project: Path, *command: str, columns: int, typed: tuple[Typed, ...] = ()
) -> TerminalSession:
    program = (sys.executable, "-m", "ppp", "env", *command, "--project", str(project))
    return run_on_terminal(program, environ, columns=columns, typed=typed)


def names(project: Path) -> set[str]:
    return {path.name for path in project.iterdir()}


def leaves_the_cursor(session: TerminalSession) -> bool:
    return session.output.rfind(SHOW_CURSOR) >= session.output.rfind(HIDE_CURSOR)


@pytest.mark.parametrize("columns", [80, 40])
def test_ctrl_c_during_a_download_restores_the_terminal_and_the_next_one_resumes(
    server: WheelServer, project: Path, environ: Mapping[str, str], columns: int
) -> None:
    before = names(project)
    server.bytes_per_s = 500_000
    interrupt = Typed(when=lambda printed: "my-lib-heavy" in printed, keys=CTRL_C)
    stopped = on_terminal(environ, project, "sync", columns=columns, typed=(interrupt,))
    assert (stopped.code, names(project)) == (130, before), stopped
    assert stopped.lines[-1].replace("^C", "").startswith("interrupted:"), stopped
    assert leaves_the_cursor(stopped)

    server.bytes_per_s = None
    resumed = on_terminal({**environ, "NO_COLOR": "1"}, project, "sync", columns=columns)
    assert resumed.code == 0
    assert leaves_the_cursor(resumed)
    assert "\x1b[3" not in resumed.output, "a colour"

    again = on_terminal(environ, project, "sync", columns=columns)
    (line,) = again.lines
    assert (again.code, line) == (0, f"{project / '.venv'} is as locked (4 packages)")


def test_ctrl_c_during_an_installation_removes_what_is_half_changed_and_says_so(
    server: WheelServer, project: Path, environ: Mapping[str, str]
) -> None:
    assert on_terminal(environ, project, "sync", "--tool", "pip", columns=80).code == 0
    (project / "pylock.toml").write_bytes(server.lock_of({"my-lib-base": ""}))
    state = project / ".venv" / "ppp-environment.json"

    interrupt = Typed(when=lambda _: b'"synced"' not in state.read_bytes(), keys=CTRL_C)
    stopped = on_terminal(environ, project, "sync", "--tool", "pip", columns=80, typed=(interrupt,))
    assert stopped.code == 130
    assert "is removed" in stopped.lines[-1], stopped
    assert ".venv" not in names(project)
    assert on_terminal(environ, project, "sync", columns=80).code == 0


def test_the_shell_has_the_terminal_and_its_exit_code_counts(project: Path, environ: Mapping[str, str]) -> None:
    assert on_terminal(environ, project, "sync", columns=80).code == 0
    shell = on_terminal(
        {**environ, "SHELL": "/bin/sh", "PS1": "ready> "},
        project,
        "shell",
        columns=40,
        typed=(
            Typed(when=lambda printed: printed.endswith("ready> "), keys=b"stty size; command -v my-lib-small\n"),
            Typed(when=lambda printed: printed.count("ready> ") == 2, keys=b"cat\n"),
            Typed(when=lambda printed: printed.endswith("cat\r\n"), keys=CTRL_C),
            Typed(when=lambda printed: printed.count("ready> ") == 3, keys=b"my-lib-small; exit 7\n"),
        ),
    )
    assert shell.code == 7, shell
    assert "24 40" in shell.lines
    assert str(project / ".venv" / "bin" / "my-lib-small").replace(os.sep, "/") in "".join(shell.lines)
    assert "my-lib-small" in shell.lines
