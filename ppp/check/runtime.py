"""The port through which cells run: a runtime prepares environments and provides sandboxes (`docker`, `host`).

A sandbox runs commands and reports how they ended. It decides nothing: `causes` says what an ending means. Both
adapters and the fake that tests use pass one contract, `tests/contract/test_runtime.py`.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from ppp.model.matrix import Environment
from ppp.model.record import Network

#: Of what an environment says of itself, what its records name, by the same patterns as in `record.schema.json`.
_RECORDED: Final = {
    "python": re.compile(r"3\.[0-9]{1,2}\.[0-9a-z+]{1,16}"),
    "arch": re.compile(r"[a-z0-9_]{1,32}"),
    "image_digest": re.compile(r"sha256:[0-9a-f]{64}"),
    "pip_version": re.compile(r"(?=.{1,32}$)[0-9]+(\.[0-9]+)*"),
}
#: How long pip waits for an index that says nothing, in seconds: its own default.
PIP_TIMEOUT_S: Final = 15


class EnvironmentUnavailableError(Exception):
    """An environment that this machine cannot provide now; the others continue. The text says why."""


class SandboxLostError(Exception):
    """The sandbox ended under a cell for a reason that is ours (engine stopped, run ended). The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command ended.

    `exit_code` is negative for a signal, and None where the time was up. `output` holds both streams in the order in
    which they were written, decoded from UTF-8, and cut in the middle beyond the matrix's `log_kb`. `oom` means that
    the kernel killed one of its processes for want of memory. `import_proved` means that the very process that was
    started returned from its import; `loaded` are those of the watched modules that it says it had then loaded.
    `received_bytes` came from the gateway, which was waited for during `waited_ms`.
    """

    exit_code: int | None
    output: str
    duration_ms: int
    oom: bool = False
    import_proved: bool = False
    received_bytes: int = 0
    waited_ms: int = 0
    loaded: tuple[str, ...] = ()

    @property
    def timed_out(self) -> bool:
        """Whether it was killed because its time was up."""
        return self.exit_code is None

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with success."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PreinstalledDistribution:
    """A distribution that every virtual environment of an environment starts with; `name` is normalized.

    `modules` are the dotted names of its modules, without those inside a package of it; `requires` its Requires-Dist.
    """

    name: str
    version: str
    modules: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEnvironment:
    """An environment that is ready, as it described itself before any package code ran in it.

    `python` is the full version (`3.12.1`) and `arch` the processor as `platform.machine()` names it. `image_digest` is
    None on the host platform. `tags` are the wheel tags that its pip accepts, the preferred ones first; `suffixes` are
    the file name suffixes of importable modules (`.py`, `.abi3.so`, ...). `passwd` and `group` are an image's files of
    these names, and `end_of_users` is the first number that its engine cannot give to a user. `markers` are the values
    of the variables that requirements' markers can name. `preinstalled` are the distributions, by name, that lie in
    `site_folders`: folders, as seen inside a sandbox, of which each virtual environment gets a copy. `index_view` names
    the view of the index that its cells get from the gateway in place of the usual one (see `ppp.check.index.view`).

    Raises `EnvironmentUnavailableError` if no record could name it: then nothing can be recorded of its cells.
    """

    environment: Environment
    python: str
    arch: str
    image_digest: str | None
    standin: bool
    network: Network
    tags: tuple[str, ...]
    suffixes: tuple[str, ...]
    pip_version: str
    passwd: str = ""
    group: str = ""
    end_of_users: int = 2**32 - 1
    markers: Mapping[str, str] = field(default_factory=dict, hash=False)
    preinstalled: tuple[PreinstalledDistribution, ...] = ()
    site_folders: tuple[str, ...] = ()
    index_view: str | None = None

    def __post_init__(self) -> None:
        """Check what its records name."""
        for name, pattern in _RECORDED.items():
            value = getattr(self, name)
            if not (isinstance(value, str) and pattern.fullmatch(value)) and not (
                name == "image_digest" and value is None
            ):
                raise EnvironmentUnavailableError(f"the {name} of {self.environment} cannot be recorded: {value!r:.90}")


class Sandbox(Protocol):
    """A place of its own for one cell, with one virtual environment. Paths are as seen inside.

    When a command ends, so do all processes that it started, however they try to go on. Every method raises
    `SandboxLostError` if the sandbox is gone or the runtime was closed, so that nobody can know how the command ended.
    """

    @property
    def python(self) -> str:
        """The path of the virtual environment's interpreter."""

    @property
    def scratch(self) -> str:
        """The path of a folder that the cell may write to."""

    @property
    def file(self) -> str:
        """The path of the file to install, which is read-only."""

    @property
    def aliases(self) -> dict[str, str]:
        """The names that logs show in place of this sandbox's own folders, by path: the same in every runtime."""

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        """Run a command to its end or to the timeout, in the scratch folder or in `cwd`.

        A command that cannot be started ends with 125.
        """

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run the pinned pip in the virtual environment, with the index as its only source."""

    def inspect_installation(self, package: str, *, folder: str | None = None, timeout_s: float) -> CommandResult:
        """Describe the last installation: the output is a JSON object, see `sandbox/inside/inspection.py`.

        `package` is a normalized name, `folder` the name of its dist-info where that is known. pip must have written
        its report to `report.json` in the scratch folder. What the object holds comes from the package and is not to be
        trusted.
        """

    def prove_import(
        self, module: str, *, timeout_s: float, watched: Sequence[str] = (), hidden: Sequence[str] = ()
    ) -> CommandResult:
        """Import a module in a fresh interpreter, in an empty folder; `import_proved` says whether it returned.

        `module:attribute` stands for a module and something in it that must be there and can be called. `loaded` are
        those of the `watched` modules that the import loaded, in the package's own word. `hidden` modules cannot be
        imported meanwhile, nor those inside them. Both are dotted names.
        """

    def reset(self) -> None:
        """Replace the virtual environment by a fresh one, and empty every folder that the cell could write to.

        Like the first one, it holds copies of what is preinstalled, and nothing else.
        """

    def isolate(self) -> None:
        """Take the network away, where the runtime can; it stays away."""


class WrappedSandbox:
    """A sandbox that passes everything through to another one; subclasses change what they need to."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Wrap a sandbox."""
        self._sandbox = sandbox
        self.python = sandbox.python
        self.scratch = sandbox.scratch
        self.file = sandbox.file
        self.aliases = sandbox.aliases

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        """Run a command."""
        return self._sandbox.run(argv, timeout_s=timeout_s, cwd=cwd)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run pip."""
        return self._sandbox.pip(arguments, timeout_s=timeout_s)

    def inspect_installation(self, package: str, *, folder: str | None = None, timeout_s: float) -> CommandResult:
        """Describe the last installation."""
        return self._sandbox.inspect_installation(package, folder=folder, timeout_s=timeout_s)

    def prove_import(
        self, module: str, *, timeout_s: float, watched: Sequence[str] = (), hidden: Sequence[str] = ()
    ) -> CommandResult:
        """Import a module, and have it prove that the import returned."""
        return self._sandbox.prove_import(module, timeout_s=timeout_s, watched=watched, hidden=hidden)

    def reset(self) -> None:
        """Replace the virtual environment by a fresh one."""
        self._sandbox.reset()

    def isolate(self) -> None:
        """Take the network away, where the runtime can."""
        self._sandbox.isolate()


class Runtime(Protocol):
    """Prepares environments and provides sandboxes, from several threads at once."""

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        """Make an environment ready and return its description; raise `EnvironmentUnavailableError` with the reason."""

    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> AbstractContextManager[Sandbox]:
        """Provide a fresh sandbox that holds `file`, until the context ends; raise `SandboxLostError` if that fails.

        The sandbox may also show the other files in `file`'s folder. Nothing of it remains once the runtime is closed.
        """

    def close(self) -> None:
        """End every open sandbox: commands in them raise `SandboxLostError`. Closing twice is allowed."""


def pip_environment(index_url: str, *, timeout_s: int = PIP_TIMEOUT_S) -> dict[str, str]:
    """Return the environment variables that make pip use one index and read nobody's configuration.

    `timeout_s` is how long the index may say nothing.
    """
    address = urlsplit(index_url)
    # Without TLS pip requires the host to be trusted, and need not load this machine's certificates.
    plain = {"PIP_TRUSTED_HOST": address.netloc, "PIP_USE_DEPRECATED": "legacy-certs"}
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        # Without these pip would look for passwords in the user's ~/.netrc and keyring, for any host that it reaches.
        "NETRC": "/dev/null",
        "PIP_KEYRING_PROVIDER": "disabled",
        "PIP_INDEX_URL": index_url,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_DEFAULT_TIMEOUT": str(timeout_s),
        "PIP_NO_COLOR": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **(plain if address.scheme == "http" else {}),
    }
