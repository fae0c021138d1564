"""Canaries on demand: each environment's own, in a workshop that keeps its files in a folder that goes with it.

Not in the node's data folder: a workshop there would end what a run of that node has going.
"""

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ppp.check.runtime import PreparedEnvironment
from ppp.config import Config
from ppp.console import LineReporter
from ppp.doctor import judge_platforms
from ppp.doctor.diagnosis import Diagnosis, State
from ppp.model.errors import PPPError
from ppp.model.matrix import Environment, Matrix
from ppp.runner.context import Context
from ppp.runner.environments import CanaryCheck, no_canary, open_index, prepare_environments


class CanaryEnvironments(Protocol):
    """What is needed of a workshop; see `ppp.runner.environments.Workshop`."""

    @property
    def prepared(self) -> Mapping[str, PreparedEnvironment]:
        """The environments that stand ready, by id."""

    @property
    def unavailable(self) -> Mapping[str, str]:
        """Why the others do not."""

    @property
    def canary(self) -> CanaryCheck:
        """What says what is wrong with one."""


@contextmanager
def temporary_environments(
    config: Config, matrix: Matrix, environments: Sequence[Environment]
) -> Iterator[CanaryEnvironments]:
    """Open a workshop in a folder of its own; raise as `ppp.runner.environments.workshop` does."""
    with tempfile.TemporaryDirectory(prefix="ppp-doctor-", ignore_cleanup_errors=True) as folder:
        context = Context(
            config=replace(config, data=Path(folder)),
            # What goes wrong is told with the diagnoses.
            reporter=LineReporter(io.StringIO()),
            environ=os.environ,
            stop=threading.Event(),
        )
        with prepare_environments(context, open_index(context.config), matrix, environments) as shop:
            yield shop


def run_canaries(
    open_shop: Callable[[], AbstractContextManager[CanaryEnvironments]],
    environments: Sequence[Environment],
    *,
    jobs: int,
) -> tuple[Diagnosis, ...]:
    """Let every environment's canary sing, `jobs` at a time, and judge what it says."""
    try:
        with open_shop() as shop:
            if shop.canary is no_canary:
                return (_failed("canary", "this PPP has none to sing", "ask without --canary"),)
            with ThreadPoolExecutor(jobs) as threads:
                return tuple(threads.map(lambda environment: _run_canary(shop, environment), environments))
    except PPPError as error:
        return (_failed("canary", error.message, error.hint),)


def _run_canary(shop: CanaryEnvironments, environment: Environment) -> Diagnosis:
    prepared = shop.prepared.get(environment.id)
    if prepared is None:
        why = shop.unavailable.get(environment.id, "it does not stand ready")
        return _failed(f"canary {environment.id}", f"not sung: {why}", "mend what else is said of this environment")
    return judge_platforms.canary(environment, shop.canary(prepared))


def _failed(subject: str, found: str, remedy: str) -> Diagnosis:
    return Diagnosis(subject=subject, state=State.BROKEN, found=found, remedy=remedy)
