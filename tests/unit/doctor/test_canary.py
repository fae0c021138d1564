"""Canaries on demand: their faults, environments that are not ready, and environments that cannot be prepared."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from ppp.check.runtime import PreparedEnvironment
from ppp.doctor.canary import CanaryEnvironments, run_canaries
from ppp.doctor.diagnosis import State
from ppp.matrix_files import load_matrix
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
class FakeEnvironments:
    """Ready environments without runtimes; `opened` says whether they are open."""

    canary: CanaryCheck
    prepared: Mapping[str, PreparedEnvironment]
    unavailable: Mapping[str, str]
    opened: bool = False

    @contextmanager
    def open(self) -> Iterator[CanaryEnvironments]:
        self.opened = True
        yield self
        self.opened = False


def fake_environments(canary: CanaryCheck) -> FakeEnvironments:
    prepared = {e.id: ready(e) for e in ENVIRONMENTS[:2]}
    return FakeEnvironments(canary=canary, prepared=prepared, unavailable={"py312-alpine": "no such image"})


def test_each_environment_gets_a_diagnosis() -> None:
    def canary(prepared: PreparedEnvironment) -> Sequence[str]:
        assert made.opened
        return ["it had to import, and crashed"] if prepared.environment.id == "py311-slim" else []

    made = fake_environments(canary)
    healthy, faulty, missing = run_canaries(made.open, ENVIRONMENTS, jobs=2)
    assert not made.opened
    assert (healthy.subject, healthy.state, healthy.remedy) == ("canary py39-slim", State.OK, "")
    assert (faulty.subject, faulty.state, faulty.found) == (
        "canary py311-slim", State.BROKEN, "it had to import, and crashed",
    )  # fmt: skip
    assert (missing.subject, missing.state, missing.found) == (
        "canary py312-alpine", State.BROKEN, "not run: no such image",
    )  # fmt: skip


def test_a_canary_that_is_turned_off() -> None:
    (diagnosis,) = run_canaries(fake_environments(no_canary).open, ENVIRONMENTS, jobs=2)
    assert (diagnosis.subject, diagnosis.state) == ("canary", State.BROKEN)


def test_environments_that_cannot_be_prepared() -> None:
    def closed() -> AbstractContextManager[CanaryEnvironments]:
        raise NoEnvironmentError("none of them can be had here", hint="start Docker")

    (diagnosis,) = run_canaries(closed, ENVIRONMENTS, jobs=2)
    assert (diagnosis.state, diagnosis.found, diagnosis.remedy) == (
        State.BROKEN,
        "none of them can be had here",
        "start Docker",
    )
