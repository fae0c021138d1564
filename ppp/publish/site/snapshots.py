"""`/data/`: the snapshots that lie in the folder, with what vouches for each, and how to check and to ask them.

A build reads their descriptions, never the databases. `snapshots/index.json` holds them together: `files.json` covers
that list, and with it every snapshot, so that no build has to hash a database.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from ppp.publish import text
from ppp.publish.site.front import render
from ppp.publish.snapshots.database import Snapshot, SnapshotKind

SCHEMA: Final = "ppp-snapshots-1"
INDEX: Final = "snapshots/index.json"
#: Bytes of HTML that a page spends on closed months; the rest is in the list.
MONTHS_BUDGET: Final = 16_000
_ROW_BYTES: Final = 620
_ORDER: Final = (SnapshotKind.WINDOW, SnapshotKind.DAY, SnapshotKind.MONTH)


def data_files(snapshots: Sequence[Snapshot], as_of: int | None) -> Iterator[tuple[str, bytes]]:
    """`/data/index.html` and `snapshots/index.json`, of the snapshots that are there; nothing of them is read here."""
    by_kind = {
        kind: sorted((s for s in snapshots if s.kind is kind), key=lambda s: s.file, reverse=True) for kind in _ORDER
    }
    latest = next(iter(by_kind[SnapshotKind.DAY]), None)
    yield INDEX, _index([s for kind in _ORDER for s in by_kind[kind]], latest)
    path = "data/index.html"
    shown = text.fit_budget(by_kind[SnapshotKind.MONTH], MONTHS_BUDGET, lambda _: _ROW_BYTES)
    yield (
        path,
        render(
            "data.html",
            path=path,
            as_of=as_of,
            latest=latest,
            window=next(iter(by_kind[SnapshotKind.WINDOW]), None),
            days=by_kind[SnapshotKind.DAY],
            months=shown,
            older=len(by_kind[SnapshotKind.MONTH]) - len(shown),
        ),
    )


def _index(snapshots: Sequence[Snapshot], latest: Snapshot | None) -> bytes:
    document = {
        "schema": SCHEMA,
        "latest": latest and latest.file,
        "snapshots": [snapshot.to_json() for snapshot in snapshots],
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")
