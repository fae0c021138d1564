"""The runtime of machines without Docker: cells in fresh virtual environments of this machine's Pythons.

With bubblewrap and a gateway a cell is confined as in a container: it sees an interpreter and its own file, reaches
only the gateway, and has limits. Without them only its time, its files' size and the end of its processes are under our
control; that is for packages that somebody chose, never for untrusted releases from the open feed.
"""

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ppp.check.gateway.gateway import ANSWER_TIMEOUT_S, Gateway
from ppp.check.runtime import EnvironmentUnavailableError, PreparedEnvironment, SandboxLostError, pip_environment
from ppp.check.sandbox import bubblewrap, seccomp
from ppp.check.sandbox.inside import install_keeper, keeper_package, program_source
from ppp.check.sandbox.keeper_client import (
    GATEWAY_PORT,
    MIB,
    ControlSocket,
    KeeperSandbox,
    Layout,
    as_sandbox_lost,
    gets_full_pages,
)
from ppp.check.sandbox.preinstalled import parse_preinstalled, venv_site_packages
from ppp.check.sandbox.users import next_user
from ppp.model.matrix import Environment, Matrix
from ppp.model.record import Network
from ppp.run_folders import run_folder

PROBE_TIMEOUT_S: Final = 60
#: How long a keeper may take to exit once its connection is closed.
KEEPER_EXIT_S: Final = 15
#: How this machine reaches the index, and which certificates it trusts: the only variables that pip gets from us.
PASSED_VARIABLES: Final = (
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
#: The whole environment of confined processes.
MINIMAL_ENVIRON: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInterpreter:
    """A Python of this machine, and the folders that it needs to start.

    `end_of_users` is the first number that no user can have here, where PPP itself may be in a container. `site` is a
    folder with what its virtual environments start with, None for nothing.
    """

    version: str
    executable: str
    folders: tuple[str, ...]
    end_of_users: int
    site: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What confines a cell: bubblewrap, by its path, and the gateway that is then its only way out."""

    bubblewrap: str
    gateway: Gateway


class HostRuntime:
    """Environments from this machine's interpreters; see `ppp.check.runtime.Runtime`."""

    def __init__(
        self,
        matrix: Matrix,
        *,
        pip: Path,
        index_url: str,
        environ: Mapping[str, str],
        confinement: Confinement | None = None,
    ) -> None:
        """Run cells of `matrix`; `pip` is the pinned pip's folder, `environ` this process's environment.

        Without `confinement` cells see all of this machine, and have its network.
        """
        self._matrix = matrix
        self._pip = pip.resolve()
        install_keeper(self._pip)
        self._environ = environ
        self._index_url = index_url
        self._confinement = confinement
        self._variables = MINIMAL_ENVIRON | {name: environ[name] for name in PASSED_VARIABLES if name in environ}
        self._interpreters: dict[str, HostInterpreter] = {}
        self._closed = threading.Event()
        self._keepers: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        """Find an interpreter of the environment's Python that works, and let it describe itself."""
        tried = []
        for candidate in find_interpreters(environment.python, self._environ):
            tried.append(candidate)
            facts = self._probe(candidate)
            if facts and str(facts["python"]).startswith(f"{environment.python}."):
                return self._described(environment, facts)
        where = f"tried {', '.join(tried)}" if tried else "none on PATH or in pyenv's folder"
        raise EnvironmentUnavailableError(f"no working Python {environment.python} on this machine ({where})")

    def _described(self, environment: Environment, facts: Mapping[str, Any]) -> PreparedEnvironment:
        """Note how an interpreter that described itself is started, and what its `venv` brings; describe both."""
        executable = str(facts["executable"])
        site = venv_site_packages(executable, facts["bundled"], cache=self._pip.parent, environ=self._variables)
        program = program_source("preinstalled")
        found = self._run_programs([executable, "-I", "-c", program, str(site)]) if site else None
        if site and not found:
            raise EnvironmentUnavailableError(f"{executable} did not describe what its venv brings, in {site}")
        self._interpreters[environment.id] = HostInterpreter(
            version=environment.python,
            executable=executable,
            folders=tuple(facts["folders"]),
            end_of_users=facts["end_of_users"],
            site=site,
        )
        disk_bytes = self._matrix.limits.disk_mb * MIB
        return PreparedEnvironment(
            environment=environment,
            python=facts["python"],
            arch=facts["arch"],
            image_digest=None,
            standin=False,
            network=Network.GATEWAY if self._confinement else Network.OPEN,
            tags=tuple(facts["tags"]),
            suffixes=tuple(facts["suffixes"]),
            markers=dict(facts["markers"]),
            pip_version=self._matrix.pip.version,
            preinstalled=parse_preinstalled(found, where=executable, disk_bytes=disk_bytes) if found else (),
            site_folders=(bubblewrap.SITE if self._confinement else str(site),) if site else (),
        )

    def _probe(self, interpreter: str) -> dict[str, Any] | None:
        """Compile pip for an interpreter, and return its description of itself; None if it does not work."""
        compiled = [str(self._pip / "pip"), str(self._pip / keeper_package())]
        return self._run_programs(
            [interpreter, "-I", "-m", "compileall", "-q", *compiled],
            [interpreter, "-I", "-c", program_source("probe"), str(self._pip)],
        )

    def _run_programs(self, *commands: Sequence[str]) -> dict[str, Any] | None:
        """Run commands, and return the JSON object that the last one prints; None if one fails."""
        try:
            for argv in commands:
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
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator[KeeperSandbox]:
        """Start a keeper with a folder of its own, confined if possible, and remove all of it afterwards."""
        interpreter = self._interpreters[prepared.environment.id]
        with ExitStack() as stack:
            with as_sandbox_lost():
                if self._confinement:
                    socket_path = stack.enter_context(self._confinement.gateway.cell_socket())
                    folder = socket_path.parent
                    filter_fd = stack.enter_context(seccomp.open_filter())
                    passed: tuple[int, ...] = (filter_fd,)
                    layout, command = self._confined(
                        self._confinement, interpreter, file, folder, filter_fd, view=prepared.index_view
                    )
                    environ, disconnect = MINIMAL_ENVIRON, lambda: socket_path.unlink(missing_ok=True)
                else:
                    folder = stack.enter_context(run_folder("ppp-cell-"))
                    layout = self._unconfined_layout(file, folder, interpreter)
                    command = layout.command(interpreter.executable, self._matrix.limits)
                    environ, passed, disconnect = self._variables, (), lambda: None
                control = stack.enter_context(ControlSocket(folder))
            keeper = stack.enter_context(self._started_keeper(command, environ, passed))
            connection = stack.enter_context(control.accept(lambda: keeper.poll() is None))
            sandbox = KeeperSandbox(connection, layout, closed=self._closed, disconnect=disconnect)
            stack.callback(sandbox.close)
            yield sandbox

    def _confined(
        self,
        confinement: "Confinement",
        interpreter: HostInterpreter,
        file: Path,
        folder: Path,
        filter_fd: int,
        *,
        view: str | None = None,
    ) -> tuple[Layout, list[str]]:
        """Return the layout of a cell confined by bubblewrap, and the command that starts it."""
        try:
            user = next_user(interpreter.end_of_users) if os.geteuid() == 0 else None
        except ValueError as error:
            raise SandboxLostError(f"each cell needs a user of its own: {error}") from error
        full_pages = gets_full_pages(interpreter.version, file)
        layout = bubblewrap.layout(
            file.name,
            user=user,
            environ=pip_environment(
                confinement.gateway.index_url(GATEWAY_PORT, full_pages=full_pages, view=view),
                timeout_s=ANSWER_TIMEOUT_S,
            ),
            limits=self._matrix.limits,
            site_folders=(bubblewrap.SITE,) if interpreter.site else (),
        )
        mounts = bubblewrap.Mounts(
            folders=interpreter.folders,
            pip=self._pip,
            file=file.resolve().parent,
            sockets=folder.resolve(),
            site=interpreter.site,
        )
        inner = layout.command(interpreter.executable, self._matrix.limits)
        around = bubblewrap.command(confinement.bubblewrap, layout, mounts, self._matrix.limits, filter_fd=filter_fd)
        return layout, [*around, *inner]

    def _unconfined_layout(self, file: Path, folder: Path, interpreter: HostInterpreter) -> Layout:
        (work := folder / "work").mkdir()
        (tmp := folder / "tmp").mkdir()
        return Layout(
            work=str(work),
            tmp=str(tmp),
            pip=str(self._pip),
            file=str(file.resolve()),
            control=str(folder / "control"),
            gateway=None,
            user=None,
            counts_oom=False,
            environ=pip_environment(self._index_url),
            rlimits={"RLIMIT_DATA": self._matrix.limits.memory_mb * MIB},
            site_folders=(str(interpreter.site),) if interpreter.site else (),
        )

    @contextmanager
    def _started_keeper(
        self, command: Sequence[str], environ: Mapping[str, str], passed: Sequence[int]
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a keeper, which exits when its connection is closed; kill it if it does not."""
        try:
            keeper = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                # Errors of the start go to our standard error. If bubblewrap found a terminal here, it would show it
                # to the cell.
                stdout=subprocess.DEVNULL,
                env=dict(environ),
                cwd="/",
                start_new_session=True,
                pass_fds=passed,
            )
        except OSError as error:
            raise SandboxLostError(f"{command[0]} did not start: {error}") from error
        with self._lock:
            self._keepers.add(keeper)
        try:
            yield keeper
        finally:
            with suppress(subprocess.TimeoutExpired):
                keeper.wait(timeout=KEEPER_EXIT_S)
            keeper.kill()
            keeper.wait()
            with self._lock:
                self._keepers.discard(keeper)

    def close(self) -> None:
        """End every open sandbox, see `ppp.check.runtime.Runtime`."""
        self._closed.set()
        with self._lock:
            for keeper in self._keepers:
                keeper.terminate()


def passed_credentials(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables with credentials in them that cells get if they are not confined."""
    return tuple(name for name in PASSED_VARIABLES if "@" in environ.get(name, ""))


def find_interpreters(version: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield paths where a Python such as `3.12` may be, the likeliest first; the caller tries whether they work."""
    name = f"python{version}"
    # PATH may contain anything, so its entries are joined as text.
    for folder in environ.get("PATH", "").split(os.pathsep):
        if folder and os.access(path := os.path.join(folder, name), os.X_OK):  # noqa: PTH118
            yield path
    home = environ.get("HOME", "")
    pyenv = Path(environ.get("PYENV_ROOT") or Path(home, ".pyenv"))
    for found in sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True):
        yield str(found)
