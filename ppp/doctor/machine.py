"""The port through which the doctor looks at a machine: each method gives facts, never a judgement.

What goes wrong while looking is a fact too. Nothing that is looked at is changed, and nothing stays running.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ppp.model.matrix import Environment, PinnedPip


class Reachability(StrEnum):
    """How it went to ask somebody something."""

    ANSWERED = "answered"
    NOT_FOUND = "not-there"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    TIMED_OUT = "silent"
    BAD_CERTIFICATE = "certificate"
    UNEXPECTED = "strange"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """The Docker engine. `chosen` says that somebody set its address; `unheld` names the limits it cannot enforce."""

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
        """It can be worked with."""
        return self.reach is Reachability.ANSWERED


class ImageAvailability(StrEnum):
    """Where an image is."""

    LOCAL = "here"
    PULLABLE = "pullable"
    UNAVAILABLE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An environment's image; `python` is what its interpreter said, empty where it gave no account of itself."""

    availability: ImageAvailability
    detail: str = ""
    python: str = ""
    arch: str = ""
    standin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystemFacts:
    """Where a folder is, or would be made: `path` is what exists of it. No inodes in all: they are not counted."""

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
    """What this process may use of the machine's memory, and what of it is free."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFacts:
    """A host's addresses, or why there is none; behind a proxy, names are the proxy's business."""

    host: str
    addresses: tuple[str, ...] = ()
    reason: str = ""
    proxied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """The index's page of pip. `date` is the server's clock and `asked_at` ours at that moment, in epoch seconds.

    `verify_code` is OpenSSL's, where a certificate was not believed; `origins` are where the files are.
    """

    url: str
    reach: Reachability
    requested_at: int
    detail: str = ""
    server_time: int | None = None
    verify_code: int | None = None
    lists_pip: bool = False
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFacts:
    """What came of starting a gateway and asking it for a page.

    `nginx` is the machine's own, or the image that stands in for it; None where there is neither. Then `held` says
    whether the image could be had.
    """

    nginx: str | None
    reach: Reachability
    detail: str = ""
    image_availability: ImageAvailability = ImageAvailability.UNAVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class BubblewrapFacts:
    """The sandbox of the host platform; `forbidden` names the kernel's settings that stand against it."""

    path: str | None
    version: str = ""
    works: bool = False
    supports_size: bool = False
    detail: str = ""
    sysctl_fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterFacts:
    """A Python of this machine that answers."""

    path: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model's file by its first bytes. `trouble`: why it cannot be read; `library`: why what loads it cannot."""

    problem: str = ""
    size: int = 0
    magic: bytes = b""
    version: int = 0
    library_problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class YggdrasilFacts:
    """The mesh's daemon; `addresses` are this machine's own in its range, `listens` that a peer would be answered."""

    program: str | None
    running: bool
    addresses: tuple[str, ...] = ()
    listens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """A ledger as a reader finds it; `integrity` is SQLite's word, empty where reading it all took too long.

    `holder` is the process that holds the lock; `journal` says that a commit was cut off or is under way.
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
    """A node's key file."""

    path: Path
    exists: bool
    id: str = ""
    problem: str = ""
    remedy: str = ""


class MachineProbe(Protocol):
    """A machine to look at, from several threads at once."""

    def engine(self) -> EngineFacts:
        """Ask the Docker engine what it is."""

    def image(self, environment: Environment) -> ImageFacts:
        """Look for an environment's image, and ask its Python for its version; pull nothing."""

    def file_system(self, folder: Path) -> FileSystemFacts:
        """Look at where a folder is, or would be made."""

    def temporary(self) -> Path:
        """Give the folder for temporary files."""

    def memory(self) -> MemoryFacts:
        """Ask the kernel for the memory."""

    def resolve(self, url: str) -> DnsFacts:
        """Look up the host of an address."""

    def page(self, index_url: str, pip: PinnedPip) -> IndexFacts:
        """Read the index's page of pip."""

    def gateway(self, index_url: str, origins: Sequence[str], image: str) -> GatewayFacts:
        """Run a gateway for a moment, and ask it for the page of pip; `image` is for a machine without nginx."""

    def bubblewrap(self) -> BubblewrapFacts:
        """Run nothing in a bubblewrap sandbox."""

    def python(self, version: str) -> InterpreterFacts | None:
        """Look for a Python `3.12` that answers."""

    def model(self, path: Path) -> ModelFacts:
        """Read a model's first bytes, and try to import what would load it."""

    def yggdrasil(self) -> YggdrasilFacts:
        """Look for the daemon and its addresses."""

    def ledger(self, data: Path) -> LedgerFacts:
        """Open a data folder's ledger for reading, and let SQLite look it through for a few seconds."""

    def key(self, data: Path) -> KeyFacts:
        """Look at a data folder's node key."""
