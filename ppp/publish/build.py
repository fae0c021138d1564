"""The whole of what is published, from one state of the ledger: the same records give the same bytes.

A package's own files are written anew where it has new records, or where everything is; those of all packages are made
of what was kept of each. What is written where can be read off `_contents` and `package_contents`; `current.json` and
its digest come last.
"""

import gc
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from ppp.check.causes import causes as known_causes
from ppp.config import DEFAULT_BASE_URL
from ppp.ledger import published
from ppp.ledger.batches import batches
from ppp.ledger.digests import Day, root_of
from ppp.ledger.episodes import newest_episode
from ppp.model.matrix import Environment
from ppp.model.record import sha256_hex
from ppp.publish.api.current import current_bytes, current_document
from ppp.publish.builder.changes import ALL, remember, since
from ppp.publish.builder.contents import All, overall_contents, plain_contents
from ppp.publish.builder.template_cache import compiled_in
from ppp.publish.builder.workers import Bench, Job, Owner, writers
from ppp.publish.builder.writer import Output
from ppp.publish.cache.build_cache import BuildCache, Kind
from ppp.publish.cache.day_digests import days_of
from ppp.publish.feeds.entries import ITEMS, newest_items, overall_feed
from ppp.publish.feeds.jsonfeed import feed_files
from ppp.publish.folder import Folder
from ppp.publish.listings.store import Shelves
from ppp.publish.packages.totals import cause_cells_of, cause_packages_of, counts_of, top_causes_of
from ppp.publish.site.causes import Causes, explained, newest_told
from ppp.publish.site.deferred import Content
from ppp.publish.site.directory import PACKAGES
from ppp.publish.site.findings import finding_listings, front_findings
from ppp.publish.site.front import MATRIX_BUDGET, STRIP, Front, Row, front_page, matrix_row
from ppp.publish.site.snapshots import data_files
from ppp.publish.site.trends import trends_file
from ppp.publish.snapshots.take import described
from ppp.storage_errors import sqlite_errors

TOP_CAUSES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a build came to; paths are within the folder, `as_of` is in epoch seconds, None where there is no record.

    `files` and `bytes` count all that now stands there, `packages` those whose files were made anew.
    """

    current_sha256: str
    files_sha256: str
    root: str
    records: int
    as_of: int | None
    written: tuple[str, ...]
    removed: tuple[str, ...]
    packages: int
    files: int
    bytes: int


def build(
    db: Database, out: Path, *, base_url: str = DEFAULT_BASE_URL, memory: Path | None = None, whole: bool = False
) -> Published:
    """Publish a ledger into a folder; files whose bytes did not change are left alone.

    `memory` is a file in which a build leaves what the next one need not do again; without it, or where `whole` says
    so, everything is looked at. Raises `DiskFullError`, `DataReadOnlyError` or `PublishError`, and leaves the
    `current.json` of before whole.
    """
    # One transaction: every number on every page is of the same moment.
    with _unhurried(), sqlite_errors(Path(published.ledger_name(db))), db.atomic():
        try:
            with BuildCache.open(memory) as held:
                return _build(db, out, held, base_url=base_url, whole=whole)
        except sqlite3.DatabaseError:
            if memory is None or not memory.exists():
                raise
            # Whichever of the two cannot be read: what is remembered is the one to do without.
            memory.unlink()
            with BuildCache.open(memory) as held:
                return _build(db, out, held, base_url=base_url, whole=True)


@contextmanager
def _unhurried() -> Iterator[None]:
    # All that is read stays in use to the end: looking for garbage all the while would cost a tenth of the time.
    before = gc.get_threshold()
    gc.set_threshold(200_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _build(db: Database, out: Path, held: BuildCache, *, base_url: str, whole: bool) -> Published:
    folder, ledger = Folder(out), Path(published.ledger_name(db))
    environments = published.environments(db)
    news = ALL if whole else since(db, held, folder, environments, base_url=base_url)
    # What is told besides records: the episode, and what snapshots lie in this very folder, as they say themselves.
    snapshots = described(out)
    besides = sha256_hex(repr((newest_episode(db), snapshots)).encode())
    output = Output(folder, held, afresh=news.packages is None)
    packages = published.packages(db) if news.packages is None else news.packages
    owners = _owners(db, held, packages)
    if news.packages is not None and not owners and held.fact("besides") == besides:
        return _as_before(held)
    job = Job(ledger=ledger if ledger.is_file() else None, out=out, environments=environments, base_url=base_url)
    with compiled_in(held), writers(Bench(db, folder, job), len(owners)) as by:
        for share in by.write(owners):
            output.add(share.owned, share.written)
            held.shelves.bring(share.brought)
        held.index()
        days = days_of(db, held, news.last)
        counts = counts_of(held.shelves.sums, records=sum(day.records for day in days), as_of=published.as_of(db))
        output.put_all(_contents(db, held.shelves, counts, days, job), by)
        output.put_all(plain_contents(base_url) if news.packages is None else (), by)
        output.put_all(data_files(snapshots, counts.as_of), by)
    document = current_document(db, counts, days)
    committed = output.commit(current_bytes(document))
    remember(db, held, environments, committed, base_url=base_url)
    told = Published(
        current_sha256=committed.current_sha256,
        files_sha256=committed.files_sha256,
        root=document["root"],
        records=counts.records,
        as_of=counts.as_of,
        written=committed.written,
        removed=committed.removed,
        packages=len(packages),
        files=committed.files,
        bytes=committed.bytes,
    )
    held.note("besides", besides)
    held.note("published", {k: v for k, v in asdict(told).items() if k not in {"written", "removed", "packages"}})
    held.commit()
    return told


def _as_before(held: BuildCache) -> Published:
    before: Any = held.fact("published")
    held.commit()
    return Published(**before, written=(), removed=(), packages=0)


def _owners(db: Database, memory: BuildCache, packages: Sequence[str]) -> list[Owner]:
    # A batch never changes: what stands there is never looked at again.
    stands = set(memory.owners(Kind.BATCHES))
    new = (batch.id for batch in batches(db) if batch.id not in stands)
    return [*(Owner(Kind.PACKAGES, package) for package in packages), *(Owner(Kind.BATCHES, batch) for batch in new)]


def _contents(
    db: Database, shelves: Shelves, counts: published.Counts, days: Sequence[Day], job: Job
) -> Iterator[tuple[str, Content]]:
    environments, listings = job.environments, finding_listings(shelves)
    causes = _explained(db, shelves, counts)
    yield front_page(
        Front(
            counts=counts,
            root=root_of(days),
            days=days,
            environments=environments,
            rows=_worst(db, shelves, environments),
            newest=published.newest_verdicts(db, STRIP),
            causes=top_causes_of(shelves.sums, TOP_CAUSES),
            unclassified=causes.unclassified,
            findings=front_findings(listings),
            episode=newest_episode(db),
        )
    )
    yield trends_file(days, counts.as_of)
    yield from overall_contents(
        All(
            shelves=shelves,
            listings=listings,
            counts=counts,
            environments=environments,
            causes=causes,
            base_url=job.base_url,
        )
    )
    changes = published.judged(db, published.newest_changes(db, ITEMS))
    yield from feed_files(overall_feed(newest_items(changes)), "", job.base_url)


def _explained(db: Database, shelves: Shelves, counts: published.Counts) -> Causes:
    newest = {cause: newest_told(shelves, cause) for cause in known_causes()}
    asked = published.verdicts(db, {record for records in newest.values() for record in records})
    by_record = {verdict.record: verdict for verdict in asked}
    return explained(
        cause_cells_of(shelves.sums),
        cause_packages_of(shelves.sums),
        {cause: [by_record[record] for record in records] for cause, records in newest.items()},
        counts.by_result,
    )


def _worst(db: Database, shelves: Shelves, environments: Sequence[Environment]) -> list[Row]:
    # As many as the front page has room for; the last may be one too many.
    rows: list[Row] = []
    room = MATRIX_BUDGET
    for card in shelves.newest(PACKAGES):
        rows.append(matrix_row(published.newest_release(db, card.package), environments))
        room -= rows[-1].cost
        if room < 0:
            break
    return rows
