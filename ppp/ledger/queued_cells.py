"""Cells that wait in the queue of a release that has a result elsewhere: its pages say of each that it is queued.

A cell that has a result and waits to be checked again is not among them: it is shown by its result.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from sqlite_utils import Database

#: Also what was checked and waits for the canary's result: see the view `coverage_releases`.
_WAITING: Final = (
    "SELECT package, version, environment FROM queue{0}"
    " UNION SELECT document ->> 'package', document ->> 'version', environment FROM pending"
)
_FOUND: Final = (
    "SELECT q.package, q.version, q.environment FROM ({0}) AS q"
    " WHERE EXISTS (SELECT 1 FROM results AS r WHERE r.package = q.package AND r.version = q.version)"
    " AND NOT EXISTS (SELECT 1 FROM results AS r"
    " WHERE r.package = q.package AND r.version = q.version AND r.environment = q.environment)"
    " ORDER BY 1, 2, 3"
)
_ALL: Final = _FOUND.format(_WAITING.format(""))
_OF_PACKAGES: Final = _FOUND.format(_WAITING.format(" WHERE package IN (SELECT value FROM json_each(?))"))


def queued_cells(db: Database, packages: Iterable[str] | None = None) -> dict[str, dict[str, list[str]]]:
    """Return, by package and version, the sorted environments that are queued while another one has a result.

    `packages` are those to look at; None: all of them, which reads the queue once.
    """
    rows = db.execute(_ALL) if packages is None else db.execute(_OF_PACKAGES, (json.dumps([*packages]),))
    found: dict[str, dict[str, list[str]]] = {}
    for package, version, environment in rows:
        found.setdefault(package, {}).setdefault(version, []).append(environment)
    return found


def packages_queued_otherwise(before: Mapping[str, object], now: Mapping[str, Mapping[str, list[str]]]) -> set[str]:
    """Return the packages of which other cells are queued than before; both are as `queued_cells` returns them."""
    return {package for package in {*before, *now} if before.get(package) != now.get(package)}
