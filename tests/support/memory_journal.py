"""A journal in memory: the events of an index, in pages, and whatever may go wrong with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ppp.model.errors import JournalMalformedError
from ppp.watch.journal.port import (
    NO_VALIDATORS,
    Action,
    ChangedProject,
    JournalEvent,
    JournalKind,
    JournalPage,
    Validators,
)

DAY_S = 86_400


def event(serial: int, text: str, *, at: int | None = None) -> JournalEvent:
    """Return an event from `action package [version [filename]]`; its time follows from the serial."""
    action, package, *rest = text.split()
    version, filename = (*rest, "", "")[:2]
    time = 1_715_000_000 + serial if at is None else at
    return JournalEvent(
        serial=serial, package=package, version=version, action=Action(action), at=time, filename=filename
    )


@dataclass(slots=True)
class MemoryChangelog:
    """The complete way: `before_page` is called before each page, and may raise; `reverse` turns each page round."""

    events: Sequence[JournalEvent]
    page_size: int = 50_000
    before_page: Callable[[], None] = lambda: None
    last: int | None = None
    reverse: bool = False
    asked: list[int] = field(default_factory=list)
    kind: JournalKind = JournalKind.CHANGELOG

    def last_serial(self) -> int:
        """See `Journal.last_serial`."""
        self.before_page()
        if self.last is not None:
            return self.last
        return max((e.serial or 0 for e in self.events), default=0)

    def page_after(self, serial: int, *, validators: Validators = NO_VALIDATORS) -> JournalPage:
        """See `Journal.page_after`."""
        del validators
        self.before_page()
        self.asked.append(serial)
        rest = sorted((e for e in self.events if (e.serial or 0) > serial), key=lambda e: e.serial or 0)
        page = rest[: self.page_size]
        if not page:
            return JournalPage(last_serial=serial)
        end = max(e.serial or 0 for e in page)
        shown = page[::-1] if self.reverse else page
        return JournalPage(events=tuple(shown), last_serial=end, has_more=len(rest) > len(page))


@dataclass(slots=True)
class MemoryIndex:
    """The second way, of the same events: `stale` projects have pages that lag behind."""

    events: Sequence[JournalEvent]
    stale: frozenset[str] = frozenset()
    before_page: Callable[[], None] = lambda: None
    kind: JournalKind = JournalKind.INDEX

    def last_serial(self) -> int:
        """See `Journal.last_serial`."""
        self.before_page()
        return max((e.serial or 0 for e in self.events), default=0)

    def page_after(self, serial: int, *, validators: Validators = NO_VALIDATORS) -> JournalPage:
        """See `Journal.page_after`."""
        del validators
        self.before_page()
        last: dict[str, int] = {}
        for e in self.events:
            last[e.package] = max(last.get(e.package, 0), e.serial or 0)
        changed = sorted(ChangedProject(serial=s, package=p) for p, s in last.items() if s > serial)
        return JournalPage(to_read=tuple(changed), last_serial=max(last.values(), default=serial))

    def project_page(self, project: ChangedProject, *, since: int) -> JournalPage | None:
        """See `ProjectJournal.project_page`."""
        self.before_page()
        of_project = [e for e in self.events if e.package == project.package]
        # As of a real index: a page older than the serial that was told, or none at all, is asked for again.
        if project.package in self.stale or max((e.serial or 0 for e in of_project), default=0) < project.serial:
            return None
        events = [e for e in of_project if e.at >= since]
        return JournalPage(events=tuple(events), last_serial=project.serial)


@dataclass(slots=True)
class MemoryFeed:
    """The last resort: the newest `size` releases of the same events that are there at a time."""

    events: Sequence[JournalEvent]
    now: int
    size: int = 100
    kind: JournalKind = JournalKind.FEED

    def last_serial(self) -> None:
        """See `Journal.last_serial`."""

    def page_after(self, serial: int, *, validators: Validators = NO_VALIDATORS) -> JournalPage:
        """See `Journal.page_after`."""
        del serial, validators
        releases = [e for e in self.events if e.action is Action.NEW_RELEASE and e.at <= self.now][-self.size :]
        if not releases:
            raise JournalMalformedError("the feed is empty", hint="")
        shown = tuple(
            JournalEvent(serial=None, package=e.package, version=e.version, action=e.action, at=e.at) for e in releases
        )
        return JournalPage(events=shown, oldest_at=shown[0].at, newest_at=shown[-1].at)
