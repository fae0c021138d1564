"""The port through which the doctor examines a machine: each method returns facts, never a judgement.

An error during a probe is a fact too. A probe changes nothing and leaves nothing running.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from ppp.config import Config
from ppp.model.credentials import Credentials
from ppp.model.matrix import Environment, PinnedPip
from ppp.model.node_seed import NodeSeed

#: OpenSSL's error numbers of a certificate that is not yet valid, or has expired.
CERTIFICATE_OUT_OF_TIME: Final = frozenset({9, 10})


class Reachability(StrEnum):
    """The result of a request to a service."""

    ANSWERED = "answered"
    NOT_FOUND = "not-found"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    TIMED_OUT = "timed-out"
    BAD_CERTIFICATE = "bad-certificate"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """The Docker engine.

    `configured` is true if DOCKER_HOST sets its address, `unenforced_limits` names the limits that it cannot enforce,
    and `other_socket` is the socket of another engine that this user could use instead.
    """

    address: str
    configured: bool
    reach: Reachability
    detail: str = ""
    version: str = ""
    api_version: str = ""
    cgroups: str = ""
    memory_bytes: int = 0
    data_root: Path | None = None
    unenforced_limits: tuple[str, ...] = ()
    other_socket: str | None = None

    @property
    def answers(self) -> bool:
        """True if the engine can be used."""
        return self.reach is Reachability.ANSWERED


class ImageAvailability(StrEnum):
    """Where an image can be had."""

    LOCAL = "local"
    PULLABLE = "pullable"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An environment's image; `python` is the version that its interpreter reported, empty if that did not run."""

    availability: ImageAvailability
    detail: str = ""
    python: str = ""
    arch: str = ""
    standin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystemFacts:
    """The file system of a folder. `path` is the part of the folder's path that exists.

    A file system with `total_inodes` 0 does not count inodes.
    """

    path: Path
    device: int
    is_folder: bool
    writable: bool
    free_bytes: int
    total_bytes: int
    free_inodes: int
    total_inodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """The memory that this process may use, and how much of it is free."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexAccess:
    """The index to examine, and the credentials for it."""

    url: str
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFacts:
    """A host's addresses, or the reason why there are none. If `proxied`, the proxy resolves names."""

    host: str
    addresses: tuple[str, ...] = ()
    reason: str = ""
    proxied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """The result of reading the index's page of pip.

    `server_time` is the server's clock and `requested_at` ours at that moment, in epoch seconds. `verify_code` is
    OpenSSL's error number if a certificate was rejected.
    """

    url: str
    reach: Reachability
    requested_at: int
    detail: str = ""
    server_time: int | None = None
    verify_code: int | None = None
    lists_pip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFacts:
    """The result of starting a gateway and requesting a page and a file through it.

    `nginx` is the machine's own program, or the image used in its place. If it is None there is neither, and
    `image_availability` says whether the image can be pulled.
    """

    nginx: str | None
    reach: Reachability
    detail: str = ""
    image_availability: ImageAvailability = ImageAvailability.UNAVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class BubblewrapFacts:
    """The sandbox of the host platform.

    `supports_size` is true if it can limit the size of a file system. `sysctl_fixes` are the kernel settings, as
    `name=value`, that would allow it to work.
    """

    path: str | None
    version: str = ""
    works: bool = False
    supports_size: bool = False
    detail: str = ""
    sysctl_fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterFacts:
    """A Python of this machine that runs."""

    path: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model's file by its first bytes.

    `problem` is why the file cannot be read, `library_problem` why llama-cpp-python cannot be imported.
    """

    problem: str = ""
    size: int = 0
    magic: bytes = b""
    version: int = 0
    library_problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class YggdrasilFacts:
    """The mesh's daemon.

    `is_old` is true if it cannot join today's network. `addresses` are this machine's addresses in Yggdrasil's range;
    `listens` is true if a connection from a peer would be accepted. `mistake` is why the address that the daemon gives
    is not that of its key, or empty, also if it cannot be asked.
    """

    program: str | None
    running: bool
    is_old: bool = False
    mistake: str = ""
    addresses: tuple[str, ...] = ()
    listens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFacts:
    """The programs that render the sound of episodes; `missing` says which there is not, `problem` which does not run.

    `programs` names each that was found, with its version.
    """

    programs: tuple[str, ...] = ()
    missing: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """A ledger as a reader finds it.

    `integrity` is the result of SQLite's quick check, empty if that took too long. `lock_holder` is the process that
    holds the lock. `has_journal` means that a commit is in progress or was interrupted.
    """

    path: Path
    exists: bool
    size: int = 0
    records: int = 0
    has_journal: bool = False
    lock_holder: str | None = None
    integrity: str = ""
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """A node's key; `given` says that it comes from the environment, and not from the file at `path`."""

    path: Path
    exists: bool
    id: str = ""
    problem: str = ""
    remedy: str = ""
    given: bool = False


class MachineProbe(Protocol):
    """A machine to examine. Its methods are called from several threads at once."""

    def engine(self) -> EngineFacts:
        """Ask the Docker engine for its version and limits."""

    def image(self, environment: Environment) -> ImageFacts:
        """Look for an environment's image, and ask its Python for its version; pull nothing."""

    def file_system(self, folder: Path) -> FileSystemFacts:
        """Examine the file system that holds a folder, or would hold it."""

    def temporary(self) -> Path:
        """Return the folder for temporary files."""

    def memory(self) -> MemoryFacts:
        """Ask the kernel for the memory."""

    def resolve(self, url: str) -> DnsFacts:
        """Resolve the host of a URL."""

    def page(self, index: IndexAccess, pip: PinnedPip) -> IndexFacts:
        """Read the index's page of pip."""

    def gateway(self, index: IndexAccess, pip: PinnedPip, image: str) -> GatewayFacts:
        """Run a gateway briefly and request pip through it; `image` is for a machine without nginx."""

    def bubblewrap(self) -> BubblewrapFacts:
        """Start an empty bubblewrap sandbox."""

    def python(self, version: str) -> InterpreterFacts | None:
        """Look for a Python of a version such as `3.12` that runs."""

    def model(self, path: Path) -> ModelFacts:
        """Read a model's first bytes, and try to import the library that would load it."""

    def sound(self, config: Config) -> SoundFacts:
        """Look for the programs that render the sound of episodes, and ask them for their versions."""

    def yggdrasil(self) -> YggdrasilFacts:
        """Look for the daemon and its addresses."""

    def ledger(self, data: Path) -> LedgerFacts:
        """Open a data folder's ledger for reading, and let SQLite check it for a few seconds."""

    def key(self, data: Path, given: NodeSeed | None) -> KeyFacts:
        """Examine the node's key: the given one, or that of a data folder."""
