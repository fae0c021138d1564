"""Make locks of what the ledger holds, and read from the index what they need and nothing here knows."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing

from packaging.specifiers import SpecifierSet
from sqlite_utils import Database

from ppp.check.index.client import SimpleIndex
from ppp.index_files.store import Completion, read_index_files
from ppp.ledger import queries
from ppp.ledger.passes import installed_by_passes
from ppp.ledger.schema import read_ledger
from ppp.locks.lock import Lock
from ppp.locks.make import locked_files, make_lock
from ppp.model.errors import LockRefusedError, UnknownVersionError
from ppp.model.record import Record, Result
from ppp.model.release import InvalidReleaseError, RequestedPackage, parse_package
from ppp.runner.context import Context
from ppp.runner.environments import open_index
from ppp.runner.index_files import complete_index_files


def lock_of(context: Context, wanted: RequestedPackage, environment: str, *, complete: bool) -> Lock:
    """Return the lock of the newest PASS that is wanted in an environment; `complete` reads the index if it is needed.

    Raise `LockRefusedError`, `UnknownVersionError` if no such release is on record, `IndexUnreachableError`.
    """
    with closing(read_ledger(context.config.data)) as db:
        record = _find_pass(db, wanted, environment)
    pairs = locked_files(record)
    if complete:
        hashes: defaultdict[str, set[str]] = defaultdict(set)
        for sha256, project in pairs:
            hashes[project].add(sha256)
        _complete(context, hashes)
    with read_index_files(context.config.data) as index_files:
        return make_lock(record, record.id, index_files.get_many(pairs))


def complete_all(context: Context) -> Completion:
    """Read from the index what locks of the current PASSes of newest releases need, and nothing here knows.

    Raise `IndexUnreachableError`; what was read before is stored.
    """
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    with closing(read_ledger(context.config.data)) as db:
        for installed in installed_by_passes(db):
            for one in installed:
                if one.sha256 is not None and (project := _project(one.name)):
                    hashes[project].add(one.sha256)
    return _complete(context, hashes)


def _project(name: str) -> str | None:
    try:
        return parse_package(name)
    except InvalidReleaseError:
        return None


def _complete(context: Context, hashes: Mapping[str, set[str]]) -> Completion:
    index: SimpleIndex = open_index(context.config)
    return complete_index_files(context, index, hashes)


def _find_pass(db: Database, wanted: RequestedPackage, environment: str) -> Record:
    known = queries.releases_of(db, wanted.package)
    # As in pip: pre-releases count only where nothing else is admitted.
    admitted = {*SpecifierSet(wanted.specifier).filter([release.version for release in known])}
    releases = [release for release in known if release.version in admitted]
    if not releases:
        raise UnknownVersionError(
            f"the ledger holds no result of {wanted}", hint=f"check it with `ppp check {environment} {wanted}`"
        )
    found: dict[str, Result] = {}
    for release in releases:
        record = queries.current_by_environment(db, release).get(environment)
        if record is not None and record.result is Result.PASS:
            return record
        if record is not None:
            found.setdefault(release.version, record.result)
    seen = ", ".join(f"{version} is {result}" for version, result in list(found.items())[:3])
    raise LockRefusedError(
        f"{wanted} has no PASS in {environment}, and only a PASS has a lock: {seen or 'it was not checked there'}",
        hint=f"`ppp show {wanted.package}` has its results",
    )
