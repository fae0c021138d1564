"""Facts about the whole of a period: how much was observed, with which results, and how that compares with before."""

from typing import Final

from ppp.narrate.queries.query import COUNT, Chapter, FactKind, FactQuery, query
from ppp.narrate.slots import SlotType

_PERCENT: Final = SlotType.PERCENT
_UNIT: Final = SlotType.UNIT
#: Verdicts of the period and of the one before: of every observation, whether or not another has superseded it.
_RATES: Final = """
    SELECT :unit AS unit, printf('%.1f', 100.0 * (n.verdicts - n.passed) / n.verdicts) AS percent,
           printf('%.1f', 100.0 * (b.verdicts - b.passed) / b.verdicts) AS before
    FROM (SELECT sum(observations) AS verdicts, coalesce(sum(observations) FILTER (WHERE result = 'PASS'), 0) AS passed
          FROM tally WHERE result <> 'NA' AND result <> 'ERROR') AS n
         CROSS JOIN earlier AS b
    WHERE n.verdicts > 0 AND b.verdicts > 0"""
_SIZES: Final = """
    SELECT :unit AS unit, (SELECT coalesce(sum(observations), 0) FROM tally) AS observations,
           (SELECT observations FROM earlier) AS before"""


def _count_result(kind: FactKind, result: str, weight: int) -> FactQuery:
    sql = f"""SELECT * FROM (SELECT sum(observations) FILTER (WHERE result = '{result}') AS cells,
                                    sum(observations) AS total FROM tally WHERE counts_as = 'cell') WHERE cells > 0"""  # noqa: S608
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
        """SELECT * FROM (SELECT (SELECT sum(observations) FROM tally WHERE counts_as = 'cell') AS cells,
                                 count(*) AS releases, count(DISTINCT package) AS packages FROM tested)
           WHERE cells > 0""",
        cells=COUNT,
        releases=COUNT,
        packages=COUNT,
    ),
    query(
        FactKind.ENVIRONMENTS,
        Chapter.BOARD,
        210,
        """SELECT * FROM (SELECT json_group_array(environment) AS environments FROM environments AS e
                          WHERE EXISTS (SELECT 1 FROM cells AS c WHERE c.environment = e.environment))
           WHERE environments <> '[]'""",
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
        """SELECT total FROM (SELECT sum(observations) AS total,
                                     sum(observations) FILTER (WHERE result = 'FAIL') AS failed
                              FROM tally WHERE counts_as = 'cell') WHERE total > 0 AND failed IS NULL""",
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
