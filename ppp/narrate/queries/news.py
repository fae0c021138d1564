"""Facts about what changed: releases that broke, were fixed, fail again, or broke others; and what that means."""

from typing import Final

from ppp.narrate.queries.query import (
    COUNT,
    ENVIRONMENTS,
    IN_ENVIRONMENTS,
    PACKAGE,
    VERSION,
    Chapter,
    FactKind,
    query,
)
from ppp.narrate.slots import MAX_NAMED, SlotType

#: A release whose earlier ones failed at least so many times in a row has a streak, or ends one.
MIN_STREAK: Final = 2

_CHANGED: Final = (FactKind.NEWLY_BROKEN, FactKind.FIXED, FactKind.STREAK, FactKind.BREAKER)
_FAILS: Final = (
    FactKind.NEWLY_BROKEN,
    FactKind.STREAK,
    FactKind.PYTHON_REGRESSION,
    FactKind.ALPINE_ONLY,
    FactKind.PHANTOM_SUCCESS,
)
_BROKE: Final = """
    FROM flips WHERE observed_at >= :start AND observed_at < :end AND flip = 'broke' AND trigger_kind = 'dependency'
                 AND confirmed"""
#: What a headline means has to be so in all environments that it names: "there" is all of them.
_SAME_EVERYWHERE: Final = """
    min(is_streak) AND min(failed) = max(failed) AND min(before) = max(before)
    AND min(coalesce(passed, '')) = max(coalesce(passed, ''))"""
_EARLIER_RELEASE: Final = """
    EXISTS (SELECT 1 FROM releases AS s CROSS JOIN releases AS o CROSS JOIN results AS r
            WHERE s.package = c.package AND s.version = c.version
              AND o.package = c.package AND o.version_key < s.version_key
              AND r.package = o.package AND r.version = o.version AND r.environment = c.environment)"""
_OF_RELEASE: Final = "package = :package AND version = :version"

NEWS: Final = (
    query(
        FactKind.BREAKER,
        Chapter.NEWS,
        400,
        f"""SELECT trigger_name AS package, trigger_version AS version, count(DISTINCT package) AS dependents,
                   {IN_ENVIRONMENTS} {_BROKE} GROUP BY 1, 2 ORDER BY dependents DESC, 1, 2""",
        "package",
        "version",
        package=PACKAGE,
        version=VERSION,
        dependents=COUNT,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.NEWLY_BROKEN,
        Chapter.NEWS,
        300,
        f"""SELECT package, version, before, cause, {IN_ENVIRONMENTS} FROM changes
            WHERE result = 'FAIL' AND result_before = 'PASS'
            GROUP BY 1, 2, 3, 4 ORDER BY count(*) DESC, 1, 2, 3, 4""",  # noqa: S608
        "package",
        "version",
        "before",
        "cause",
        package=PACKAGE,
        version=VERSION,
        before=VERSION,
        cause=SlotType.CAUSE,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.FIXED,
        Chapter.NEWS,
        275,
        f"""SELECT package, version, before, {IN_ENVIRONMENTS} FROM changes
            WHERE result = 'PASS' AND result_before = 'FAIL' GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3""",  # noqa: S608
        "package",
        "version",
        "before",
        package=PACKAGE,
        version=VERSION,
        before=VERSION,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.STREAK,
        Chapter.NEWS,
        200,
        f"""SELECT package, version, failed + 1 AS releases, {IN_ENVIRONMENTS} FROM streaks
            WHERE result = 'FAIL' AND is_streak AND failed >= {MIN_STREAK}
            GROUP BY 1, 2, 3 ORDER BY releases DESC, count(*) DESC, 1, 2""",  # noqa: S608
        "package",
        "version",
        "releases",
        package=PACKAGE,
        version=VERSION,
        releases=COUNT,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.NO_CHANGE,
        Chapter.NEWS,
        100,
        f"""SELECT * FROM (
                SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM changes WHERE result = 'FAIL' AND result_before = 'PASS'
                                                                     OR result = 'PASS' AND result_before = 'FAIL')
                       THEN (SELECT count(DISTINCT package || '==' || version) FROM cells AS c WHERE {_EARLIER_RELEASE})
                       END AS releases)
            WHERE releases > 0""",  # noqa: S608
        releases=COUNT,
    ),
    query(
        FactKind.NO_HISTORY,
        Chapter.NEWS,
        100,
        f"""SELECT releases FROM (SELECT count(*) AS releases FROM tested)
           WHERE releases > 0 AND NOT EXISTS (SELECT 1 FROM cells AS c WHERE {_EARLIER_RELEASE})""",  # noqa: S608
        releases=COUNT,
    ),
)

#: What the facts above and below mean: asked for one release that an episode names.
CONTEXT: Final = (
    query(
        FactKind.VICTIMS,
        Chapter.NEWS,
        90,
        f"""SELECT trigger_name AS package, trigger_version AS version, json_group_array(DISTINCT package) AS packages
            {_BROKE} AND trigger_name = :package AND trigger_version = :version GROUP BY 1, 2
            HAVING count(DISTINCT flips.package) <= {MAX_NAMED}""",
        "package",
        "version",
        about=(FactKind.BREAKER,),
        package=PACKAGE,
        version=VERSION,
        packages=SlotType.PACKAGES,
    ),
    query(
        FactKind.COMEBACK,
        Chapter.NEWS,
        80,
        f"""SELECT package, version, min(passed) AS since, min(failed) AS failed FROM streaks
            WHERE {_OF_RELEASE} AND result = 'PASS' GROUP BY 1, 2
            HAVING {_SAME_EVERYWHERE} AND min(failed) >= {MIN_STREAK} AND count(passed) = count(*)""",  # noqa: S608
        "package",
        "version",
        about=(FactKind.FIXED,),
        package=PACKAGE,
        version=VERSION,
        since=VERSION,
        failed=COUNT,
    ),
    query(
        FactKind.DEBUT,
        Chapter.NEWS,
        80,
        f"""SELECT package, version, min(failed) AS failed FROM streaks
            WHERE {_OF_RELEASE} AND result = 'PASS' GROUP BY 1, 2
            HAVING {_SAME_EVERYWHERE} AND count(passed) = 0""",  # noqa: S608
        "package",
        "version",
        about=(FactKind.FIXED,),
        package=PACKAGE,
        version=VERSION,
        failed=COUNT,
    ),
    query(
        FactKind.LAST_PASS,
        Chapter.NEWS,
        80,
        f"""SELECT package, version, min(passed) AS passed FROM streaks
            WHERE {_OF_RELEASE} AND result = 'FAIL' AND is_streak AND failed >= {MIN_STREAK} GROUP BY 1, 2
            HAVING {_SAME_EVERYWHERE} AND count(passed) = count(*)""",  # noqa: S608
        "package",
        "version",
        about=(FactKind.STREAK,),
        package=PACKAGE,
        version=VERSION,
        passed=VERSION,
    ),
    query(
        FactKind.DEPENDENTS,
        Chapter.NEWS,
        60,
        """SELECT * FROM (SELECT :package AS package, count(DISTINCT package) AS dependents
                          FROM dependents WHERE dependency = :package)
           WHERE dependents > 0""",
        "package",
        about=_CHANGED,
        is_private=True,
        package=PACKAGE,
        dependents=COUNT,
    ),
    query(
        FactKind.BLAMED,
        Chapter.NEWS,
        50,
        f"""SELECT package, version, min(coalesce(blame, 'unknown')) AS blame FROM judged
            WHERE {_OF_RELEASE} AND result = 'FAIL' AND observed_at >= :start AND observed_at < :end
            GROUP BY 1, 2 HAVING count(DISTINCT coalesce(blame, 'unknown')) = 1""",  # noqa: S608
        "package",
        "version",
        about=_FAILS,
        package=PACKAGE,
        version=VERSION,
        blame=SlotType.BLAME,
    ),
    query(
        FactKind.PASSES_IN,
        Chapter.NEWS,
        40,
        f"""SELECT package, version, {IN_ENVIRONMENTS} FROM current
            WHERE {_OF_RELEASE} AND result = 'PASS' GROUP BY 1, 2""",  # noqa: S608
        "package",
        "version",
        about=(FactKind.NEWLY_BROKEN, FactKind.STREAK, FactKind.PHANTOM_SUCCESS),
        package=PACKAGE,
        version=VERSION,
        environments=ENVIRONMENTS,
    ),
)
