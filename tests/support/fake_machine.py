"""A fake of the port `ppp.doctor.machine.Machine`: a healthy machine, of which a test changes some facts."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ppp.config import Config
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
)
BUBBLEWRAP: Final = BubblewrapFacts(path="/usr/bin/bwrap", version="0.8.0", works=True, supports_size=True)
LEDGER: Final = LedgerFacts(path=Path("data/ppp.db"), exists=True, size=4096, records=12, integrity="ok")

MEMORY: Final = MemoryFacts(total_bytes=64 * GIB, available_bytes=60 * GIB)
RESOLVED: Final = DnsFacts(host="index.example", addresses=("192.0.2.7",))
GATEWAY_TRIAL: Final = GatewayFacts(nginx="/usr/sbin/nginx", reach=Reachability.ANSWERED)
MODEL_FILE: Final = ModelFacts(size=GIB // 10, magic=b"GGUF", version=3)
SOUND: Final = SoundFacts(programs=("espeak-ng 1.51", "ffmpeg 5.1.4"))
YGGDRASIL: Final = YggdrasilFacts(program="/usr/sbin/yggdrasil", running=True, addresses=("200:db8::1",), listens=True)
KEY: Final = KeyFacts(path=Path("data/node.key"), exists=True, id="ab" * 32)
TEMPORARY: Final = Path("/var/tmp/of-a-run")  # noqa: S108 - nothing is there


@dataclass(kw_only=True)
class FakeMachine:
    """Answers with its facts; logs `questions`. Those in `blocked` wait for `unblocked`; those in `failing` raise."""

    engine_facts: EngineFacts = ENGINE
    images: dict[str, ImageFacts] = field(default_factory=dict)
    file_systems: dict[Path, FileSystemFacts] = field(default_factory=dict)
    memory_facts: MemoryFacts = MEMORY
    dns_facts: DnsFacts = RESOLVED
    index_facts: IndexFacts = INDEX_PAGE
    gateway_facts: GatewayFacts = GATEWAY_TRIAL
    bubblewrap_facts: BubblewrapFacts = BUBBLEWRAP
    missing_pythons: frozenset[str] = frozenset()
    model_facts: ModelFacts = MODEL_FILE
    sound_facts: SoundFacts = SOUND
    yggdrasil_facts: YggdrasilFacts = YGGDRASIL
    ledger_facts: LedgerFacts = LEDGER
    key_facts: KeyFacts = KEY
    blocked: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()
    unblocked: threading.Event = field(default_factory=threading.Event)
    questions: list[str] = field(default_factory=list)

    def _answer(self, question: str) -> None:
        self.questions.append(question)
        if question in self.blocked:
            self.unblocked.wait(60)
        if question in self.failing:
            raise RuntimeError(f"{question} cannot be answered")

    def engine(self) -> EngineFacts:
        self._answer("engine")
        return self.engine_facts

    def image(self, environment: Environment) -> ImageFacts:
        self._answer("image")
        well = ImageFacts(availability=ImageAvailability.LOCAL, python=f"{environment.python}.7", arch="x86_64")
        return self.images.get(environment.id, well)

    def file_system(self, folder: Path) -> FileSystemFacts:
        self._answer("file_system")
        return self.file_systems.get(folder, ROOMY_FILE_SYSTEM)

    def temporary(self) -> Path:
        return TEMPORARY

    def memory(self) -> MemoryFacts:
        self._answer("memory")
        return self.memory_facts

    def resolve(self, url: str) -> DnsFacts:  # noqa: ARG002
        self._answer("resolve")
        return self.dns_facts

    def page(self, index: IndexAccess, pip: PinnedPip) -> IndexFacts:  # noqa: ARG002
        self._answer("page")
        return self.index_facts

    def gateway(self, index: IndexAccess, pip: PinnedPip, image: str) -> GatewayFacts:  # noqa: ARG002
        self._answer("gateway")
        return self.gateway_facts

    def bubblewrap(self) -> BubblewrapFacts:
        self._answer("bubblewrap")
        return self.bubblewrap_facts

    def python(self, version: str) -> InterpreterFacts | None:
        self._answer("python")
        if version in self.missing_pythons:
            return None
        return InterpreterFacts(path=f"/usr/bin/python{version}", version=f"{version}.7")

    def model(self, path: Path) -> ModelFacts:  # noqa: ARG002
        self._answer("model")
        return self.model_facts

    def sound(self, config: Config) -> SoundFacts:  # noqa: ARG002
        self._answer("sound")
        return self.sound_facts

    def yggdrasil(self) -> YggdrasilFacts:
        self._answer("yggdrasil")
        return self.yggdrasil_facts

    def ledger(self, data: Path) -> LedgerFacts:  # noqa: ARG002
        self._answer("ledger")
        return self.ledger_facts

    def key(self, data: Path, given: NodeSeed | None) -> KeyFacts:  # noqa: ARG002
        self._answer("key")
        return self.key_facts
