"""The queries for the facts of an episode: one SQL statement for each kind of fact, and the types of its columns.

A day's cells are those whose current record was observed on that day; records that were superseded since are only
counted. Every statement takes `:start` and `:end`, the day in epoch seconds, `:end` excluded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: A sentence lists at most so many packages by name.
MAX_NAMED: Final = 8


class SlotType(StrEnum):
    """The type of a slot's value; the plural ones are sorted lists."""

    COUNT = "count"
    PERCENT = "percent"
    DAY = "day"
    PACKAGE = "package"
    PACKAGES = "packages"
    VERSION = "version"
    ENVIRONMENT = "environment"
    ENVIRONMENTS = "environments"
    CAUSE = "cause"


class FactKind(StrEnum):
    """The kind of a fact."""

    QUIET = "quiet"
    OBSERVED = "observed"
    STANDING = "standing"
    PACKAGES = "packages"
    ENVIRONMENTS = "environments"
    FAILED = "failed"
    NO_FAILURE = "no-failure"
    PASSED = "passed"
    TIMED_OUT = "timed-out"
    ERRED = "erred"
    NOT_CLAIMED = "not-claimed"
    UNBROKEN = "unbroken"
    NEWLY_BROKEN = "newly-broken"
    ALPINE_ONLY = "alpine-only"
    PYTHON_REGRESSION = "python-regression"
    PHANTOM_SUCCESS = "phantom-success"
    NEVER_ON_ALPINE = "never-on-alpine"
    FIXED = "fixed"
    LEADING_CAUSE = "leading-cause"
    CAUSE = "cause"
    UNCLASSIFIED = "unclassified"
    ALL_CLASSIFIED = "all-classified"
    STANDIN = "standin"
    OVERTAKEN = "overtaken"
    LEFT_OUT = "left-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactQuery:
    """The query for one kind of fact: each row of `sql` is a fact, its columns are the slots.

    A kind with a `key` may have many facts, which differ in these slots. Any other kind has one fact or none.
    """

    kind: FactKind
    slots: Mapping[str, SlotType]
    sql: str
    key: tuple[str, ...] = ()

    @property
    def fact_sql(self) -> str:
        """The SQL that returns a single fact of this kind, by its key."""
        if not self.key:
            return self.sql
        return f"SELECT * FROM ({self.sql}) WHERE {' AND '.join(f'{name} = :{name}' for name in self.key)}"  # noqa: S608 - only our own constants, here and below


def _query(kind: FactKind, sql: str, *key: str, **slots: SlotType) -> FactQuery:
    return FactQuery(kind=kind, sql=" ".join(sql.split()), key=key, slots=slots)


_COUNT: Final = SlotType.COUNT
_DAY: Final = "observed_at >= :start AND observed_at < :end"
_CURRENT_CELLS: Final = f"FROM current WHERE {_DAY}"
_FAILED_CELLS: Final = f"{_CURRENT_CELLS} AND result = 'FAIL'"
_CAUSE_NAME: Final = "coalesce(cause, 'unclassified')"


def _count_result(kind: FactKind, result: str) -> FactQuery:
    sql = (
        f"SELECT * FROM (SELECT sum(result = '{result}') AS cells, count(*) AS total {_CURRENT_CELLS}) WHERE cells > 0"  # noqa: S608
    )
    return _query(kind, sql, cells=_COUNT, total=_COUNT)


def _from_view(kind: FactKind, view: str, *, environments: str = "environment", **more: SlotType) -> FactQuery:
    key = ("package", "version", "cause", *more)
    groups = ", ".join(str(place) for place, _ in enumerate(key, 1))
    sql = f"""
        SELECT package, version, {_CAUSE_NAME} AS cause, {"".join(f"{name}, " for name in more)}
               json_group_array(DISTINCT {environments}) AS environments
        FROM {view} WHERE record IN (SELECT record FROM records WHERE {_DAY})
        GROUP BY {groups} ORDER BY count(*) DESC, {groups}"""  # noqa: S608
    return _query(
        kind,
        sql,
        *key,
        package=SlotType.PACKAGE,
        version=SlotType.VERSION,
        cause=SlotType.CAUSE,
        environments=SlotType.ENVIRONMENTS,
        **more,
    )


def _transition(kind: FactKind, *, before: str, now: str, **why: SlotType) -> FactQuery:
    # The release before is the next lower version that the ledger has in the same environment.
    key = ("package", "version", "before", *why)
    sql = f"""
        SELECT package, version, before, {"".join(f"{name}, " for name in why)}
               json_group_array(DISTINCT environment) AS environments
        FROM (SELECT c.package, c.version, c.environment, coalesce(c.cause, 'unclassified') AS cause,
                     b.version AS before
              FROM (SELECT * {_CURRENT_CELLS} AND result = '{now}') AS c
              JOIN current AS b ON b.package = c.package AND b.environment = c.environment AND b.result = '{before}'
              WHERE b.version_key = (SELECT max(p.version_key) FROM current AS p
                                     WHERE p.package = c.package AND p.environment = c.environment
                                       AND p.version_key < c.version_key))
        GROUP BY {", ".join(key)} ORDER BY count(*) DESC, {", ".join(key)}"""  # noqa: S608
    return _query(
        kind,
        sql,
        *key,
        package=SlotType.PACKAGE,
        version=SlotType.VERSION,
        before=SlotType.VERSION,
        environments=SlotType.ENVIRONMENTS,
        **why,
    )


def _causes(kind: FactKind, condition: str) -> FactQuery:
    sql = f"""
        WITH causes AS (SELECT {_CAUSE_NAME} AS cause, count(*) AS cells, count(DISTINCT package) AS packages
                        {_FAILED_CELLS} GROUP BY 1)
        SELECT cause, cells, packages FROM causes AS c
        WHERE cause <> 'unclassified'
          AND {condition} (SELECT 1 FROM causes AS o WHERE o.cause <> c.cause AND o.cells >= c.cells)
        ORDER BY cells DESC, cause"""  # noqa: S608
    return _query(kind, sql, "cause", cause=SlotType.CAUSE, cells=_COUNT, packages=_COUNT)


_QUERIES: Final = (
    _query(
        FactKind.QUIET,
        f"SELECT date(:start, 'unixepoch') AS day WHERE NOT EXISTS (SELECT 1 FROM records WHERE {_DAY})",  # noqa: S608
        day=SlotType.DAY,
    ),
    _query(
        FactKind.OBSERVED,
        f"""SELECT * FROM (SELECT date(:start, 'unixepoch') AS day, count(DISTINCT node) AS nodes,
                                  count(*) AS observations FROM records WHERE {_DAY})
            WHERE observations > 0""",  # noqa: S608
        day=SlotType.DAY,
        nodes=_COUNT,
        observations=_COUNT,
    ),
    _query(
        FactKind.STANDING,
        f"""SELECT * FROM (SELECT count(*) AS cells, count(DISTINCT package || '=' || version) AS releases,
                                  count(DISTINCT package) AS packages {_CURRENT_CELLS})
            WHERE cells > 0""",  # noqa: S608
        cells=_COUNT,
        releases=_COUNT,
        packages=_COUNT,
    ),
    _query(
        FactKind.PACKAGES,
        f"""SELECT packages FROM (SELECT json_group_array(DISTINCT package) AS packages,
                                         count(DISTINCT package) AS named {_CURRENT_CELLS})
            WHERE named BETWEEN 1 AND {MAX_NAMED}""",  # noqa: S608
        packages=SlotType.PACKAGES,
    ),
    _query(
        FactKind.ENVIRONMENTS,
        f"""SELECT environments FROM (SELECT json_group_array(DISTINCT environment) AS environments,
                                             count(*) AS cells {_CURRENT_CELLS})
            WHERE cells > 0""",  # noqa: S608
        environments=SlotType.ENVIRONMENTS,
    ),
    _count_result(FactKind.FAILED, "FAIL"),
    _query(
        FactKind.NO_FAILURE,
        f"""SELECT total FROM (SELECT count(*) AS total, sum(result = 'FAIL') AS failed {_CURRENT_CELLS})
            WHERE failed = 0""",  # noqa: S608
        total=_COUNT,
    ),
    _count_result(FactKind.PASSED, "PASS"),
    _count_result(FactKind.TIMED_OUT, "TIMEOUT"),
    _count_result(FactKind.ERRED, "ERROR"),
    _count_result(FactKind.NOT_CLAIMED, "NA"),
    _query(
        FactKind.UNBROKEN,
        f"""SELECT * FROM (SELECT sum(whole) AS releases, count(*) AS total
                           FROM (SELECT min(result = 'PASS') AS whole {_CURRENT_CELLS} GROUP BY package, version))
            WHERE releases > 0""",  # noqa: S608
        releases=_COUNT,
        total=_COUNT,
    ),
    _transition(FactKind.NEWLY_BROKEN, before="PASS", now="FAIL", cause=SlotType.CAUSE),
    _from_view(FactKind.ALPINE_ONLY, "alpine_only"),
    _from_view(
        FactKind.PYTHON_REGRESSION, "python_regressions", environments="fails_in", passes_in=SlotType.ENVIRONMENT
    ),
    _from_view(FactKind.PHANTOM_SUCCESS, "phantom_successes"),
    _query(
        FactKind.NEVER_ON_ALPINE,
        """SELECT package, versions FROM never_on_alpine
           WHERE last_observed_at >= :start AND last_observed_at < :end ORDER BY versions DESC, package""",
        "package",
        package=SlotType.PACKAGE,
        versions=_COUNT,
    ),
    _transition(FactKind.FIXED, before="FAIL", now="PASS"),
    _causes(FactKind.LEADING_CAUSE, "NOT EXISTS"),
    _causes(FactKind.CAUSE, "EXISTS"),
    _query(
        FactKind.UNCLASSIFIED,
        f"""SELECT cells, total, printf('%.1f', 100.0 * cells / total) AS percent
            FROM (SELECT sum({_CAUSE_NAME} = 'unclassified') AS cells, count(*) AS total {_FAILED_CELLS})
            WHERE cells > 0""",  # noqa: S608
        cells=_COUNT,
        total=_COUNT,
        percent=SlotType.PERCENT,
    ),
    _query(
        FactKind.ALL_CLASSIFIED,
        f"""SELECT total FROM (SELECT sum({_CAUSE_NAME} = 'unclassified') AS cells, count(*) AS total {_FAILED_CELLS})
            WHERE cells = 0""",  # noqa: S608
        total=_COUNT,
    ),
    _query(
        FactKind.STANDIN,
        f"""SELECT * FROM (SELECT count(*) AS cells, json_group_array(DISTINCT environment) AS environments
                           {_CURRENT_CELLS} AND standin = 1)
            WHERE cells > 0""",  # noqa: S608
        cells=_COUNT,
        environments=SlotType.ENVIRONMENTS,
    ),
    _query(
        FactKind.OVERTAKEN,
        f"""SELECT observations FROM (SELECT (SELECT count(*) FROM records WHERE {_DAY})
                                           - (SELECT count(*) {_CURRENT_CELLS}) AS observations)
            WHERE observations > 0""",  # noqa: S608
        observations=_COUNT,
    ),
)


def _left_out(queries: Iterable[FactQuery]) -> FactQuery:
    found = " UNION ALL ".join(f"SELECT count(*) AS found FROM ({query.sql})" for query in queries if query.key)  # noqa: S608
    sql = f"""
        SELECT * FROM (SELECT :told AS told, sum(found) - :told AS left_out FROM ({found}))
        WHERE left_out > 0"""  # noqa: S608
    return _query(FactKind.LEFT_OUT, sql, told=_COUNT, left_out=_COUNT)


#: Every query, in the order of the facts in a script.
FACT_QUERIES: Final[Mapping[FactKind, FactQuery]] = {q.kind: q for q in (*_QUERIES, _left_out(_QUERIES))}
