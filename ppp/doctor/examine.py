"""An examination: every check side by side, each with a deadline of its own, told in one order.

A check that has not ended by its deadline, or that fails itself, is told as such; the others are not kept waiting.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from ppp.config import Config
from ppp.doctor import judge_capacity, judge_network, judge_node, judge_platforms
from ppp.doctor.diagnosis import Diagnosis, State
from ppp.doctor.machine import BubblewrapFacts, EngineFacts, FileSystemFacts, IndexFacts, MachineProbe
from ppp.model.matrix import Environment, Matrix, Platform
from ppp.model.record import Network

T = TypeVar("T")
#: What a check may take, in seconds: somewhat more than the timeouts of what it asks.
QUICK_S: Final = 15.0
SLOW_S: Final = 30.0
#: Every environment's canary: images to start, files to fetch. Each of its cells has timeouts of its own.
CANARY_S: Final = 1800.0

Diagnose = Callable[[], Sequence[Diagnosis]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSetup:
    """What is examined: the settings (with what was wrong about them), a matrix, and the environments in question.

    `model` is the file that was set, whether it is there or not; `named` says that somebody named the environments.
    """

    config: Config
    matrix: Matrix
    environments: tuple[Environment, ...]
    setting_errors: str = ""
    model: Path | None = None
    environments_named: bool = False
    mesh_port: int = 0

    @property
    def restricted_network(self) -> bool:
        """Cells are to reach the index gateway and nothing else."""
        return self.config.network is Network.GATEWAY

    def on(self, *platforms: Platform) -> tuple[Environment, ...]:
        """Give the environments in question that stand on these platforms."""
        return tuple(e for e in self.environments if e.platform in platforms)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCheck:
    """Something to look at, by the name that it is told under if it does not end within `deadline_s`."""

    subject: str
    diagnose: Diagnose
    deadline_s: float = QUICK_S


class Once(Generic[T]):
    """Makes a value when it is first asked for, whoever asks and from whatever thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Take what makes it."""
        self._make = make
        self._lock = threading.Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        """Give the value."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


def examine(
    setup: NodeSetup,
    machine: MachineProbe,
    engine: Once[EngineFacts],
    *,
    canary: Diagnose | None = None,
    timeout_factor: float = 1.0,
) -> tuple[Diagnosis, ...]:
    """Give all diagnoses of a machine; `engine` was perhaps asked already, without a `canary` none sings.

    `patience` stretches the deadlines.
    """
    checks = _Checks(
        setup=setup,
        machine=machine,
        engine=engine,
        page=Once(lambda: machine.page(setup.config.index_url, setup.matrix.pip)),
        bubblewrap=Once(machine.bubblewrap),
    )
    last = [MachineCheck(subject="canary", diagnose=canary, deadline_s=CANARY_S)] if canary else []
    return run_checks([*checks.all(), *last], timeout_factor=timeout_factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checks:
    """The checks of one examination, in the order in which they are told."""

    setup: NodeSetup
    machine: MachineProbe
    engine: Once[EngineFacts]
    page: Once[IndexFacts]
    bubblewrap: Once[BubblewrapFacts]

    def all(self) -> Iterator[MachineCheck]:
        patient, machine, config = self.setup, self.machine, self.setup.config
        containers = patient.on(Platform.SLIM, Platform.ALPINE)
        on_host = patient.on(Platform.HOST)
        yield MachineCheck(subject="settings", diagnose=lambda: [judge_node.settings(config, patient.setting_errors)])
        yield MachineCheck(
            subject="docker",
            diagnose=lambda: [judge_platforms.engine(self.engine(), needed=bool(containers))],
            deadline_s=SLOW_S,
        )
        for environment in containers:
            yield MachineCheck(subject=environment.id, diagnose=self._image(environment), deadline_s=SLOW_S)
        yield MachineCheck(subject="pythons", diagnose=lambda: self._pythons(on_host), deadline_s=SLOW_S)
        yield MachineCheck(
            subject="bubblewrap",
            diagnose=lambda: [
                judge_platforms.bubblewrap(self.bubblewrap(), on_host=bool(on_host), shut_in=patient.restricted_network)
            ],
            deadline_s=SLOW_S,
        )
        yield MachineCheck(subject="dns", diagnose=lambda: [judge_network.dns(machine.resolve(config.index_url))])
        yield MachineCheck(subject="index", diagnose=lambda: [judge_network.index(self.page())], deadline_s=SLOW_S)
        yield MachineCheck(subject="clock", diagnose=lambda: [judge_network.clock(self.page())], deadline_s=SLOW_S)
        yield MachineCheck(subject="gateway", diagnose=self._gateway, deadline_s=SLOW_S)
        yield MachineCheck(subject="disk", diagnose=self._disk, deadline_s=SLOW_S)
        yield MachineCheck(
            subject="memory",
            diagnose=lambda: [
                judge_capacity.memory(machine.memory(), patient.matrix.limits, config.jobs, in_memory=self._in_memory())
            ],
            deadline_s=SLOW_S,
        )
        yield MachineCheck(subject="ledger", diagnose=lambda: [judge_node.ledger(machine.ledger(config.data))])
        yield MachineCheck(subject="key", diagnose=lambda: [judge_node.key(machine.key(config.data))])
        yield MachineCheck(subject="model", diagnose=self._model, deadline_s=SLOW_S)
        yield MachineCheck(
            subject="yggdrasil",
            diagnose=lambda: [judge_node.yggdrasil(machine.yggdrasil(), port=patient.mesh_port)],
        )

    def _image(self, environment: Environment) -> Diagnose:
        def diagnose() -> Sequence[Diagnosis]:
            if not self.engine().answers:
                return [judge_platforms.image_unseen(environment)]
            return [judge_platforms.image(environment, self.machine.image(environment))]

        return diagnose

    def _pythons(self, on_host: Sequence[Environment]) -> Sequence[Diagnosis]:
        if on_host:
            found = {environment: self.machine.python(environment.python) for environment in on_host}
            return judge_platforms.pythons(found, named=self.setup.environments_named)
        versions = dict.fromkeys(environment.python for environment in self.setup.environments)
        return [judge_platforms.spare_pythons({version: self.machine.python(version) for version in versions})]

    def _gateway(self) -> Sequence[Diagnosis]:
        config = self.setup.config
        if not self.setup.restricted_network:
            return [judge_network.open_network()]
        origins = self.page().origins
        tried = self.machine.gateway(config.index_url, origins, config.nginx_image) if origins else None
        return [judge_network.gateway(tried, image=config.nginx_image)]

    def _disk(self) -> Sequence[Diagnosis]:
        config, machine, engine = self.setup.config, self.machine, self.engine()
        places = {"data": config.data, "cache": config.cache, "temporary": machine.temporary()}
        if engine.data_root and engine.address.startswith("unix://"):
            places["docker"] = engine.data_root
        systems: Mapping[str, FileSystemFacts] = {name: machine.file_system(place) for name, place in places.items()}
        return judge_capacity.disk(
            judge_capacity.folder_needs(
                self.setup.matrix.limits,
                config.jobs,
                systems,
                in_memory=self._in_memory(),
                images=len(self.setup.on(Platform.SLIM, Platform.ALPINE)),
            )
        )

    def _in_memory(self) -> bool:
        # Containers and bubblewrap give a cell folders of its own, without any file system of this machine.
        return not self.setup.on(Platform.HOST) or (self.setup.restricted_network and self.bubblewrap().works)

    def _model(self) -> Sequence[Diagnosis]:
        path = self.setup.model
        return [judge_node.model(path, self.machine.model(path) if path else None)]


def run_checks(checks: Sequence[MachineCheck], *, timeout_factor: float = 1.0) -> tuple[Diagnosis, ...]:
    """Run checks at the same time; give what they came to, in their order, when the last has ended or is given up."""
    came_to: dict[int, Sequence[Diagnosis]] = {}
    began = time.monotonic()
    # Not an executor: its threads are waited for at the end, and what is given up on may never end.
    threads = [
        threading.Thread(target=_run, args=(check, number, came_to), daemon=True) for number, check in enumerate(checks)
    ]
    for thread in threads:
        thread.start()
    for thread, check in zip(threads, checks, strict=True):
        thread.join(max(began + check.deadline_s * timeout_factor - time.monotonic(), 0))
    told = [came_to.get(number, [_late(check, timeout_factor)]) for number, check in enumerate(checks)]
    return tuple(diagnosis for diagnoses in told for diagnosis in diagnoses)


def _run(check: MachineCheck, number: int, came_to: dict[int, Sequence[Diagnosis]]) -> None:
    try:
        came_to[number] = check.diagnose()
    except Exception as error:  # noqa: BLE001 - a doctor that dies of one question answers none
        came_to[number] = [
            Diagnosis(
                subject=check.subject,
                state=State.BROKEN,
                found=f"it could not be looked at ({type(error).__name__}: {error})",
                remedy="if the rest of the machine is well, tell the makers of PPP",
            )
        ]


def _late(check: MachineCheck, patience: float) -> Diagnosis:
    return Diagnosis(
        subject=check.subject,
        state=State.BROKEN,
        found=f"no answer within {check.deadline_s * patience:g} s",
        remedy="see what holds it up: a dead mount, a network that drops packets, a machine under load",
    )
