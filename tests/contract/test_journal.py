"""What every way to follow an index promises, against one local index that answers as Warehouse does."""

from collections.abc import Callable, Iterator

import pytest
from sleeping_clock import SleepingClock
from warehouse import AT, Answer, Warehouse, served

from ppp.model.errors import JournalMalformedError, JournalThrottledError, JournalUnreachableError
from ppp.watch.journal.changelog import Changelog
from ppp.watch.journal.feed import ReleaseFeedJournal
from ppp.watch.journal.index import ProjectIndex
from ppp.watch.journal.port import Action, Journal, JournalEvent, ProjectJournal
from ppp.watch.journal.throttling import Throttle

NOW = AT + 3_600
RELEASES = [(f"name-{n}", f"1.{n}") for n in range(20)]


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    with served(Warehouse()) as index:
        for n, (name, version) in enumerate(RELEASES):
            index.release(name, version, at=AT + n)
        yield index


def changelog(index: Warehouse) -> Journal:
    clock = SleepingClock()
    throttle = Throttle(clock=clock, sleep=clock.sleep)
    return Changelog(url=f"{index.url}/pypi", user_agent="agent", throttle=throttle, wall_clock=lambda: float(NOW))


def simple_index(index: Warehouse) -> Journal:
    clock = SleepingClock()
    throttle = Throttle(clock=clock, sleep=clock.sleep)
    return ProjectIndex(
        url=f"{index.url}/simple/", user_agent="agent", throttle=throttle, wall_clock=lambda: float(NOW)
    )


def feed(index: Warehouse) -> Journal:
    return ReleaseFeedJournal(url=f"{index.url}/rss/updates.xml", user_agent="agent", wall_clock=lambda: float(NOW))


Make = Callable[[Warehouse], Journal]
ways = pytest.mark.parametrize("make", [changelog, simple_index, feed])
serial_ways = pytest.mark.parametrize("make", [changelog, simple_index])


def events_after(journal: Journal, serial: int) -> list[JournalEvent]:
    """Return all events after a serial, those of projects that are to be read with them."""
    page = journal.page_after(serial)
    events = list(page.events)
    for project in page.to_read:
        assert isinstance(journal, ProjectJournal)
        of_project = journal.project_page(project, since=AT)
        assert of_project is not None
        events += of_project.events
    assert not page.has_more
    return events


def released(events: list[JournalEvent]) -> list[tuple[str, str]]:
    return [(event.package, event.version) for event in events if event.action is Action.NEW_RELEASE]


@ways
def test_each_release_in_order_with_its_time(warehouse: Warehouse, make: Make) -> None:
    events = events_after(make(warehouse), 0)
    assert released(events) == RELEASES
    assert [event.at for event in events if event.action is Action.NEW_RELEASE] == [AT + n for n in range(20)]


@serial_ways
def test_a_cursor_goes_on_where_it_was(warehouse: Warehouse, make: Make) -> None:
    journal = make(warehouse)
    end = journal.last_serial()
    assert end == warehouse.serial
    assert events_after(journal, end) == []
    warehouse.release("later", "2.0", at=AT + 100)
    assert journal.page_after(end).last_serial == warehouse.serial
    assert released(events_after(journal, end)) == [("later", "2.0")]


def test_a_feed_has_no_serials(warehouse: Warehouse) -> None:
    assert feed(warehouse).last_serial() is None


@pytest.mark.parametrize("make", [simple_index, feed])
def test_what_has_not_changed_is_not_sent_again(warehouse: Warehouse, make: Make) -> None:
    journal = make(warehouse)
    page = journal.page_after(warehouse.serial)
    assert journal.page_after(warehouse.serial, validators=page.validators).unchanged


def test_a_page_that_lags_behind_is_asked_for_again(warehouse: Warehouse) -> None:
    journal = simple_index(warehouse)
    assert isinstance(journal, ProjectJournal)
    project = journal.page_after(0).to_read[-1]
    warehouse.lag = 2
    assert journal.project_page(project, since=AT) is None
    warehouse.lag = 0
    assert journal.project_page(project, since=AT) is not None


BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'


@ways
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, {}, b"<!DOCTYPE html><html><body>Sorry</body></html>"), JournalMalformedError),
        ((200, {}, b'<?xml version="1.0"?><methodResponse><params><param>'), JournalMalformedError),
        ((200, {}, BOMB), JournalMalformedError),
        ((200, {}, b""), JournalMalformedError),
        ((500, {}, b""), JournalUnreachableError),
        ((429, {"Retry-After": "99999"}, b""), JournalThrottledError),
    ],
)
def test_a_fault_is_one_clear_line(warehouse: Warehouse, make: Make, answer: Answer, error: type[Exception]) -> None:
    journal = make(warehouse)
    warehouse.answers.extend([answer] * 3)
    with pytest.raises(error) as caught:
        journal.page_after(0)
    lines = str(caught.value)
    assert warehouse.url in lines
    assert lines.isprintable()
