"""Find what changed in a time before the newest record of the local ledger, by the rule of the front page."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from sqlite_utils import Database

from ppp.config import Config
from ppp.ledger import published
from ppp.ledger.schema import read_ledger
from ppp.model.errors import UnknownEnvironmentError
from ppp.model.printable import first_of
from ppp.publish.packages.read import read_packages
from ppp.publish.packages.summary import AffectedCell, summarize
from ppp.publish.site.changed import COMPARED, ChangedPackage, changed_packages


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The packages that changed after `start` and not after `as_of`, the newest record (epoch seconds; None: none)."""

    start: int
    as_of: int | None
    packages: Sequence[ChangedPackage]


def read_changes(config: Config, *, within_s: int | None, since: int, environments: Collection[str]) -> Changes:
    """Return what changed `within_s` seconds before the newest record or, where that is None, after `since`.

    With `environments`, only there. Raise `UnknownEnvironmentError` for one without any result, and the errors of
    reading the ledger. It reads the packages that have a record in that time.
    """
    with closing(read_ledger(config.data)) as db:
        known = published.observed_environments(db)
        if unknown := [one for one in environments if one not in {environment.id for environment in known}]:
            raise UnknownEnvironmentError(
                f"the ledger holds no result in {first_of(unknown, 5)}",
                hint=f"it has {first_of([environment.id for environment in known], 20)}",
            )
        as_of = published.as_of(db)
        start = since if within_s is None else (as_of or 0) - within_s
        packages = changed_packages(_compared(db, start), published.changes_after(db, start), start)
    return Changes(start=start, as_of=as_of, packages=[*_only_in(packages, environments)])


def _compared(db: Database, start: int) -> Iterator[tuple[AffectedCell, int | None]]:
    packages = published.packages_observed_after(db, start)
    for history in read_packages(db, packages, published.observed_environments(db)):
        summary = summarize(history)
        for kind in COMPARED:
            yield from ((cell, summary.downloads) for cell in summary.findings.get(kind, ()))


def _only_in(packages: Sequence[ChangedPackage], environments: Collection[str]) -> Iterator[ChangedPackage]:
    for package in packages:
        flips = [flip for flip in package.flips if not environments or flip.environment in environments]
        if flips:
            yield replace(package, flips=flips)
