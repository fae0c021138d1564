"""Run `ppp` as a process or in this process, without this machine's settings or the repository's data folder."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, chdir, closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import host_environ, host_environment, matrix_toml, tiny_matrix
from local_index import LocalIndex

from ppp.cli.main import main
from ppp.ledger.schema import read_ledger

TIMEOUT_S: Final = 60
#: Commands that take `--matrix`.
MATRIX_COMMANDS: Final = {"run", "watch", "check", "reproduce", "rot", "doctor", "status"}
#: Variables that the person who runs the tests may have set: PPP's own, and those about terminals.
REMOVED_SETTINGS: Final = ("PPP_", "FORCE_COLOR", "NO_COLOR", "TTY_", "COLUMNS")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedCommand:
    """A command's exit code and output."""

    code: int
    out: str
    err: str


@dataclass(slots=True, kw_only=True)
class Program:
    """`python -m ppp` with its own data folder, settings, and a matrix of one environment of this machine."""

    data: Path
    matrix: Path
    environment: str
    settings: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command in its own process group; `kill_all` ends it if it still runs at the end of the test."""
        process = subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "ppp", *self._with_matrix(arguments)],
            env=self._environ,
            cwd=self.matrix.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, timeout_s: float = TIMEOUT_S) -> CompletedCommand:
        """Run a command to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=timeout_s)
        return CompletedCommand(code=process.returncode, out=out, err=err)

    def run_ok(self, *arguments: str) -> str:
        """Run a command that must succeed; return its standard output."""
        return _stdout_of(self.run(*arguments))

    def run_in_process(self, *arguments: str) -> CompletedCommand:
        """Run a command in this process: many times faster, for commands that start no process and get no signal."""
        out, err = io.StringIO(), io.StringIO()
        with ExitStack() as stack:
            stack.enter_context(redirect_stdout(out))
            stack.enter_context(redirect_stderr(err))
            stack.enter_context(chdir(self.matrix.parent))
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(sys, "argv", ["ppp", *self._with_matrix(arguments)])
            patch.setattr(os, "environ", self._environ)
            with pytest.raises(SystemExit) as ended:
                main()
        return CompletedCommand(code=int(ended.value.code or 0), out=out.getvalue(), err=err.getvalue())

    def run_in_process_ok(self, *arguments: str) -> str:
        """Run a command in this process that must succeed; return its standard output."""
        return _stdout_of(self.run_in_process(*arguments))

    def _with_matrix(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Add the program's own matrix to a command that takes one, unless another is given."""
        if arguments[:1] and arguments[0] in MATRIX_COMMANDS and "--matrix" not in arguments:
            return (*arguments, f"--matrix={self.matrix}")
        return arguments

    @property
    def _environ(self) -> dict[str, str]:
        ours = {name: value for name, value in host_environ().items() if not name.startswith(REMOVED_SETTINGS)}
        return {**ours, "PPP_DATA": str(self.data), **self.settings}

    def kill_all(self) -> None:
        """Kill the commands that still run."""
        for process in [*self.started]:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            with process:
                self.started.remove(process)

    def ledger_dump(self) -> str:
        """Return the whole content of the ledger as SQL."""
        with closing(read_ledger(self.data)) as db:
            return "\n".join(db.conn.iterdump())

    def query(self, sql: str, *values: str) -> list[Any]:
        """Return the rows of a query; raise like `read_ledger`."""
        with closing(read_ledger(self.data)) as db:
            return db.execute(sql, values).fetchall()

    def public_files(self) -> Mapping[str, bytes]:
        """Return the files of the public folder by path."""
        public = self.data / "public"
        return {str(p.relative_to(public)): p.read_bytes() for p in sorted(public.rglob("*")) if p.is_file()}


def _stdout_of(done: CompletedCommand) -> str:
    assert done.code == 0, done
    return done.out


@contextmanager
def new_program(folder: Path, index: LocalIndex) -> Iterator[Program]:
    """Yield the program in its own folder, with an index; at the end its commands are killed."""
    environment = host_environment()
    matrix = folder / "matrix.toml"
    matrix.write_text(matrix_toml(tiny_matrix(environment)))
    made = Program(
        data=folder / "data",
        matrix=matrix,
        environment=environment.id,
        settings={
            "PPP_INDEX_URL": index.url,
            "PPP_FEED_URL": index.url_of("/feed"),
            "PPP_JOBS": "4",
            "PPP_NETWORK": "open",
            "PPP_CANARY": "off",
        },
    )
    try:
        yield made
    finally:
        made.kill_all()


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 120) -> None:
    """Wait until a condition is true; fail after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
