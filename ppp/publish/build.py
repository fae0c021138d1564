"""The whole of what is published, from one state of the ledger: the same records give the same bytes.

What is written where can be read off `_contents`; `current.json` and its digest come last.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.config import DEFAULT_BASE_URL, resource
from ppp.ledger import published, queries
from ppp.ledger.batches import batch_files
from ppp.ledger.episodes import newest_episode
from ppp.ledger.schema import sqlite_errors
from ppp.publish.current import current_bytes, current_document
from ppp.publish.feeds import newest_items, rss
from ppp.publish.files import Output
from ppp.publish.package import Observed, package_page
from ppp.publish.pages import STRIP, Front, about_page, front_page, matrix_rows, package_lists

TOP_CAUSES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a build came to; paths are within the folder, `as_of` is in epoch seconds, None where there is no record."""

    current_sha256: str
    files_sha256: str
    root: str
    records: int
    as_of: int | None
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def build(db: Database, out: Path, *, base_url: str = DEFAULT_BASE_URL) -> Published:
    """Publish a ledger into a folder; files whose bytes did not change are left alone.

    Raises `DiskFullError`, `DataReadOnlyError` or `PublishError`, and leaves the `current.json` of before whole.
    """
    # One transaction: every number on every page is of the same moment.
    with sqlite_errors(Path(published.ledger_name(db))), db.atomic():
        counts = published.counts(db)
        document = current_document(db, counts)
        output = Output(out)
        for path, content in _contents(db, counts, document["root"], base_url):
            output.put(path, content)
        done = output.commit(current_bytes(document))
    return Published(
        current_sha256=done.current_sha256,
        files_sha256=done.files_sha256,
        root=document["root"],
        records=counts.records,
        as_of=counts.as_of,
        written=done.written,
        unchanged=done.unchanged,
        removed=done.removed,
    )


def _contents(db: Database, counts: published.Counts, root: str, base_url: str) -> Iterator[tuple[str, bytes]]:
    environments = published.environments(db)
    rows = matrix_rows(published.newest_releases(db), environments)
    yield front_page(
        Front(
            counts=counts,
            root=root,
            environments=environments,
            rows=rows,
            newest=published.newest_verdicts(db, STRIP),
            causes=published.top_causes(db, TOP_CAUSES),
            findings={kind: published.findings(db, kind) for kind in published.FindingKind},
            episode=newest_episode(db),
        )
    )
    yield from package_lists(rows, counts.as_of)
    for package in published.packages(db):
        yield package_page(package, _observed(db, package), environments, lambda log: queries.log(db, log))
    yield about_page()
    yield "feed.xml", rss(newest_items(published.verdict_changes(db)), as_of=counts.as_of, base_url=base_url)
    for folder, target in (("site/style", ""), ("site/schemas", "schemas/")):
        for source in sorted(resource(folder).iterdir()):
            yield f"{target}{source.name}", source.read_bytes()
    yield from batch_files(db)


def _observed(db: Database, package: str) -> list[Observed]:
    agreements = published.agreements(db, package)
    return [
        Observed(record=record, agreement=agreements[record.release.version, record.environment])
        for record in published.package_records(db, package)
    ]
