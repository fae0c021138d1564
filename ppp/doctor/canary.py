"""Run each environment's canary on demand, in environments whose files are kept in a temporary folder.

The node's data folder is not used: preparing environments there would end the cells of a run that is in progress.
"""

import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Protocol

from ppp.check.images import PINS_FILE
from ppp.check.runtime import PreparedEnvironment
from ppp.config import Config
from ppp.doctor import judge_platforms
from ppp.doctor.diagnosis import Diagnosis, State
from ppp.model.errors import PPPError
from ppp.model.matrix import Environment, Matrix
from ppp.progress import LineReporter
from ppp.run_folders import run_folder
from ppp.runner.context import Context
from ppp.runner.environments import CanaryCheck, no_canary, open_index, prepare_environments


class CanaryEnvironments(Protocol):
    """The part of `ppp.runner.environments.ReadyEnvironments` that canaries need."""

    @property
    def prepared(self) -> Mapping[str, PreparedEnvironment]:
        """The environments that are ready, by id."""

    @property
    def unavailable(self) -> Mapping[str, str]:
        """The reason why each of the others is not."""

    @property
    def canary(self) -> CanaryCheck:
        """Returns the faults of an environment."""


@contextmanager
def temporary_environments(
    config: Config, matrix: Matrix, environments: Sequence[Environment]
) -> Iterator[CanaryEnvironments]:
    """Prepare environments in a temporary folder; raise as `ppp.runner.environments.prepare_environments` does."""
    with run_folder("ppp-doctor-") as folder:
        if (pins := config.data / PINS_FILE).exists():
            shutil.copy(pins, folder)
        context = Context(
            config=replace(config, data=folder),
            # The diagnoses report what goes wrong.
            reporter=LineReporter(io.StringIO()),
            environ=os.environ,
            stop=threading.Event(),
        )
        with prepare_environments(context, open_index(context.config), matrix, environments) as ready:
            yield ready


def run_canaries(
    prepare: Callable[[], AbstractContextManager[CanaryEnvironments]],
    environments: Sequence[Environment],
    *,
    jobs: int,
) -> tuple[Diagnosis, ...]:
    """Run every environment's canary, `jobs` at a time, and judge its faults."""
    try:
        with prepare() as ready:
            if ready.canary is no_canary:
                return (_failed("canary", "PPP_CANARY turns it off", "unset PPP_CANARY, or run without --canary"),)
            with ThreadPoolExecutor(jobs) as threads:
                return tuple(threads.map(lambda environment: _run_canary(ready, environment), environments))
    except PPPError as error:
        return (_failed("canary", error.message, error.hint),)


def _run_canary(ready: CanaryEnvironments, environment: Environment) -> Diagnosis:
    prepared = ready.prepared.get(environment.id)
    if prepared is None:
        why = ready.unavailable.get(environment.id, "the environment is not ready")
        return _failed(f"canary {environment.id}", f"not run: {why}", "fix this environment first")
    return judge_platforms.canary(environment, ready.canary(prepared))


def _failed(subject: str, found: str, remedy: str) -> Diagnosis:
    return Diagnosis(subject=subject, state=State.BROKEN, found=found, remedy=remedy)
