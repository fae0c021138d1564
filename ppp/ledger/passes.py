"""The current PASSes of each package's newest release: what locks are published of."""

import json
from collections.abc import Iterator
from typing import Final

from sqlite_utils import Database

from ppp.model.record import Installed

_PASSES: Final = (
    "SELECT c.installed FROM newest AS n CROSS JOIN results AS r CROSS JOIN records AS c"
    " WHERE r.package = n.package AND r.version = n.version AND c.record = r.record AND c.result = 'PASS'"
)


def installed_by_passes(db: Database) -> Iterator[tuple[Installed, ...]]:
    """Yield what each of the PASSes installed."""
    for (installed,) in db.execute(_PASSES):
        yield tuple(Installed(name=n, version=v, sha256=h) for n, v, h in json.loads(installed))
