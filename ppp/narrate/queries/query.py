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


#: Every observation of the period, and what it counts as: the current one of its cell as `cell`, or as `exhibit` where
#: the release is an exhibit; any other as `overtaken`.
_SEEN: Final = """
    SELECT c.package, c.version, c.environment, c.result, c.cause, c.node, c.standin, c.phase_full,
           c.phase_import, c.file_size,
           coalesce(c.download_ms, 0) + coalesce(c.nodeps_ms, 0) + coalesce(c.full_ms, 0)
           + coalesce(c.import_ms, 0) AS ms,
           CASE WHEN r.record IS NULL THEN 'overtaken'
                WHEN c.package || '==' || c.version IN (SELECT value FROM json_each(:exhibits)) THEN 'exhibit'
                ELSE 'cell' END AS counts_as
    FROM records AS c
    LEFT JOIN results AS r ON r.package = c.package AND r.version = c.version AND r.environment = c.environment
                          AND r.record = c.record
    WHERE c.observed_at >= :start AND c.observed_at < :end"""
#: The cells of the period: the current observations that were made in it, without those of exhibits.
_CELLS: Final = "SELECT * FROM seen WHERE counts_as = 'cell'"
#: How many observations count as what, by their results. Most are cells that pass: these need not be sorted for it.
_TALLY: Final = """
    SELECT counts_as, result, count(*) AS observations FROM seen
    WHERE counts_as <> 'cell' OR result <> 'PASS' GROUP BY counts_as, result
    UNION ALL
    SELECT 'cell', 'PASS', count(*) FROM seen WHERE counts_as = 'cell' AND result = 'PASS'"""
#: The releases of the period, and whether all of their cells pass.
_TESTED: Final = """
    SELECT package, version, min(result = 'PASS') AS is_whole FROM cells GROUP BY package, version"""
#: The cells of the packages of which any record failed: only these may be failures, passes beside them, or news.
_CANDIDATES: Final = """
    SELECT package, version, environment, result, coalesce(cause, 'unclassified') AS cause, phase_full, phase_import
    FROM cells
    WHERE package IN (SELECT t.package FROM (SELECT DISTINCT package FROM tested) AS t
                      WHERE EXISTS (SELECT 1 FROM records AS f WHERE f.result = 'FAIL' AND f.package = t.package))"""
#: The failures of the period, and the cells of their releases that pass, with what their environments are.
_FAILING: Final = """
    SELECT c.package, c.version, c.environment, c.cause, c.phase_full, c.phase_import, e.platform, e.python_key
    FROM candidates AS c CROSS JOIN environments AS e WHERE c.result = 'FAIL' AND e.environment = c.environment"""
_PASSING: Final = """
    SELECT c.package, c.version, c.environment, e.platform, e.python_key
    FROM candidates AS c CROSS JOIN environments AS e
    WHERE c.result = 'PASS' AND (c.package, c.version) IN (SELECT package, version FROM failing)
      AND e.environment = c.environment"""
#: The causes of these failures: of how many cells and packages; and of which release, if there is one (`is_single`).
_CAUSES: Final = """
    SELECT cause, count(*) AS cells, count(DISTINCT package) AS packages,
           min(package) AS package, min(version) AS version,
           min(package) = max(package) AND min(version) = max(version) AS is_single
    FROM failing GROUP BY cause"""
#: The cells that more than one node checked in the period, and whether with one result; `ERROR` is no verdict.
_SHARED: Final = """
    SELECT min(result) = max(result) AS is_agreed FROM seen
    WHERE result <> 'ERROR' AND (package, version, environment) IN (
        SELECT package, version, environment FROM seen WHERE counts_as = 'overtaken')
    GROUP BY package, version, environment HAVING max(node) > min(node)"""
#: How many observations the period before has, how many of these are verdicts, and how many pass.
_EARLIER: Final = """
    SELECT count(*) AS observations, count(*) FILTER (WHERE result <> 'NA' AND result <> 'ERROR') AS verdicts,
           count(*) FILTER (WHERE result = 'PASS') AS passed
    FROM records WHERE observed_at >= :before AND observed_at < :start"""
#: The current record of the release that comes before a cell's own, among those with a result in the same environment.
_BEFORE: Final = """
    SELECT q.record FROM releases AS p CROSS JOIN results AS q
    WHERE p.package = c.package AND p.version_key < s.version_key
      AND q.package = p.package AND q.version = p.version AND q.environment = c.environment
    ORDER BY p.version_key DESC, p.version DESC LIMIT 1"""
#: The cells that may be news, with the release before (`before`): those that fail, and those that pass where another
#: record failed.
_CHANGES: Final = f"""
    SELECT n.package, n.version, n.environment, n.result, n.cause, n.version_key,
           b.version AS before, b.result AS result_before
    FROM (SELECT c.package, c.version, c.environment, c.result, c.cause, s.version_key, ({_BEFORE}) AS record_before
          FROM candidates AS c CROSS JOIN releases AS s
          WHERE (c.result = 'FAIL'
                 OR c.result = 'PASS' AND EXISTS (
                     SELECT 1 FROM records AS f
                     WHERE f.result = 'FAIL' AND f.package = c.package AND f.environment = c.environment))
            AND s.package = c.package AND s.version = c.version) AS n
    CROSS JOIN records AS b
    WHERE b.record = n.record_before"""  # noqa: S608
#: The changes after a failure: how many releases before them fail in a row there (`failed`); and whether a release that
#: passes comes before these (`passed`), or none at all. Else one without such a verdict comes between: no streak.
_STREAKS: Final = """
    SELECT c.package, c.version, c.environment, c.result, c.before,
           iif(b.result = 'PASS', b.version, NULL) AS passed, coalesce(b.result, 'PASS') = 'PASS' AS is_streak,
           (SELECT count(*) FROM releases AS p CROSS JOIN results AS q
            WHERE p.package = c.package AND p.version_key < c.version_key
              AND p.version_key > coalesce(o.version_key, '')
              AND q.package = p.package AND q.version = p.version AND q.environment = c.environment) AS failed
    FROM (SELECT n.*,
                 (SELECT f.record FROM releases AS p CROSS JOIN results AS q CROSS JOIN records AS f
                  WHERE p.package = n.package AND p.version_key < n.version_key
                    AND q.package = p.package AND q.version = p.version AND q.environment = n.environment
                    AND f.record = q.record AND f.result <> 'FAIL'
                  ORDER BY p.version_key DESC, p.version DESC LIMIT 1) AS ended_by
          FROM changes AS n WHERE n.result_before = 'FAIL') AS c
    LEFT JOIN records AS b ON b.record = c.ended_by
    LEFT JOIN releases AS o ON o.package = b.package AND o.version = b.version"""

#: The shared tables: each may read those above it.
TABLES: Final[dict[str, str]] = {
    name: " ".join(sql.split())
    for name, sql in (
        ("seen", _SEEN),
        ("cells", _CELLS),
        ("tally", _TALLY),
        ("tested", _TESTED),
        ("candidates", _CANDIDATES),
        ("failing", _FAILING),
        ("passing", _PASSING),
        ("causes", _CAUSES),
        ("shared", _SHARED),
        ("earlier", _EARLIER),
        ("changes", _CHANGES),
        ("streaks", _STREAKS),
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
