"""Stored episodes: one per day, the newest is found, and a damaged one is an error."""

import dataclasses

import pytest

from ppp.ledger.episodes import StoredEpisode, newest_episode, store_episode
from ppp.ledger.store import Store
from ppp.model.errors import DataReadOnlyError, LedgerDamagedError

EPISODE = StoredEpisode(
    period="2024-04-25",
    seed=7,
    writer="seeded",
    facts="[]",
    script='[{"speaker":"relay","text":"Dead air.","fact":"quiet"},{"speaker":"static","text":"Carrier hum."}]',
)


def test_a_stored_episode_is_found(store: Store) -> None:
    store_episode(store, EPISODE)
    assert newest_episode(store.db) == EPISODE
    assert EPISODE.lines == (("relay", "Dead air."), ("static", "Carrier hum."))


def test_without_episodes_the_newest_is_none(store: Store) -> None:
    assert newest_episode(store.db) is None


def test_the_newest_episode_is_of_the_newest_day_whenever_it_was_stored(store: Store) -> None:
    store_episode(store, EPISODE)
    store_episode(store, dataclasses.replace(EPISODE, period="2023-12-31"))
    assert newest_episode(store.db) == EPISODE


def test_a_day_has_one_episode(store: Store) -> None:
    store_episode(store, EPISODE)
    again = dataclasses.replace(EPISODE, seed=8)
    store_episode(store, again)
    assert newest_episode(store.db) == again
    assert store.db.table("episodes").count == 1


@pytest.mark.parametrize("script", ["", "{}x", "[1]", '[{"speaker": "relay"}]', "null"])
def test_a_damaged_script_is_an_error_with_a_hint(script: str) -> None:
    with pytest.raises(LedgerDamagedError, match=r"ppp narrate --day 2024-04-25"):
        _ = dataclasses.replace(EPISODE, script=script).lines


def test_a_read_only_ledger_is_an_error(store: Store) -> None:
    store.db.execute("PRAGMA query_only = ON")
    with pytest.raises(DataReadOnlyError, match="cannot write"):
        store_episode(store, EPISODE)
    assert newest_episode(store.db) is None
