"""A machine made of facts: well, unless a test says otherwise; see `ppp.doctor.machine.Machine`."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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

NOW: Final = 1_714_003_200
GIB: Final = 1024**3

ENGINE: Final = EngineFacts(
    address="unix:///var/run/docker.sock",
    configured=False,
    reach=Reachability.ANSWERED,
    version="27.0.1",
    api_version="1.46",
    cgroups="2",
    memory_bytes=64 * GIB,
    data_root=Path("/var/lib/docker"),
)
ROOMY_FILE_SYSTEM: Final = FileSystemFacts(
    path=Path("/srv"),
    device=1,
    is_folder=True,
    writable=True,
    free_bytes=100 * GIB,
    total_bytes=200 * GIB,
    free_inodes=5_000_000,
    total_inodes=9_000_000,
)
INDEX_PAGE: Final = IndexFacts(
    url="https://index.example/simple/pip/",
    reach=Reachability.ANSWERED,
    requested_at=NOW,
    server_time=NOW,
    lists_pip=True,
    origins=("https://files.example",),
)
BUBBLEWRAP: Final = BubblewrapFacts(path="/usr/bin/bwrap", version="0.8.0", works=True, supports_size=True)
LEDGER: Final = LedgerFacts(path=Path("data/ppp.db"), exists=True, size=4096, records=12, integrity="ok")

MEMORY: Final = MemoryFacts(total_bytes=64 * GIB, available_bytes=60 * GIB)
RESOLVED: Final = DnsFacts(host="index.example", addresses=("192.0.2.7",))
GATEWAY_TRIAL: Final = GatewayFacts(nginx="/usr/sbin/nginx", reach=Reachability.ANSWERED)
MODEL_FILE: Final = ModelFacts(size=GIB, magic=b"GGUF", version=3)
YGGDRASIL: Final = YggdrasilFacts(program="/usr/sbin/yggdrasil", running=True, addresses=("200:db8::1",), listens=True)
KEY: Final = KeyFacts(path=Path("data/node.key"), exists=True, id="ab" * 32)
TEMPORARY: Final = Path("/var/tmp/of-a-run")  # noqa: S108 - nothing is there


@dataclass(kw_only=True)
class FakeMachine:
    """Facts to be given; `asked` tells what was asked for. `hung` is waited for by every question named in `hangs`."""

    told_engine: EngineFacts = ENGINE
    images: dict[str, ImageFacts] = field(default_factory=dict)
    systems: dict[Path, FileSystemFacts] = field(default_factory=dict)
    told_memory: MemoryFacts = MEMORY
    resolved: DnsFacts = RESOLVED
    told_page: IndexFacts = INDEX_PAGE
    tried: GatewayFacts = GATEWAY_TRIAL
    told_bubblewrap: BubblewrapFacts = BUBBLEWRAP
    missing_pythons: frozenset[str] = frozenset()
    model_file: ModelFacts = MODEL_FILE
    mesh: YggdrasilFacts = YGGDRASIL
    told_ledger: LedgerFacts = LEDGER
    told_key: KeyFacts = KEY
    hangs: frozenset[str] = frozenset()
    raises: frozenset[str] = frozenset()
    hung: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        if question in self.hangs:
            self.hung.wait(60)
        if question in self.raises:
            raise RuntimeError(f"{question} is beyond me")

    def engine(self) -> EngineFacts:
        self._ask("engine")
        return self.told_engine

    def image(self, environment: Environment) -> ImageFacts:
        self._ask("image")
        well = ImageFacts(availability=ImageAvailability.LOCAL, python=f"{environment.python}.7", arch="x86_64")
        return self.images.get(environment.id, well)

    def file_system(self, folder: Path) -> FileSystemFacts:
        self._ask("file_system")
        return self.systems.get(folder, ROOMY_FILE_SYSTEM)

    def temporary(self) -> Path:
        return TEMPORARY

    def memory(self) -> MemoryFacts:
        self._ask("memory")
        return self.told_memory

    def resolve(self, url: str) -> DnsFacts:  # noqa: ARG002
        self._ask("resolve")
        return self.resolved

    def page(self, index_url: str, pip: PinnedPip) -> IndexFacts:  # noqa: ARG002
        self._ask("page")
        return self.told_page

    def gateway(self, index_url: str, origins: Sequence[str], image: str) -> GatewayFacts:  # noqa: ARG002
        self._ask("gateway")
        return self.tried

    def bubblewrap(self) -> BubblewrapFacts:
        self._ask("bubblewrap")
        return self.told_bubblewrap

    def python(self, version: str) -> InterpreterFacts | None:
        self._ask("python")
        if version in self.missing_pythons:
            return None
        return InterpreterFacts(path=f"/usr/bin/python{version}", version=f"{version}.7")

    def model(self, path: Path) -> ModelFacts:  # noqa: ARG002
        self._ask("model")
        return self.model_file

    def yggdrasil(self) -> YggdrasilFacts:
        self._ask("yggdrasil")
        return self.mesh

    def ledger(self, data: Path) -> LedgerFacts:  # noqa: ARG002
        self._ask("ledger")
        return self.told_ledger

    def key(self, data: Path) -> KeyFacts:  # noqa: ARG002
        self._ask("key")
        return self.told_key
