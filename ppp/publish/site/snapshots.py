"""`/data/`: the snapshots in the folder with their digests, and how to verify and query them.

A build reads only their descriptions, never the databases. `snapshots/index.json` has the digests of all snapshots and
is covered by `files.json`, so that no build has to hash a database.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from ppp.ledger.downloads import PeriodSource
from ppp.publish import text
from ppp.publish.api.encoding import indented_bytes
from ppp.publish.site.templates import render
from ppp.publish.snapshots.description import Snapshot, SnapshotKind

SCHEMA: Final = "ppp-snapshots-1"
INDEX: Final = "snapshots/index.json"
#: Bytes of HTML for closed months; older ones are only in the JSON file.
MONTHS_BUDGET: Final = 16_000
_ROW_BYTES: Final = 620
_ORDER: Final = (SnapshotKind.WINDOW, SnapshotKind.DAY, SnapshotKind.MONTH)


def data_files(
    snapshots: Sequence[Snapshot], as_of: int | None, downloads: PeriodSource | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield `/data/index.html` and `snapshots/index.json` for the given snapshots, with the source of downloads."""
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
            downloads=downloads,
        ),
    )


def _index(snapshots: Sequence[Snapshot], latest: Snapshot | None) -> bytes:
    document = {
        "schema": SCHEMA,
        "latest": latest and latest.file,
        "snapshots": [snapshot.to_json() for snapshot in snapshots],
    }
    return indented_bytes(document)
