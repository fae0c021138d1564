"""The order of the queue depends on what is queued, not on how it came, and no publisher makes the others wait."""

from dataclasses import replace
from random import Random
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from known_downloads import know_downloads
from memory_store import store_in_memory
from sample_record import SAMPLE_RECORD

from ppp.ledger.queue import QueueFilter
from ppp.ledger.queue_order import prepare
from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.queue_policy import Criterion, QueuePolicy, publisher_of
from ppp.model.release import Release

ENVIRONMENTS: Final = ("py39-slim", "py312-alpine")
NOW: Final = 1_800_000_000
PACKAGES: Final = ("bulk-a", "bulk-b", "bulk1", "bulk2", "numpy", "six", "lone", "other-x")
DOWNLOADS: Final = {"numpy": 10**8, "six": 10**6, "lone": 200, "bulk-b": 100}
SOURCES: Final = ("feed", "journal", "late-file", "watchlist", "named")

Upload = tuple[str, str, int, int]

uploads = st.lists(
    st.tuples(
        st.sampled_from(PACKAGES),
        st.sampled_from(SOURCES),
        st.integers(0, 3).map(lambda minute: NOW + 60 * minute),
        st.integers(1, 9),
    ),
    max_size=30,
    # Of a cell that is queued a second time, the later source may count: which one is later is no order of ours.
    unique_by=lambda upload: (upload[0], upload[3]),
)
policies = st.builds(
    QueuePolicy,
    order=st.permutations([*Criterion]).flatmap(lambda order: st.integers(1, 5).map(lambda n: tuple(order[:n]))),
    fair_share=st.integers(1, 4),
)


def queue_up(store: Store, some: list[Upload]) -> None:
    for package, source, at, version in some:
        release = Release(package=package, version=f"{version}.0")
        cells = [Cell(release=release, environment=environment) for environment in ENVIRONMENTS]
        store.queue.enqueue(cells, source=source, now=at)


def order_of(some: list[Upload], policy: QueuePolicy, *, downloads_first: bool = True) -> list[tuple[Cell, str]]:
    """Return what is leased, with the sources, once all of it is queued."""
    with store_in_memory() as store:
        if downloads_first:
            know_downloads(store, "2027-01", DOWNLOADS)
        half = len(some) // 2
        queue_up(store, some[:half])
        prepare(store.db, store.path, policy, now=NOW)
        queue_up(store, some[half:])
        if not downloads_first:
            know_downloads(store, "2027-01", DOWNLOADS)
        prepare(store.db, store.path, policy, now=NOW)
        queue_filter = QueueFilter(environments=ENVIRONMENTS)
        leased = store.queue.lease(queue_filter, run="run", limit=1000, until=NOW * 2, now=NOW)
        assert store.queue.length() == len(leased)
        return [(queued.cell, queued.source) for queued in leased]


@given(some=uploads, policy=policies, seed=st.integers(0, 1000), downloads_first=st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_order_is_the_same_whatever_came_first(
    some: list[Upload], policy: QueuePolicy, seed: int, *, downloads_first: bool
) -> None:
    shuffled = Random(seed).sample(some, len(some))
    assert order_of(some, policy) == order_of(shuffled, policy, downloads_first=downloads_first)


@given(uploads, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_fair_share_of_each_publisher_comes_before_the_next_turn_of_any(
    some: list[Upload], fair_share: int
) -> None:
    order = order_of(some, QueuePolicy(fair_share=fair_share))
    releases = dict.fromkeys(cell.release for cell, source in order if source not in {"named", "watchlist"})
    taken: dict[str, int] = {}
    turns: list[int] = []
    for release in releases:
        publisher = publisher_of(release.package, DOWNLOADS.get(release.package))
        turns.append(taken.get(publisher, 0) // fair_share)
        taken[publisher] = taken.get(publisher, 0) + 1
    assert turns == sorted(turns)
    # What a person asked for comes first, and the watchlist next: neither waits for a turn.
    classes = [{"named": 0, "watchlist": 1}.get(source, 2) for _, source in order]
    assert classes == sorted(classes)


@given(uploads, st.integers(1, 12), st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_taking_a_few_at_a_time_gives_the_same_order(some: list[Upload], limit: int, left_out: int) -> None:
    whole = order_of(some, QueuePolicy())
    releases = dict.fromkeys(cell.release for cell, _ in whole)
    share = {release for number, release in enumerate(releases) if number % 3 != left_out}
    with store_in_memory() as store:
        know_downloads(store, "2027-01", DOWNLOADS)
        queue_up(store, some)
        prepare(store.db, store.path, QueuePolicy(), now=NOW)
        queue_filter = QueueFilter(
            environments=ENVIRONMENTS,
            share=lambda package, version, _: Release(package=package, version=version) in share,
        )
        taken: list[Cell] = []
        while leased := store.queue.lease(queue_filter, run="run", limit=limit, until=NOW * 2, now=NOW):
            taken += (queued.cell for queued in leased)
        assert taken == [cell for cell, _ in whole if cell.release in share]


@given(uploads, st.sets(st.sampled_from(PACKAGES), max_size=3), st.sampled_from(("feed", "journal", "late-file")))
@settings(max_examples=40, deadline=None)
def test_releases_are_queued_as_their_cells_are(some: list[Upload], tested: set[str], source: str) -> None:
    arrived = [Release(package=package, version=f"{version}.0") for package in PACKAGES for version in (1, 10, 11)]
    found: list[list[object]] = []
    for as_releases in (False, True):
        with store_in_memory() as store:
            know_downloads(store, "2027-01", DOWNLOADS)
            for package in sorted(tested):
                release = Release(package=package, version="0.1")
                store.add_record(replace(SAMPLE_RECORD, release=release, environment=ENVIRONMENTS[0], log_sha256=None))
            queue_up(store, some)
            if as_releases:
                added = store.queue.add_releases(arrived, ENVIRONMENTS, source=source, now=NOW)
            else:
                cells = [Cell(release=release, environment=e) for release in arrived for e in ENVIRONMENTS]
                added = store.queue.add(cells, source=source, now=NOW)
            prepare(store.db, store.path, QueuePolicy(), now=NOW)
            found.append([added, *store.db.execute("SELECT * FROM queue ORDER BY 1, 2, 3").fetchall()])
    assert found[0] == found[1]
