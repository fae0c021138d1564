"""The runtime of machines without Docker: cells in fresh virtual environments of the Pythons at hand.

What it runs is not isolated from this machine: time and file size are limited, the environment variables are made anew,
and a cell's process group is ended with it. It is for packages that somebody chose, never for the open feed.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ppp.check.inside import program
from ppp.check.runtime import (
    Completed,
    EnvironmentUnavailableError,
    Output,
    Prepared,
    SandboxLostError,
    pip_environment,
)
from ppp.model.matrix import Environment, Matrix
from ppp.model.record import Network

PROBE_TIMEOUT_S: Final = 60
DRAIN_TIMEOUT_S: Final = 5
#: How a machine reaches the index, and whom it trusts there: passed on to pip, and nothing else of our environment is.
PASSED_ON: Final = (
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip


class HostRuntime:
    """Environments from this machine's interpreters; see `ppp.check.runtime.Runtime`."""

    def __init__(self, matrix: Matrix, *, pip: Path, index_url: str, environ: Mapping[str, str]) -> None:
        """Serve `matrix`; `pip` is the folder of the pinned pip, `environ` this process's environment."""
        self._matrix = matrix
        self._pip = pip.resolve()
        self._environ = environ
        self._variables = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            **pip_environment(index_url),
            **{name: environ[name] for name in PASSED_ON if name in environ},
        }
        self._interpreters: dict[str, str] = {}
        self._closed = threading.Event()

    def prepare(self, environment: Environment) -> Prepared:
        """Find an interpreter of the environment's Python that answers, and ask it what it is."""
        tried = []
        for candidate in interpreters(environment.python, self._environ):
            tried.append(candidate)
            facts = self._probe(candidate)
            if facts and str(facts["python"]).startswith(f"{environment.python}."):
                self._interpreters[environment.id] = candidate
                return Prepared(
                    environment=environment,
                    python=facts["python"],
                    arch=facts["arch"],
                    image_digest=None,
                    standin=False,
                    network=Network.OPEN,
                    tags=tuple(facts["tags"]),
                    suffixes=tuple(facts["suffixes"]),
                    pip_version=self._matrix.pip.version,
                )
        where = f"tried {', '.join(tried)}" if tried else "none on PATH, none in pyenv's folder"
        raise EnvironmentUnavailableError(f"no working Python {environment.python} on this machine ({where})")

    def _probe(self, interpreter: str) -> dict[str, Any] | None:
        try:
            for argv in (
                [interpreter, "-I", "-m", "compileall", "-q", str(self._pip / "pip")],
                [interpreter, "-I", "-c", program("probe"), str(self._pip)],
            ):
                done = subprocess.run(
                    argv,
                    capture_output=True,
                    check=True,
                    timeout=PROBE_TIMEOUT_S,
                    env=self._variables,
                    stdin=subprocess.DEVNULL,
                )
            facts: dict[str, Any] = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            return None
        return facts

    @contextmanager
    def sandbox(self, prepared: Prepared, file: Path) -> Iterator["HostSandbox"]:
        """Lend a folder of its own, and remove it afterwards."""
        folder = tempfile.mkdtemp(prefix="ppp-cell-")
        try:
            yield HostSandbox(
                python=self._interpreters[prepared.environment.id],
                pip=str(self._pip / "pip"),
                work=folder,
                file=str(file.resolve()),
                variables={**self._variables, "HOME": folder, "TMPDIR": folder},
                matrix=self._matrix,
                closed=self._closed,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """End what every open sandbox runs."""
        self._closed.set()


class HostSandbox:
    """One folder; see `ppp.check.runtime.Sandbox`."""

    def __init__(
        self,
        *,
        python: str,
        pip: str,
        work: str,
        file: str,
        variables: Mapping[str, str],
        matrix: Matrix,
        closed: threading.Event,
    ) -> None:
        """Run commands with `variables` as their whole environment."""
        self.python = python
        self.pip = pip
        self.work = work
        self.file = file
        self._variables = variables
        self._limits = matrix.limits
        self._closed = closed

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> Completed:
        """Run a command in a process group of its own, which is ended with it."""
        if self._closed.is_set():
            raise SandboxLostError("the run was ended")
        output = Output(self._limits.log_kb * 1024)
        read_end, write_end = os.pipe()
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=subprocess.STDOUT,
                cwd=cwd or self.work,
                env=dict(self._variables),
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            raise SandboxLostError(f"{argv[0]} did not start: {error}") from error
        finally:
            os.close(write_end)
        self._limit(process.pid)
        reader = threading.Thread(target=_drain, args=(read_end, output), daemon=True)
        reader.start()
        exit_code = self._wait(process, started + timeout_s)
        _end_group(process.pid)
        # A process that left the group may hold the pipe open for ever; what it still says is not waited for.
        reader.join(timeout=DRAIN_TIMEOUT_S)
        duration_ms = round((time.monotonic() - started) * 1000)
        if self._closed.is_set():
            raise SandboxLostError("the run was ended")
        return Completed(exit_code=exit_code, output=output.text(), duration_ms=duration_ms)

    def isolate(self) -> None:
        """Do nothing: this platform cannot take the network away."""

    def _limit(self, pid: int) -> None:
        size = self._limits.disk_mb * 1024 * 1024
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))

    def _wait(self, process: subprocess.Popen[bytes], deadline: float) -> int | None:
        # Woken often enough that an ended run is noticed within a moment.
        while not self._closed.is_set() and time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=min(0.25, max(deadline - time.monotonic(), 0)))
        _end_group(process.pid)
        process.wait()
        return None


def interpreters(version: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Give the paths at which a Python `3.12` may be found, likeliest first; the caller tries them."""
    name = f"python{version}"
    # PATH may hold anything, so its entries are joined as text.
    for folder in environ.get("PATH", "").split(os.pathsep):
        if folder and os.access(path := os.path.join(folder, name), os.X_OK):  # noqa: PTH118
            yield path
    home = environ.get("HOME", "")
    pyenv = Path(environ.get("PYENV_ROOT") or Path(home, ".pyenv"))
    for found in sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True):
        yield str(found)


def _drain(read_end: int, output: Output) -> None:
    with os.fdopen(read_end, "rb", buffering=0) as stream:
        while chunk := stream.read(65536):
            output.feed(chunk)


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
