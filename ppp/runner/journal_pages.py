"""Take in one page of a journal: read what is known, decide purely, and write everything in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.ledger import journal as ledger
from ppp.ledger.journal import NamedRelease
from ppp.ledger.queries import environments_with_verdict
from ppp.model.matrix import Cell, Environment, Platform
from ppp.model.record import Network
from ppp.model.release import Release
from ppp.model.trigger import Trigger, TriggerKind
from ppp.runner.context import LocalNode
from ppp.storage_errors import translate_storage_errors
from ppp.watch.journal.plan import GONE, JournalPlan, KnownRelease, named_projects, named_releases, plan_page
from ppp.watch.journal.port import Action, JournalEvent, JournalPage
from ppp.watch.queue import UNSANDBOXED, ReleaseSource, SkipReason

#: How many events are planned at once: what a page's 50,000 mean would take tens of megabytes.
PORTION: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCounts:
    """What pages brought: new events, releases named for the first time, and releases to check again or withdrawn.

    `skipped` counts the new ones that can run in none of the environments. `renames` are sentences, one for each
    project that got another name.
    """

    events: int = 0
    new: int = 0
    late: int = 0
    changed: int = 0
    withdrawn: int = 0
    rejected: int = 0
    skipped: int = 0
    renames: tuple[str, ...] = ()

    def __add__(self, other: "PageCounts") -> "PageCounts":
        """Return the sum of both."""
        return PageCounts(
            events=self.events + other.events,
            new=self.new + other.new,
            late=self.late + other.late,
            changed=self.changed + other.changed,
            withdrawn=self.withdrawn + other.withdrawn,
            rejected=self.rejected + other.rejected,
            skipped=self.skipped + other.skipped,
            renames=self.renames + other.renames,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWriter:
    """Writes what pages of one journal mean for this node; `source` is the sha256 of the index's address.

    `portion` is how many events are planned at once; what is stored does not depend on it.
    """

    node: LocalNode
    environments: Sequence[Environment]
    source: str
    release_source: ReleaseSource = ReleaseSource.JOURNAL
    portion: int = PORTION

    def write(
        self, page: JournalPage, events: Sequence[JournalEvent], and_then: Callable[[PageCounts], None]
    ) -> PageCounts:
        """Write the new `events` of a page, and in the same transaction whatever `and_then` writes."""
        db, now = self.node.store.db, self.node.context.now
        with translate_storage_errors(self.node.store.path), db.atomic():
            ledger.add_rejects(db, self.source, ((r.serial or 0, r.reason) for r in page.rejected), now=now)
            counts = PageCounts(rejected=len(page.rejected))
            for start in range(0, len(events), self.portion):
                counts += self._write_portion(events[start : start + self.portion])
            and_then(counts)
        return counts

    def _write_portion(self, events: Sequence[JournalEvent]) -> PageCounts:
        db, now = self.node.store.db, self.node.context.now
        releases = named_releases(events)
        found = ledger.known_releases(db, releases, named_projects(events), node=self.node.key.id)
        known = {r: KnownRelease(named=named, has_result=has) for r, (named, has) in found.items()}
        plan = plan_page(events, known)
        ledger.add_releases(db, _named(events, known, plan))
        published = {e.package for e in events if e.action is Action.NEW_RELEASE}
        ledger.add_events(db, self.source, _told(events, ledger.with_events(db, published, GONE)))
        renames = [f"{e.filename} is now {e.package} (serial {e.serial})" for e in events if e.action is Action.RENAME]
        for rename in renames:
            ledger.add_anomaly(db, self.source, "rename", rename, now=now)
        self._queue(plan)
        return PageCounts(
            events=len(events),
            new=len(plan.named),
            late=len(plan.late),
            changed=len(plan.changed),
            withdrawn=len(plan.withdrawn),
            skipped=0 if self._allowed else len(plan.new),
            renames=tuple(renames),
        )

    def _queue(self, plan: JournalPlan) -> None:
        store, now = self.node.store, self.node.context.now
        ledger.unskip(store.db, plan.new)
        self._enqueue(plan.new, self.release_source)
        self._enqueue_untested(plan.tested)
        self._enqueue(plan.changed, ReleaseSource.WITHDRAWAL)
        for late in plan.late:
            trigger = Trigger(kind=TriggerKind.LATE_FILE, name=late.filename[:255], version=late.release.version[:128])
            self._enqueue([late.release], ReleaseSource.LATE_FILE, trigger)
        ledger.withdraw(store.db, {release: str(action) for release, action in plan.withdrawn.items()}, now=now)

    def _enqueue(self, releases: Iterable[Release], source: ReleaseSource, trigger: Trigger | None = None) -> None:
        store, now = self.node.store, self.node.context.now
        if allowed := self._allowed:
            store.queue.add_releases(releases, allowed, source=source, now=now, triggered_by=trigger)
            return
        for release in releases:
            store.skip(release, "", reason=SkipReason.UNSANDBOXED, detail=UNSANDBOXED, now=now)

    def _enqueue_untested(self, releases: Iterable[Release]) -> None:
        store, node = self.node.store, self.node.key.id
        for release in releases:
            tested = environments_with_verdict(store.db, release, node)
            cells = [Cell(release=release, environment=id_) for id_ in self._allowed if id_ not in tested]
            store.queue.add(cells, source=self.release_source, now=self.node.context.now)

    @property
    def _allowed(self) -> list[str]:
        """The environments in which releases may run that anybody may have uploaded."""
        sandboxed = self.node.context.config.network is Network.GATEWAY
        return [e.id for e in self.environments if sandboxed or e.platform is not Platform.HOST]


@dataclass(slots=True)
class _Naming:
    """What a page says of one release so far; it changes, as most releases have several events."""

    serial: int | None
    announced_at: int
    files: int = 0
    last_file_at: int | None = None
    last_file_serial: int | None = None


def _named(
    events: Sequence[JournalEvent], known: dict[Release, KnownRelease], plan: JournalPlan
) -> Iterable[NamedRelease]:
    """Return the releases to add or to complete: new ones, and those that were named before."""
    # Keys are pairs of texts, which keep their hashes: a page has tens of thousands of events.
    wanted = {(r.package, r.version) for r in plan.named}
    wanted |= {(r.package, r.version) for r, before in known.items() if before.named}
    named: dict[tuple[str, str], _Naming] = {}
    renames = {e.package: e for e in events if e.action is Action.RENAME}
    for release in plan.named if renames else ():
        # Of a project with a new name no event says which releases it has.
        if rename := renames.get(release.package):
            named[release.package, release.version] = _Naming(rename.serial, rename.at)
    for event in events:
        key = event.package, event.version
        is_file = event.action is Action.ADD_FILE
        if not (is_file or event.action is Action.NEW_RELEASE) or key not in wanted:
            continue
        one = named.get(key)
        if one is None:
            one = named[key] = _Naming(event.serial, event.at)
        if is_file:
            one.files += 1
            one.last_file_at = max(one.last_file_at or 0, event.at)
            one.last_file_serial = event.serial
    for (package, version), one in named.items():
        yield NamedRelease(
            release=Release(package=package, version=version),
            serial=one.serial,
            announced_at=one.announced_at,
            files=one.files,
            last_file_at=one.last_file_at,
            last_file_serial=one.last_file_serial,
        )


def _told(events: Iterable[JournalEvent], gone: set[tuple[str, str]]) -> Iterable[tuple[int, str, str, str, int]]:
    """Return the events that are kept: what a release and its files are is in another table.

    Of a release that had been withdrawn, or whose project had, it is kept that it is published again: by that it is
    known to be back. `gone` are those that were withdrawn before, the project as a whole with the version `""`.
    """
    for e in events:
        if e.action in GONE:
            gone.add((e.package, e.version))
        elif e.action is Action.NEW_RELEASE:
            if e.serial is None or not gone & {(e.package, e.version), (e.package, "")}:
                continue
        elif e.action is Action.ADD_FILE:
            continue
        yield e.serial or 0, e.package, e.version, str(e.action), e.at
