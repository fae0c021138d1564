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

from ppp.check.causes import cause_help as known_causes
from ppp.config import DEFAULT_BASE_URL
from ppp.ledger import published
from ppp.ledger.batches import list_batches
from ppp.ledger.digests import DayDigest, root_digest
from ppp.ledger.episodes import newest_episode
from ppp.model.matrix import Environment
from ppp.model.record import sha256_hex
from ppp.publish.api.current import current_bytes, current_document
from ppp.publish.builder.changes import EVERYTHING, changed_packages, record_build
from ppp.publish.builder.contents import SiteData, site_contents, static_contents
from ppp.publish.builder.template_cache import cached_templates
from ppp.publish.builder.workers import BuildParameters, Owner, WorkerContext, worker_pool
from ppp.publish.builder.writer import OutputWriter
from ppp.publish.cache.build_cache import BuildCache, OwnerKind
from ppp.publish.cache.day_digests import update_days
from ppp.publish.feeds.entries import MAX_ENTRIES, group_changes, overall_feed
from ppp.publish.feeds.jsonfeed import feed_files
from ppp.publish.folder import OutputFolder
from ppp.publish.listings.store import ListingStore
from ppp.publish.packages.totals import cells_by_cause, ledger_counts, packages_by_cause, top_causes
from ppp.publish.site.causes import CauseOverview, explain_causes, newest_records
from ppp.publish.site.deferred import Content
from ppp.publish.site.directory import PACKAGES_LISTING
from ppp.publish.site.findings import finding_listings, front_findings
from ppp.publish.site.front import MATRIX_BUDGET, STRIP_RESULTS, FrontPage, MatrixRow, front_page, matrix_row
from ppp.publish.site.snapshots import data_files
from ppp.publish.site.trends import trends_file
from ppp.publish.snapshots.take import complete_snapshots
from ppp.storage_errors import translate_storage_errors

TOP_CAUSES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
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
    db: Database, out: Path, *, base_url: str = DEFAULT_BASE_URL, cache_path: Path | None = None, rebuild: bool = False
) -> BuildResult:
    """Publish a ledger into a folder; files whose bytes did not change are left alone.

    `memory` is a file in which a build leaves what the next one need not do again; without it, or where `whole` says
    so, everything is looked at. Raises `DiskFullError`, `DataReadOnlyError` or `PublishError`, and leaves the
    `current.json` of before whole.
    """
    # One transaction: every number on every page is of the same moment.
    with _unhurried(), translate_storage_errors(Path(published.ledger_path(db))), db.atomic():
        try:
            with BuildCache.open(cache_path) as held:
                return _build(db, out, held, base_url=base_url, whole=rebuild)
        except sqlite3.DatabaseError:
            if cache_path is None or not cache_path.exists():
                raise
            # Whichever of the two cannot be read: what is remembered is the one to do without.
            cache_path.unlink()
            with BuildCache.open(cache_path) as held:
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


def _build(db: Database, out: Path, held: BuildCache, *, base_url: str, whole: bool) -> BuildResult:
    folder, ledger = OutputFolder(out), Path(published.ledger_path(db))
    environments = published.observed_environments(db)
    news = EVERYTHING if whole else changed_packages(db, held, folder, environments, base_url=base_url)
    # What is told besides records: the episode, and what snapshots lie in this very folder, as they say themselves.
    snapshots = complete_snapshots(out)
    besides = sha256_hex(repr((newest_episode(db), snapshots)).encode())
    output = OutputWriter(folder, held, afresh=news.packages is None)
    packages = published.list_packages(db) if news.packages is None else news.packages
    owners = _owners(db, held, packages)
    if news.packages is not None and not owners and held.fact("besides") == besides:
        return _as_before(held)
    job = BuildParameters(
        ledger=ledger if ledger.is_file() else None, out=out, environments=environments, base_url=base_url
    )
    with cached_templates(held), worker_pool(WorkerContext(db, folder, job), len(owners)) as by:
        for share in by.write_owners(owners):
            output.add(share.owned, share.written)
            held.listings.replace(share.contribution)
        held.create_indexes()
        days = update_days(db, held, news.after_row)
        counts = ledger_counts(held.listings.sums, records=sum(day.records for day in days), as_of=published.as_of(db))
        output.put_all(_contents(db, held.listings, counts, days, job), by)
        output.put_all(static_contents(base_url) if news.packages is None else (), by)
        output.put_all(data_files(snapshots, counts.as_of), by)
    document = current_document(db, counts, days)
    committed = output.commit(current_bytes(document))
    record_build(db, held, environments, committed, base_url=base_url)
    told = BuildResult(
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
    held.set_fact("besides", besides)
    held.set_fact("published", {k: v for k, v in asdict(told).items() if k not in {"written", "removed", "packages"}})
    held.commit()
    return told


def _as_before(held: BuildCache) -> BuildResult:
    before: Any = held.fact("published")
    held.commit()
    return BuildResult(**before, written=(), removed=(), packages=0)


def _owners(db: Database, memory: BuildCache, packages: Sequence[str]) -> list[Owner]:
    # A batch never changes: what stands there is never looked at again.
    stands = set(memory.owners(OwnerKind.BATCHES))
    new = (batch.id for batch in list_batches(db) if batch.id not in stands)
    return [
        *(Owner(OwnerKind.PACKAGES, package) for package in packages),
        *(Owner(OwnerKind.BATCHES, batch) for batch in new),
    ]


def _contents(
    db: Database, shelves: ListingStore, counts: published.Counts, days: Sequence[DayDigest], job: BuildParameters
) -> Iterator[tuple[str, Content]]:
    environments, listings = job.environments, finding_listings(shelves)
    causes = _explained(db, shelves, counts)
    yield front_page(
        FrontPage(
            counts=counts,
            root=root_digest(days),
            days=days,
            environments=environments,
            rows=_worst(db, shelves, environments),
            newest_results=published.newest_verdicts(db, STRIP_RESULTS),
            causes=top_causes(shelves.sums, TOP_CAUSES),
            unclassified=causes.unclassified,
            findings=front_findings(listings),
            episode=newest_episode(db),
        )
    )
    yield trends_file(days, counts.as_of)
    yield from site_contents(
        SiteData(
            shelves=shelves,
            listings=listings,
            counts=counts,
            environments=environments,
            causes=causes,
            base_url=job.base_url,
        )
    )
    changes = published.with_current_blame(db, published.newest_changes(db, MAX_ENTRIES))
    yield from feed_files(overall_feed(group_changes(changes)), "", job.base_url)


def _explained(db: Database, shelves: ListingStore, counts: published.Counts) -> CauseOverview:
    newest = {cause: newest_records(shelves, cause) for cause in known_causes()}
    asked = published.read_verdicts(db, {record for records in newest.values() for record in records})
    by_record = {verdict.record: verdict for verdict in asked}
    return explain_causes(
        cells_by_cause(shelves.sums),
        packages_by_cause(shelves.sums),
        {cause: [by_record[record] for record in records] for cause, records in newest.items()},
        counts.by_result,
    )


def _worst(db: Database, shelves: ListingStore, environments: Sequence[Environment]) -> list[MatrixRow]:
    # As many as the front page has room for; the last may be one too many.
    rows: list[MatrixRow] = []
    room = MATRIX_BUDGET
    for card in shelves.by_rank(PACKAGES_LISTING):
        rows.append(matrix_row(published.newest_release_verdicts(db, card.package), environments))
        room -= rows[-1].estimated_bytes
        if room < 0:
            break
    return rows
