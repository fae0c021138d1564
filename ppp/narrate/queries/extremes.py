"""Facts about what stands out: the slowest cell, the biggest file, the rarest cause; and all causes, by their cells."""

from typing import Final

from ppp.narrate.queries.query import COUNT, PACKAGE, VERSION, Chapter, FactKind, FactQuery, query
from ppp.narrate.slots import SlotType

_CAUSE: Final = SlotType.CAUSE


def _causes(kind: FactKind, weight: int, condition: str) -> FactQuery:
    sql = f"""
        SELECT cause, cells, packages FROM causes AS c
        WHERE cause <> 'unclassified'
          AND {condition} (SELECT 1 FROM causes AS o WHERE o.cause <> c.cause AND o.cells >= c.cells)
        ORDER BY cells DESC, cause"""  # noqa: S608
    return query(kind, Chapter.CAUSES, weight, sql, "cause", cause=_CAUSE, cells=COUNT, packages=COUNT)


EXTREMES: Final = (
    query(
        FactKind.SLOWEST,
        Chapter.EXTREMES,
        150,
        """SELECT package, version, environment, printf('%.1f', ms / 1000.0) AS seconds FROM cells
           WHERE result = 'PASS' AND ms >= 10000 ORDER BY ms DESC, package, version, environment LIMIT 1""",
        package=PACKAGE,
        version=VERSION,
        environment=SlotType.ENVIRONMENT,
        seconds=SlotType.DECIMAL,
    ),
    query(
        FactKind.BIGGEST,
        Chapter.EXTREMES,
        125,
        """SELECT package, version, printf('%.1f', file_size / 1000000.0) AS megabytes FROM cells
           WHERE file_size >= 10000000 ORDER BY file_size DESC, package, version LIMIT 1""",
        package=PACKAGE,
        version=VERSION,
        megabytes=SlotType.DECIMAL,
    ),
    query(
        FactKind.RAREST,
        Chapter.EXTREMES,
        100,
        """SELECT cause, package, version FROM causes
           WHERE cause <> 'unclassified' AND is_single AND (SELECT count(*) FROM causes) > 2
           ORDER BY cells, cause LIMIT 1""",
        cause=_CAUSE,
        package=PACKAGE,
        version=VERSION,
    ),
)

CAUSES: Final = (
    _causes(FactKind.LEADING_CAUSE, 150, "NOT EXISTS"),
    _causes(FactKind.CAUSE, 125, "EXISTS"),
    query(
        FactKind.UNCLASSIFIED,
        Chapter.CAUSES,
        50,
        """SELECT cells, total, printf('%.1f', 100.0 * cells / total) AS percent
           FROM (SELECT sum(cells) FILTER (WHERE cause = 'unclassified') AS cells, sum(cells) AS total FROM causes)
           WHERE cells > 0""",
        cells=COUNT,
        total=COUNT,
        percent=SlotType.PERCENT,
    ),
    query(
        FactKind.ALL_CLASSIFIED,
        Chapter.CAUSES,
        50,
        """SELECT total FROM (SELECT sum(cells) FILTER (WHERE cause = 'unclassified') AS cells, sum(cells) AS total
                              FROM causes) WHERE total > 0 AND cells IS NULL""",
        total=COUNT,
    ),
)
