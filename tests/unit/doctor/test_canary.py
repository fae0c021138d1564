"""Canaries on demand: what each says, environments that do not stand ready, a workshop that cannot be opened."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from ppp.check.runtime import PreparedEnvironment
from ppp.config import load_matrix
from ppp.doctor.canary import CanaryEnvironments, run_canaries
from ppp.doctor.diagnosis import State
from ppp.model.errors import NoEnvironmentError
from ppp.model.matrix import Environment
from ppp.model.record import Network
from ppp.resources import resource
from ppp.runner.environments import CanaryCheck, no_canary

ENVIRONMENTS = load_matrix(resource("matrices/default.toml")).select(["py39-slim", "py311-slim", "py312-alpine"])


def ready(environment: Environment) -> PreparedEnvironment:
    return PreparedEnvironment(
        environment=environment,
        python=f"{environment.python}.7",
        arch="x86_64",
        image_digest=None,
        standin=False,
        network=Network.GATEWAY,
        tags=(),
        suffixes=(),
        pip_version="26.0.1",
    )


@dataclass(kw_only=True)
class MemoryShop:
    """A workshop without runtimes; `opened` tells whether it is open."""

    canary: CanaryCheck
    prepared: Mapping[str, PreparedEnvironment]
    unavailable: Mapping[str, str]
    opened: bool = False

    @contextmanager
    def open(self) -> Iterator[CanaryEnvironments]:
        self.opened = True
        yield self
        self.opened = False


def shop(canary: CanaryCheck) -> MemoryShop:
    prepared = {e.id: ready(e) for e in ENVIRONMENTS[:2]}
    return MemoryShop(canary=canary, prepared=prepared, unavailable={"py312-alpine": "no such image"})


def test_each_environment_is_told_of() -> None:
    def canary(prepared: PreparedEnvironment) -> Sequence[str]:
        assert made.opened
        return ["it had to import, and crashed"] if prepared.environment.id == "py311-slim" else []

    made = shop(canary)
    well, ill, missing = run_canaries(made.open, ENVIRONMENTS, jobs=2)
    assert not made.opened
    assert (well.subject, well.state, well.remedy) == ("canary py39-slim", State.OK, "")
    assert (ill.subject, ill.state, ill.found) == (
        "canary py311-slim", State.BROKEN, "it had to import, and crashed",
    )  # fmt: skip
    assert (missing.subject, missing.state, missing.found) == (
        "canary py312-alpine", State.BROKEN, "not sung: no such image",
    )  # fmt: skip


def test_silence_is_no_song() -> None:
    (told,) = run_canaries(shop(no_canary).open, ENVIRONMENTS, jobs=2)
    assert (told.subject, told.state) == ("canary", State.BROKEN)


def test_a_workshop_that_cannot_be_opened() -> None:
    def closed() -> AbstractContextManager[CanaryEnvironments]:
        raise NoEnvironmentError("none of them can be had here", hint="start Docker")

    (told,) = run_canaries(closed, ENVIRONMENTS, jobs=2)
    assert (told.state, told.found, told.remedy) == (State.BROKEN, "none of them can be had here", "start Docker")
