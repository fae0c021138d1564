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
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Limits

#: How long the keeper may take to be ready.
START_S: Final = 60
#: How much later than a command's timeout the keeper may respond: it kills and removes what was there first.
GRACE_S: Final = 90
#: How often to check that the keeper is alive while waiting for it to connect.
POLL_S: Final = 0.5
MIB: Final = 1024 * 1024
#: The longest line with which a response may begin, the most output that may follow it (an inspection's is the
#: largest), and the largest number in it: sums of them still fit into a record.
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_OUTPUT_BYTES: Final = 65 * MIB
MAX_NUMBER: Final = 2**48
CHUNK_BYTES: Final = 256 * 1024
#: The port of its own loopback at which a cell finds the index.
GATEWAY_PORT: Final = 8080
#: One cell in this many gets the index's full pages, to show that what the smaller ones omit makes no difference.
FULL_PAGES_EVERY: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths inside a sandbox, and the settings of its keeper.

    `control` is the socket that the keeper connects to; `gateway` is the one that leads to the index, None where cells
    have another network. `user` is the number of the user that the cell runs as, None if it is the keeper's own.
    `rlimits` are limits of each process, by their names in Python's `resource` module. `call_filter` is the filter of
    system calls (`seccomp`) that the keeper applies to itself and everything it starts; None where whatever started the
    keeper has done so, or where cells are not confined. `site_folders` hold what each virtual environment starts with.
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
    call_filter: bytes | None = None
    site_folders: tuple[str, ...] = ()

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
            "call_filter": None if self.call_filter is None else self.call_filter.hex(),
            "environ": dict(self.environ),
            "site_folders": list(self.site_folders),
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

    One connection is accepted, from root or this user, before package code runs. Then the socket is removed.
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
        """Close it."""
        self.close()

    def close(self) -> None:
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
                    self.close()
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
        self._responses = KeeperResponses(connection)
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
            head, _ = self._response(START_S)
        except SandboxLostError:
            self.close()
            raise
        if head.get("ready") is not True:
            self.close()
            raise SandboxLostError(f"the sandbox could not be confined: {head.get('reason')}")

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        """Run a command."""
        return self._command("run", timeout_s, argv=list(argv), cwd=cwd)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run the pinned pip, which the keeper has imported."""
        return self._command("pip", timeout_s, argv=list(arguments))

    def prove_import(
        self, module: str, *, timeout_s: float, watched: Sequence[str] = (), hidden: Sequence[str] = ()
    ) -> CommandResult:
        """Import a module in a fresh interpreter, and have it prove that the import returned."""
        program = program_source("importer")
        return self._command(
            "prove", timeout_s, program=program, module=module, watched=list(watched), hidden=list(hidden)
        )

    def inspect_installation(self, package: str, *, folder: str | None = None, timeout_s: float) -> CommandResult:
        """Describe the last installation."""
        return self._command("inspect", timeout_s, package=package, folder=folder)

    def reset(self) -> None:
        """Empty the virtual environment."""
        self._request("reset", GRACE_S)

    def isolate(self) -> None:
        """Take the network away, from outside and from inside."""
        self._disconnect()
        self._request("isolate", GRACE_S)

    def close(self) -> None:
        """Close the connection, upon which the keeper kills everything and exits."""
        self._connection.close()

    def _command(self, command: str, timeout_s: float, **request: object) -> CommandResult:
        head, output = self._request(command, timeout_s + GRACE_S, timeout_s=timeout_s, **request)
        return _command_result(head, output)

    def _request(self, command: str, limit_s: float, **request: object) -> tuple[dict[str, Any], bytes]:
        if self._closed.is_set():
            raise SandboxLostError("the run was ended")
        try:
            self._connection.settimeout(limit_s)
            self._connection.sendall(json.dumps({"do": command, **request}).encode() + b"\n")
        except OSError as error:
            raise SandboxLostError(f"the sandbox was lost: {error}") from error
        return self._response(limit_s)

    def _response(self, limit_s: float) -> tuple[dict[str, Any], bytes]:
        try:
            head, output = self._responses.next(limit_s)
        except TimeoutError as error:
            raise SandboxLostError(f"the sandbox did not answer within {limit_s:.0f} s") from error
        except EOFError as error:
            reason = "the run was ended" if self._closed.is_set() else "the sandbox ended during the command"
            raise SandboxLostError(reason) from error
        except (OSError, ValueError) as error:
            raise SandboxLostError(f"the sandbox was lost: {error}") from error
        if self._closed.is_set():
            raise SandboxLostError("the run was ended")
        return head, output


class KeeperResponses:
    """Reads a keeper's responses within limits of bytes and time, in case package code answers in its place."""

    def __init__(self, connection: socket.socket) -> None:
        """Read from a connection, of which nobody else sets the timeout meanwhile."""
        self._connection = connection
        self._received = bytearray()

    def next(self, limit_s: float) -> tuple[dict[str, Any], bytes]:
        """Return the head of the next response, and its output.

        Raise `TimeoutError` if it is not complete after `limit_s`, `EOFError` if it never will be, and `ValueError` if
        it is malformed or too large.
        """
        deadline = time.monotonic() + limit_s
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > MAX_HEAD_BYTES:
                raise ValueError(f"a response has no line end within {MAX_HEAD_BYTES:,} bytes")
            self._receive(deadline)
        head = _parse_head(self._take(end + 1))
        size = _whole_number(head, "output_bytes")
        if size > MAX_OUTPUT_BYTES:
            raise ValueError(f"a response announces {size} bytes of output")
        while len(self._received) < size:
            self._receive(deadline)
        return head, self._take(size)

    def _receive(self, deadline: float) -> None:
        # A timeout of zero would mean a socket that never waits.
        self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
        data = self._connection.recv(CHUNK_BYTES)
        if not data:
            raise EOFError
        self._received += data
        if time.monotonic() > deadline:
            raise TimeoutError

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


def _parse_head(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except RecursionError as error:
        raise ValueError("a response's JSON is too deep") from error
    match document:
        case dict():
            return document
    raise ValueError("a response is not a JSON object")


def _command_result(head: Mapping[str, Any], output: bytes) -> CommandResult:
    """Return the result that a response describes; raise `SandboxLostError` if the description is malformed."""
    try:
        return CommandResult(
            exit_code=None
            if head.get("exit_code", "") is None
            else _whole_number(head, "exit_code", least=-MAX_NUMBER),
            output=output.decode("utf-8", "replace"),
            duration_ms=_whole_number(head, "duration_ms"),
            oom=head.get("oom") is True,
            import_proved=head.get("import_proved") is True,
            received_bytes=_whole_number(head, "received_bytes"),
            waited_ms=_whole_number(head, "waited_ms"),
            loaded=_names(head, "loaded"),
        )
    except ValueError as error:
        raise SandboxLostError(f"the sandbox was lost: {error}") from error


def _whole_number(head: Mapping[str, Any], name: str, *, least: int = 0) -> int:
    value = head.get(name)
    # Not isinstance: JSON's true is an int, too.
    if type(value) is not int or not least <= value <= MAX_NUMBER:
        raise ValueError(f"a response has {name} {ascii(value)[:50]}")
    return value


def _names(head: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = head.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"a response has {name} {ascii(value)[:50]}")
    return tuple(value)
