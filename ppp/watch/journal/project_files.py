"""What a project's page of the simple index shows to have happened since a time.

Pure. A page shows a state, with the time of each upload. So releases and files that are new have their times; of what
is withdrawn (yanked releases, a quarantined project) only the state is known, and it is an event each time the project
has changed. That a release was removed, or offered again, no page shows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from ppp.model.release import InvalidReleaseError, parse_version
from ppp.watch.journal.actions import MAX_FILENAME
from ppp.watch.journal.port import Action, ChangedProject, JournalEvent, RejectedEvent

#: How many files of a project are counted, and how many rejected ones are listed.
MAX_FILES = 100_000
MAX_REJECTED = 100


@dataclass(slots=True, kw_only=True)
class _Version:
    first_at: int
    #: Whether every file is yanked.
    is_yanked: bool = True
    #: Files that are new, and when they came.
    new: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ProjectFilesReader:
    """Collects the files of one project's page; `since` in epoch seconds."""

    project: ChangedProject
    since: int
    rejected: list[RejectedEvent] = field(default_factory=list)
    _versions: dict[str, _Version] = field(default_factory=dict)
    _files: int = 0

    def add(self, row: Any) -> None:  # noqa: ANN401 - whatever JSON has
        """Add an element of `files`."""
        self._files += 1
        match row:
            case {"filename": str(name), "upload-time": str(uploaded)} if self._files <= MAX_FILES:
                version, at = _version_of(name, self.project.package), parse_time(uploaded)
            case {"filename": str(name)} if self._files <= MAX_FILES:
                self._reject(f"{name[:100]!r} has no time of upload")
                return
            case _:
                self._reject("an entry is no file, or there are too many")
                return
        if version is None:
            # Eggs and installers of old, and names that nobody can read: no release is known by them.
            return
        if at is None:
            self._reject(f"{name[:100]!r} was uploaded at {uploaded[:40]!r}, which is no time")
            return
        found = self._versions.setdefault(version, _Version(first_at=at))
        found.first_at = min(found.first_at, at)
        found.is_yanked = found.is_yanked and row.get("yanked", False) is not False
        if at >= self.since:
            found.new.append((at, name))

    def events(self, *, is_quarantined: bool, now: int) -> Iterable[JournalEvent]:
        """Return what happened, by time; `now` is the time of what has none, in epoch seconds."""
        found = [self._event(Action.PROJECT_QUARANTINED, "", now)] if is_quarantined else []
        for version, facts in self._versions.items():
            if facts.first_at >= self.since:
                found.append(self._event(Action.NEW_RELEASE, version, facts.first_at))
            found += (self._event(Action.ADD_FILE, version, at, name) for at, name in facts.new)
            if facts.is_yanked:
                found.append(self._event(Action.YANK, version, now))
        return sorted(found, key=lambda event: (event.at, event.version, event.action is not Action.NEW_RELEASE))

    def removal(self, now: int) -> JournalEvent:
        """Return the event that the project is gone."""
        return self._event(Action.REMOVE_PROJECT, "", now)

    def _event(self, action: Action, version: str, at: int, filename: str = "") -> JournalEvent:
        return JournalEvent(
            serial=self.project.serial,
            package=self.project.package,
            version=version,
            action=action,
            at=at,
            filename=filename,
        )

    def _reject(self, reason: str) -> None:
        if len(self.rejected) < MAX_REJECTED:
            self.rejected.append(
                RejectedEvent(serial=self.project.serial, reason=f"a file of {self.project.package}: {reason}")
            )


def parse_time(text: str) -> int | None:
    """Return the time of an upload in epoch seconds; None if it is none."""
    try:
        at = datetime.fromisoformat(text[:40])
        return max(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()), 0)
    except (ValueError, OverflowError):
        return None


def is_quarantined(members: Mapping[str, Any]) -> bool:
    """Return whether the page of a project says that the index has quarantined it (PEP 792)."""
    match members.get("project-status"):
        case {"status": "quarantined"}:
            return True
    return False


def _version_of(filename: str, package: str) -> str | None:
    """Return the version of a file's release; None if the name is not that of a distribution of the package."""
    if len(filename) > MAX_FILENAME or not filename.isprintable() or "/" in filename:
        return None
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
        return parse_version(str(version)) if name == package else None
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidReleaseError, ValueError):
        return None
