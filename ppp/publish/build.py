"""Build the public folder from one state of the ledger: the same records give the same bytes.

A build reads what it needs, renders it, and writes what changed. Packages go first, each by the same three steps in
`builder.workers`: only those with new records, unless everything is built again. What they contribute to the pages of
many packages is kept in the cache. These pages follow; `current.json` and its digest are written last.
"""

import gc
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from ppp.config import DEFAULT_COOLDOWN_DAYS
from ppp.index_files.store import read_index_files
from ppp.ledger import published
from ppp.model.canonical import Json
from ppp.model.errors import PublishError
from ppp.model.site_address import SiteAddresses
from ppp.model.site_bound import SiteBound
from ppp.publish.api.coverage import current_coverage
from ppp.publish.api.current import current_bytes, current_document
from ppp.publish.api.older_batches import OLDER_BATCHES, older_batches_file
from ppp.publish.audio_budget import audio_room
from ppp.publish.builder.audio import read_published_audio, update_audio
from ppp.publish.builder.changes import record_build
from ppp.publish.builder.contents import render_site, render_static
from ppp.publish.builder.episodes import EpisodeUpdate
from ppp.publish.builder.page_choice import ranked_packages, write_chosen
from ppp.publish.builder.plan import BuildPlan, PlanInputs, read_plan
from ppp.publish.builder.site_data import SiteData, read_site_data
from ppp.publish.builder.site_room import (
    AUDIO,
    INDEXES,
    MIRROR,
    SNAPSHOTS,
    fixed_rooms,
    holds_locks,
    is_partial,
    read_batch_choice,
    room_beside_lookup,
    statements_room,
)
from ppp.publish.builder.template_cache import cached_templates
from ppp.publish.builder.verified_index import update_indexes
from ppp.publish.builder.verified_inputs import verified_inputs
from ppp.publish.builder.workers import BuildParameters, BuildWorkers, WorkerContext, start_workers
from ppp.publish.builder.writer import Committed, OutputWriter
from ppp.publish.cache.build_cache import BuildCache, Owner, OwnerKind, owned_files
from ppp.publish.folder import OutputFolder
from ppp.publish.page_budget import Room, check_bound
from ppp.storage_errors import disk_full_error, is_disk_full, translate_storage_errors

#: The fact that a page of each package was more than the bound, although it was estimated to fit.
_TOO_LARGE: Final = "pages do not fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What a build published; paths are within the folder, `as_of` is in epoch seconds, None without any record.

    `files` and `bytes` count all that the folder now holds, `packages` those whose files were built again.
    `all_packages` counts all, and `pages` those of them that have pages; the others are looked up. `older_batches`
    counts those for which there is no room, `without_lock` the PASSes of newest releases that have none because the
    address of a file is not known. `index_bytes` and `index_files` are what simple indexes take, and `without_index`
    counts the packages for which these have no room.
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
    all_packages: int
    pages: int
    older_batches: int = 0
    without_lock: int = 0
    index_bytes: int = 0
    index_files: int = 0
    without_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _BuildSettings:
    # What a build depends on beside the ledger and the folder; `partial`: not all pages fit, as an attempt has shown.
    addresses: SiteAddresses
    rebuild: bool
    bound: SiteBound | None
    older_url: str | None
    index_files: Path | None
    audio: Path | None
    cooldown_days: int
    copies: frozenset[tuple[str, str]] | None
    partial: bool = False


class _DoesNotFitError(Exception):
    """A page of each package is more than the bound of the site."""


def build(
    db: Database,
    out: Path,
    *,
    base_url: str = "",
    repository_url: str = "",
    datasette_url: str = "",
    cache_path: Path | None = None,
    rebuild: bool = False,
    bound: SiteBound | None = None,
    older_url: str | None = None,
    index_files: Path | None = None,
    audio: Path | None = None,
    cooldown_days: int = DEFAULT_COOLDOWN_DAYS,
    copies: frozenset[tuple[str, str]] | None = None,
) -> BuildResult:
    """Publish a ledger into a folder; files whose bytes did not change are not written.

    `cache_path` is a file that lets the next build skip what has not changed; without it, or with `rebuild`,
    everything is built. `base_url`, `repository_url` and `datasette_url` are as in `SiteAddresses`: without the first,
    feeds have relative links or none, and there is no sitemap. `bound` is how much the site may take: where that leaves
    no room for a page of each package, the others are looked up, and of batches the newest are published; `older_url`
    is where people find the others. `index_files` is the data folder with what the index said of files: without it,
    there are no locks and no simple index; where a bound may leave no room for locks, there are none. `audio` is the
    data folder with the audio of episodes: without it, they are text. A file is in an index with a cooldown when it was
    uploaded `cooldown_days` ago. `copies` are the mirrored files that indexes name, as pairs of sha256 and name; None:
    all that the folder has. Raises `DiskFullError`, `DataReadOnlyError` or `PublishError`; `current.json` stays then.
    """
    settings = _BuildSettings(
        addresses=SiteAddresses(base_url=base_url, repository_url=repository_url, datasette_url=datasette_url),
        rebuild=rebuild,
        bound=bound,
        older_url=older_url,
        index_files=index_files,
        audio=audio,
        cooldown_days=cooldown_days,
        copies=copies,
    )
    # One transaction: every number on every page is of the same moment.
    with _rare_garbage_collection(), translate_storage_errors(Path(published.ledger_path(db))), db.atomic():
        try:
            return _build_with_cache(db, out, cache_path, settings)
        except sqlite3.DatabaseError as error:
            if cache_path is None or not cache_path.exists():
                raise
            if is_disk_full(error):
                raise disk_full_error(error, cache_path) from error
            # Either database may be the one that cannot be read; the cache is the one that can be replaced.
            cache_path.unlink()
            return _build_with_cache(db, out, cache_path, replace(settings, rebuild=True))


def _build_with_cache(db: Database, out: Path, cache_path: Path | None, settings: _BuildSettings) -> BuildResult:
    try:
        with BuildCache.open(cache_path) as cache:
            return _build(db, out, cache, settings)
    except _DoesNotFitError:
        # Pages are larger than was estimated. The cache is as it was before, and nothing names what was written.
        with BuildCache.open(cache_path) as cache:
            return _build(db, out, cache, replace(settings, rebuild=True, partial=True))


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    # What a build reads stays in use to its end: collecting at the usual rate would take a tenth of the time.
    before = gc.get_threshold()
    gc.set_threshold(200_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _build(db: Database, out: Path, cache: BuildCache, settings: _BuildSettings) -> BuildResult:
    with ExitStack() as stack:
        return _build_site(db, out, cache, settings, stack)


def _build_site(db: Database, out: Path, cache: BuildCache, settings: _BuildSettings, stack: ExitStack) -> BuildResult:
    folder, bound, addresses = OutputFolder(out), settings.bound, settings.addresses
    batches, audio = read_batch_choice(db, bound), read_published_audio(db, cache, settings.audio, bound)
    index_files = stack.enter_context(read_index_files(settings.index_files)) if settings.index_files else None
    verified = verified_inputs(out, index_files, days=settings.cooldown_days, copies=settings.copies)
    fixed = {**fixed_rooms(batches, out, verified.mirrored), AUDIO: audio_room(audio)} if bound else {}
    partial = settings.partial or is_partial(db, bound, fixed) or (bound is not None and bool(cache.fact(_TOO_LARGE)))
    locks = not partial and holds_locks(db, bound, fixed)
    inputs = PlanInputs(
        addresses=addresses,
        bound=bound,
        partial=partial,
        batches=batches,
        older_url=settings.older_url,
        verified=verified,
        locks=locks,
        audio=audio,
    )
    plan = read_plan(db, cache, folder, out, inputs, rebuild=settings.rebuild)
    if plan.unchanged:
        return _previous_result(cache)
    writer = OutputWriter(folder, cache, from_scratch=plan.from_scratch)
    cache.listings.new_have_pages = not partial
    context = WorkerContext(db, folder, _parameters(db, out, plan, settings), index_files if locks else None)
    with cached_templates(cache), start_workers(context, len(plan.packages) + len(plan.batches)) as workers:
        # Packages first: the pages of many packages show what these contribute.
        _add_owners(cache, plan.package_owners, writer, workers)
        cache.create_indexes()  # from here on the contributions are looked up, no longer added
        chosen: frozenset[str] | None = None
        # Before the pages of packages: it has a share of its own, and these get what is left.
        indexes = update_indexes(db, cache, writer, workers, plan, bound=bound)
        update_audio(cache, writer, folder, audio, settings.audio)
        EpisodeUpdate(db, cache, folder, plan).write(writer)
        if bound and partial:
            room = room_beside_lookup(bound, {**fixed, INDEXES: writer.taken_by(OwnerKind.SIMPLE)}, cache.listings)
            chosen = write_chosen(ranked_packages(db, cache.listings), room, cache, writer, workers)
        _add_owners(cache, plan.batch_owners, writer, workers)
        _update_older(plan, writer, settings.older_url)
        # Read, render, write. Long listings are read while their pages are rendered, so that memory stays bounded.
        data = replace(read_site_data(db, cache, plan, addresses=addresses, chosen=chosen), indexes=indexes)
        writer.put_all(render_site(data), workers)
        if plan.from_scratch:
            writer.put_all(render_static(addresses), workers)
    current = _current(data)
    if bound:
        _check_room(bound, _taken(writer, current_bytes(current), fixed, out), partial=partial)
    result = _commit(writer, cache, plan, data, current)
    cache.set_fact(_TOO_LARGE, settings.partial or (partial and bool(cache.fact(_TOO_LARGE))))
    _update_cache(db, cache, plan, result, addresses)
    return result


def _current(data: SiteData) -> dict[str, Json]:
    coverage = current_coverage(data.journal.days) if data.journal else None
    return current_document(data.counts, data.days, data.newest, coverage)


def _commit(
    writer: OutputWriter, cache: BuildCache, plan: BuildPlan, data: SiteData, current: dict[str, Json]
) -> BuildResult:
    # `commit` writes current.json last: readers see the old site until everything that it names is in place.
    committed = writer.commit(current_bytes(current))
    result = _result(plan, data, cache.listings.totals["passes without a lock",], current["root"], committed)
    # Bytes as a host counts them, with the lists of these files; files without them.
    taken, (_, files, _) = writer.taken_by(OwnerKind.SIMPLE), cache.file_totals(OwnerKind.SIMPLE)
    without_room = max((index.without_room for index in data.indexes), default=0)
    return replace(result, index_bytes=taken.bytes, index_files=files, without_index=without_room)


def _taken(writer: OutputWriter, current: bytes, fixed: Mapping[str, Room], out: Path) -> Room:
    # Batches are among what was written.
    return writer.taken(current).plus(fixed[SNAPSHOTS]).plus(fixed[MIRROR]).plus(statements_room(out))


def _check_room(bound: SiteBound, taken: Room, *, partial: bool) -> None:
    try:
        check_bound(bound, taken)
    except PublishError as error:
        if partial:
            raise
        raise _DoesNotFitError from error


def _parameters(db: Database, out: Path, plan: BuildPlan, settings: _BuildSettings) -> BuildParameters:
    ledger = Path(published.ledger_path(db))
    return BuildParameters(
        ledger=ledger if ledger.is_file() else None,
        out=out,
        environments=plan.environments,
        addresses=settings.addresses,
        partial=plan.inputs.partial,
        index_files=settings.index_files if plan.inputs.locks else None,
    )


def _add_owners(cache: BuildCache, owners: Iterable[Owner], writer: OutputWriter, workers: BuildWorkers) -> None:
    for result in workers.write_owners(owners):
        writer.add(result.owned, result.written)
        cache.listings.replace(result.contribution)


def _update_older(plan: BuildPlan, writer: OutputWriter, url: str | None) -> None:
    writer.add([owned_files(Owner(OwnerKind.BATCHES, batch), []) for batch in plan.removed_batches], [])
    # In the lists of batches, which peers fetch.
    path, content = older_batches_file(plan.older_batches, url)
    writer.put(path, content, Owner(OwnerKind.BATCHES, OLDER_BATCHES))


def _result(plan: BuildPlan, data: SiteData, without_lock: int, root: str, committed: Committed) -> BuildResult:
    return BuildResult(
        current_sha256=committed.current_sha256,
        files_sha256=committed.files_sha256,
        root=root,
        records=data.counts.records,
        as_of=data.counts.as_of,
        written=committed.written,
        removed=committed.removed,
        packages=len(plan.packages),
        files=committed.files,
        bytes=committed.bytes,
        all_packages=data.counts.packages,
        pages=data.counts.packages if data.lookup is None else data.lookup.pages,
        older_batches=len(plan.older_batches),
        without_lock=without_lock,
    )


def _update_cache(
    db: Database, cache: BuildCache, plan: BuildPlan, result: BuildResult, addresses: SiteAddresses
) -> None:
    # After current.json: a kill before this leaves a cache that no longer matches the folder, and a full build follows.
    record_build(
        db,
        cache,
        plan.environments,
        addresses=addresses,
        current_sha256=result.current_sha256,
        files_sha256=result.files_sha256,
        choices=plan.inputs.choices,
        index_read=plan.index_read,
    )
    cache.set_fact("other inputs", plan.other_inputs)
    only_this_build = {"written", "removed", "packages"}
    cache.set_fact("result", {name: value for name, value in asdict(result).items() if name not in only_this_build})
    cache.commit()


def _previous_result(cache: BuildCache) -> BuildResult:
    previous: Any = cache.fact("result")
    cache.commit()
    return BuildResult(**previous, written=(), removed=(), packages=0)
