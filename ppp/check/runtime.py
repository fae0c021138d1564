"""The port through which cells run: a runtime prepares environments and lends sandboxes (`docker`, `host`).

A sandbox runs commands and says how they ended. It decides nothing: what an ending means is told in `causes`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from ppp.model.matrix import Environment
from ppp.model.record import Network

#: What is kept of an output that is longer than its limit: this many bytes of its end, beside its beginning.
TAIL_BYTES: Final = 64 * 1024


class EnvironmentUnavailableError(Exception):
    """An environment that this machine cannot offer now; the others go on. The text says why."""


class SandboxLostError(Exception):
    """The sandbox went away under a cell for a reason that is ours (engine gone, cell cancelled)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a command ended. `exit_code` is negative for a signal, None where our timer ended it."""

    exit_code: int | None
    output: str
    duration_ms: int
    oom: bool = False

    @property
    def timed_out(self) -> bool:
        """Our own timer ended it."""
        return self.exit_code is None

    @property
    def ok(self) -> bool:
        """It ended by itself, with success."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An environment that stands ready, as it described itself before any package code ran in it."""

    environment: Environment
    python: str
    arch: str
    image_digest: str | None
    standin: bool
    network: Network
    tags: tuple[str, ...]
    suffixes: tuple[str, ...]
    pip_version: str


class Sandbox(Protocol):
    """A place of its own for one cell. Paths are as seen inside."""

    @property
    def python(self) -> str:
        """The environment's interpreter."""

    @property
    def pip(self) -> str:
        """The folder of the pinned pip, to be run as a script by any interpreter."""

    @property
    def work(self) -> str:
        """An empty writable folder."""

    @property
    def file(self) -> str:
        """The file to install, read-only."""

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> Completed:
        """Run a command to its end or to the timeout; raise `SandboxLostError` if it cannot be known how it ended."""

    def isolate(self) -> None:
        """Take what network there was away, where the runtime can; raise `SandboxLostError` if that fails."""


class Runtime(Protocol):
    """What can prepare environments and lend sandboxes, from several threads at once."""

    def prepare(self, environment: Environment) -> Prepared:
        """Make an environment ready; raise `EnvironmentUnavailableError` with the reason if that cannot be."""

    def sandbox(self, prepared: Prepared, file: Path) -> AbstractContextManager[Sandbox]:
        """Lend a fresh sandbox that holds `file`; nothing of it remains afterwards."""

    def close(self) -> None:
        """End every sandbox that is still open; commands in them raise `SandboxLostError`."""


class Output:
    """Collects an output up to a limit in bytes: its beginning and its end, with a line that says what was cut."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` bytes, of which the last `TAIL_BYTES` are the output's end."""
        self._head_limit = max(limit - TAIL_BYTES, 0)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def feed(self, data: bytes) -> None:
        """Take some more of the output."""
        self._total += len(data)
        room = self._head_limit - len(self._head)
        self._head += data[: max(room, 0)]
        self._tail += data[max(room, 0) :]
        del self._tail[:-TAIL_BYTES]

    def text(self) -> str:
        """Give what was kept, undecodable bytes replaced."""
        cut = self._total - len(self._head) - len(self._tail)
        middle = f"\n[{cut} bytes of output cut here]\n".encode() if cut else b""
        return bytes(self._head + middle + self._tail).decode("utf-8", "replace")


def pip_environment(index_url: str) -> dict[str, str]:
    """Give the variables that make pip ask one index and read no one's configuration."""
    address = urlsplit(index_url)
    # Without TLS pip wants to hear that this is meant.
    trusted = {"PIP_TRUSTED_HOST": address.netloc} if address.scheme == "http" else {}
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": index_url,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_COLOR": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **trusted,
    }
