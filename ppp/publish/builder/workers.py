"""The files of packages and batches, and pages by prefix: written by a process per core where there are many.

A worker reads the ledger through a connection of its own. The build's own transaction is open meanwhile, and keeps
every writer out: all of them see one moment.
"""

import gc
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, assert_never

from sqlite_utils import Database

from ppp.ledger import queries
from ppp.ledger.batches import published_batch_files
from ppp.model.errors import PPPError
from ppp.model.matrix import Environment
from ppp.publish.builder.contents import package_contents
from ppp.publish.builder.contribution import contribution_of
from ppp.publish.cache.build_cache import OwnedFiles, OwnerKind, owned_files
from ppp.publish.folder import OutputFolder
from ppp.publish.listings.entries import Contribution, combine
from ppp.publish.packages.read import read_packages as read_held
from ppp.publish.site.deferred import DeferredContent
from ppp.storage_errors import translate_storage_errors

S = TypeVar("S")
T = TypeVar("T")

#: How many owners make it worth while to start other processes, and how many packages a worker gets at a time.
PARALLEL_FROM: Final = 2_000
CHUNK_SIZE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildParameters:
    """What is the same for all of them: where to read and to write, and what pages depend on besides records.

    From `many` owners on, other processes are started.
    """

    ledger: Path | None
    out: Path
    environments: Sequence[Environment]
    base_url: str
    parallel_from: int = PARALLEL_FROM


class Owner(NamedTuple):
    """A package by its name, or a batch by its id."""

    kind: OwnerKind
    name: str


class OwnerResult(NamedTuple):
    """An owner's files as they stand, which of them are new; and what it brings, if it is a package."""

    owned: OwnedFiles
    written: list[str]
    contribution: Contribution | None


class WorkerResult(NamedTuple):
    """The same of some owners together."""

    owned: list[OwnedFiles]
    written: list[str]
    contribution: Contribution


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    # An error of ours does not come through a pipe by itself.
    kind: type[PPPError]
    what: str
    hint: str


class WorkerContext(NamedTuple):
    """What a process works with, from its start to its end."""

    db: Database
    folder: OutputFolder
    job: BuildParameters


class WorkerPool:
    """Those who write files, some at a time in the order that they are asked in; see `writers`."""

    def __init__(self, bench: WorkerContext, pool: ProcessPoolExecutor | None, cores: int) -> None:
        """Take other processes, or none: then this one does all."""
        self._bench = bench
        self._pool = pool
        self._ahead = 4 * cores

    def write_owners(self, owners: Sequence[Owner]) -> Iterator[WorkerResult]:
        """Write the files of packages and batches; raises what `Folder.write` raises."""
        return self._each(_write, _chunks(owners))

    def write_pages(self, pages: Iterator[tuple[str, DeferredContent]]) -> Iterator[WorkerResult]:
        """Make pages, and write them to their paths; raises what `Folder.write` raises."""
        return self._each(_make, iter(lambda: list(islice(pages, CHUNK_SIZE)), []))

    def _each(
        self, function: Callable[[WorkerContext, list[T]], WorkerResult], shares: Iterator[list[T]]
    ) -> Iterator[WorkerResult]:
        if self._pool is None:
            yield from (function(self._bench, share) for share in shares)
            return
        for done in _map_in_order(self._pool, partial(_run_in_worker, function), shares, ahead=self._ahead):
            if isinstance(done, _Failure):
                raise done.kind(done.what, hint=done.hint)
            yield done


@contextmanager
def worker_pool(bench: WorkerContext, owners: int) -> Iterator[WorkerPool]:
    """Start as many processes as there are cores where there are many owners to write.

    The transaction that the owners were read in is open.
    """
    cores = len(os.sched_getaffinity(0))
    if owners < bench.job.parallel_from or cores == 1 or bench.job.ledger is None:
        yield WorkerPool(bench, None, cores)
        return
    # Read once, so that the transaction holds its lock from here on.
    bench.db.execute("SELECT 1 FROM records LIMIT 1").fetchone()
    with ProcessPoolExecutor(
        cores, mp_context=get_context("spawn"), initializer=_initialize_worker, initargs=(bench.job,)
    ) as pool:
        try:
            yield WorkerPool(bench, pool, cores)
        finally:
            pool.shutdown(cancel_futures=True)


def _write(bench: WorkerContext, owners: Sequence[Owner]) -> WorkerResult:
    return _together(_written(bench.db, bench.folder, bench.job, owners))


def _make(bench: WorkerContext, pages: Sequence[tuple[str, DeferredContent]]) -> WorkerResult:
    return _together(_done(bench.folder, Owner(OwnerKind.SITE, path), [(path, make())]) for path, make in pages)


def _written(
    db: Database, folder: OutputFolder, job: BuildParameters, owners: Sequence[Owner]
) -> Iterator[OwnerResult]:
    # All of one kind: packages are read together, which takes half the time.
    match owners[0].kind:
        case OwnerKind.PACKAGES:
            for held in read_held(db, [owner.name for owner in owners], job.environments):
                owner = Owner(OwnerKind.PACKAGES, held.package)
                part, contents = package_contents(held, job.environments, partial(queries.read_log, db), job.base_url)
                yield _done(folder, owner, contents, contribution_of(held, part))
        case OwnerKind.BATCHES:
            for owner in owners:
                yield _done(folder, owner, published_batch_files(db, owner.name))
        case OwnerKind.SITE:
            raise ValueError(f"{owners[0].name} is no package and no batch")
        case _:
            assert_never(owners[0].kind)


def _done(
    folder: OutputFolder, owner: Owner, contents: Iterable[tuple[str, bytes]], brought: Contribution | None = None
) -> OwnerResult:
    done = [folder.write(path, content) for path, content in contents]
    return OwnerResult(
        owned=owned_files(owner.kind, owner.name, [entry for entry, _ in done]),
        written=[entry.path for entry, is_written in done if is_written],
        contribution=brought,
    )


def _together(done: Iterable[OwnerResult]) -> WorkerResult:
    # Few large objects: taken apart one by one, each would cost the process that waits for them.
    told = list(done)
    return WorkerResult(
        owned=[each.owned for each in told],
        written=[path for each in told for path in each.written],
        contribution=combine(each.contribution for each in told if each.contribution),
    )


def _map_in_order(
    pool: ProcessPoolExecutor, function: Callable[[list[S]], T], shares: Iterator[list[S]], *, ahead: int
) -> Iterator[T]:
    # No more is under way than is taken soon, so that what is done does not pile up in memory.
    under_way: list[Future[T]] = [pool.submit(function, share) for share in islice(shares, ahead)]
    while under_way:
        done = under_way.pop(0).result()
        under_way.extend(pool.submit(function, share) for share in islice(shares, 1))
        yield done


def _chunks(owners: Iterable[Owner]) -> Iterator[list[Owner]]:
    # A batch is as much work as many packages.
    for kind, group in groupby(owners, key=lambda owner: owner.kind):
        while share := list(islice(group, 1 if kind is OwnerKind.BATCHES else CHUNK_SIZE)):
            yield share


class _WorkerState:
    """Where a process that was started to write keeps its bench."""

    context: WorkerContext


def _initialize_worker(job: BuildParameters) -> None:
    assert job.ledger is not None  # noqa: S101 - see `writers`
    # What is made of a package is gone with it: looking for cycles all the while would cost a fifth of the time.
    gc.set_threshold(100_000)
    db = Database(sqlite3.connect(f"{job.ledger.absolute().as_uri()}?mode=ro", uri=True))
    _WorkerState.context = WorkerContext(db, OutputFolder(job.out), job)


def _run_in_worker(
    function: Callable[[WorkerContext, list[T]], WorkerResult], share: list[T]
) -> WorkerResult | _Failure:
    try:
        with translate_storage_errors(_WorkerState.context.job.ledger or Path()):
            return function(_WorkerState.context, share)
    except PPPError as error:
        return _Failure(kind=type(error), what=error.message, hint=error.hint)
