"""Which way of following an index serves."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ppp.config import JournalMode, load
from ppp.model.errors import (
    JournalMalformedError,
    JournalThrottledError,
    JournalUnreachableError,
    PPPError,
)
from ppp.watch.journal.choose import Refusal, choose_journal, configured_journals
from ppp.watch.journal.port import NO_VALIDATORS, JournalKind, JournalPage, Validators

REFUSED = JournalUnreachableError("it answered with status 403", hint="")
BROKEN = JournalMalformedError("it is a page of HTML", hint="")
THROTTLED = JournalThrottledError("later", hint="", retry_after_s=5)


@dataclass
class FixedJournal:
    """A journal with a last serial, and the errors that it raises."""

    kind: JournalKind
    serial: int | None = 100
    error: PPPError | None = None
    page_error: PPPError | None = None
    asked: list[tuple[int, Validators]] = field(default_factory=list)

    def last_serial(self) -> int | None:
        if self.error:
            raise self.error
        return self.serial

    def page_after(self, serial: int, *, validators: Validators = NO_VALIDATORS) -> JournalPage:
        self.asked.append((serial, validators))
        if self.page_error:
            raise self.page_error
        return JournalPage(last_serial=self.serial)


def ways(**errors: PPPError) -> list[FixedJournal]:
    return [
        FixedJournal(JournalKind.CHANGELOG, error=errors.get("changelog"), page_error=errors.get("page")),
        FixedJournal(JournalKind.INDEX, error=errors.get("index")),
        FixedJournal(JournalKind.FEED, serial=None, page_error=errors.get("feed")),
    ]


def test_the_complete_way_comes_first() -> None:
    chosen = choose_journal(ways(), after=90)
    assert (chosen.journal.kind, chosen.last_serial, chosen.refusals) == (JournalKind.CHANGELOG, 100, ())
    assert chosen.page == JournalPage(last_serial=100)


def test_without_a_serial_no_page_is_read() -> None:
    given = ways()
    assert choose_journal(given, after=None).page is None
    assert given[0].asked == []


@pytest.mark.parametrize("at", ["changelog", "page"])
@pytest.mark.parametrize("error", [REFUSED, BROKEN])
def test_a_way_that_is_refused_is_left_with_the_reason(at: str, error: PPPError) -> None:
    chosen = choose_journal(ways(**{at: error}), after=90)
    assert chosen.journal.kind is JournalKind.INDEX
    assert chosen.refusals == (Refusal(kind=JournalKind.CHANGELOG, reason=error.message),)


def test_the_feed_is_the_last_resort_and_is_always_read() -> None:
    given = ways(changelog=REFUSED, index=BROKEN)
    known = Validators(etag='"v1"')
    chosen = choose_journal(given, after=None, validators={JournalKind.FEED: known})
    assert (chosen.journal.kind, chosen.last_serial) == (JournalKind.FEED, None)
    assert chosen.page is not None
    assert given[2].asked == [(0, known)]
    assert [refusal.kind for refusal in chosen.refusals] == [JournalKind.CHANGELOG, JournalKind.INDEX]


def test_where_nothing_serves_every_reason_is_told() -> None:
    with pytest.raises(JournalUnreachableError) as caught:
        choose_journal(ways(changelog=REFUSED, index=BROKEN, feed=REFUSED), after=90)
    assert caught.value.message == (
        "no way to follow the index serves (changelog: it answered with status 403; index: it is a page of HTML; "
        "feed: it answered with status 403)"
    )


def test_a_journal_that_is_asked_too_often_is_not_gone_round() -> None:
    given = ways(changelog=THROTTLED)
    with pytest.raises(JournalThrottledError):
        choose_journal(given, after=90)
    assert given[1].asked == []


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        (JournalMode.AUTO, [JournalKind.CHANGELOG, JournalKind.INDEX, JournalKind.FEED]),
        (JournalMode.CHANGELOG, [JournalKind.CHANGELOG]),
        (JournalMode.INDEX, [JournalKind.INDEX]),
        (JournalMode.FEED, [JournalKind.FEED]),
        (JournalMode.OFF, []),
    ],
)
def test_the_settings_name_the_ways(mode: JournalMode, kinds: list[JournalKind], tmp_path: Path) -> None:
    config = load({"PPP_JOURNAL": mode, "PPP_INDEX_URL": "https://index.example/simple"}, data=tmp_path)
    assert [journal.kind for journal in configured_journals(config)] == kinds


def test_each_way_has_its_address_and_the_contact() -> None:
    config = load({"PPP_INDEX_URL": "https://u:secret-1@index.example/simple", "PPP_CONTACT": "me@node.example"})
    for journal in configured_journals(config):
        assert "https://index.example/" in repr(journal)
        assert "me@node.example" in repr(journal)
        assert "secret-1" not in repr(journal)
