"""Run something in an environment between two runs of its canary, outside of a round."""

from collections.abc import Iterator
from contextlib import contextmanager

from ppp.check.runtime import PreparedEnvironment
from ppp.model.errors import NoEnvironmentError
from ppp.model.matrix import Environment
from ppp.runner.environments import ReadyEnvironments


def prepared_of(ready: ReadyEnvironments, environment: Environment) -> PreparedEnvironment:
    """Return an environment that is ready; raise `NoEnvironmentError` with the reason if it is not."""
    if environment.id not in ready.prepared:
        raise unhealthy(ready.unavailable.get(environment.id, ""), environment)
    return ready.prepared[environment.id]


@contextmanager
def between_canaries(ready: ReadyEnvironments, prepared: PreparedEnvironment) -> Iterator[None]:
    """Run the canary of an environment before and after the block; raise `NoEnvironmentError` with what it finds."""
    for moment in ("before", "after"):
        if faults := ready.canary(prepared):
            raise unhealthy(f"the canary says {moment} the cell: {'; '.join(faults)}", prepared.environment)
        if moment == "before":
            yield


def unhealthy(reason: str, environment: Environment) -> NoEnvironmentError:
    """Return the error that an environment is unavailable, for a reason."""
    return NoEnvironmentError(
        f"{environment.id} is unavailable: {reason}", hint="`ppp doctor` shows what is wrong with this machine"
    )
