"""What `ppp run --fail-on` asks beyond the results: that what was asked for has a verdict. Pure."""

from collections.abc import Collection, Mapping, Sequence

from ppp.cli.results import AskedCell
from ppp.model.errors import NoEnvironmentError, PPPError, UndecidedError
from ppp.model.record import Result


def run_failure(
    asked: Sequence[AskedCell], unavailable: Mapping[str, str], *, required: Collection[str]
) -> PPPError | None:
    """Return the error that says that something was asked for and has no verdict; None where everything has one.

    `unavailable` says of environments why nothing could be checked there. That is an error where they are `required`;
    otherwise what this machine cannot provide of a matrix is left out.
    """
    if lacking := [environment for environment in unavailable if environment in required]:
        return NoEnvironmentError(
            "; ".join(f"{environment} is not available: {unavailable[environment]}" for environment in lacking),
            hint="`ppp doctor` shows what is wrong with this machine",
        )
    possible = [each for each in asked if each.cell.environment not in unavailable]
    undecided = [each for each in possible if each.result in {None, Result.ERROR}]
    if not undecided:
        return None
    state = "is still queued" if undecided[0].result is None else "ended without a verdict"
    return UndecidedError(
        f"{len(undecided)} of {len(possible)} cells have no verdict: {undecided[0].cell} {state}",
        hint="run again to continue, with more --minutes where the budget ended the run",
    )
