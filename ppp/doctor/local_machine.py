"""The real adapter of the port: the machine that this process runs on, examined by the `probe_*` modules."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ppp.config import Config
from ppp.doctor import probe_docker, probe_local, probe_network
from ppp.doctor.machine import (
    BubblewrapFacts,
    DnsFacts,
    EngineFacts,
    FileSystemFacts,
    GatewayFacts,
    ImageAvailability,
    ImageFacts,
    IndexAccess,
    IndexFacts,
    InterpreterFacts,
    KeyFacts,
    LedgerFacts,
    MemoryFacts,
    ModelFacts,
    Reachability,
    SoundFacts,
    YggdrasilFacts,
)
from ppp.model.matrix import Environment, PinnedPip
from ppp.model.node_seed import NodeSeed
from ppp.storage_errors import temporary_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMachine:
    """The machine that this process runs on; see `ppp.doctor.machine.MachineProbe`."""

    environ: Mapping[str, str]
    user_agent: str
    mesh_port: int
    clock: Callable[[], float] = time.time

    def engine(self) -> EngineFacts:
        """Ask the Docker engine for its version and limits."""
        return probe_docker.engine(self.environ)

    def image(self, environment: Environment) -> ImageFacts:
        """Look for an environment's image, and ask its Python for its version; pull nothing."""
        return probe_docker.image(self.environ, environment)

    def file_system(self, folder: Path) -> FileSystemFacts:
        """Examine the file system that holds a folder, or would hold it."""
        return probe_local.file_system(folder)

    def temporary(self) -> Path:
        """Return the folder for temporary files."""
        return temporary_folder(self.environ)

    def memory(self) -> MemoryFacts:
        """Ask the kernel for the memory."""
        return probe_local.memory()

    def resolve(self, url: str) -> DnsFacts:
        """Resolve the host of a URL."""
        return probe_network.resolve(url)

    def page(self, index: IndexAccess, pip: PinnedPip) -> IndexFacts:
        """Read the index's page of pip."""
        return probe_network.page(index, pip, user_agent=self.user_agent, now=int(self.clock()))

    def gateway(self, index: IndexAccess, pip: PinnedPip, image: str) -> GatewayFacts:
        """Run a gateway briefly and request pip through it; `image` is for a machine without nginx."""
        if probe_network.has_nginx(self.environ):
            return probe_network.try_gateway(index, pip, self.environ)
        availability, detail = probe_docker.image_availability(self.environ, image)
        if availability is not ImageAvailability.LOCAL:
            return GatewayFacts(
                nginx=None, reach=Reachability.NOT_FOUND, detail=detail, image_availability=availability
            )
        return probe_network.try_gateway(index, pip, self.environ, image=image)

    def bubblewrap(self) -> BubblewrapFacts:
        """Start an empty bubblewrap sandbox."""
        return probe_local.bubblewrap(self.environ)

    def python(self, version: str) -> InterpreterFacts | None:
        """Look for a Python of a version such as `3.12` that runs."""
        return probe_local.python(version, self.environ)

    def model(self, path: Path) -> ModelFacts:
        """Read a model's first bytes, and try to import the library that would load it."""
        return probe_local.model(path, self.environ)

    def sound(self, config: Config) -> SoundFacts:
        """Look for the programs that render the sound of episodes, and ask them for their versions."""
        return probe_local.sound(config, self.environ)

    def yggdrasil(self) -> YggdrasilFacts:
        """Look for the daemon and its addresses."""
        return probe_local.yggdrasil(self.environ, port=self.mesh_port)

    def ledger(self, data: Path) -> LedgerFacts:
        """Open a data folder's ledger for reading, and let SQLite check it for a few seconds."""
        return probe_local.ledger(data)

    def key(self, data: Path, given: NodeSeed | None) -> KeyFacts:
        """Examine the node's key: the given one, or that of a data folder."""
        return probe_local.key(data, given)
