"""Following a journal: what is queued, what is stored, and that nothing is lost or done twice, whatever happens."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import ALPINE, SLIM, host_environment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_index import LocalIndex, reply
from memory_journal import MemoryChangelog, MemoryFeed, MemoryIndex, event
from memory_store import open_store
from recording_reporter import RecordingReporter
from sample_record import SAMPLE_RECORD

from ppp import config
from ppp.ledger.coverage_intervals import read_intervals
from ppp.ledger.journal import FeedReading, Gap
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.errors import JournalThrottledError, JournalUnreachableError, PPPError
from ppp.model.matrix import Environment
from ppp.model.record import Network
from ppp.model.release import Release
from ppp.runner.context import Context, LocalNode
from ppp.runner.follow import FollowReport, find_gap, follow, follow_configured
from ppp.runner.job_sources import withdrawn_because
from ppp.runner.journal_pages import PageWriter
from ppp.watch.journal.port import Journal, JournalEvent, JournalKind, JournalPage

NOW: Final = 1_715_000_000
SIX: Final = Release(package="six", version="1.17.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A node that follows a journal, and what is in its ledger."""

    node: LocalNode
    reporter: RecordingReporter

    def follow(self, *journals: Journal, environments: Sequence[Environment] = (SLIM,)) -> FollowReport:
        return follow(self.node, journals, environments)

    def rows(self, sql: str, *values: object) -> list[Any]:
        return [tuple(row) for row in self.node.store.db.execute(sql, values).fetchall()]

    @property
    def queue(self) -> list[tuple[str, str, str]]:
        return self.rows("SELECT package || ' ' || version, environment, source FROM queue ORDER BY 1, 2")

    @property
    def queued(self) -> list[str]:
        return [name for name, *_ in self.queue]

    @property
    def state(self) -> dict[str, list[Any]]:
        """Everything that following stores, apart from times of reading."""
        queries = {
            "queue": "SELECT package, version, environment, source FROM queue",
            "releases": "SELECT package, version, serial, announced_at, files, last_file_at FROM journal_releases",
            "events": "SELECT serial, package, version, action, at FROM journal_events",
            "skips": "SELECT package, version, environment, reason FROM skips",
            "cursor": "SELECT serial, first_serial, target FROM journal_cursors",
            "todo": "SELECT package FROM journal_todo",
        }
        return {name: self.rows(f"{sql} ORDER BY 1, 2, 3" if name != "todo" else sql) for name, sql in queries.items()}


def make_follower(store: Store, folder: Path, **settings_: str) -> Follower:
    """Return a follower of an index that is never asked, unless `settings_` name one."""
    environ = {
        "PPP_INDEX_URL": "https://index.example/simple/",
        "PPP_FEED_URL": "https://index.example/feed",
    } | settings_
    reporter = RecordingReporter()
    context = Context(
        config=config.load(environ, data=folder / "data"),
        reporter=reporter,
        environ={},
        stop=threading.Event(),
        clock=lambda: NOW,
    )
    node = LocalNode(context=context, store=store, key=NodeKey.from_seed(b"\1" * 32))
    return Follower(node=node, reporter=reporter)


@pytest.fixture
def follower(store: Store, tmp_path: Path) -> Follower:
    return make_follower(store, tmp_path)


@pytest.fixture
def started(follower: Follower) -> Follower:
    """A follower whose cursor is at serial 10."""
    follower.follow(MemoryChangelog([event(10, "new-release old 1.0")]))
    return follower


def test_following_begins_with_the_newest_serial_and_claims_nothing_before(follower: Follower) -> None:
    report = follower.follow(MemoryChangelog([event(10, "new-release old 1.0")]))
    assert (report.served, report.starts, report.last_serial) == (JournalKind.CHANGELOG, True, 10)
    assert str(report) == "following begins after serial 10 (changelog)"
    assert follower.queue == []
    assert follower.state["cursor"] == [(10, 10, None)]


def test_a_new_release_is_queued_in_every_environment(started: Follower) -> None:
    events = [event(11, "new-release six 1.17.0"), event(12, "add-file six 1.17.0 six-1.17.0.tar.gz")]
    report = started.follow(MemoryChangelog(events), environments=(SLIM, ALPINE))
    assert report.counts.new == 1
    assert started.queue == [("six 1.17.0", ALPINE.id, "journal"), ("six 1.17.0", SLIM.id, "journal")]
    assert started.rows("SELECT serial, files FROM journal_releases") == [(11, 1)]
    assert started.rows("SELECT first_serial, last_serial, adapter, events, releases FROM journal_intervals") == [
        (11, 12, "changelog", 2, 1)
    ]


def test_pages_are_read_to_the_end_and_make_one_interval(started: Follower) -> None:
    events = [event(serial, f"new-release p{serial} 1.0") for serial in range(11, 31)]
    changelog = MemoryChangelog(events, page_size=7)
    report = started.follow(changelog)
    assert report.counts.new == len(started.queue) == 20
    assert started.rows("SELECT first_serial, last_serial, releases FROM journal_intervals") == [(11, 30, 20)]
    assert changelog.asked == [10, 17, 24]


def test_what_is_read_again_changes_nothing(started: Follower) -> None:
    events = [event(11, "new-release six 1.17.0"), event(12, "add-file six 1.17.0 a.whl"), event(13, "yank b 2.0")]
    started.follow(MemoryChangelog(events))
    before = started.state
    # The margin is read again as soon as there is one event more.
    started.follow(MemoryChangelog([*events, event(14, "unyank c 1.0")]))
    after = started.state
    assert after["releases"] == before["releases"]
    assert after["queue"] == before["queue"]
    assert started.follow(MemoryChangelog([*events, event(14, "unyank c 1.0")])).counts.events == 0


def test_an_event_that_appears_late_with_a_lower_serial_is_taken(started: Follower) -> None:
    started.follow(MemoryChangelog([event(15, "new-release six 1.17.0")]))
    started.follow(
        MemoryChangelog([event(12, "new-release late 1.0"), event(15, "new-release six 1.17.0"), event(16, "yank x 1")])
    )
    assert started.queued == ["late 1.0", "six 1.17.0"]


def test_a_file_of_a_release_that_was_never_named_names_it(started: Follower) -> None:
    started.follow(MemoryChangelog([event(11, "add-file older 3.0 older-3.0-py3-none-any.whl")]))
    assert started.queued == ["older 3.0"]


def test_a_release_that_was_tested_before_it_was_named_is_counted_and_tested_where_it_was_not(
    started: Follower,
) -> None:
    record = replace(SAMPLE_RECORD, release=SIX, environment=SLIM.id, node=started.node.key.id, log_sha256=None)
    started.node.store.add_record(record)
    report = started.follow(MemoryChangelog([event(11, "new-release six 1.17.0")]), environments=(SLIM, ALPINE))
    assert (report.counts.new, report.counts.changed) == (1, 0)
    assert started.queue == [("six 1.17.0", ALPINE.id, "journal")]
    assert started.rows("SELECT package, serial FROM journal_releases") == [("six", 11)]


def test_a_release_is_no_event_beside_itself(started: Follower) -> None:
    started.follow(MemoryChangelog([event(11, "new-release six 1.17.0"), event(12, "yank six 1.17.0")]))
    assert started.rows("SELECT serial, action FROM journal_events") == [(12, "yank")]


@pytest.mark.parametrize(
    ("told", "clause"),
    [
        ((), ""),
        (("yank six 1.17.0",), ""),
        (("remove-release six 1.17.0",), "the release was removed"),
        (("remove-release six 1.17.0", "new-release six 1.17.0"), ""),
        (("remove-project six",), "the project was removed"),
        (("remove-project six", "new-release six 1.16.0"), "the project was removed"),
        (("remove-project six", "new-release six 1.17.0"), ""),
        (("release-quarantined six 1.17.0",), "the index has quarantined the release"),
        (("release-quarantined six 1.17.0", "release-unquarantined six 1.17.0"), ""),
        (("project-quarantined six",), "the index has quarantined the project"),
        (("project-quarantined six", "project-unquarantined six"), ""),
        (
            ("release-quarantined six 1.17.0", "project-quarantined six", "project-unquarantined six"),
            "the index has quarantined the release",
        ),
    ],
)
@pytest.mark.parametrize("pages", ["together", "one by one"])
def test_what_the_journal_last_did_to_a_release_says_whether_it_can_be_had(
    started: Follower, told: Sequence[str], clause: str, pages: str
) -> None:
    events = [event(11 + place, text) for place, text in enumerate(("new-release six 1.17.0", *told))]
    for end in range(1, len(events) + 1) if pages == "one by one" else [len(events)]:
        started.follow(MemoryChangelog(events[:end]))
    assert withdrawn_because(started.node.store.db, SIX) == clause


def test_a_release_of_a_name_that_was_removed_and_taken_again_is_not_withdrawn(started: Follower) -> None:
    told = ("new-release six 1.0", "remove-project six", "new-release six 1.17.0")
    started.follow(MemoryChangelog([event(11 + place, text) for place, text in enumerate(told)]))
    assert withdrawn_because(started.node.store.db, SIX) == ""
    assert started.queued == ["six 1.17.0"]


def test_a_late_file_queues_what_has_a_result(started: Follower) -> None:
    started.follow(MemoryChangelog([event(11, "new-release six 1.17.0")]))
    record = replace(SAMPLE_RECORD, release=SIX, environment=SLIM.id, node=started.node.key.id, log_sha256=None)
    started.node.store.add_record(record)
    assert started.queue == []
    report = started.follow(MemoryChangelog([event(12, "add-file six 1.17.0 six-1.17.0-py3-none-any.whl")]))
    assert report.counts.late == 1
    assert started.queue == [("six 1.17.0", SLIM.id, "late-file")]
    ((trigger,),) = started.rows("SELECT triggered_by FROM queue")
    assert "six-1.17.0-py3-none-any.whl" in trigger


@pytest.mark.parametrize(
    "action",
    ["yank six 1.17.0", "remove-release six 1.17.0", "project-quarantined six", "release-quarantined six 1.17.0"],
)
def test_what_the_index_takes_back_is_checked_again(started: Follower, action: str) -> None:
    started.follow(MemoryChangelog([event(11, "new-release six 1.17.0")]))
    record = replace(SAMPLE_RECORD, release=SIX, environment=SLIM.id, node=started.node.key.id, log_sha256=None)
    started.node.store.add_record(record)
    started.follow(MemoryChangelog([event(12, action)]))
    assert started.queue == [("six 1.17.0", SLIM.id, "withdrawal")]
    assert started.rows("SELECT action FROM journal_events WHERE serial = 12") == [(action.split(maxsplit=1)[0],)]


@pytest.mark.parametrize("action", ["remove-release six 1.17.0", "remove-project six", "project-quarantined six"])
def test_what_is_gone_before_it_was_tested_leaves_the_queue_with_the_reason(started: Follower, action: str) -> None:
    started.follow(MemoryChangelog([event(11, "new-release six 1.17.0")]))
    report = started.follow(MemoryChangelog([event(12, action)]))
    assert (report.counts.withdrawn, started.queue) == (1, [])
    assert started.rows("SELECT reason, detail FROM skips") == [("withdrawn", action.split(maxsplit=1)[0])]
    back = "project-unquarantined six" if "quarantined" in action else "new-release six 1.17.0"
    started.follow(MemoryChangelog([event(13, back)]))
    assert (started.queued, started.rows("SELECT * FROM skips")) == (["six 1.17.0"], [])


def test_a_release_that_comes_and_goes_within_a_page_is_counted_and_not_queued(started: Follower) -> None:
    started.follow(MemoryChangelog([event(11, "new-release six 1.17.0"), event(12, "remove-release six 1.17.0")]))
    assert (started.queue, len(started.state["releases"]), len(started.state["skips"])) == ([], 1, 1)


# ---------------------------------------------------------------- what no journal should do


def test_a_journal_that_goes_backwards_is_reported_and_nothing_is_taken(started: Follower) -> None:
    before = started.state
    report = started.follow(MemoryChangelog([event(5, "new-release six 1.17.0")]))
    assert report.counts.new == 0
    assert started.state == before
    (reason,) = report.refused
    assert reason.startswith("the journal went backwards: the last serial is 5, but 10 was read before")
    assert started.rows("SELECT kind FROM journal_anomalies") == [("backwards",)]


def test_what_cannot_be_read_beyond_a_serial_gives_way_to_the_feed(started: Follower) -> None:
    backwards = MemoryChangelog([event(5, "new-release six 1.17.0")])
    feed = MemoryFeed([event(12, "new-release six 1.17.0")], now=NOW + 20)
    report = started.follow(backwards, feed)
    assert (report.served, started.queued) == (JournalKind.FEED, ["six 1.17.0"])
    assert started.state["cursor"] == [(10, 10, None)]


def test_a_journal_that_jumps_is_reported_and_read(started: Follower) -> None:
    report = started.follow(MemoryChangelog([event(2_000_000, "new-release six 1.17.0", at=NOW)]))
    assert (report.last_serial, started.queued) == (2_000_000, ["six 1.17.0"])
    assert started.rows("SELECT kind, detail FROM journal_anomalies") == [
        ("jump", "the last serial is 2000000, 1,999,990 after the one that was read before")
    ]


def test_a_renamed_project_is_checked_under_its_new_name(started: Follower) -> None:
    renamed = replace(event(12, "rename seven"), filename="six")
    events = [event(11, "new-release six 1.17.0"), renamed]
    started.follow(MemoryChangelog(events[:1]))
    report = started.follow(MemoryChangelog(events))
    assert started.queued == ["seven 1.17.0"]
    assert report.counts.renames == ("six is now seven (serial 12)",)
    assert started.rows("SELECT kind, detail FROM journal_anomalies") == [("rename", report.counts.renames[0])]
    assert started.rows("SELECT package, serial FROM journal_releases ORDER BY serial") == [("six", 11), ("seven", 12)]
    assert started.rows("SELECT package, reason FROM skips") == [("six", "withdrawn")]


def test_where_following_begins_the_feed_names_what_is_newest(follower: Follower) -> None:
    events = [event(9, "new-release six 1.17.0")]
    report = follower.follow(MemoryChangelog(events), MemoryFeed(events, now=NOW + 20))
    assert (report.served, report.starts) == (JournalKind.CHANGELOG, True)
    assert str(report) == "following begins after serial 9 (changelog); 1 releases are new in the feed"
    assert follower.queue == [("six 1.17.0", SLIM.id, "feed")]


def test_a_feed_in_place_of_a_journal_leaves_a_gap_since_the_journal_was_read(started: Follower) -> None:
    events = [event(n, f"new-release six {n}") for n in range(100, 121)]
    report = started.follow(MemoryFeed(events, now=NOW + 200))
    assert report.gap == Gap(start_at=NOW, end_at=NOW + 100, estimate=105)


def test_an_interval_that_was_not_read_to_its_end_is_not_complete(started: Follower) -> None:
    started.node.store.db.execute("UPDATE journal_cursors SET read_at = ?", (NOW - 90_000,))
    events = [event(n, f"new-release six {n}", at=NOW - 80_000) for n in range(11, 14)]
    started.follow(MemoryChangelog(events, page_size=1, before_page=_after(2, JournalUnreachableError("", hint=""))))
    assert started.queued == ["six 11"]
    started.follow(MemoryIndex(events))
    assert started.queued == ["six 11", "six 12", "six 13"]


def test_a_way_that_does_not_answer_gives_way_to_the_next(started: Follower) -> None:
    def refuse() -> None:
        raise JournalUnreachableError("it answered with status 403", hint="")

    events = [event(11, "new-release six 1.17.0")]
    report = started.follow(MemoryChangelog(events, before_page=refuse), MemoryIndex(events))
    assert (report.served, started.queued) == (JournalKind.INDEX, ["six 1.17.0"])
    assert report.refused == ("it answered with status 403",)
    assert started.rows("SELECT adapter, first_serial, last_serial FROM journal_intervals") == [("index", 11, 11)]
    # Later the changelog serves again: it does not take the same once more.
    before = started.state
    started.follow(MemoryChangelog([*events, event(12, "yank other 1.0")]))
    assert started.state["releases"] == before["releases"]


def test_an_index_that_asks_to_wait_is_not_asked_in_another_way(started: Follower) -> None:
    def throttle() -> None:
        raise JournalThrottledError("later", hint="", retry_after_s=60)

    before = started.state
    report = started.follow(MemoryChangelog([event(11, "new-release a 1")], before_page=throttle), MemoryIndex([]))
    assert (report.served, report.refused) == (None, ("later",))
    assert started.state == before


def test_a_project_whose_page_lags_waits_and_the_cursor_with_it(started: Follower) -> None:
    events = [event(11, "new-release six 1.17.0"), event(12, "new-release lags 1.0")]
    report = started.follow(MemoryIndex(events, stale=frozenset({"lags"})))
    assert (report.stale, started.queued) == (1, ["six 1.17.0"])
    assert started.state["cursor"] == [(10, 10, 12)]
    assert started.state["todo"] == [("lags",)]
    started.follow(MemoryIndex([*events, event(13, "new-release next 1.0")]))
    assert (started.state["cursor"], started.state["todo"]) == ([(12, 10, None)], [])
    assert started.queued == ["lags 1.0", "six 1.17.0"]


def test_an_index_that_lags_behind_what_it_named_removes_nothing(started: Follower) -> None:
    events = [event(11, "new-release six 1.17.0"), event(12, "new-release lags 1.0")]
    started.follow(MemoryIndex(events, stale=frozenset({"lags"})))
    before = started.state
    # A mirror that does not have the second project yet: to it, the project may as well be gone.
    report = started.follow(MemoryIndex(events[:1]))
    assert (report.served, started.state) == (None, before)
    started.follow(MemoryIndex(events))
    assert started.queued == ["lags 1.0", "six 1.17.0"]


def test_what_a_projects_page_repeats_is_taken_once(started: Follower) -> None:
    events = [event(11, "new-release six 1.17.0"), event(12, "yank six 1.17.0")]
    started.follow(MemoryIndex(events))
    record = replace(SAMPLE_RECORD, release=SIX, environment=SLIM.id, node=started.node.key.id, log_sha256=None)
    started.node.store.add_record(record)
    # The page says again that the release is yanked, with the project's newest serial.
    again = replace(events[1], serial=13, at=events[1].at + 1)
    report = started.follow(MemoryIndex([*events, again]))
    assert (report.counts.changed, started.queue) == (0, [])


# ---------------------------------------------------------------- the feed


def releases(count: int, every_s: int) -> list[JournalEvent]:
    return [event(11 + n, f"new-release p{n} 1.0", at=NOW - 100_000 + n * every_s) for n in range(count)]


def test_readings_of_a_feed_that_meet_leave_no_gap(follower: Follower) -> None:
    events = releases(150, 60)
    follower.follow(MemoryFeed(events, now=events[99].at))
    report = follower.follow(MemoryFeed(events, now=events[149].at))
    assert (report.gap, len(follower.queue)) == (None, 150)


def test_a_gap_between_two_readings_holds_all_that_was_missed_and_nothing_else(follower: Follower) -> None:
    events = releases(1_000, 10)
    follower.follow(MemoryFeed(events, now=events[99].at))
    report = follower.follow(MemoryFeed(events, now=events[799].at))
    missed = events[100:700]
    assert report.gap is not None
    assert {e.at for e in events if report.gap.start_at < e.at < report.gap.end_at} == {e.at for e in missed}
    # At an even pace the estimate is the number.
    assert abs(report.gap.estimate - len(missed)) <= len(missed) * 0.02
    assert follower.rows("SELECT start_at, end_at, estimate, filled_at FROM journal_gaps") == [
        (report.gap.start_at, report.gap.end_at, report.gap.estimate, None)
    ]


def test_a_journal_with_serials_fills_the_gaps_of_the_feed(started: Follower) -> None:
    events = [replace(e, at=NOW + 10 * n) for n, e in enumerate(releases(400, 10))]
    started.follow(MemoryFeed(events, now=events[99].at))
    started.follow(MemoryFeed(events, now=events[399].at))
    assert started.rows("SELECT count(*) FROM journal_gaps WHERE filled_at IS NULL") == [(1,)]
    started.follow(MemoryChangelog(events))
    assert started.rows("SELECT count(*) FROM journal_gaps WHERE filled_at IS NULL") == [(0,)]
    assert len(started.queue) == 400


def test_what_a_feed_missed_at_an_uneven_pace_is_told_exactly_once_a_journal_was_read(started: Follower) -> None:
    """Quiet nights and heavy hours, a reading every six hours: the loss that is told then is the truth."""
    times = []
    for hour in range(72):
        releases = {14: 700}.get(hour % 24, 1 if hour % 24 < 7 else 40)
        times += [NOW + hour * 3_600 + place * 3_600 // releases for place in range(1, releases + 1)]
    events = [event(11 + n, f"new-release p{n} 1.0", at=at) for n, at in enumerate(times)]
    for hours in range(6, 73, 6):
        started.follow(MemoryFeed(events, now=NOW + hours * 3_600))
    seen = {name for (name,) in started.rows("SELECT package FROM journal_releases")}
    db = started.node.store.db
    gaps = read_intervals(db).gaps
    assert [gap.named for gap in gaps] == [None] * len(gaps), "until then, there are estimates"
    started.follow(MemoryChangelog(events))
    missed = [e.at for e in events if e.package not in seen]
    reading = read_intervals(db)
    truth = [sum(gap.start_at < at < gap.end_at for at in missed) for gap in gaps]
    assert [gap.named for gap in reading.gaps] == truth
    assert sum(truth) == len(missed) > 1_500
    assert len(gaps) < 12, "a quiet night fits into the feed"
    assert max(abs(gap.estimate - named) for gap, named in zip(gaps, truth, strict=True)) > 200
    assert {way: counts.named for way, counts in reading.by_adapter.items()} == {"changelog": len(events)}


def test_two_readings_of_one_moment_have_no_pace() -> None:
    before = FeedReading(newest_at=10, releases=1, span_s=0, etag=None, last_modified=None)
    assert find_gap(before, 20, replace(before, newest_at=20)) == Gap(start_at=10, end_at=20, estimate=0)


# ---------------------------------------------------------------- the configured ways


def rss(*titles: str) -> bytes:
    items = "".join(
        f"<item><title>{title}</title><link>https://index.example/project/{title.replace(' ', '/')}/</link></item>"
        for title in titles
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode()


def test_an_index_without_a_journal_is_followed_by_its_feed(store: Store, tmp_path: Path) -> None:
    with LocalIndex() as local:
        local.set_response("/feed", reply(rss("six 1.17.0")))
        follower = make_follower(store, tmp_path, PPP_INDEX_URL=local.url, PPP_FEED_URL=local.url_of("/feed"))
        report = follow_configured(follower.node, [SLIM])
        assert report is not None
        assert report.served is JournalKind.FEED
    assert follower.queue == [("six 1.17.0", SLIM.id, "feed")]
    assert follower.reporter.warnings == []
    assert [note for note in follower.reporter.notes if note.startswith("another way is taken: ")]


def test_without_any_way_a_run_goes_on_with_a_warning(store: Store, tmp_path: Path) -> None:
    with LocalIndex() as local:
        follower = make_follower(
            store, tmp_path, PPP_INDEX_URL=local.url, PPP_FEED_URL=local.url_of("/feed"), PPP_JOURNAL="feed"
        )
        report = follow_configured(follower.node, [SLIM])
    assert report is not None
    assert report.served is None
    (warning,) = follower.reporter.warnings
    assert warning.startswith("continuing without the journal: ")


def test_a_journal_that_is_off_is_not_read(store: Store, tmp_path: Path) -> None:
    follower = make_follower(store, tmp_path, PPP_JOURNAL="off")
    assert follow_configured(follower.node, [SLIM]) is None


def test_without_a_sandbox_nothing_of_the_journal_is_queued_for_a_host(started: Follower) -> None:
    context = started.node.context
    open_ = replace(context, config=replace(context.config, network=Network.OPEN))
    node = replace(started.node, context=open_)
    follow(node, [MemoryChangelog([event(11, "new-release six 1.17.0")])], [host_environment()])
    assert started.queue == []
    assert started.rows("SELECT reason FROM skips") == [("unsandboxed",)]


# ---------------------------------------------------------------- whatever happens


class KilledError(Exception):
    """A kill, at a moment of the test's choice."""


ACTIONS: Final = (
    "new-release {p} {v}",
    "add-file {p} {v} {p}-{v}-{n}.whl",
    "remove-release {p} {v}",
    "yank {p} {v}",
    "project-quarantined {p}",
    "project-unquarantined {p}",
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.sampled_from("abc"), st.sampled_from(["1.0", "2.0"])), max_size=25
).map(lambda drawn: [event(11 + n, a.format(p=p, v=v, n=n)) for n, (a, p, v) in enumerate(drawn)])


@given(events=EVENTS, moments=st.lists(st.integers(0, 6), max_size=8), page_size=st.integers(1, 7), data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_kills_repeats_and_throttles_end_in_the_same_ledger(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[JournalEvent],
    moments: list[int],
    page_size: int,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("following")
    start = event(10, "yank nothing 1.0")
    with open_store(folder / "calm") as calm, open_store(folder / "wild") as wild:
        undisturbed, disturbed = make_follower(calm, folder), make_follower(wild, folder)
        for one in (undisturbed, disturbed):
            one.follow(MemoryChangelog([start]))
        undisturbed.follow(MemoryChangelog([start, *events]))
        for moment in moments:
            seen = data.draw(st.integers(0, len(events)))
            reverse = data.draw(st.booleans())
            trouble = data.draw(
                st.sampled_from([KilledError("killed"), JournalThrottledError("later", hint="", retry_after_s=1)])
            )
            changelog = MemoryChangelog(
                [start, *events[:seen]], page_size=page_size, before_page=_after(moment, trouble), reverse=reverse
            )
            try:
                disturbed.follow(changelog)
            except KilledError:
                wild.db.conn.rollback()
        disturbed.follow(MemoryChangelog([start, *events], page_size=page_size))
        assert disturbed.state == undisturbed.state


@given(events=EVENTS, portion=st.integers(1, 7))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_page_stores_does_not_depend_on_how_it_is_portioned(
    tmp_path_factory: pytest.TempPathFactory, events: list[JournalEvent], portion: int
) -> None:
    folder, states = tmp_path_factory.mktemp("portions"), []
    for place, size in enumerate((portion, len(events) + 1)):
        with open_store(folder / f"ledger{place}") as store:
            one = make_follower(store, folder)
            writer = PageWriter(node=one.node, environments=(SLIM,), source="a" * 64, portion=size)
            counts = writer.write(JournalPage(events=tuple(events)), events, lambda _: None)
            states.append((one.state, counts.events, counts.new))
    assert states[0] == states[1]


RELEASED = st.lists(
    st.tuples(st.sampled_from(ACTIONS[:2]), st.sampled_from("abc"), st.sampled_from(["1.0", "2.0"])), max_size=12
).map(lambda drawn: [event(11 + n, a.format(p=p, v=v, n=n)) for n, (a, p, v) in enumerate(drawn)])


@given(events=RELEASED, data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_kills_while_the_ways_alternate_lose_no_release(
    tmp_path_factory: pytest.TempPathFactory, events: list[JournalEvent], data: st.DataObject
) -> None:
    folder, start = tmp_path_factory.mktemp("ways"), event(10, "yank nothing 1.0")
    with open_store(folder / "ledger") as store:
        one = make_follower(store, folder)
        one.follow(MemoryChangelog([start]))
        for _ in range(data.draw(st.integers(0, 4))):
            shown = [start, *events[: data.draw(st.integers(0, len(events)))]]
            trouble = _after(data.draw(st.integers(0, 4)), KilledError("killed"))
            ways: list[Journal] = [MemoryChangelog(shown, 2, trouble), MemoryIndex(shown, before_page=trouble)]
            try:
                one.follow(data.draw(st.sampled_from(ways)))
            except KilledError:
                store.db.conn.rollback()
        ways = [MemoryChangelog([start, *events]), MemoryIndex([start, *events])]
        for _ in range(2):
            # The first one ends the interval that the simple index had begun.
            one.follow(data.draw(st.sampled_from(ways)))
        named = sorted({f"{e.package} {e.version}" for e in events})
        assert one.queued == named
        assert one.rows("SELECT package || ' ' || version FROM journal_releases ORDER BY 1") == [(n,) for n in named]
        assert one.state["cursor"] == [(10 + len(events), 10, None)]
        assert one.state["todo"] == []


def _after(pages: int, trouble: Exception | PPPError) -> Callable[[], None]:
    left = [pages]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise trouble

    return count
