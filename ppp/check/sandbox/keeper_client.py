"""The host's side of a sandbox: sends requests to the keeper inside (`inside/keeper.py`), with timeouts of its own.

Each runtime starts a keeper in its own way; from then on all sandboxes work the same. The keeper's docstring states the
protocol.
"""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from ppp.check.runtime import CommandResult, SandboxLostError
from ppp.check.sandbox.inside import keeper_package, program_source
from ppp.model.matrix import Limits
from ppp.model.record import sha256_hex

#: How long the keeper may take to be ready.
START_S: Final = 60
#: How much later than a command's timeout the keeper may respond: it kills and removes what was there first.
GRACE_S: Final = 90
#: How often to check that the keeper is alive while waiting for it to connect.
POLL_S: Final = 0.5
MIB: Final = 1024 * 1024
#: The port of its own loopback at which a cell finds the index.
GATEWAY_PORT: Final = 8080
#: One cell in this many gets the index's full pages, to show that what the smaller ones omit makes no difference.
FULL_PAGES_EVERY: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths inside a sandbox, and the settings of its keeper.

    `control` is the socket that the keeper connects to; `gateway` is the one that leads to the index, None where cells
    have another network. `user` is the number of the user that the cell runs as, None if it is the keeper's own.
    `rlimits` are limits of each process, by their names in Python's `resource` module.
    """

    work: str
    tmp: str
    pip: str
    file: str
    control: str
    gateway: str | None
    user: int | None
    counts_oom: bool
    environ: Mapping[str, str] = field(default_factory=dict)
    rlimits: Mapping[str, int] = field(default_factory=dict)

    def command(self, python: str, limits: Limits) -> list[str]:
        """Return the command line that starts the keeper with the interpreter `python`."""
        settings = {
            "work": self.work,
            "tmp": self.tmp,
            "pip": self.pip,
            "package": keeper_package(),
            "control": self.control,
            "gateway": self.gateway,
            "port": GATEWAY_PORT,
            "user": self.user,
            "counts_oom": self.counts_oom,
            "log_bytes": limits.log_kb * 1024,
            "environ": dict(self.environ),
            "rlimits": {
                "RLIMIT_CORE": 0,
                "RLIMIT_NOFILE": limits.open_files,
                "RLIMIT_FSIZE": limits.disk_mb * MIB,
                **self.rlimits,
            },
        }
        return [python, "-I", "-S", "-c", program_source("startup"), json.dumps(settings)]


def gets_full_pages(environment: str, file: Path) -> bool:
    """Return whether a cell is one of the few that get the index's full pages; the same cell always is or is not."""
    return int(sha256_hex(f"{environment} {file.name}".encode()), 16) % FULL_PAGES_EVERY == 0


@contextmanager
def as_sandbox_lost() -> Iterator[None]:
    """Raise this machine's errors in creating a sandbox as `SandboxLostError`: they are never the package's fault."""
    try:
        yield
    except OSError as error:
        raise SandboxLostError(f"the sandbox could not be created: {error}") from error


class ControlSocket:
    """The socket that a keeper connects to.

    One connection is accepted, from root or this user, before package code runs.
    """

    def __init__(self, folder: Path) -> None:
        """Listen on a socket `control` in a folder that the sandbox sees."""
        self.path = folder / "control"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self.path.chmod(0o666)
        self._listening.listen(1)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening, and remove the socket."""
        self._listening.close()
        self.path.unlink(missing_ok=True)

    def accept(self, is_alive: Callable[[], bool]) -> socket.socket:
        """Return the keeper's connection; raise `SandboxLostError` if it ends, or does not connect in time."""
        deadline = time.monotonic() + START_S
        self._listening.settimeout(POLL_S)
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                connection, _ = self._listening.accept()
                _, uid, _ = struct.unpack(
                    "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                )
                if uid in {0, os.geteuid()}:
                    return connection
                connection.close()
                continue
            if not is_alive():
                raise SandboxLostError("the sandbox ended before it was ready")
        raise SandboxLostError(f"the sandbox was not ready within {START_S} s")


class KeeperSandbox:
    """A sandbox, through the connection to its keeper; see `ppp.check.runtime.Sandbox`."""

    def __init__(
        self, connection: socket.socket, layout: Layout, *, closed: threading.Event, disconnect: Callable[[], None]
    ) -> None:
        """Wait until the keeper is ready; raise `SandboxLostError` if that fails.

        `disconnect` removes the network from outside; `closed` is set when the run ends.
        """
        self._connection = connection
        self._responses = connection.makefile("rb")
        self._closed = closed
        self._disconnect = disconnect
        self.scratch = f"{layout.work}/scratch"
        self.python = f"{layout.work}/env/bin/python"
        self.file = layout.file
        self.aliases = {
            str(Path(layout.file).parent): "/ppp/file",
            layout.pip: "/ppp/pip",
            layout.work: "/ppp/work",
            layout.tmp: "/tmp",  # noqa: S108 - a name in a log
        }
        try:
            self._response(START_S)
        except SandboxLostError:
            self.close()
            raise

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        """Run a command."""
        return self._command("run", timeout_s, argv=list(argv), cwd=cwd)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run the pinned pip, which the keeper has imported."""
        return self._command("pip", timeout_s, argv=list(arguments))

    def prove_import(self, module: str, *, timeout_s: float) -> CommandResult:
        """Import a module in a fresh interpreter, and have it prove that the import returned."""
        return self._command("prove", timeout_s, program=program_source("importer"), module=module)

    def inspect_installation(self, package: str, *, timeout_s: float) -> CommandResult:
        """Describe the last installation."""
        return self._command("inspect", timeout_s, package=package)

    def reset(self) -> None:
        """Empty the virtual environment."""
        self._request("reset", GRACE_S)

    def isolate(self) -> None:
        """Take the network away, from outside and from inside."""
        self._disconnect()
        self._request("isolate", GRACE_S)

    def close(self) -> None:
        """Close the connection, upon which the keeper kills everything and exits."""
        self._responses.close()
        self._connection.close()

    def _command(self, command: str, timeout_s: float, **request: object) -> CommandResult:
        head, output = self._request(command, timeout_s + GRACE_S, timeout_s=timeout_s, **request)
        return CommandResult(
            exit_code=head["exit_code"],
            output=output.decode("utf-8", "replace"),
            duration_ms=head["duration_ms"],
            oom=head["oom"],
            import_proved=head["import_proved"],
            received_bytes=head["received_bytes"],
            waited_ms=head["waited_ms"],
        )

    def _request(self, command: str, limit_s: float, **request: object) -> tuple[dict[str, Any], bytes]:
        if self._closed.is_set():
            raise SandboxLostError("the run was ended")
        try:
            self._connection.sendall(json.dumps({"do": command, **request}).encode() + b"\n")
        except OSError as error:
            raise SandboxLostError(f"the sandbox was lost: {error}") from error
        return self._response(limit_s)

    def _response(self, limit_s: float) -> tuple[dict[str, Any], bytes]:
        self._connection.settimeout(limit_s)
        try:
            line = self._responses.readline()
            if not line:
                raise SandboxLostError(
                    "the run was ended" if self._closed.is_set() else "the sandbox ended during the command"
                )
            head: dict[str, Any] = json.loads(line)
            output = self._responses.read(head["output_bytes"])
        except TimeoutError as error:
            raise SandboxLostError(f"the sandbox did not answer within {limit_s:.0f} s") from error
        except (OSError, ValueError) as error:
            raise SandboxLostError(f"the sandbox was lost: {error}") from error
        if self._closed.is_set() or len(output) != head["output_bytes"]:
            raise SandboxLostError("the run was ended")
        return head, output
