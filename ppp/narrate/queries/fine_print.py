"""Facts about how far a period's results carry: coverage, agreement of nodes, the canary, stand-ins, what is untold."""

from collections.abc import Iterable
from typing import Final

from ppp.ledger.staging import UNHEALTHY_CAUSE
from ppp.narrate.queries.query import COUNT, ENVIRONMENTS, IN_ENVIRONMENTS, Chapter, FactKind, FactQuery, query

_NAMED: Final = "FROM coverage_releases WHERE announced_at >= :start AND announced_at < :end"

FINE_PRINT: Final = (
    query(
        FactKind.COVERAGE,
        Chapter.FINE_PRINT,
        250,
        f"""SELECT * FROM (SELECT count(*) AS named, coalesce(sum(state = 'tested'), 0) AS tested,
                                  coalesce(sum(state = 'queued'), 0) AS queued,
                                  coalesce(sum(state = 'skipped'), 0) AS skipped {_NAMED})
            WHERE named > 0""",  # noqa: S608
        named=COUNT,
        tested=COUNT,
        queued=COUNT,
        skipped=COUNT,
    ),
    query(
        FactKind.LOST,
        Chapter.FINE_PRINT,
        240,
        f"SELECT count(*) AS lost {_NAMED} AND state = 'lost' HAVING lost > 0",
        lost=COUNT,
    ),
    query(
        FactKind.DISAGREEMENT,
        Chapter.FINE_PRINT,
        200,
        """SELECT * FROM (SELECT sum(NOT is_agreed) AS cells, count(*) AS compared FROM shared) WHERE cells > 0""",
        cells=COUNT,
        compared=COUNT,
    ),
    query(
        FactKind.AGREEMENT,
        Chapter.FINE_PRINT,
        200,
        "SELECT cells FROM (SELECT count(*) AS cells, min(is_agreed) AS all_agreed FROM shared) WHERE all_agreed",
        cells=COUNT,
    ),
    query(
        FactKind.CANARY,
        Chapter.FINE_PRINT,
        175,
        f"""SELECT * FROM (SELECT count(*) AS observations, {IN_ENVIRONMENTS} FROM seen
                           WHERE result = 'ERROR' AND cause = '{UNHEALTHY_CAUSE}')
            WHERE observations > 0""",  # noqa: S608
        observations=COUNT,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.STANDIN,
        Chapter.FINE_PRINT,
        150,
        f"""SELECT * FROM (SELECT count(*) AS cells, {IN_ENVIRONMENTS} FROM cells WHERE standin)
            WHERE cells > 0""",  # noqa: S608
        cells=COUNT,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.OVERTAKEN,
        Chapter.FINE_PRINT,
        125,
        """SELECT * FROM (SELECT sum(observations) AS observations FROM tally WHERE counts_as = 'overtaken')
           WHERE observations > 0""",
        observations=COUNT,
    ),
    query(
        FactKind.EXHIBITS,
        Chapter.FINE_PRINT,
        110,
        """SELECT * FROM (SELECT sum(observations) AS cells FROM tally WHERE counts_as = 'exhibit')
           WHERE cells > 0""",
        cells=COUNT,
    ),
)


def left_out(queries: Iterable[FactQuery]) -> FactQuery:
    """Return the query that counts the headlines and causes that an episode did not tell, beside the `:told` ones."""
    found = " UNION ALL ".join(f"SELECT count(*) AS found FROM ({one.body})" for one in queries if one.is_headline)  # noqa: S608
    sql = f"SELECT * FROM (SELECT :told AS told, sum(found) - :told AS left_out FROM ({found})) WHERE left_out > 0"  # noqa: S608
    return query(FactKind.LEFT_OUT, Chapter.FINE_PRINT, 50, sql, told=COUNT, left_out=COUNT)
