"""The port through which cells run: a runtime prepares environments and lends sandboxes (`docker`, `host`).

A sandbox runs commands and says how they ended. It decides nothing: what an ending means is told in `causes`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from ppp.model.matrix import Environment
from ppp.model.record import Network


class EnvironmentUnavailableError(Exception):
    """An environment that this machine cannot offer now; the others go on. The text says why."""


class SandboxLostError(Exception):
    """The sandbox went away under a cell for a reason that is ours (engine gone, cell cancelled)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command ended. `exit_code` is negative for a signal, None where our timer ended it.

    `proved` says that the very process that was started came back from its import; `received_bytes` came from the
    gateway meanwhile, for which it waited `waited_ms`.
    """

    exit_code: int | None
    output: str
    duration_ms: int
    oom: bool = False
    import_proved: bool = False
    received_bytes: int = 0
    waited_ms: int = 0

    @property
    def timed_out(self) -> bool:
        """Our own timer ended it."""
        return self.exit_code is None

    @property
    def ok(self) -> bool:
        """It ended by itself, with success."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEnvironment:
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
    """A place of its own for one cell, with one virtual environment. Paths are as seen inside.

    Each command's processes end with it, however they try to live on. Every method raises `SandboxLostError` if it
    cannot be known how it went.
    """

    @property
    def python(self) -> str:
        """The virtual environment's interpreter."""

    @property
    def scratch(self) -> str:
        """A folder that the cell may write to."""

    @property
    def file(self) -> str:
        """The file to install, read-only."""

    @property
    def aliases(self) -> dict[str, str]:
        """What to call this sandbox's own folders in a log, by their paths."""

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        """Run a command to its end or to the timeout."""

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run the pinned pip in the virtual environment."""

    def inspect_installation(self, package: str, *, timeout_s: float) -> CommandResult:
        """Tell, as JSON, what pip has installed last, and of a package what its metadata says; see `cell`."""

    def prove_import(self, module: str, *, timeout_s: float) -> CommandResult:
        """Import a module in a fresh interpreter, in an empty folder."""

    def reset(self) -> None:
        """Empty the virtual environment, and every folder that the cell could write to."""

    def isolate(self) -> None:
        """Take what network there was away, where the runtime can."""


class Runtime(Protocol):
    """What can prepare environments and lend sandboxes, from several threads at once."""

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        """Make an environment ready; raise `EnvironmentUnavailableError` with the reason if that cannot be."""

    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> AbstractContextManager[Sandbox]:
        """Lend a fresh sandbox that holds `file`; nothing of it remains once the runtime is closed."""

    def close(self) -> None:
        """End every sandbox that is still open; commands in them raise `SandboxLostError`."""


def pip_environment(index_url: str) -> dict[str, str]:
    """Give the variables that make pip ask one index and read no one's configuration."""
    address = urlsplit(index_url)
    # Without TLS pip wants to hear that this is meant, and need not read this machine's certificates.
    plain = {"PIP_TRUSTED_HOST": address.netloc, "PIP_USE_DEPRECATED": "legacy-certs"}
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": index_url,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_COLOR": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **(plain if address.scheme == "http" else {}),
    }
