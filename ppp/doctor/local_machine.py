"""The machine that this process runs on: one object that hands each of the doctor's questions to who can answer it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ppp.doctor import probe_docker, probe_local, probe_network
from ppp.doctor.machine import (
    BubblewrapFacts,
    DnsFacts,
    EngineFacts,
    FileSystemFacts,
    GatewayFacts,
    ImageAvailability,
    ImageFacts,
    IndexFacts,
    InterpreterFacts,
    KeyFacts,
    LedgerFacts,
    MemoryFacts,
    ModelFacts,
    Reachability,
    YggdrasilFacts,
)
from ppp.model.matrix import Environment, PinnedPip


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMachine:
    """The machine that this process runs on; see `ppp.doctor.machine.Machine`."""

    environ: Mapping[str, str]
    user_agent: str
    mesh_port: int
    clock: Callable[[], float] = time.time

    def engine(self) -> EngineFacts:
        """Ask the Docker engine what it is."""
        return probe_docker.engine(self.environ)

    def image(self, environment: Environment) -> ImageFacts:
        """Look for an environment's image, and ask its Python for its version; pull nothing."""
        return probe_docker.image(self.environ, environment)

    def file_system(self, folder: Path) -> FileSystemFacts:
        """Look at where a folder is, or would be made."""
        return probe_local.file_system(folder)

    def temporary(self) -> Path:
        """Give the folder for temporary files."""
        # Not gettempdir: it writes to find out, and quietly takes another where the one that was set cannot be written.
        named = filter(None, map(self.environ.get, ("TMPDIR", "TEMP", "TMP")))
        return Path(next(named, "/tmp"))  # noqa: S108 - what tempfile would take

    def memory(self) -> MemoryFacts:
        """Ask the kernel for the memory."""
        return probe_local.memory()

    def resolve(self, url: str) -> DnsFacts:
        """Look up the host of an address."""
        return probe_network.resolve(url)

    def page(self, index_url: str, pip: PinnedPip) -> IndexFacts:
        """Read the index's page of pip."""
        return probe_network.page(index_url, pip, user_agent=self.user_agent, now=int(self.clock()))

    def gateway(self, index_url: str, origins: Sequence[str], image: str) -> GatewayFacts:
        """Run a gateway for a moment, and ask it for the page of pip; `image` is for a machine without nginx."""
        if probe_network.has_nginx(self.environ):
            return probe_network.try_gateway(index_url, origins, self.environ)
        held, detail = probe_docker.image_availability(self.environ, image)
        if held is not ImageAvailability.LOCAL:
            return GatewayFacts(nginx=None, reach=Reachability.NOT_FOUND, detail=detail, image_availability=held)
        return probe_network.try_gateway(index_url, origins, self.environ, image=image)

    def bubblewrap(self) -> BubblewrapFacts:
        """Run nothing in a bubblewrap sandbox."""
        return probe_local.bubblewrap(self.environ)

    def python(self, version: str) -> InterpreterFacts | None:
        """Look for a Python `3.12` that answers."""
        return probe_local.python(version, self.environ)

    def model(self, path: Path) -> ModelFacts:
        """Read a model's first bytes, and try to import what would load it."""
        return probe_local.model(path, self.environ)

    def yggdrasil(self) -> YggdrasilFacts:
        """Look for the daemon and its addresses."""
        return probe_local.yggdrasil(self.environ, port=self.mesh_port)

    def ledger(self, data: Path) -> LedgerFacts:
        """Open a data folder's ledger for reading, and let SQLite look it through for a few seconds."""
        return probe_local.ledger(data)

    def key(self, data: Path) -> KeyFacts:
        """Look at a data folder's node key."""
        return probe_local.key(data)
