"""Write the files of packages and batches, and deferred pages: with a process per core where there are many.

A worker process reads the ledger through a connection of its own. The transaction of the build is open meanwhile and
keeps every writer out, so all of them read the ledger at one moment.
"""

import gc
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, assert_never

from sqlite_utils import Database

from ppp.index_files.store import IndexFiles
from ppp.ledger.batches import published_batch_files
from ppp.model.errors import PPPError
from ppp.model.matrix import Environment
from ppp.model.site_address import SiteAddresses
from ppp.publish.builder.contents import package_files, render_package
from ppp.publish.builder.contribution import contribution_of
from ppp.publish.cache.build_cache import OwnedFiles, Owner, OwnerKind, owned_files
from ppp.publish.folder import OutputFolder
from ppp.publish.listings.entries import Contribution, combine
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.locks import read_locks
from ppp.publish.packages.read import read_packages
from ppp.publish.packages.summary import summarize
from ppp.publish.site.deferred import DeferredContent
from ppp.publish.verified_index.pages import ProjectPage, project_files
from ppp.storage_errors import translate_storage_errors

S = TypeVar("S")
T = TypeVar("T")

#: From how many owners on it pays to start other processes, and how many packages a worker gets at a time.
PARALLEL_FROM: Final = 2_000
CHUNK_SIZE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildParameters:
    """What all workers share: where to read and to write, and what else pages depend on.

    Other processes are started from `parallel_from` owners on, unless `ledger` is None: it is then in memory. `partial`
    is True where the site's bound leaves no room for a page of each package. `index_files` is the data folder with what
    the index said of files; None: no locks are published.
    """

    ledger: Path | None
    out: Path
    environments: Sequence[Environment]
    addresses: SiteAddresses
    partial: bool = False
    index_files: Path | None = None
    parallel_from: int = PARALLEL_FROM


class WorkerResult(NamedTuple):
    """What a worker wrote for some owners: all their files, the paths that changed, and what packages contribute."""

    owned: list[OwnedFiles]
    written: list[str]
    contribution: Contribution


class _OwnerResult(NamedTuple):
    # The same of one owner; batches and pages contribute nothing.
    owned: OwnedFiles
    written: list[str]
    contribution: Contribution | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    # Our errors cannot be pickled: they go from one process to another as what they are made of.
    kind: type[PPPError]
    what: str
    hint: str


class IndexedPackage(NamedTuple):
    """A package and its pages in simple indexes."""

    package: str
    pages: Sequence[ProjectPage]


class WorkerContext(NamedTuple):
    """What a process works with from its start to its end."""

    db: Database
    folder: OutputFolder
    parameters: BuildParameters
    index_files: IndexFiles | None = None


class BuildWorkers:
    """Writes files, with other processes or in this one; results come in the order of what was asked.

    All of it raises what `OutputFolder.write` raises. See `start_workers`.
    """

    def __init__(self, context: WorkerContext, executor: ProcessPoolExecutor | None, cores: int) -> None:
        """Use an executor's processes; None: this process does all the work."""
        self._context = context
        self._executor = executor
        self._ahead = 4 * cores

    def write_owners(self, owners: Iterable[Owner]) -> Iterator[WorkerResult]:
        """Read, render and write the files of packages and batches; of a partial site's packages, write no file."""
        return self._map(_write_owners, _chunks(owners))

    def write_packages(self, packages: Sequence[str]) -> Iterator[WorkerResult]:
        """Read, render and write the files of those packages of a partial site that get pages."""
        return self._map(_write_chosen, _chunks(Owner(OwnerKind.PACKAGES, package) for package in packages))

    def write_indexed(self, packages: Iterator[IndexedPackage]) -> Iterator[WorkerResult]:
        """Render and write packages' pages in simple indexes."""
        return self._map(_write_indexed, iter(lambda: list(islice(packages, CHUNK_SIZE)), []))

    def write_pages(self, pages: Iterator[tuple[str, DeferredContent]]) -> Iterator[WorkerResult]:
        """Render deferred pages, and write them to their paths."""
        return self._map(_write_pages, iter(lambda: list(islice(pages, CHUNK_SIZE)), []))

    def _map(
        self, function: Callable[[WorkerContext, list[T]], WorkerResult], chunks: Iterator[list[T]]
    ) -> Iterator[WorkerResult]:
        if self._executor is None:
            yield from (function(self._context, chunk) for chunk in chunks)
            return
        for result in _map_in_order(self._executor, partial(_run_in_worker, function), chunks, ahead=self._ahead):
            if isinstance(result, _Failure):
                raise result.kind(result.what, hint=result.hint)
            yield result


@contextmanager
def start_workers(context: WorkerContext, owners: int) -> Iterator[BuildWorkers]:
    """Start as many processes as there are cores where there are many owners to write.

    The transaction in which the owners were read has to be open.
    """
    cores = len(os.sched_getaffinity(0))
    parameters = context.parameters
    if owners < parameters.parallel_from or cores == 1 or parameters.ledger is None:
        yield BuildWorkers(context, None, cores)
        return
    # SQLite takes the transaction's lock with its first read: from here on no other process can write.
    context.db.execute("SELECT 1 FROM records LIMIT 1").fetchone()
    with ProcessPoolExecutor(
        cores, mp_context=get_context("spawn"), initializer=_initialize_worker, initargs=(parameters,)
    ) as executor:
        try:
            yield BuildWorkers(context, executor, cores)
        finally:
            executor.shutdown(cancel_futures=True)


def _write_owners(context: WorkerContext, owners: Sequence[Owner]) -> WorkerResult:
    # All owners of a chunk are of one kind.
    names = [owner.name for owner in owners]
    match owners[0].kind:
        case OwnerKind.PACKAGES:
            return _combine(_write_packages(context, names))
        case OwnerKind.BATCHES:
            return _combine(_write_batches(context, names))
        case OwnerKind.SITE | OwnerKind.SIMPLE | OwnerKind.AUDIO | OwnerKind.EPISODES:
            raise ValueError(f"{owners[0].name} is neither a package nor a batch")
        case _:
            assert_never(owners[0].kind)


def _write_packages(context: WorkerContext, packages: Sequence[str]) -> Iterator[_OwnerResult]:
    parameters = context.parameters
    # Read, render, write; packages are read together, which takes half the time.
    for history in _read(context, packages):
        owner = Owner(OwnerKind.PACKAGES, history.package)
        if parameters.partial:
            # Which packages get pages is decided when it is known what all of them contribute.
            contribution = contribution_of(history, summarize(history), lookup=True)
            yield _OwnerResult(owned=owned_files(owner, []), written=[], contribution=contribution)
            continue
        rendered = render_package(history, parameters.environments, parameters.addresses)
        yield _write_files(context.folder, owner, rendered.files, rendered.contribution)


def _read(context: WorkerContext, packages: Sequence[str]) -> Iterator[PackageHistory]:
    for history in read_packages(context.db, packages, context.parameters.environments):
        if context.index_files is None:
            yield history
        else:
            passes = {current.id: current.record for current in history.newest}
            yield replace(history, locks=read_locks(passes, context.index_files))


def _write_chosen(context: WorkerContext, owners: Sequence[Owner]) -> WorkerResult:
    parameters = context.parameters
    histories = _read(context, [owner.name for owner in owners])
    return _combine(
        _write_files(
            context.folder,
            Owner(OwnerKind.PACKAGES, history.package),
            package_files(
                history, summarize(history), parameters.environments, parameters.addresses, partial_site=True
            ),
        )
        for history in histories
    )


def _write_batches(context: WorkerContext, batches: Sequence[str]) -> Iterator[_OwnerResult]:
    # The ledger keeps a batch as it is published: there is nothing to render.
    for batch in batches:
        yield _write_files(context.folder, Owner(OwnerKind.BATCHES, batch), published_batch_files(context.db, batch))


def _write_indexed(context: WorkerContext, packages: Sequence[IndexedPackage]) -> WorkerResult:
    return _combine(
        _write_files(
            context.folder,
            Owner(OwnerKind.SIMPLE, package.package),
            [file for page in package.pages for file in project_files(page)],
        )
        for package in packages
    )


def _write_pages(context: WorkerContext, pages: Sequence[tuple[str, DeferredContent]]) -> WorkerResult:
    return _combine(
        _write_files(context.folder, Owner(OwnerKind.SITE, path), [(path, render())]) for path, render in pages
    )


def _write_files(
    folder: OutputFolder, owner: Owner, files: Iterable[tuple[str, bytes]], contribution: Contribution | None = None
) -> _OwnerResult:
    done = [folder.write(path, content) for path, content in files]
    return _OwnerResult(
        owned=owned_files(owner, [entry for entry, _ in done]),
        written=[entry.path for entry, is_written in done if is_written],
        contribution=contribution,
    )


def _combine(results: Iterable[_OwnerResult]) -> WorkerResult:
    # A few large objects go between processes faster than many small ones.
    done = list(results)
    return WorkerResult(
        owned=[result.owned for result in done],
        written=[path for result in done for path in result.written],
        contribution=combine(result.contribution for result in done if result.contribution),
    )


def _map_in_order(
    executor: ProcessPoolExecutor, function: Callable[[list[S]], T], chunks: Iterator[list[S]], *, ahead: int
) -> Iterator[T]:
    # A bounded number of chunks is under way, so that results do not pile up in memory.
    under_way: list[Future[T]] = [executor.submit(function, chunk) for chunk in islice(chunks, ahead)]
    while under_way:
        result = under_way.pop(0).result()
        under_way.extend(executor.submit(function, chunk) for chunk in islice(chunks, 1))
        yield result


def _chunks(owners: Iterable[Owner]) -> Iterator[list[Owner]]:
    # A batch is as much work as many packages.
    for kind, group in groupby(owners, key=lambda owner: owner.kind):
        while chunk := list(islice(group, 1 if kind is OwnerKind.BATCHES else CHUNK_SIZE)):
            yield chunk


class _WorkerState:
    """Where a worker process keeps its context between two chunks."""

    context: WorkerContext


def _initialize_worker(parameters: BuildParameters) -> None:
    assert parameters.ledger is not None  # noqa: S101 - `start_workers` starts no process without a ledger file
    # Little of what is made of a package lives on: collecting garbage at the usual rate would cost a fifth of the time.
    gc.set_threshold(100_000)
    db = Database(sqlite3.connect(f"{parameters.ledger.absolute().as_uri()}?mode=ro", uri=True))
    index_files = IndexFiles.connect(parameters.index_files) if parameters.index_files else None
    _WorkerState.context = WorkerContext(db, OutputFolder(parameters.out), parameters, index_files)


def _run_in_worker(
    function: Callable[[WorkerContext, list[T]], WorkerResult], chunk: list[T]
) -> WorkerResult | _Failure:
    context = _WorkerState.context
    try:
        with translate_storage_errors(context.parameters.ledger or Path()):
            return function(context, chunk)
    except PPPError as error:
        return _Failure(kind=type(error), what=error.message, hint=error.hint)
