"""What the newest installation of a package brought with it, and which of that has results here.

Only the ledger's index of installations is asked, so that a build knows whose pages change when a package gets its
first result: those of its dependents.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final

from sqlite_utils import Database

# ruff: noqa: S608 - our own words
_AMONG: Final = "IN (SELECT value FROM json_each(?))"
_INSTALLED: Final = (
    "SELECT n.package, c.installed FROM installations AS n CROSS JOIN records AS c"
    f" WHERE n.package {_AMONG} AND c.record = n.record"
)
_KNOWN: Final = (
    "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM results AS r WHERE r.package = json_each.value)"
)
#: The packages of which every record is newer than a row; their rows in the index of records are read.
_NEW: Final = (
    "SELECT value FROM json_each(?) WHERE NOT EXISTS"
    " (SELECT 1 FROM records AS r WHERE r.package = json_each.value AND r.rowid <= ?)"
)
_DEPENDENTS: Final = f"SELECT DISTINCT package FROM dependents WHERE dependency {_AMONG}"


def read_dependencies(db: Database, packages: Sequence[str]) -> Mapping[str, Mapping[str, bool]]:
    """Return, by package, the sorted names of what it was installed with, and whether each has a result here.

    Where environments differ, a name counts that any of them has.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for package, installed in db.execute(_INSTALLED, (json.dumps([*packages]),)):
        found[package].update(_names(installed))
    every = {name for names in found.values() for name in names}
    known = {name for (name,) in db.execute(_KNOWN, (json.dumps([*every]),))}
    return {package: {name: name in known for name in sorted(names - {package})} for package, names in found.items()}


def dependents_of_new_packages(db: Database, changed: Collection[str], after_row: int) -> set[str]:
    """Return the packages that were installed with any of the changed ones that have no record up to a row."""
    new = [name for (name,) in db.execute(_NEW, (json.dumps([*changed]), after_row))]
    return {package for (package,) in db.execute(_DEPENDENTS, (json.dumps(new),))} if new else set()


@lru_cache(1024)
def _names(installed: str) -> frozenset[str]:
    return frozenset(name for name, *_ in json.loads(installed))
