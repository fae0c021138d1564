"""The current PASSes: of each package's newest release, of which locks are published; and all of an environment."""

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlite_utils import Database

from ppp.model.cell_result import CellResult
from ppp.model.record import Installed, Result

_PASSES: Final = (
    "SELECT c.installed FROM newest AS n CROSS JOIN results AS r CROSS JOIN records AS c"
    " WHERE r.package = n.package AND r.version = n.version AND c.record = r.record AND c.result = 'PASS'"
)

_PASSED_IN: Final = (
    "SELECT r.package, c.file_sha256, c.version, c.record, c.primary_module, c.imports"
    " FROM results AS r CROSS JOIN records AS c"
    " WHERE r.environment = ? AND c.record = r.record AND c.result = 'PASS' AND c.file_sha256 IS NOT NULL"
    " ORDER BY r.package, c.version"
)
_RESULTS_IN: Final = (
    "SELECT version, result, cause FROM current WHERE package = ? AND environment = ? ORDER BY version_key DESC"
)


class PassedFile(NamedTuple):
    """A file that is proven in an environment: the id of its PASS, and the modules that decide whether it imports."""

    package: str
    sha256: str
    version: str
    record: str
    modules: tuple[str, ...]


def files_that_passed(db: Database, environment: str) -> Iterator[PassedFile]:
    """Yield the files whose release passes in an environment now, by package."""
    for package, sha256, version, record, primary, imports in db.execute(_PASSED_IN, (environment,)):
        modules = json.loads(imports) if primary is None else [primary]
        yield PassedFile(package, sha256, version, record, tuple(modules))


def results_in(db: Database, package: str, environment: str) -> list[CellResult]:
    """Return the current results of a package's releases in an environment, the newest release first."""
    rows = db.execute(_RESULTS_IN, (package, environment))
    return [CellResult(version, Result(result), cause) for version, result, cause in rows]


def installed_by_passes(db: Database) -> Iterator[tuple[Installed, ...]]:
    """Yield what each of the PASSes installed."""
    for (installed,) in db.execute(_PASSES):
        yield tuple(Installed(name=n, version=v, sha256=h) for n, v, h in json.loads(installed))
