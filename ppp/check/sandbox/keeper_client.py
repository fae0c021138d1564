"""The host's side of a sandbox: asks the keeper inside (`inside/keeper.py`) over a socket, and believes its own clock.

Every runtime starts a keeper in a place of its own making; from then on all sandboxes are alike.
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

#: How long the keeper may take to stand ready.
START_S: Final = 60
#: How much later than a command's timeout the keeper may answer: it ends and removes what was there first.
GRACE_S: Final = 90
#: How often it is looked whether the keeper still lives while it is waited for.
POLL_S: Final = 0.5
MIB: Final = 1024 * 1024
#: Where on its own loopback a cell finds the index.
GATEWAY_PORT: Final = 8080
#: One cell in so many is shown the index's whole pages: what the smaller ones leave out must make no difference.
FULL_PAGES_EVERY: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things lie inside a sandbox, and what its keeper may do there.

    `gateway` is the socket that leads to the index; `user` the number of the user that the cell runs as, None where it
    is the keeper's own.
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
        """Give the command line that starts the keeper."""
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
    """Say whether this cell is one of the few that are shown the index's whole pages, whatever they cost."""
    return int(sha256_hex(f"{environment} {file.name}".encode()), 16) % FULL_PAGES_EVERY == 0


@contextmanager
def as_sandbox_lost() -> Iterator[None]:
    """Turn what this machine cannot do for a sandbox into `SandboxLostError`: it is never the package's."""
    try:
        yield
    except OSError as error:
        raise SandboxLostError(f"the sandbox could not be made: {error}") from error


class ControlSocket:
    """Where a keeper announces itself: one connection is taken, from one who may be it, before package code runs."""

    def __init__(self, folder: Path) -> None:
        """Listen in a folder that the sandbox sees."""
        self.path = folder / "control"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self.path.chmod(0o666)
        self._listening.listen(1)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._listening.close()
        self.path.unlink(missing_ok=True)

    def accept(self, is_alive: Callable[[], bool]) -> socket.socket:
        """Give the keeper's connection; raise `SandboxLostError` if it ends or says nothing in time."""
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
                raise SandboxLostError("the sandbox ended before it stood ready")
        raise SandboxLostError(f"the sandbox did not stand ready within {START_S} s")


class KeeperSandbox:
    """A sandbox that has a keeper; see `ppp.check.runtime.Sandbox`."""

    def __init__(
        self, connection: socket.socket, layout: Layout, *, closed: threading.Event, disconnect: Callable[[], None]
    ) -> None:
        """Talk over a connection; `shut` takes the network away from outside, `closed` tells of the run's end."""
        self._connection = connection
        self._answers = connection.makefile("rb")
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
        """Run a command in the sandbox."""
        return self._command("run", timeout_s, argv=list(argv), cwd=cwd)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run the pinned pip, which the keeper holds ready."""
        return self._command("pip", timeout_s, argv=list(arguments))

    def prove_import(self, module: str, *, timeout_s: float) -> CommandResult:
        """Import a module in a fresh interpreter, and have it proved."""
        return self._command("prove", timeout_s, program=program_source("importer"), module=module)

    def inspect_installation(self, package: str, *, timeout_s: float) -> CommandResult:
        """Tell what was installed."""
        return self._command("inspect", timeout_s, package=package)

    def reset(self) -> None:
        """Empty the virtual environment."""
        self._request("reset", GRACE_S)

    def isolate(self) -> None:
        """Take the network away, from within and from without."""
        self._disconnect()
        self._request("isolate", GRACE_S)

    def close(self) -> None:
        """Hang up, upon which the keeper ends everything and itself."""
        self._answers.close()
        self._connection.close()

    def _command(self, do: str, timeout_s: float, **request: object) -> CommandResult:
        head, output = self._request(do, timeout_s + GRACE_S, timeout_s=timeout_s, **request)
        return CommandResult(
            exit_code=head["exit_code"],
            output=output.decode("utf-8", "replace"),
            duration_ms=head["duration_ms"],
            oom=head["oom"],
            import_proved=head["import_proved"],
            received_bytes=head["received_bytes"],
            waited_ms=head["waited_ms"],
        )

    def _request(self, do: str, patience_s: float, **request: object) -> tuple[dict[str, Any], bytes]:
        if self._closed.is_set():
            raise SandboxLostError("the run was ended")
        try:
            self._connection.sendall(json.dumps({"do": do, **request}).encode() + b"\n")
        except OSError as error:
            raise SandboxLostError(f"the sandbox was lost: {error}") from error
        return self._response(patience_s)

    def _response(self, patience_s: float) -> tuple[dict[str, Any], bytes]:
        self._connection.settimeout(patience_s)
        try:
            line = self._answers.readline()
            if not line:
                raise SandboxLostError(
                    "the run was ended" if self._closed.is_set() else "the sandbox ended under the command"
                )
            head: dict[str, Any] = json.loads(line)
            output = self._answers.read(head["output_bytes"])
        except TimeoutError as error:
            raise SandboxLostError(f"the sandbox did not answer within {patience_s:.0f} s") from error
        except (OSError, ValueError) as error:
            raise SandboxLostError(f"the sandbox was lost: {error}") from error
        if self._closed.is_set() or len(output) != head["output_bytes"]:
            raise SandboxLostError("the run was ended")
        return head, output
