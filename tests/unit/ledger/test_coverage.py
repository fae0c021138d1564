"""What became of named releases: the numbers add up, and say what the tables say."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import store_in_memory
from sample_record import SAMPLE_RECORD

from ppp.ledger.coverage import followed_journals, read_report, rejected_entries, unfilled_gaps
from ppp.ledger.journal import Gap, NamedRelease, add_gap, add_rejects, add_releases, fill_gaps, start_cursor
from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.release import Release

DAY_S = 86_400
START = 1_714_003_200  # 2024-04-25


def release(number: int) -> Release:
    return Release(package=f"p{number}", version="1.0")


def name(store: Store, number: int, *, at: int = START) -> Release:
    named = release(number)
    with store.db.atomic():
        add_releases(store.db, [NamedRelease(release=named, serial=number, announced_at=at)])
    return named


def test_a_release_is_tested_queued_skipped_or_lost(store: Store) -> None:
    tested, queued, skipped, _lost, later = (name(store, n, at=START + (n == 4) * DAY_S) for n in range(5))
    store.add_record(replace(SAMPLE_RECORD, release=tested, log_sha256=None))
    store.queue.enqueue([Cell(release=queued, environment="py312-slim")], source="journal", now=START)
    store.skip(skipped, "", reason="withdrawn", detail="remove-release", now=START)
    store.skip(later, "", reason="expired", detail="", now=START)
    report = read_report(store.db, limit=9)
    assert [(d.day, d.tested, d.queued, d.skip_reasons, d.lost) for d in report.days] == [
        ("2024-04-25", 1, 1, {"withdrawn": 1}, 1),
        ("2024-04-26", 0, 0, {"expired": 1}, 0),
    ]
    assert str(report.total) == "named 5 = tested 1 + queued 1 + skipped 2 (1 expired, 1 withdrawn) + lost 1"
    assert report.lost == [release(3)]
    later_on = read_report(store.db, since=START + DAY_S, limit=9)
    assert ([d.day for d in later_on.days], later_on.lost) == (["2024-04-26"], [])


def test_a_release_of_which_one_cell_is_left_counts_as_queued(store: Store) -> None:
    named = name(store, 1)
    store.add_record(replace(SAMPLE_RECORD, release=named, log_sha256=None))
    store.queue.enqueue([Cell(release=named, environment="py39-alpine")], source="journal", now=START)
    counted = read_report(store.db, limit=9).total
    assert (counted.named, counted.queued) == (1, 1)


def test_gaps_of_the_feed_are_counted_until_they_are_filled(store: Store) -> None:
    with store.db.atomic():
        add_gap(store.db, "feed", Gap(start_at=START, end_at=START + 600, estimate=12), now=START + 900)
        add_gap(store.db, "feed", Gap(start_at=START + 1_000, end_at=START + 1_060, estimate=1), now=START + 2_000)
    before = unfilled_gaps(store.db)
    assert (before.gaps, before.seconds, before.estimate) == (2, 660, 13)
    with store.db.atomic():
        assert fill_gaps(store.db, since=START + 700, now=START + 3_000) == 1
    assert unfilled_gaps(store.db).estimate == 12


def test_entries_without_a_valid_name_are_counted_apart(store: Store) -> None:
    with store.db.atomic():
        start_cursor(store.db, "index", 10, now=START)
        add_rejects(store.db, "index", [(11, "'a b' is not a name"), (11, "'a b' is not a name"), (12, "'-'")], now=1)
    assert rejected_entries(store.db, limit=1) == (2, ["'-'"])
    (journal,) = followed_journals(store.db)
    assert (journal.first_serial, journal.serial, journal.unfinished) == (10, 10, 0)


STATES = st.lists(
    st.tuples(st.integers(0, 40), st.booleans(), st.booleans(), st.booleans()),
    max_size=12,
    unique_by=lambda one: one[0],
)


@given(drawn=STATES)
@settings(max_examples=15, deadline=None)
def test_the_view_states_the_rule_and_always_adds_up(drawn: list[tuple[int, bool, bool, bool]]) -> None:
    with store_in_memory() as store:
        expected = {"queued": 0, "tested": 0, "skipped": 0, "lost": 0}
        for number, is_queued, has_result, is_skipped in drawn:
            named = name(store, number)
            if has_result:
                store.add_record(replace(SAMPLE_RECORD, release=named, log_sha256=None))
            if is_queued:
                store.queue.enqueue([Cell(release=named, environment="py39-alpine")], source="journal", now=START)
            if is_skipped:
                store.skip(named, "", reason="expired", detail="", now=START)
            states = {"queued": is_queued, "tested": has_result, "skipped": is_skipped, "lost": True}
            expected[next(state for state, is_so in states.items() if is_so)] += 1
        found = read_report(store.db, limit=9).total
        assert {state: getattr(found, state) for state in expected} == expected
        assert found.named == len(drawn)
