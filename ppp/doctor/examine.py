"""Examine a machine: run every check at the same time, each with its own timeout, and report them in a fixed order.

A check that times out or raises is reported as broken; it does not delay the others.
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
from ppp.doctor.machine import (
    BubblewrapFacts,
    EngineFacts,
    FileSystemFacts,
    IndexAccess,
    IndexFacts,
    MachineProbe,
    Reachability,
)
from ppp.model.matrix import Environment, Matrix, Platform
from ppp.model.record import Network

T = TypeVar("T")
#: The timeout of a check, in seconds: somewhat more than those of the requests it makes.
QUICK_S: Final = 15.0
SLOW_S: Final = 30.0
#: For the canaries of all environments, which start images and fetch files. Their cells have their own timeouts.
CANARY_S: Final = 1800.0

Diagnose = Callable[[], Sequence[Diagnosis]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSetup:
    """The setup to examine: the valid settings and the errors of the others, a matrix, and the chosen environments.

    `model` is the file that PPP_MODEL names, even if it does not exist. `environments_named` is true if the user named
    the environments, so that each of them must work.
    """

    config: Config
    matrix: Matrix
    environments: tuple[Environment, ...]
    setting_errors: str = ""
    model: Path | None = None
    environments_named: bool = False
    mesh_port: int = 0

    @property
    def index(self) -> IndexAccess:
        """The index that the settings name."""
        return IndexAccess(url=self.config.index_url, credentials=self.config.index_credentials)

    @property
    def restricted_network(self) -> bool:
        """True if cells may reach the index gateway and nothing else."""
        return self.config.network is Network.GATEWAY

    def on(self, *platforms: Platform) -> tuple[Environment, ...]:
        """Return the chosen environments on these platforms."""
        return tuple(e for e in self.environments if e.platform in platforms)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCheck:
    """One check; `subject` is its name in the report if it does not end within `timeout_s`."""

    subject: str
    diagnose: Diagnose
    timeout_s: float = QUICK_S


class Once(Generic[T]):
    """A value that is made when it is first needed, by whichever thread needs it first."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Keep the function that makes the value."""
        self._make = make
        self._lock = threading.Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        """Return the value; the first call makes it."""
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
    """Return all diagnoses of a machine.

    `engine` is passed in because the caller may have asked it already. `canary` runs the canaries; without it none
    run. Every timeout is multiplied by `timeout_factor`.
    """
    checks = _Checks(
        setup=setup,
        machine=machine,
        engine=engine,
        page=Once(lambda: machine.page(setup.index, setup.matrix.pip)),
        bubblewrap=Once(machine.bubblewrap),
    )
    last = [MachineCheck(subject="canary", diagnose=canary, timeout_s=CANARY_S)] if canary else []
    return run_checks([*checks.all(), *last], timeout_factor=timeout_factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checks:
    """The checks of one examination, in the order of the report."""

    setup: NodeSetup
    machine: MachineProbe
    engine: Once[EngineFacts]
    page: Once[IndexFacts]
    bubblewrap: Once[BubblewrapFacts]

    def all(self) -> Iterator[MachineCheck]:
        setup, machine, config = self.setup, self.machine, self.setup.config
        containers = setup.on(Platform.SLIM, Platform.ALPINE)
        on_host = setup.on(Platform.HOST)
        yield MachineCheck(subject="settings", diagnose=lambda: [judge_node.settings(config, setup.setting_errors)])
        yield MachineCheck(
            subject="docker",
            diagnose=lambda: [judge_platforms.engine(self.engine(), needed=bool(containers))],
            timeout_s=SLOW_S,
        )
        for environment in containers:
            yield MachineCheck(subject=environment.id, diagnose=self._image(environment), timeout_s=SLOW_S)
        yield MachineCheck(subject="pythons", diagnose=lambda: self._pythons(on_host), timeout_s=SLOW_S)
        yield MachineCheck(
            subject="bubblewrap",
            diagnose=lambda: [
                judge_platforms.bubblewrap(
                    self.bubblewrap(), on_host=bool(on_host), restricted_network=setup.restricted_network
                )
            ],
            timeout_s=SLOW_S,
        )
        yield MachineCheck(subject="dns", diagnose=lambda: [judge_network.dns(machine.resolve(config.index_url))])
        yield MachineCheck(subject="index", diagnose=lambda: [judge_network.index(self.page())], timeout_s=SLOW_S)
        yield MachineCheck(subject="clock", diagnose=lambda: [judge_network.clock(self.page())], timeout_s=SLOW_S)
        yield MachineCheck(subject="gateway", diagnose=self._gateway, timeout_s=SLOW_S)
        yield MachineCheck(subject="disk", diagnose=self._disk, timeout_s=SLOW_S)
        yield MachineCheck(
            subject="memory",
            diagnose=lambda: [
                judge_capacity.memory(machine.memory(), setup.matrix.limits, config.jobs, in_memory=self._in_memory())
            ],
            timeout_s=SLOW_S,
        )
        yield MachineCheck(subject="ledger", diagnose=lambda: [judge_node.ledger(machine.ledger(config.data))])
        yield MachineCheck(subject="key", diagnose=lambda: [judge_node.key(machine.key(config.data, config.node_seed))])
        yield MachineCheck(subject="model", diagnose=self._model, timeout_s=SLOW_S)
        yield MachineCheck(subject="sound", diagnose=lambda: [judge_node.sound(machine.sound(config))])
        yield MachineCheck(
            subject="yggdrasil",
            diagnose=lambda: [judge_node.yggdrasil(machine.yggdrasil(), port=setup.mesh_port)],
        )

    def _image(self, environment: Environment) -> Diagnose:
        def diagnose() -> Sequence[Diagnosis]:
            if not self.engine().answers:
                return [judge_platforms.image_without_engine(environment)]
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
            return [judge_network.open_network(credentials=config.index_credentials is not None)]
        # pip is what is requested through it.
        page, pip = self.page(), self.setup.matrix.pip
        usable = page.reach is Reachability.ANSWERED and page.lists_pip
        facts = self.machine.gateway(self.setup.index, pip, config.nginx_image) if usable else None
        return [judge_network.gateway(facts, image=config.nginx_image)]

    def _disk(self) -> Sequence[Diagnosis]:
        config, machine, engine = self.setup.config, self.machine, self.engine()
        folders = {"data": config.data, "cache": config.cache, "temporary": machine.temporary()}
        # The folder of a remote engine is on another machine.
        if engine.data_root and engine.address.startswith("unix://"):
            folders["docker"] = engine.data_root
        systems: Mapping[str, FileSystemFacts] = {role: machine.file_system(path) for role, path in folders.items()}
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
        # In a container or in bubblewrap, a cell writes to file systems in memory and not to this machine's disk.
        return not self.setup.on(Platform.HOST) or (self.setup.restricted_network and self.bubblewrap().works)

    def _model(self) -> Sequence[Diagnosis]:
        path = self.setup.model
        if path is None:
            return [judge_node.model(None, None, limit_mib=0)]
        limit_mib = self.setup.config.model_options.memory_limit(self.machine.memory().available_bytes)
        return [judge_node.model(path, self.machine.model(path), limit_mib=limit_mib)]


def run_checks(checks: Sequence[MachineCheck], *, timeout_factor: float = 1.0) -> tuple[Diagnosis, ...]:
    """Run checks at the same time; return their diagnoses, in order, when the last has ended or timed out."""
    results: dict[int, Sequence[Diagnosis]] = {}
    started = time.monotonic()
    # Not an executor, which would wait for its threads at the end: a check that timed out may never return.
    threads = [
        threading.Thread(target=_run, args=(check, number, results), daemon=True) for number, check in enumerate(checks)
    ]
    for thread in threads:
        thread.start()
    for thread, check in zip(threads, checks, strict=True):
        thread.join(max(started + check.timeout_s * timeout_factor - time.monotonic(), 0))
    ordered = [results.get(number, [_timed_out(check, timeout_factor)]) for number, check in enumerate(checks)]
    return tuple(diagnosis for diagnoses in ordered for diagnosis in diagnoses)


def _run(check: MachineCheck, number: int, results: dict[int, Sequence[Diagnosis]]) -> None:
    try:
        results[number] = check.diagnose()
    except Exception as error:  # noqa: BLE001 - one failing check must not end the others
        results[number] = [
            Diagnosis(
                subject=check.subject,
                state=State.BROKEN,
                found=f"the check failed ({type(error).__name__}: {error})",
                remedy="if nothing else is broken, report this as a bug of PPP",
            )
        ]


def _timed_out(check: MachineCheck, timeout_factor: float) -> Diagnosis:
    return Diagnosis(
        subject=check.subject,
        state=State.BROKEN,
        found=f"no answer within {check.timeout_s * timeout_factor:g} s",
        remedy="find out what blocks it: a dead mount, a network that drops packets, a machine under load",
    )
