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
from typing import Final

from sqlite_utils import Database

from ppp.check.causes import causes as known_causes
from ppp.config import DEFAULT_BASE_URL, resource
from ppp.ledger import published
from ppp.ledger.batches import batches
from ppp.ledger.digests import Day, days, root_of
from ppp.ledger.episodes import newest_episode
from ppp.ledger.schema import sqlite_errors
from ppp.model.matrix import Environment
from ppp.publish.causes import NEWEST, cause_pages, explained
from ppp.publish.current import current_bytes, current_document
from ppp.publish.data import data_files
from ppp.publish.feeds import newest_items, overall_feed
from ppp.publish.files import Folder
from ppp.publish.findings import finding_listings, front_findings
from ppp.publish.jsonfeed import feed_files
from ppp.publish.later import Later
from ppp.publish.memory import Kind, Memory
from ppp.publish.output import Output
from ppp.publish.pages import MATRIX_BUDGET, STRIP, Front, Row, about_page, front_page, matrix_row
from ppp.publish.parts import decoded
from ppp.publish.since import ALL, Since, remember, since
from ppp.publish.site import All, overall_contents
from ppp.publish.snapshots import described
from ppp.publish.sqlpage import sql_files
from ppp.publish.tally import cause_cells_of, cause_packages_of, counts_of, top_causes_of
from ppp.publish.trends import trends_file
from ppp.publish.workers import Job, Owner, write_all

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
            with Memory.open(memory) as held:
                return _build(db, out, held, base_url=base_url, whole=whole)
        except sqlite3.DatabaseError:
            if memory is None or not memory.exists():
                raise
            # Whichever of the two cannot be read: what is remembered is the one to do without.
            memory.unlink()
            with Memory.open(memory) as held:
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


def _build(db: Database, out: Path, held: Memory, *, base_url: str, whole: bool) -> Published:
    folder, ledger = Folder(out), Path(published.ledger_name(db))
    environments = published.environments(db)
    news = ALL if whole else since(db, held, folder, environments, base_url=base_url)
    output = Output(folder, held, afresh=news.packages is None)
    job = Job(ledger=ledger if ledger.is_file() else None, out=out, environments=environments, base_url=base_url)
    packages = published.packages(db) if news.packages is None else news.packages
    for done in write_all(db, folder, job, _owners(db, output, packages)):
        output.add(*done.owner, done.files, done.written)
        if done.part is not None and done.tally is not None:
            held.keep_part(done.part, done.tally)
    told = _days(db, held, news)
    counts = counts_of(held.sums, records=sum(day.records for day in told), as_of=published.as_of(db))
    document = current_document(db, counts, told)
    output.put_all(_contents(db, held, counts, job), None if news.packages is None else set(news.packages))
    # What snapshots lie in this very folder, as they say themselves.
    output.put_all(data_files(described(out), counts.as_of), None)
    committed = output.commit(current_bytes(document))
    remember(db, held, environments, committed.files_sha256, base_url=base_url)
    held.keep()
    return Published(
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


def _owners(db: Database, output: Output, packages: Sequence[str]) -> list[Owner]:
    # A batch never changes: what stands there is never looked at again.
    stands = output.owners(Kind.BATCHES)
    new = (batch.id for batch in batches(db) if batch.id not in stands)
    return [*(Owner(Kind.PACKAGES, package) for package in packages), *(Owner(Kind.BATCHES, batch) for batch in new)]


def _days(db: Database, memory: Memory, news: Since) -> list[Day]:
    """Give the digest of each day, asking the ledger only for those that have new records."""
    new = days(db, news.days)
    held = {} if news.days is None else {day.day: day for day in _remembered_days(memory)}
    told = sorted((held | {day.day: day for day in new}).values(), key=lambda day: day.day)
    memory.note("days", [asdict(day) for day in told])
    return told


def _remembered_days(memory: Memory) -> list[Day]:
    held = memory.fact("days")
    return [Day(**day) for day in held] if isinstance(held, list) else []


def _contents(db: Database, memory: Memory, counts: published.Counts, job: Job) -> Iterator[tuple[str, bytes | Later]]:
    environments = job.environments
    found = decoded(memory.parts())
    told, listings = _remembered_days(memory), finding_listings(found)
    causes = explained(
        cause_cells_of(memory.sums),
        cause_packages_of(memory.sums),
        {cause: published.verdicts(db, memory.newest_told(cause, NEWEST)) for cause in known_causes()},
        counts.by_result,
    )
    yield front_page(
        Front(
            counts=counts,
            root=root_of(told),
            days=told,
            environments=environments,
            rows=_worst(db, memory, environments),
            newest=published.newest_verdicts(db, STRIP),
            causes=top_causes_of(memory.sums, TOP_CAUSES),
            unclassified=causes.unclassified,
            findings=front_findings(listings),
            episode=newest_episode(db),
        )
    )
    yield trends_file(told, counts.as_of)
    yield from overall_contents(
        All(
            found=found,
            listings=listings,
            counts=counts,
            environments=environments,
            causes=causes,
            base_url=job.base_url,
        )
    )
    yield from cause_pages(causes, environments, counts.as_of)
    yield about_page()
    yield from sql_files()
    items = newest_items(published.verdict_changes(db))
    for item in items:
        item.changes = published.judged(db, item.changes)
    yield from feed_files(overall_feed(items), "", job.base_url)
    for folder, target in (("site/style", ""), ("site/script", ""), ("site/schemas", "schemas/")):
        for source in sorted(resource(folder).iterdir()):
            yield f"{target}{source.name}", source.read_bytes()


def _worst(db: Database, memory: Memory, environments: Sequence[Environment]) -> list[Row]:
    # As many as the front page has room for; the last may be one too many.
    rows: list[Row] = []
    room = MATRIX_BUDGET
    for package in memory.worst():
        rows.append(matrix_row(published.newest_release(db, package), environments))
        room -= rows[-1].cost
        if room < 0:
            break
    return rows
