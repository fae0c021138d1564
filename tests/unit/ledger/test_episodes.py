"""Stored episodes: one per period, the newest is found, and a damaged one is an error."""

import dataclasses

import pytest

from ppp.ledger.episodes import (
    PRESENTERS,
    StoredEpisode,
    StoredLine,
    newest_episode,
    read_episode,
    read_episodes,
    store_episode,
)
from ppp.ledger.store import Store
from ppp.model.errors import DataReadOnlyError, LedgerDamagedError
from ppp.model.period import PeriodKind

EPISODE = StoredEpisode(
    period="2024-04-25",
    title="The night of 25 April 2024",
    seed=7,
    writer="seeded",
    facts="[]",
    script='[{"speaker":"relay","text":"Dead air.","facts":["quiet"],"chapter":"Opening","pattern":"Dead {air}."},'
    '{"speaker":"static","text":"Carrier hum."}]',
)
WEEK = dataclasses.replace(EPISODE, period="2024-W17", kind=PeriodKind.WEEK, fallback="it crashed")


def test_a_stored_episode_is_found(store: Store) -> None:
    store_episode(store, EPISODE)
    store_episode(store, WEEK)
    assert newest_episode(store.db) == EPISODE
    assert read_episode(store.db, "2024-W17") == WEEK
    assert read_episode(store.db, "2024-04-24") is None
    assert EPISODE.lines == (("relay", "Dead air."), ("static", "Carrier hum."))
    assert EPISODE.script_lines == (
        StoredLine(speaker="relay", text="Dead air.", pattern="Dead {air}.", facts=("quiet",), chapter="Opening"),
        StoredLine(speaker="static", text="Carrier hum."),
    )
    assert EPISODE.cast == PRESENTERS


def test_without_episodes_the_newest_is_none(store: Store) -> None:
    assert newest_episode(store.db) is None


def test_episodes_are_in_the_order_of_their_periods_whenever_they_were_stored(store: Store) -> None:
    periods = ("2024-04-25", "2023-12-31", "2024-04-28", "2024-04-29")
    for period in periods:
        store_episode(store, dataclasses.replace(EPISODE, period=period))
    store_episode(store, WEEK)
    found = [episode.period for episode in read_episodes(store.db)]
    assert found == ["2024-04-29", "2024-W17", "2024-04-28", "2024-04-25", "2023-12-31"]
    newest = newest_episode(store.db)
    assert newest is not None
    assert newest.period == "2024-04-29"


def test_the_newest_week_is_the_newest_where_there_is_no_night(store: Store) -> None:
    for week in ("2024-W17", "2023-W52"):
        store_episode(store, dataclasses.replace(WEEK, period=week))
    assert newest_episode(store.db) == WEEK


def test_a_day_has_one_episode(store: Store) -> None:
    store_episode(store, EPISODE)
    again = dataclasses.replace(EPISODE, seed=8)
    store_episode(store, again)
    assert newest_episode(store.db) == again
    assert store.db.table("episodes").count == 1


@pytest.mark.parametrize("script", ["", "{}x", "[1]", '[{"speaker": "relay"}]', "null"])
def test_a_damaged_script_is_an_error_with_a_hint(script: str) -> None:
    with pytest.raises(LedgerDamagedError, match=r"no valid script \(.*ppp narrate --night 2024-04-25"):
        _ = dataclasses.replace(EPISODE, script=script).lines


def test_damaged_presenters_are_an_error_with_a_hint() -> None:
    with pytest.raises(LedgerDamagedError, match=r"no valid list of presenters \(.*ppp narrate --week 2024-W17"):
        _ = dataclasses.replace(WEEK, presenters='[{"speaker": "relay"}]').cast


def test_a_read_only_ledger_is_an_error(store: Store) -> None:
    store.db.execute("PRAGMA query_only = ON")
    with pytest.raises(DataReadOnlyError, match="cannot write"):
        store_episode(store, EPISODE)
    assert newest_episode(store.db) is None
