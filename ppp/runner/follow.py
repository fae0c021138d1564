"""Follow the index's journal: read it from where the last run ended, and queue what it names.

Three ways serve, from the complete one to the least complete one: the changelog, the simple index with its serials, and
the feed. One that does not answer is reported and the next one is asked. Whatever a page brings is written in one
transaction with the cursor, so a run can be killed at any moment: the next one goes on where it ended.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from ppp.ledger import journal as ledger
from ppp.ledger.journal import MARGIN, Cursor, FeedReading, Gap, Interval
from ppp.model.canonical import sha256_hex
from ppp.model.errors import JournalMalformedError, JournalThrottledError, JournalUnreachableError, PPPError
from ppp.model.matrix import Environment
from ppp.model.printable import first_of
from ppp.model.release import Release
from ppp.runner.context import LocalNode
from ppp.runner.journal_pages import PageCounts, PageWriter
from ppp.storage_errors import translate_storage_errors
from ppp.watch.journal.choose import configured_journals
from ppp.watch.journal.port import (
    Action,
    ChangedProject,
    Journal,
    JournalEvent,
    JournalKind,
    JournalPage,
    ProjectJournal,
    Validators,
)
from ppp.watch.queue import UNSANDBOXED, ReleaseSource

#: The index's pages lag behind its serials: files from so many seconds before the last reading are looked at again.
INDEX_LAG_S: Final = 3_600
#: A journal that gained more serials than this, and than so many a second since it was read, has jumped.
MAX_JUMP: Final = 1_000_000
MAX_PACE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowReport:
    """What following the journal brought.

    `served` is the way that served, None if none did; `refused` says why each other one did not. Serials are those
    between which everything was read now, None in a feed. `stale` counts projects whose pages lag behind, `gap` is the
    time that no reading of the feed covers. With `starts`, nothing before is claimed. `error` is there if none served.
    """

    served: JournalKind | None = None
    refused: tuple[str, ...] = ()
    first_serial: int | None = None
    last_serial: int | None = None
    counts: PageCounts = field(default_factory=PageCounts)
    stale: int = 0
    gap: Gap | None = None
    starts: bool = False
    error: PPPError | None = None

    def __str__(self) -> str:
        """Return the report as a line."""
        if self.served is None:
            return "the journal could not be read"
        named = f"{self.counts.new} releases are new"
        if self.served is JournalKind.FEED:
            return f"the feed was read: {named}"
        if self.starts:
            newest = f"; {named} in the feed" if self.counts.new else ""
            return f"following begins after serial {self.last_serial} ({self.served}){newest}"
        again = self.counts.late + self.counts.changed
        more = [f"{again} are checked again"] if again else []
        more += [f"{self.counts.withdrawn} are withdrawn"] if self.counts.withdrawn else []
        more += [f"{self.stale} projects wait for newer pages"] if self.stale else []
        return f"read up to serial {self.last_serial} ({self.served}): {', '.join([named, *more])}"


def follow(node: LocalNode, journals: Sequence[Journal], environments: Sequence[Environment]) -> FollowReport:
    """Read the journal by the first way that serves; queue what it names, and return what it brought.

    Nothing is raised for a journal that cannot be read: the report says why, and what was read before is kept.
    """
    errors: list[PPPError] = []
    follower = _Follower(node, environments)
    for journal in journals:
        try:
            report = follower.read(journal)
        except JournalThrottledError as error:
            # It does answer: another way would cost the index more.
            return FollowReport(refused=(*map(str, errors), str(error)), error=error)
        except (JournalUnreachableError, JournalMalformedError) as error:
            errors.append(error)
            continue
        if report.starts:
            report = replace(report, counts=report.counts + follower.read_newest(journals))
        return replace(report, refused=tuple(map(str, errors)))
    return FollowReport(refused=tuple(map(str, errors)), error=_none_serves(errors))


def _none_serves(errors: Sequence[PPPError]) -> PPPError:
    # Of a single way, what is wrong with it has a code and a hint of its own.
    if len(errors) == 1:
        return errors[0]
    return JournalUnreachableError(
        f"no way to follow the index serves: {'; '.join(map(str, errors))}",
        hint="check the network and PPP_JOURNAL; what is named or on the watchlist can be checked without",
    )


def follow_configured(
    node: LocalNode, environments: Sequence[Environment], *, required: bool = False
) -> FollowReport | None:
    """Follow the journal by the ways that the settings allow, and report it; None if they allow none.

    If none serves, that is a warning; if `required`, its error is raised and nothing is written.
    """
    journals = configured_journals(node.context.config)
    if not journals:
        return None
    report, reporter = follow(node, journals, environments), node.context.reporter
    if report.error is not None and required:
        raise report.error
    if report.served is None:
        reporter.warn(f"continuing without the journal: {'; '.join(report.refused)}")
        return report
    for reason in report.refused:
        reporter.note(f"another way is taken: {reason}")
    if report.counts.renames:
        reporter.warn(
            f"projects have another name: {first_of(report.counts.renames, 3)};"
            " their releases are checked under the new one"
        )
    if report.counts.skipped:
        reporter.note(f"{report.counts.skipped} releases skipped: {UNSANDBOXED}")
    if report.counts.rejected:
        reporter.warn(
            f"{report.counts.rejected} entries of the journal name no valid release: `ppp coverage` shows them"
        )
    if report.gap is not None:
        minutes = (report.gap.end_at - report.gap.start_at) // 60
        reporter.warn(
            f"{minutes} minutes lie between this reading of the feed and the one before: about {report.gap.estimate}"
            " releases of that time are not known; read the feed more often, or set PPP_JOURNAL_URL"
        )
    reporter.note(str(report))
    return report


class _Follower:
    """Reads one node's journal; see `follow`."""

    def __init__(self, node: LocalNode, environments: Sequence[Environment]) -> None:
        self._node = node
        self._db = node.store.db
        self._source = sha256_hex(node.context.config.index_url.encode())
        self._writer = PageWriter(node=node, environments=environments, source=self._source)

    def read(self, journal: Journal) -> FollowReport:
        """Read a journal from the cursor on; raise its errors."""
        if journal.kind is JournalKind.FEED:
            return self._read_feed(journal)
        cursor = ledger.read_cursor(self._db, self._source)
        newest = journal.last_serial()
        if newest is None:
            raise JournalMalformedError("the journal has no serials", hint="name another way with PPP_JOURNAL")
        if cursor is None:
            return self._start(journal, newest)
        # What is read project by project was named up to the target: an index that is not there yet may lack any of it.
        reached = cursor.target or cursor.serial if isinstance(journal, ProjectJournal) else cursor.serial
        if newest < reached:
            raise self._backwards(reached, newest)
        self._note_jump(cursor, newest)
        if isinstance(journal, ProjectJournal):
            return self._read_projects(journal, cursor)
        return self._read_changelog(journal, cursor)

    def _start(self, journal: Journal, newest: int) -> FollowReport:
        with translate_storage_errors(self._node.store.path), self._db.atomic():
            ledger.start_cursor(self._db, self._source, newest, now=self._node.context.now)
        return FollowReport(served=journal.kind, last_serial=newest, starts=True)

    def read_newest(self, journals: Iterable[Journal]) -> PageCounts:
        """Return what the feed brings, where it is one of the ways: what is newest when the following begins."""
        counts = PageCounts()
        for journal in journals:
            if journal.kind is JournalKind.FEED:
                with suppress(JournalThrottledError, JournalUnreachableError, JournalMalformedError):
                    counts += self._read_feed(journal).counts
        return counts

    def _backwards(self, reached: int, newest: int) -> JournalMalformedError:
        # A mirror that lags, or an index that was restored. The cursor stays, and the feed may serve meanwhile.
        detail = f"the last serial is {newest}, but {reached} was read before"
        with translate_storage_errors(self._node.store.path), self._db.atomic():
            ledger.add_anomaly(self._db, self._source, "backwards", detail, now=self._node.context.now)
        return JournalMalformedError(
            f"the journal went backwards: {detail}; nothing is taken from it until it is past that serial again",
            hint="if the index was restored, or its mirror lags, wait for it",
        )

    def _note_jump(self, cursor: Cursor, newest: int) -> None:
        """Report a serial that is further ahead than events of that time can be; all events up to it are read."""
        now, ahead = self._node.context.now, newest - cursor.serial
        if ahead <= MAX_JUMP + MAX_PACE * max(0, now - cursor.read_at):
            return
        detail = f"the last serial is {newest}, {ahead:,} after the one that was read before"
        with translate_storage_errors(self._node.store.path), self._db.atomic():
            ledger.add_anomaly(self._db, self._source, "jump", detail, now=now)
        self._node.context.reporter.warn(f"the journal jumped: {detail}; everything in between is read")

    # ---------------------------------------------------------------- changelog

    def _read_changelog(self, journal: Journal, cursor: Cursor) -> FollowReport:
        counts, serial = PageCounts(), max(cursor.first_serial, cursor.serial - MARGIN)
        reached = cursor.serial
        has_more = True
        while has_more and not self._node.context.stop.is_set():
            page = journal.page_after(serial)
            end = page.last_serial
            if end is None or (page.has_more and end <= serial):
                raise JournalMalformedError(
                    f"the journal does not advance beyond serial {serial}", hint="run again later; nothing was lost"
                )
            counts += self._write_changelog(journal, page, cursor, reached)
            serial, reached, has_more = end, max(reached, end), page.has_more
            # The memory of a page is needed for the next one.
            del page
        if not has_more:
            self._close_interval(cursor)
        return FollowReport(served=journal.kind, first_serial=cursor.serial + 1, last_serial=reached, counts=counts)

    def _write_changelog(self, journal: Journal, page: JournalPage, cursor: Cursor, reached: int) -> PageCounts:
        known = ledger.margin_events(self._db, self._source)
        floor = max(cursor.first_serial, ledger.read_without_events(self._db, self._source))
        last_known = max((serial for serial, _ in known), default=0)
        events = [
            e
            for e in page.events
            if (e.serial or 0) > floor and ((e.serial or 0) > last_known or _margin_key(e) not in known)
        ]
        # What happened last counts, in whatever order the index gives its rows.
        events.sort(key=lambda e: e.serial or 0)
        end = max(reached, page.last_serial or 0)

        def advance(counts: PageCounts) -> None:
            now = self._node.context.now
            if end > reached:
                ledger.add_interval(self._db, self._source, _interval(journal, reached + 1, end, counts), now=now)
            margin = (_margin_key(e) for e in events if (e.serial or 0) >= end - MARGIN)
            ledger.add_margin(self._db, self._source, margin)
            ledger.advance_cursor(self._db, self._source, end, complete_at=None if page.has_more else now)

        return self._writer.write(page, events, advance)

    def _close_interval(self, cursor: Cursor) -> None:
        """Everything up to the index's last serial is read: nothing is left to read project by project, or unknown."""
        with translate_storage_errors(self._node.store.path), self._db.atomic():
            ledger.clear_todo(self._db, self._source)
            ledger.fill_gaps(self._db, since=cursor.started_at, now=self._node.context.now)

    # ---------------------------------------------------------------- the simple index

    def _read_projects(self, journal: ProjectJournal, cursor: Cursor) -> FollowReport:
        counts, stale = PageCounts(), 0
        target = cursor.target
        if target is None:
            page = journal.page_after(cursor.serial)
            target = page.last_serial or cursor.serial
            rejected, now = [(r.serial or 0, r.reason) for r in page.rejected], self._node.context.now
            counts += PageCounts(rejected=len(rejected))
            with translate_storage_errors(self._node.store.path), self._db.atomic():
                ledger.add_rejects(self._db, self._source, rejected, now=now)
                ledger.set_todo(self._db, self._source, [(p.package, p.serial) for p in page.to_read], target=target)
        for package, serial in ledger.read_todo(self._db, self._source):
            if self._node.context.stop.is_set():
                break
            project = ChangedProject(serial=serial, package=package)
            read = journal.project_page(project, since=cursor.read_at - INDEX_LAG_S)
            if read is None:
                stale += 1
            else:
                counts += self._write_project(read, project)
        if not ledger.read_todo(self._db, self._source):
            self._finish_projects(journal, cursor, target, counts)
        return FollowReport(
            served=journal.kind, first_serial=cursor.serial + 1, last_serial=target, counts=counts, stale=stale
        )

    def _write_project(self, page: JournalPage, project: ChangedProject) -> PageCounts:
        last = ledger.last_files(self._db, {_release_of(e) for e in page.events if e.version})
        told = ledger.last_actions(self._db, self._source, project.package)
        events = [e for e in page.events if _is_new(e, last, told)]
        return self._writer.write(
            page, events, lambda _: ledger.finish_project(self._db, self._source, project.package)
        )

    def _finish_projects(self, journal: Journal, cursor: Cursor, target: int, counts: PageCounts) -> None:
        now = self._node.context.now
        with translate_storage_errors(self._node.store.path), self._db.atomic():
            if target > cursor.serial:
                interval = _interval(journal, cursor.serial + 1, target, counts)
                ledger.add_interval(self._db, self._source, interval, now=now)
            ledger.clear_todo(self._db, self._source)
            ledger.advance_cursor(self._db, self._source, target, complete_at=now)
            ledger.fill_gaps(self._db, since=cursor.started_at, now=now)

    # ---------------------------------------------------------------- the feed

    def _read_feed(self, journal: Journal) -> FollowReport:
        source = sha256_hex(self._node.context.config.feed_url.encode())
        before = ledger.last_feed_reading(self._db, source)
        validators = Validators(etag=before.etag, last_modified=before.last_modified) if before else Validators()
        page = journal.page_after(0, validators=validators)
        if page.unchanged:
            return FollowReport(served=journal.kind)
        # A feed without times says nothing about gaps.
        newest = page.newest_at or (before.newest_at if before else self._node.context.now)
        oldest = page.oldest_at or newest
        reading = FeedReading(
            newest_at=newest,
            releases=len(page.events),
            span_s=newest - oldest,
            etag=page.validators.etag,
            last_modified=page.validators.last_modified,
        )
        cursor = ledger.read_cursor(self._db, self._source)
        read_at = cursor.read_at if cursor else None
        gap = find_gap(before, oldest, reading, read_at=read_at) if page.oldest_at else None
        writer = PageWriter(
            node=self._node,
            environments=self._writer.environments,
            source=self._source,
            release_source=ReleaseSource.FEED,
        )

        def save(_: PageCounts) -> None:
            now = self._node.context.now
            ledger.save_feed_reading(self._db, source, reading, now=now)
            if gap is not None:
                ledger.add_gap(self._db, source, gap, now=now)

        counts = writer.write(page, page.events, save)
        return FollowReport(served=journal.kind, counts=counts, gap=gap)


def find_gap(
    before: FeedReading | None, oldest_at: int, reading: FeedReading, *, read_at: int | None = None
) -> Gap | None:
    """Return the time between two readings of a feed that neither covers, or None if they meet.

    `read_at` is when a journal with serials was last read, which covers the time before. The estimate is the number of
    releases in the gap at the mean pace of both readings.
    """
    readings = [reading, *([before] if before else [])]
    covered = [*([before.newest_at] if before else []), *([] if read_at is None else [read_at])]
    start = max(covered, default=oldest_at)
    if oldest_at <= start:
        return None
    seconds = sum(one.span_s for one in readings)
    pace = sum(one.releases for one in readings) / seconds if seconds else 0.0
    return Gap(start_at=start, end_at=oldest_at, estimate=round(pace * (oldest_at - start)))


def _is_new(event: JournalEvent, last_files: Mapping[Release, int], told: Mapping[str, str]) -> bool:
    """Return whether a project's page tells something new: it repeats all that holds of the project."""
    if event.action is Action.ADD_FILE:
        return event.at > last_files.get(_release_of(event), -1)
    if event.action is Action.NEW_RELEASE:
        return _release_of(event) not in last_files or told.get(event.version) == Action.REMOVE_RELEASE
    return told.get(event.version) != event.action


def _interval(journal: Journal, first: int, last: int, counts: PageCounts) -> Interval:
    return Interval(
        first_serial=first, last_serial=last, adapter=str(journal.kind), events=counts.events, releases=counts.new
    )


def _margin_key(event: JournalEvent) -> tuple[int, str]:
    return event.serial or 0, f"{event.package} {event.version} {event.action} {event.filename}"


def _release_of(event: JournalEvent) -> Release:
    return Release(package=event.package, version=event.version)
