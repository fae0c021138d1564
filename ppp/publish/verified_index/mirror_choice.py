"""Decide which of the files that indexes list a site keeps its own copies of: as many as there is room for.

First comes what an installation without a version asks for, the newest file of each project in each environment; among
those, what most others needed when they passed, so that what is needed comes before what needs it. Everything here
follows from records and from what the index said, never from the copies themselves: the same records choose the same
files, also after some of them were copied.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from packaging.version import Version

from ppp.publish.page_budget import Room
from ppp.publish.verified_index.listing import VerifiedFile, VerifiedPackage, VerifiedProject

#: A wheel has its METADATA beside it.
_FILES_EACH: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorCandidate:
    """A file that an index lists.

    `is_newest` says whether it is the newest of its project in one of them, and `needed_by` how many other packages
    installed its project when they passed.
    """

    project: str
    file: VerifiedFile
    is_newest: bool = False
    needed_by: int = 0

    @property
    def room(self) -> Room:
        """Return what its copy takes at most, apart from METADATA, which is small."""
        return Room.of(self.file.size, _FILES_EACH)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorChoice:
    """The files of which a site keeps copies, in their order, and those for which there is no room."""

    kept: Sequence[MirrorCandidate]
    dropped: Sequence[MirrorCandidate]


def mirror_candidates(packages: Iterable[VerifiedPackage]) -> list[MirrorCandidate]:
    """Return each file that passed somewhere once, the one that is to be copied first at the beginning.

    `packages` must be as read without any copies (`NO_COPIES`).
    """
    needed: Counter[str] = Counter()
    found: dict[tuple[str, str], MirrorCandidate] = {}
    for package in packages:
        needed.update(package.needed - {package.package})
        for project in package.projects.values():
            newest = _newest(project)
            for file in project.files:
                key = file.sha256, file.filename
                seen = found.get(key) or MirrorCandidate(project=package.package, file=file)
                found[key] = replace(seen, is_newest=seen.is_newest or file is newest)
    counted = (replace(each, needed_by=needed[each.project]) for each in found.values())
    return sorted(counted, key=_rank)


def choose_mirrored(candidates: Iterable[MirrorCandidate], room: Room) -> MirrorChoice:
    """Return which files fit, in their order: one that is too large is left out, and smaller ones behind it are not."""
    kept: list[MirrorCandidate] = []
    dropped: list[MirrorCandidate] = []
    for candidate in candidates:
        if room.has(candidate.room):
            room = room.minus(candidate.room)
            kept.append(candidate)
        else:
            dropped.append(candidate)
    return MirrorChoice(kept=kept, dropped=dropped)


def _newest(project: VerifiedProject) -> VerifiedFile | None:
    # As pip: a yanked file or a pre-release only where there is nothing else.
    return max(project.files, default=None, key=_preference)


def _preference(file: VerifiedFile) -> tuple[bool, bool, Version]:
    version = Version(file.version)
    return file.yanked is None, not version.is_prerelease, version


def _rank(candidate: MirrorCandidate) -> tuple[bool, int, int, str, str, str]:
    file = candidate.file
    uploaded = file.uploaded_at or 0
    return not candidate.is_newest, -candidate.needed_by, -uploaded, candidate.project, file.filename, file.sha256
