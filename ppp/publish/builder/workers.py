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
from ppp.ledger.batches import batch_contents
from ppp.model.errors import PPPError
from ppp.model.matrix import Environment
from ppp.publish.builder.contents import package_contents
from ppp.publish.builder.contribution import brought_of
from ppp.publish.cache.build_cache import Kind, Owned, owned_by
from ppp.publish.folder import Folder
from ppp.publish.listings.entries import Brought, together
from ppp.publish.packages.read import held as read_held
from ppp.publish.site.deferred import Later
from ppp.storage_errors import sqlite_errors

S = TypeVar("S")
T = TypeVar("T")

#: How many owners make it worth while to start other processes, and how many packages a worker gets at a time.
MANY: Final = 2_000
SHARE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is the same for all of them: where to read and to write, and what pages depend on besides records.

    From `many` owners on, other processes are started.
    """

    ledger: Path | None
    out: Path
    environments: Sequence[Environment]
    base_url: str
    many: int = MANY


class Owner(NamedTuple):
    """A package by its name, or a batch by its id."""

    kind: Kind
    name: str


class Done(NamedTuple):
    """An owner's files as they stand, which of them are new; and what it brings, if it is a package."""

    owned: Owned
    written: list[str]
    brought: Brought | None


class Share(NamedTuple):
    """The same of some owners together."""

    owned: list[Owned]
    written: list[str]
    brought: Brought


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    # An error of ours does not come through a pipe by itself.
    kind: type[PPPError]
    what: str
    hint: str


class Bench(NamedTuple):
    """What a process works with, from its start to its end."""

    db: Database
    folder: Folder
    job: Job


class Writers:
    """Those who write files, some at a time in the order that they are asked in; see `writers`."""

    def __init__(self, bench: Bench, pool: ProcessPoolExecutor | None, cores: int) -> None:
        """Take other processes, or none: then this one does all."""
        self._bench = bench
        self._pool = pool
        self._ahead = 4 * cores

    def write(self, owners: Sequence[Owner]) -> Iterator[Share]:
        """Write the files of packages and batches; raises what `Folder.write` raises."""
        return self._each(_write, _shares(owners))

    def make(self, pages: Iterator[tuple[str, Later]]) -> Iterator[Share]:
        """Make pages, and write them to their paths; raises what `Folder.write` raises."""
        return self._each(_make, iter(lambda: list(islice(pages, SHARE)), []))

    def _each(self, function: Callable[[Bench, list[T]], Share], shares: Iterator[list[T]]) -> Iterator[Share]:
        if self._pool is None:
            yield from (function(self._bench, share) for share in shares)
            return
        for done in _in_turn(self._pool, partial(_there, function), shares, ahead=self._ahead):
            if isinstance(done, _Failure):
                raise done.kind(done.what, hint=done.hint)
            yield done


@contextmanager
def writers(bench: Bench, owners: int) -> Iterator[Writers]:
    """Start as many processes as there are cores where there are many owners to write.

    The transaction that the owners were read in is open.
    """
    cores = len(os.sched_getaffinity(0))
    if owners < bench.job.many or cores == 1 or bench.job.ledger is None:
        yield Writers(bench, None, cores)
        return
    # Read once, so that the transaction holds its lock from here on.
    bench.db.execute("SELECT 1 FROM records LIMIT 1").fetchone()
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_start, initargs=(bench.job,)) as pool:
        try:
            yield Writers(bench, pool, cores)
        finally:
            pool.shutdown(cancel_futures=True)


def _write(bench: Bench, owners: Sequence[Owner]) -> Share:
    return _together(_written(bench.db, bench.folder, bench.job, owners))


def _make(bench: Bench, pages: Sequence[tuple[str, Later]]) -> Share:
    return _together(_done(bench.folder, Owner(Kind.SITE, path), [(path, make())]) for path, make in pages)


def _written(db: Database, folder: Folder, job: Job, owners: Sequence[Owner]) -> Iterator[Done]:
    # All of one kind: packages are read together, which takes half the time.
    match owners[0].kind:
        case Kind.PACKAGES:
            for held in read_held(db, [owner.name for owner in owners], job.environments):
                owner = Owner(Kind.PACKAGES, held.package)
                part, contents = package_contents(held, job.environments, partial(queries.log, db), job.base_url)
                yield _done(folder, owner, contents, brought_of(held, part))
        case Kind.BATCHES:
            for owner in owners:
                yield _done(folder, owner, batch_contents(db, owner.name))
        case Kind.SITE:
            raise ValueError(f"{owners[0].name} is no package and no batch")
        case _:
            assert_never(owners[0].kind)


def _done(folder: Folder, owner: Owner, contents: Iterable[tuple[str, bytes]], brought: Brought | None = None) -> Done:
    done = [folder.write(path, content) for path, content in contents]
    return Done(
        owned=owned_by(owner.kind, owner.name, [entry for entry, _ in done]),
        written=[entry.path for entry, is_written in done if is_written],
        brought=brought,
    )


def _together(done: Iterable[Done]) -> Share:
    # Few large objects: taken apart one by one, each would cost the process that waits for them.
    told = list(done)
    return Share(
        owned=[each.owned for each in told],
        written=[path for each in told for path in each.written],
        brought=together(each.brought for each in told if each.brought),
    )


def _in_turn(
    pool: ProcessPoolExecutor, function: Callable[[list[S]], T], shares: Iterator[list[S]], *, ahead: int
) -> Iterator[T]:
    # No more is under way than is taken soon, so that what is done does not pile up in memory.
    under_way: list[Future[T]] = [pool.submit(function, share) for share in islice(shares, ahead)]
    while under_way:
        done = under_way.pop(0).result()
        under_way.extend(pool.submit(function, share) for share in islice(shares, 1))
        yield done


def _shares(owners: Iterable[Owner]) -> Iterator[list[Owner]]:
    # A batch is as much work as many packages.
    for kind, group in groupby(owners, key=lambda owner: owner.kind):
        while share := list(islice(group, 1 if kind is Kind.BATCHES else SHARE)):
            yield share


class _Here:
    """Where a process that was started to write keeps its bench."""

    bench: Bench


def _start(job: Job) -> None:
    assert job.ledger is not None  # noqa: S101 - see `writers`
    # What is made of a package is gone with it: looking for cycles all the while would cost a fifth of the time.
    gc.set_threshold(100_000)
    db = Database(sqlite3.connect(f"{job.ledger.absolute().as_uri()}?mode=ro", uri=True))
    _Here.bench = Bench(db, Folder(job.out), job)


def _there(function: Callable[[Bench, list[T]], Share], share: list[T]) -> Share | _Failure:
    try:
        with sqlite_errors(_Here.bench.job.ledger or Path()):
            return function(_Here.bench, share)
    except PPPError as error:
        return _Failure(kind=type(error), what=error.what, hint=error.hint)
