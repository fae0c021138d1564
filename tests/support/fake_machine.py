"""A machine made of facts: well, unless a test says otherwise; see `ppp.doctor.machine.Machine`."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ppp.doctor.machine import (
    Bubblewrap,
    Engine,
    FileSystem,
    GatewayTried,
    Held,
    Image,
    Interpreter,
    KeyFound,
    LedgerFound,
    Memory,
    ModelFile,
    Page,
    Reach,
    Resolved,
    Yggdrasil,
)
from ppp.model.matrix import Environment, PinnedPip

NOW: Final = 1_714_003_200
GIB: Final = 1024**3

ENGINE: Final = Engine(
    address="unix:///var/run/docker.sock",
    chosen=False,
    reach=Reach.ANSWERED,
    version="27.0.1",
    api_version="1.46",
    cgroups="2",
    memory_bytes=64 * GIB,
    root=Path("/var/lib/docker"),
)
ROOM: Final = FileSystem(
    path=Path("/srv"),
    device=1,
    is_folder=True,
    writable=True,
    free_bytes=100 * GIB,
    total_bytes=200 * GIB,
    free_inodes=5_000_000,
    total_inodes=9_000_000,
)
PAGE: Final = Page(
    url="https://index.example/simple/pip/",
    reach=Reach.ANSWERED,
    asked_at=NOW,
    date=NOW,
    lists_pip=True,
    origins=("https://files.example",),
)
BUBBLEWRAP: Final = Bubblewrap(path="/usr/bin/bwrap", version="0.8.0", works=True, sized=True)
LEDGER: Final = LedgerFound(path=Path("data/ppp.db"), there=True, size=4096, records=12, integrity="ok")

MEMORY: Final = Memory(total_bytes=64 * GIB, available_bytes=60 * GIB)
RESOLVED: Final = Resolved(host="index.example", addresses=("192.0.2.7",))
TRIED: Final = GatewayTried(nginx="/usr/sbin/nginx", reach=Reach.ANSWERED)
MODEL_FILE: Final = ModelFile(size=GIB, magic=b"GGUF", version=3)
MESH: Final = Yggdrasil(program="/usr/sbin/yggdrasil", running=True, addresses=("200:db8::1",), listens=True)
KEY: Final = KeyFound(path=Path("data/node.key"), there=True, id="ab" * 32)
TEMPORARY: Final = Path("/var/tmp/of-a-run")  # noqa: S108 - nothing is there


@dataclass(kw_only=True)
class FakeMachine:
    """Facts to be given; `asked` tells what was asked for. `hung` is waited for by every question named in `hangs`."""

    told_engine: Engine = ENGINE
    images: dict[str, Image] = field(default_factory=dict)
    systems: dict[Path, FileSystem] = field(default_factory=dict)
    told_memory: Memory = MEMORY
    resolved: Resolved = RESOLVED
    told_page: Page = PAGE
    tried: GatewayTried = TRIED
    told_bubblewrap: Bubblewrap = BUBBLEWRAP
    missing_pythons: frozenset[str] = frozenset()
    model_file: ModelFile = MODEL_FILE
    mesh: Yggdrasil = MESH
    told_ledger: LedgerFound = LEDGER
    told_key: KeyFound = KEY
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

    def engine(self) -> Engine:
        self._ask("engine")
        return self.told_engine

    def image(self, environment: Environment) -> Image:
        self._ask("image")
        well = Image(held=Held.HERE, python=f"{environment.python}.7", arch="x86_64")
        return self.images.get(environment.id, well)

    def file_system(self, folder: Path) -> FileSystem:
        self._ask("file_system")
        return self.systems.get(folder, ROOM)

    def temporary(self) -> Path:
        return TEMPORARY

    def memory(self) -> Memory:
        self._ask("memory")
        return self.told_memory

    def resolve(self, url: str) -> Resolved:  # noqa: ARG002
        self._ask("resolve")
        return self.resolved

    def page(self, index_url: str, pip: PinnedPip) -> Page:  # noqa: ARG002
        self._ask("page")
        return self.told_page

    def gateway(self, index_url: str, origins: Sequence[str], image: str) -> GatewayTried:  # noqa: ARG002
        self._ask("gateway")
        return self.tried

    def bubblewrap(self) -> Bubblewrap:
        self._ask("bubblewrap")
        return self.told_bubblewrap

    def python(self, version: str) -> Interpreter | None:
        self._ask("python")
        if version in self.missing_pythons:
            return None
        return Interpreter(path=f"/usr/bin/python{version}", version=f"{version}.7")

    def model(self, path: Path) -> ModelFile:  # noqa: ARG002
        self._ask("model")
        return self.model_file

    def yggdrasil(self) -> Yggdrasil:
        self._ask("yggdrasil")
        return self.mesh

    def ledger(self, data: Path) -> LedgerFound:  # noqa: ARG002
        self._ask("ledger")
        return self.told_ledger

    def key(self, data: Path) -> KeyFound:  # noqa: ARG002
        self._ask("key")
        return self.told_key
