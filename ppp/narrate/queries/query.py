"""What a query for a kind of fact is, and the tables that all of them read: the observations of the period.

Every statement is complete: it begins with these tables as common table expressions, so that anybody may run it on a
ledger or a snapshot. To gather facts of one period, `ppp.narrate.facts` makes the same tables once, as temporary ones,
and runs what follows. Parameters: `:start` and `:end`, the period in epoch seconds, `:end` excluded; `:before`, where
the period before starts; `:unit`, night or week; `:period`, its name; `:exhibits`, a JSON array of the releases that
are shown for the failure that they have, and are no news.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from ppp.narrate.slots import SlotType


class Chapter(StrEnum):
    """The part of an episode that a fact belongs to, in their order: news first, totals once, fine print last."""

    OPENING = "Opening"
    NEWS = "What changed"
    FINDINGS = "Findings"
    BOARD = "The board"
    EXTREMES = "The extremes"
    CAUSES = "Causes"
    FINE_PRINT = "Fine print"


class FactKind(StrEnum):
    """The kind of a fact."""

    NIGHT = "night"
    WEEK = "week"
    QUIET = "quiet"
    BREAKER = "breaker"
    NEWLY_BROKEN = "newly-broken"
    FIXED = "fixed"
    STREAK = "streak"
    NO_CHANGE = "no-change"
    NO_HISTORY = "no-history"
    VICTIMS = "victims"
    COMEBACK = "comeback"
    DEBUT = "debut"
    LAST_PASS = "last-pass"
    DEPENDENTS = "dependents"
    PASSES_IN = "passes-in"
    BLAMED = "blamed"
    PYTHON_REGRESSION = "python-regression"
    ALPINE_ONLY = "alpine-only"
    NEVER_ON_ALPINE = "never-on-alpine"
    PHANTOM_SUCCESS = "phantom-success"
    OBSERVED = "observed"
    STANDING = "standing"
    ENVIRONMENTS = "environments"
    FAILED = "failed"
    NO_FAILURE = "no-failure"
    RATE_UP = "rate-up"
    RATE_DOWN = "rate-down"
    PASSED = "passed"
    UNBROKEN = "unbroken"
    TIMED_OUT = "timed-out"
    ERRED = "erred"
    NOT_CLAIMED = "not-claimed"
    BUSIER = "busier"
    CALMER = "calmer"
    SLOWEST = "slowest"
    BIGGEST = "biggest"
    RAREST = "rarest"
    LEADING_CAUSE = "leading-cause"
    CAUSE = "cause"
    UNCLASSIFIED = "unclassified"
    ALL_CLASSIFIED = "all-classified"
    COVERAGE = "coverage"
    LOST = "lost"
    DISAGREEMENT = "disagreement"
    AGREEMENT = "agreement"
    CANARY = "canary"
    STANDIN = "standin"
    OVERTAKEN = "overtaken"
    EXHIBITS = "exhibits"
    LEFT_OUT = "left-out"


#: Every observation of the period: whether it is the current one of its cell, and whether of an exhibit.
_SEEN: Final = """
    SELECT c.package, c.version, c.environment, c.result, coalesce(c.cause, 'unclassified') AS cause,
           c.node, c.standin, c.phase_full, c.phase_import, c.file_size,
           coalesce(c.download_ms, 0) + coalesce(c.nodeps_ms, 0) + coalesce(c.full_ms, 0)
           + coalesce(c.import_ms, 0) AS ms,
           r.record IS NOT NULL AS is_current,
           c.package || '==' || c.version IN (SELECT value FROM json_each(:exhibits)) AS is_exhibit
    FROM records AS c
    LEFT JOIN results AS r ON r.package = c.package AND r.version = c.version AND r.environment = c.environment
                          AND r.record = c.record
    WHERE c.observed_at >= :start AND c.observed_at < :end"""
#: The cells of the period: the current observations that were made in it, without those of exhibits.
_CELLS: Final = "SELECT * FROM seen WHERE is_current AND NOT is_exhibit"
#: How many cells have the same result, cause, environment and image.
_TALLY: Final = """
    SELECT result, cause, environment, standin, count(*) AS cells FROM cells
    GROUP BY result, cause, environment, standin"""
#: The releases of the period: how many cells they have, and whether all of these pass.
_TESTED: Final = """
    SELECT package, version, count(*) AS cells, min(result = 'PASS') AS is_whole FROM cells GROUP BY package, version"""
#: The failures of the period, and the cells of their releases that pass, with what their environments are.
_FAILING: Final = """
    SELECT c.package, c.version, c.environment, c.cause, c.phase_full, c.phase_import, e.platform, e.python_key
    FROM cells AS c CROSS JOIN environments AS e WHERE c.result = 'FAIL' AND e.environment = c.environment"""
_PASSING: Final = """
    SELECT c.package, c.version, c.environment, e.platform, e.python_key
    FROM cells AS c CROSS JOIN environments AS e
    WHERE c.result = 'PASS' AND (c.package, c.version) IN (SELECT package, version FROM failing)
      AND e.environment = c.environment"""
#: The cells that more than one node checked in the period; `ERROR` is no verdict.
_SHARED: Final = """
    SELECT count(DISTINCT result) AS results FROM seen
    WHERE result <> 'ERROR'
      AND (package, version, environment) IN (SELECT package, version, environment FROM seen WHERE NOT is_current)
    GROUP BY package, version, environment HAVING max(node) > min(node)"""
#: The results of all observations of the period before.
_EARLIER: Final = """
    SELECT result, count(*) AS observations FROM records
    WHERE observed_at >= :before AND observed_at < :start GROUP BY result"""
#: The history of the cells that may be news: of those that fail, and of those that pass where an earlier record failed.
_HISTORY: Final = """
    SELECT n.package, n.environment, q.version, p.version_key, b.result
    FROM (SELECT DISTINCT package, environment FROM cells AS c
          WHERE (result = 'FAIL'
                 OR result = 'PASS' AND EXISTS (
                     SELECT 1 FROM records AS f
                     WHERE f.result = 'FAIL' AND f.package = c.package AND f.environment = c.environment))
            AND EXISTS (SELECT 1 FROM releases AS o WHERE o.package = c.package AND o.version <> c.version)) AS n
    CROSS JOIN releases AS p CROSS JOIN results AS q CROSS JOIN records AS b
    WHERE p.package = n.package AND q.package = p.package AND q.version = p.version AND q.environment = n.environment
      AND b.record = q.record"""
#: Each release of these, with the release before it on record in the same environment (`before`); the newest earlier
#: one that passes there (`passed`); and, of those after that one, how many fail (`failed`), how many do not (`others`).
_RUNS: Final = """
    SELECT package, environment, version,
           lag(version) OVER earlier AS before, lag(result) OVER earlier AS result_before,
           substr(opened, instr(opened, ' ') + 1) AS passed,
           sum(result = 'FAIL') OVER run - (result = 'FAIL') AS failed,
           sum(result <> 'FAIL') OVER run - (result <> 'FAIL') AS others
    FROM (SELECT *, max(iif(result = 'PASS', version_key || ' ' || version, NULL)) OVER (
                        PARTITION BY package, environment ORDER BY version_key
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS opened
          FROM history)
    WINDOW earlier AS (PARTITION BY package, environment ORDER BY version_key),
           run AS (PARTITION BY package, environment, opened ORDER BY version_key)"""
#: The cells that may be news.
_CHANGES: Final = """
    SELECT c.package, c.version, c.environment, c.result, c.cause, r.before, r.result_before, r.passed, r.failed,
           r.others
    FROM cells AS c CROSS JOIN runs AS r
    WHERE c.result IN ('FAIL', 'PASS') AND r.package = c.package AND r.version = c.version
      AND r.environment = c.environment AND r.before IS NOT NULL"""

#: The shared tables: each may read those above it.
TABLES: Final[dict[str, str]] = {
    name: " ".join(sql.split())
    for name, sql in (
        ("seen", _SEEN),
        ("cells", _CELLS),
        ("tally", _TALLY),
        ("tested", _TESTED),
        ("failing", _FAILING),
        ("passing", _PASSING),
        ("shared", _SHARED),
        ("earlier", _EARLIER),
        ("history", _HISTORY),
        ("runs", _RUNS),
        ("changes", _CHANGES),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FactQuery:
    """The query for one kind of fact: each row of `body` is a fact, its columns are the slots.

    A kind with a `key` may have many facts, which differ in these slots. Any other kind has one fact or none. `about`
    are the kinds of which a fact of this kind says what one of them means: it is asked for a release that one is
    about, and follows it. `weight` says how much of a news it is, among the facts of its chapter. `is_private` says
    that it reads what only a ledger holds, and no snapshot.
    """

    kind: FactKind
    chapter: Chapter
    weight: int
    slots: Mapping[str, SlotType]
    body: str
    key: tuple[str, ...] = ()
    about: tuple[FactKind, ...] = ()
    is_private: bool = False

    @property
    def is_headline(self) -> bool:
        """Whether there may be more facts of this kind than an episode has time for."""
        return bool(self.key) and not self.about

    @property
    def fact_sql(self) -> str:
        """The SQL that returns a single fact of this kind, by its key."""
        key = " AND ".join(f"{name} = :{name}" for name in self.key)
        body = f"SELECT * FROM ({self.body}) WHERE {key}" if self.key and not self.about else self.body  # noqa: S608
        return complete_sql(body, of_package="package" in self.key)

    @property
    def sql(self) -> str:
        """The complete SQL that returns all facts of this kind."""
        return complete_sql(self.body, of_package="package" in self.key)


@cache
def complete_sql(body: str, *, of_package: bool) -> str:
    """Return a statement with the shared tables that it reads; of one package, only with its observations."""
    needed: list[str] = []
    text = body
    for name, sql in reversed(TABLES.items()):
        if re.search(rf"\b(?:FROM|JOIN) {name}\b", text):
            narrow = " AND c.package = :package" if of_package and name == "seen" else ""
            needed.insert(0, f"{name} AS ({sql}{narrow})")
            text += sql
    return f"WITH {', '.join(needed)} {body}" if needed else body


COUNT: Final = SlotType.COUNT
PACKAGE: Final = SlotType.PACKAGE
VERSION: Final = SlotType.VERSION
ENVIRONMENTS: Final = SlotType.ENVIRONMENTS
#: The environments of a group of rows.
IN_ENVIRONMENTS: Final = "json_group_array(DISTINCT environment) AS environments"


def query(
    kind: FactKind,
    chapter: Chapter,
    weight: int,
    sql: str,
    *key: str,
    about: tuple[FactKind, ...] = (),
    is_private: bool = False,
    **slots: SlotType,
) -> FactQuery:
    """Return a query, its SQL on one line."""
    return FactQuery(
        kind=kind,
        chapter=chapter,
        weight=weight,
        slots=slots,
        body=" ".join(sql.split()),
        key=key,
        about=about,
        is_private=is_private,
    )
