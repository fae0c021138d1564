"""Find the releases that a run is asked for: packages that are named, requirements files, or else the watchlist.

What the index does not have is left out and reported, all of it together; the rest is checked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker

from ppp.check.index import client as packages
from ppp.model.errors import (
    IndexUnreachableError,
    PPPError,
    RequirementsError,
    UnknownPackageError,
    UnknownVersionError,
)
from ppp.model.matrix import Environment
from ppp.model.printable import first_of
from ppp.model.release import Release, RequestedPackage
from ppp.runner.context import Context
from ppp.runner.request import Sources
from ppp.watch import watchlist
from ppp.watch.markers import applies_in
from ppp.watch.queue import ReleaseSource

#: After so many packages of which the index gives no page, it is taken to be down.
MAX_UNREACHABLE: Final = 3
#: Further packages that were not found are only counted.
MAX_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedRelease:
    """The newest release of a requested package; `place` names the file and line that request it, where `marker` says.

    `place` is empty for a package that was named on the command line.
    """

    source: ReleaseSource
    wanted: RequestedPackage
    release: Release
    marker: Marker | None = None
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """The releases that a run is asked for, and the error that names everything which the index does not have.

    `lost` are the packages of which the index has no release that is wanted, those of the watchlist included.
    """

    releases: tuple[RequestedRelease, ...]
    missing: PPPError | None = None
    lost: tuple[str, ...] = ()

    @property
    def packages(self) -> frozenset[str]:
        """All packages that a run is asked for."""
        return frozenset(one.wanted.package for one in self.releases).union(self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    source: ReleaseSource
    wanted: RequestedPackage
    marker: Marker | None = None
    place: str = ""


def find_requested(
    context: Context, index: packages.Index, sources: Sources, environments: Sequence[Environment]
) -> Requested:
    """Return the newest release of each requested package, and what is missing; write nothing.

    Raise `RequirementsError` for a file that is invalid or names no package, and `UnknownPackageError`,
    `UnknownVersionError` or `IndexUnreachableError` if nothing is found of what was named on the command line or in a
    requirements file. An unknown entry of the watchlist is left out with a warning.
    """
    wishes = list(_wishes(context, sources))
    found, failed, lost = _resolve(context, index, wishes, environments)
    if not failed:
        return Requested(releases=tuple(found), lost=tuple(lost))
    missing = _combined(failed)
    if not found:
        raise missing
    context.reporter.warn(f"{missing.message}; the others are checked")
    return Requested(releases=tuple(found), missing=missing, lost=tuple(lost))


def _wishes(context: Context, sources: Sources) -> Iterator[_Wish]:
    for item in sources.named:
        yield _Wish(source=ReleaseSource.NAMED, wanted=item)
    for path in sources.requirements:
        yield from _read(context, path, ReleaseSource.REQUIREMENTS)
    # The watchlist is only the default: who names packages wants these and nothing else.
    if not sources.are_explicit and sources.watchlist:
        yield from _read(context, sources.watchlist, ReleaseSource.WATCHLIST)


def _read(context: Context, path: Path, source: ReleaseSource) -> Iterator[_Wish]:
    read = watchlist.read(path)
    for note in read.notes:
        context.reporter.note(f"{path}: {note}")
    if not read.entries and source is ReleaseSource.REQUIREMENTS:
        raise RequirementsError(
            f"{path} names no package", hint="write one in each line, or leave out -r to check what is new"
        )
    for entry in read.entries:
        yield _Wish(source=source, wanted=entry.wanted, marker=entry.marker, place=f"{path}, line {entry.line}")


def _resolve(
    context: Context, index: packages.Index, wishes: Sequence[_Wish], environments: Sequence[Environment]
) -> tuple[list[RequestedRelease], list[PPPError], list[str]]:
    found: list[RequestedRelease] = []
    failed: list[PPPError] = []
    lost: list[str] = []
    unreachable = 0
    for wish in wishes:
        try:
            release = packages.resolve(index, wish.wanted)
        except (UnknownPackageError, UnknownVersionError, IndexUnreachableError) as error:
            unreachable += isinstance(error, IndexUnreachableError)
            if unreachable >= MAX_UNREACHABLE:
                raise
            lost.append(wish.wanted.package)
            if wish.source is ReleaseSource.WATCHLIST:
                # A person can fix a mistyped name; that a project of the watchlist was deleted must not stop a run.
                context.reporter.warn(f"{wish.place}: {error}")
            elif environments and all(applies_in(wish.marker, e, {}) is False for e in environments):
                context.reporter.note(f"{wish.place}: {wish.wanted} is requested in none of the environments")
            else:
                failed.append(error)
            continue
        found.append(
            RequestedRelease(
                source=wish.source, wanted=wish.wanted, release=release, marker=wish.marker, place=wish.place
            )
        )
    return found, failed, lost


def _combined(errors: Sequence[PPPError]) -> PPPError:
    """Return one error for several, of the kind that is the likeliest to be a mistake of the person who asks."""
    kinds = (UnknownPackageError, UnknownVersionError, IndexUnreachableError)
    first = min(errors, key=lambda error: kinds.index(type(error)))
    # The hint of a version names those that there are, so it belongs to that version.
    each = (f"{e.message}, {e.hint}" if isinstance(e, UnknownVersionError) else e.message for e in errors)
    texts = list(dict.fromkeys(each))
    if len(texts) == 1:
        return first
    hint = "correct these and request them again" if isinstance(first, UnknownVersionError) else first.hint
    return type(first)(f"{len(texts)} requests failed: {first_of(texts, MAX_NAMED, separator='; ')}", hint=hint)
