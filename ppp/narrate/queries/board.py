"""Facts about the whole of a period: how much was observed, with which results, and how that compares with before."""

from typing import Final

from ppp.narrate.queries.query import COUNT, Chapter, FactKind, FactQuery, query
from ppp.narrate.slots import SlotType

_PERCENT: Final = SlotType.PERCENT
_UNIT: Final = SlotType.UNIT
#: Verdicts of the period and of the one before: of every observation, whether or not another has superseded it.
_VERDICTS: Final = "result IN ('PASS', 'FAIL', 'TIMEOUT')"
_RATES: Final = f"""
    SELECT :unit AS unit, printf('%.1f', 100.0 * n.failed / n.verdicts) AS percent,
           printf('%.1f', 100.0 * b.failed / b.verdicts) AS before
    FROM (SELECT count(*) AS verdicts, sum(result <> 'PASS') AS failed FROM seen WHERE {_VERDICTS}) AS n,
         (SELECT sum(observations) AS verdicts, coalesce(sum(observations) FILTER (WHERE result <> 'PASS'), 0) AS failed
          FROM earlier WHERE {_VERDICTS}) AS b
    WHERE n.verdicts > 0 AND b.verdicts > 0"""  # noqa: S608
_SIZES: Final = """
    SELECT :unit AS unit, (SELECT count(*) FROM seen) AS observations,
           (SELECT coalesce(sum(observations), 0) FROM earlier) AS before"""


def _count_result(kind: FactKind, result: str, weight: int) -> FactQuery:
    sql = f"""SELECT * FROM (SELECT sum(cells) FILTER (WHERE result = '{result}') AS cells, sum(cells) AS total
                             FROM tally) WHERE cells > 0"""  # noqa: S608
    return query(kind, Chapter.BOARD, weight, sql, cells=COUNT, total=COUNT)


BOARD: Final = (
    query(
        FactKind.OBSERVED,
        Chapter.BOARD,
        250,
        """SELECT * FROM (SELECT count(*) AS observations, count(DISTINCT node) AS nodes FROM seen)
           WHERE observations > 0""",
        observations=COUNT,
        nodes=COUNT,
    ),
    query(
        FactKind.BUSIER,
        Chapter.BOARD,
        240,
        f"SELECT unit, before FROM ({_SIZES}) WHERE before > 0 AND observations > before",  # noqa: S608
        before=COUNT,
        unit=_UNIT,
    ),
    query(
        FactKind.CALMER,
        Chapter.BOARD,
        240,
        f"SELECT unit, before FROM ({_SIZES}) WHERE observations > 0 AND observations < before",  # noqa: S608
        before=COUNT,
        unit=_UNIT,
    ),
    query(
        FactKind.STANDING,
        Chapter.BOARD,
        225,
        """SELECT * FROM (SELECT sum(cells) AS cells, count(*) AS releases, count(DISTINCT package) AS packages
                          FROM tested)
           WHERE cells > 0""",
        cells=COUNT,
        releases=COUNT,
        packages=COUNT,
    ),
    query(
        FactKind.ENVIRONMENTS,
        Chapter.BOARD,
        210,
        """SELECT environments FROM (SELECT json_group_array(DISTINCT environment) AS environments,
                                            sum(cells) AS cells FROM tally) WHERE cells > 0""",
        environments=SlotType.ENVIRONMENT_NAMES,
    ),
    _count_result(FactKind.PASSED, "PASS", 175),
    query(
        FactKind.UNBROKEN,
        Chapter.BOARD,
        165,
        "SELECT * FROM (SELECT sum(is_whole) AS releases, count(*) AS total FROM tested) WHERE releases > 0",
        releases=COUNT,
        total=COUNT,
    ),
    _count_result(FactKind.FAILED, "FAIL", 150),
    query(
        FactKind.NO_FAILURE,
        Chapter.BOARD,
        150,
        """SELECT total FROM (SELECT sum(cells) AS total, sum(cells) FILTER (WHERE result = 'FAIL') AS failed
                              FROM tally) WHERE total > 0 AND failed IS NULL""",
        total=COUNT,
    ),
    query(
        FactKind.RATE_UP,
        Chapter.BOARD,
        125,
        f"SELECT * FROM ({_RATES}) WHERE percent + 0.0 > before + 0.0",  # noqa: S608
        percent=_PERCENT,
        before=_PERCENT,
        unit=_UNIT,
    ),
    query(
        FactKind.RATE_DOWN,
        Chapter.BOARD,
        125,
        f"SELECT * FROM ({_RATES}) WHERE percent + 0.0 < before + 0.0",  # noqa: S608
        percent=_PERCENT,
        before=_PERCENT,
        unit=_UNIT,
    ),
    _count_result(FactKind.TIMED_OUT, "TIMEOUT", 100),
    _count_result(FactKind.ERRED, "ERROR", 90),
    _count_result(FactKind.NOT_CLAIMED, "NA", 80),
)
