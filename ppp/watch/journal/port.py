"""The port to an index's journal: pages of events, by serial where the index numbers them.

Three adapters serve it: `changelog` (XML-RPC, complete), `index` (the simple index, whose projects have serials) and
`feed` (RSS, a hint). What they read comes from the index and is not trusted: a `JournalEvent` is valid in all its
fields, and whatever is not becomes a `RejectedEvent` with a printable reason.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

#: The largest serial: what fits into SQLite's integers.
MAX_SERIAL: Final = 2**63 - 1


class Action(StrEnum):
    """What happened to a project, a release or a file."""

    NEW_RELEASE = "new-release"
    ADD_FILE = "add-file"
    REMOVE_FILE = "remove-file"
    YANK = "yank"
    UNYANK = "unyank"
    REMOVE_RELEASE = "remove-release"
    REMOVE_PROJECT = "remove-project"
    PROJECT_QUARANTINED = "project-quarantined"
    PROJECT_UNQUARANTINED = "project-unquarantined"
    RELEASE_QUARANTINED = "release-quarantined"
    RELEASE_UNQUARANTINED = "release-unquarantined"
    #: The project has a new name, `package`; `filename` is the old one, normalized.
    RENAME = "rename"


class JournalKind(StrEnum):
    """The ways to learn what an index has released, from the complete one to the least complete one."""

    CHANGELOG = "changelog"
    INDEX = "index"
    FEED = "feed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEvent:
    """Something that happened in an index.

    `serial` is the index's number of the event (of the project's last event, where it is read from the simple index),
    None in a feed. `package` is normalized; `version` is in PEP 440's normal form, `""` if the event concerns the whole
    project. `at` is the index's time, in epoch seconds.
    """

    serial: int | None
    package: str
    version: str
    action: Action
    at: int
    filename: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedEvent:
    """An entry that could not be used, and why, in printable characters; its serial if that could be read."""

    serial: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ChangedProject:
    """A project of the simple index, by its normalized name, and the serial of its last event."""

    serial: int
    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What a server gave to ask later whether its answer has changed."""

    etag: str | None = None
    last_modified: str | None = None


NO_VALIDATORS: Final = Validators()


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPage:
    """Events of a journal, in the order in which the index gave them, and what else a page of it tells.

    - `last_serial`: up to here the page is complete, and the next one is asked for after it. None in a feed.
    - `has_more`: the index has more after it.
    - `to_read`: projects whose events are not in this page; it is complete once `ProjectJournal.project_page` was asked
      for each of them. In the order of their serials; empty unless the simple index serves.
    - `oldest_at`, `newest_at`: the times of the earliest and latest entry of a feed, in epoch seconds, also of those
      that were rejected; None if none has a time.
    - `validators`: for the next request. With `unchanged` the server has nothing that it had not when it gave those
      that were sent.
    """

    events: tuple[JournalEvent, ...] = ()
    rejected: tuple[RejectedEvent, ...] = ()
    last_serial: int | None = None
    has_more: bool = False
    to_read: tuple[ChangedProject, ...] = ()
    oldest_at: int | None = None
    newest_at: int | None = None
    validators: Validators = NO_VALIDATORS
    unchanged: bool = False


class Journal(Protocol):
    """A way to learn what an index has released.

    Each method raises `JournalUnreachableError`, `JournalMalformedError` or `JournalThrottledError`; then nothing of an
    answer may be used.
    """

    @property
    def kind(self) -> JournalKind:
        """The way."""

    def last_serial(self) -> int | None:
        """Return the serial of the index's newest event; None if this way has no serials."""

    def page_after(self, serial: int, *, validators: Validators = NO_VALIDATORS) -> JournalPage:
        """Return the next events after a serial, or whatever a feed has now.

        `validators` are those of the page before, if the same serial was asked for, or none.
        """


@runtime_checkable
class ProjectJournal(Journal, Protocol):
    """A journal that names projects, each of which is then to be read."""

    def project_page(self, project: ChangedProject, *, since: int) -> JournalPage | None:
        """Return what a project's page shows to have happened since a time, in epoch seconds.

        `last_serial` is the project's. None if the page is older than `project.serial`, so that the project has to be
        asked for again later.
        """
