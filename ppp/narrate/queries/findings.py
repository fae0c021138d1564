"""Facts about what several cells show together, as the views of the same names say: asked for the cells of the period.

The views start from all current results, and take minutes where the ledger is large. These statements start from the
period's failures, and look up the other cells of their releases.
"""

from typing import Final

from ppp.narrate.queries.query import COUNT, ENVIRONMENTS, IN_ENVIRONMENTS, PACKAGE, VERSION, Chapter, FactKind, query
from ppp.narrate.slots import SlotType

_CAUSE: Final = SlotType.CAUSE
_KEY: Final = ("package", "version", "cause")
_GROUP: Final = "GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3"
FINDINGS: Final = (
    query(
        FactKind.PYTHON_REGRESSION,
        Chapter.FINDINGS,
        200,
        f"""SELECT package, version, cause, passes_in, {IN_ENVIRONMENTS}
            FROM (SELECT f.package, f.version, f.cause, f.environment,
                         (SELECT p.environment FROM passing AS p
                          WHERE p.package = f.package AND p.version = f.version
                            AND p.platform = f.platform AND p.python_key < f.python_key
                          ORDER BY p.python_key DESC LIMIT 1) AS passes_in
                  FROM failing AS f)
            WHERE passes_in IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY count(*) DESC, 1, 2, 3, 4""",  # noqa: S608
        *_KEY,
        "passes_in",
        package=PACKAGE,
        version=VERSION,
        cause=_CAUSE,
        passes_in=SlotType.ENVIRONMENT,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.ALPINE_ONLY,
        Chapter.FINDINGS,
        200,
        f"""SELECT package, version, cause, {IN_ENVIRONMENTS} FROM failing AS f
            WHERE platform = 'alpine'
              AND EXISTS (SELECT 1 FROM passing AS p WHERE p.package = f.package AND p.version = f.version
                                                       AND p.platform = 'slim' AND p.python_key = f.python_key)
            {_GROUP}""",  # noqa: S608
        *_KEY,
        package=PACKAGE,
        version=VERSION,
        cause=_CAUSE,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.PHANTOM_SUCCESS,
        Chapter.FINDINGS,
        175,
        f"""SELECT package, version, cause, {IN_ENVIRONMENTS} FROM failing
            WHERE phase_full = 'PASS' AND phase_import = 'FAIL' {_GROUP}""",  # noqa: S608
        *_KEY,
        package=PACKAGE,
        version=VERSION,
        cause=_CAUSE,
        environments=ENVIRONMENTS,
    ),
    query(
        FactKind.NEVER_ON_ALPINE,
        Chapter.FINDINGS,
        150,
        """SELECT n.package, (SELECT count(DISTINCT r.version)
                              FROM results AS r CROSS JOIN environments AS e CROSS JOIN records AS c
                              WHERE r.package = n.package AND e.environment = r.environment AND e.platform = 'alpine'
                                AND c.record = r.record AND c.result <> 'ERROR') AS versions
           FROM (SELECT DISTINCT package FROM failing WHERE platform = 'alpine' AND phase_full <> 'PASS'
                   AND package IN (SELECT package FROM passing WHERE platform = 'slim')) AS n
           WHERE NOT EXISTS (SELECT 1 FROM results AS r CROSS JOIN environments AS e CROSS JOIN records AS c
                             WHERE r.package = n.package AND e.environment = r.environment AND e.platform = 'alpine'
                               AND c.record = r.record AND c.result <> 'ERROR' AND c.phase_full = 'PASS')
             AND versions > 1
           ORDER BY versions DESC, 1""",
        "package",
        package=PACKAGE,
        versions=COUNT,
    ),
)
