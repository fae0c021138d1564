"""The files of packages and batches, written by as many processes as there are cores where there are many to write.

A worker reads the ledger through a connection of its own. The build's own transaction is open meanwhile, and keeps
every writer out: all of them see one moment.
"""

import gc
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, assert_never

from sqlite_utils import Database

from ppp.ledger import queries
from ppp.ledger.batches import batch_contents
from ppp.ledger.schema import sqlite_errors
from ppp.model.errors import PPPError
from ppp.model.matrix import Environment
from ppp.publish.files import Entry, Folder
from ppp.publish.holding import held as read_held
from ppp.publish.memory import Kind
from ppp.publish.parts import encoded
from ppp.publish.site import package_contents
from ppp.publish.tally import Tally, tally_of

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An owner's files as they stand, which of them are new; of a package its part as text, and its tally."""

    owner: Owner
    files: tuple[Entry, ...]
    written: tuple[str, ...]
    part: str | None
    tally: Tally | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    # An error of ours does not come through a pipe by itself.
    kind: type[PPPError]
    what: str
    hint: str


def write_all(db: Database, folder: Folder, job: Job, owners: Sequence[Owner]) -> Iterator[Done]:
    """Write the files of owners, in any order; raises what `Folder.write` raises.

    The transaction that the owners were read in is open.
    """
    cores = len(os.sched_getaffinity(0))
    if len(owners) < job.many or cores == 1 or job.ledger is None:
        for together in _shares(owners):
            yield from _written(db, folder, job, together)
        return
    # Read once, so that the transaction holds its lock from here on.
    db.execute("SELECT 1 FROM records LIMIT 1").fetchone()
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_start, initargs=(job,)) as pool:
        try:
            for share in _in_turn(pool, _share, _shares(owners), ahead=4 * cores):
                if isinstance(share, _Failure):
                    raise share.kind(share.what, hint=share.hint)
                yield from share
        finally:
            pool.shutdown(cancel_futures=True)


def _written(db: Database, folder: Folder, job: Job, owners: Sequence[Owner]) -> Iterator[Done]:
    # All of one kind: packages are read together, which takes half the time.
    match owners[0].kind:
        case Kind.PACKAGES:
            for held in read_held(db, [owner.name for owner in owners], job.environments):
                owner = Owner(Kind.PACKAGES, held.package)
                part, contents = package_contents(held, job.environments, partial(queries.log, db), job.base_url)
                yield _done(folder, owner, contents, encoded(part), tally_of(held))
        case Kind.BATCHES:
            for owner in owners:
                yield _done(folder, owner, batch_contents(db, owner.name))
        case Kind.SITE:
            raise ValueError(f"{owners[0].name} is no package and no batch")
        case _:
            assert_never(owners[0].kind)


def _done(
    folder: Folder,
    owner: Owner,
    contents: Iterable[tuple[str, bytes]],
    part: str | None = None,
    tally: Tally | None = None,
) -> Done:
    done = [folder.write(path, content) for path, content in contents]
    return Done(
        owner=owner,
        files=tuple(entry for entry, _ in done),
        written=tuple(entry.path for entry, is_written in done if is_written),
        part=part,
        tally=tally,
    )


def _in_turn(
    pool: ProcessPoolExecutor, function: Callable[[list[Owner]], T], shares: Iterator[list[Owner]], *, ahead: int
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


class _Bench:
    """What a worker works with, from its start to its end."""

    job: Job
    db: Database
    folder: Folder


def _start(job: Job) -> None:
    assert job.ledger is not None  # noqa: S101 - see `write_all`
    # What is made of a package is gone with it: looking for cycles all the while would cost a fifth of the time.
    gc.set_threshold(100_000)
    _Bench.job = job
    _Bench.db = Database(sqlite3.connect(f"{job.ledger.absolute().as_uri()}?mode=ro", uri=True))
    _Bench.folder = Folder(job.out)


def _share(owners: list[Owner]) -> list[Done] | _Failure:
    try:
        with sqlite_errors(_Bench.job.ledger or Path()):
            return [*_written(_Bench.db, _Bench.folder, _Bench.job, owners)]
    except PPPError as error:
        return _Failure(kind=type(error), what=error.what, hint=error.hint)
