"""How many cells had which result in each environment in a period: what the ident is made of, and the cover."""

from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.model.matrix import environment_sort_key
from ppp.model.period import Period

#: The results of a period, by environment; a cell that was checked twice counts twice.
RESULTS_SQL: Final = """
SELECT environment, sum(result = 'PASS'), sum(result IN ('FAIL', 'TIMEOUT')), count(*)
FROM records WHERE observed_at >= :start AND observed_at < :end
GROUP BY environment
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentResults:
    """Of the observations in an environment: how many passed, how many failed, and how many there are in all."""

    environment: str
    passed: int
    failed: int
    total: int


def read_results(db: Database, period: Period) -> tuple[EnvironmentResults, ...]:
    """Return the results of a period in the order of environments."""
    rows = db.execute(RESULTS_SQL, {"start": period.start, "end": period.end})
    found = [
        EnvironmentResults(environment=environment, passed=passed, failed=failed, total=total)
        for environment, passed, failed, total in rows
    ]
    return tuple(sorted(found, key=lambda one: environment_sort_key(one.environment)))
