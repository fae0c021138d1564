"""What is read of a listing: its newest entries with ties, its newest cells, its pages, and whether it changed."""

from collections import Counter
from collections.abc import Iterator

import pytest

from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.listings.content import ListingContent, read_listing
from ppp.publish.listings.entries import ListingEntry, combine, contribution_from
from ppp.publish.listings.store import ListingStore


def entry(package: str, rank: int, body: str) -> ListingEntry:
    return ListingEntry(package, "findings/x", package, rank, 100, body.count("{"), body)


@pytest.fixture
def store() -> Iterator[ListingStore]:
    """Five packages; the two in the middle rank alike, and `b` has two cells."""
    entries = [
        entry("a", 9, '{"n":1}'),
        entry("b", 5, '{"n":2},{"n":3}'),
        entry("c", 5, '{"n":4}'),
        entry("d", 2, '{"n":5}'),
        entry("e", 1, '{"n":6}'),
    ]
    with BuildCache.open(None) as cache:
        cache.listings.replace(combine(contribution_from(each.package, Counter(), [each]) for each in entries))
        yield cache.listings


def read(store: ListingStore, *, page_budget: int = 1_000, min_entries: int = 9, max_cells: int = 9) -> ListingContent:
    return read_listing(store, "findings/x", page_budget=page_budget, min_entries=min_entries, max_cells=max_cells)


def test_packages_and_cells_are_counted(store: ListingStore) -> None:
    content = read(store)
    assert (content.packages, content.cells, content.changed) == (5, 6, True)


@pytest.mark.parametrize(("min_entries", "newest"), [(1, "a"), (2, "abc"), (3, "abc"), (4, "abcd"), (9, "abcde")])
def test_entries_that_rank_with_the_last_one_belong_to_it(store: ListingStore, min_entries: int, newest: str) -> None:
    assert [each.package for each in read(store, min_entries=min_entries).newest] == [*newest]


@pytest.mark.parametrize(
    ("max_cells", "cells"),
    [(1, '{"n":1}'), (2, '{"n":1},{"n":2}'), (3, '{"n":1},{"n":2},{"n":3}'), (4, '{"n":1},{"n":2},{"n":3},{"n":4}')],
)
def test_the_newest_cells_are_cut_within_an_entry(store: ListingStore, max_cells: int, cells: str) -> None:
    assert read(store, max_cells=max_cells).newest_cells == cells


def test_pages_below_the_first_are_read_one_by_one(store: ListingStore) -> None:
    content = read(store, page_budget=400)
    assert content.first_page.entries == ()
    assert [page.prefix for page in content.other_pages] == [*"abcde"]


def test_a_listing_without_entries(store: ListingStore) -> None:
    content = read_listing(store, "findings/none", page_budget=1_000, min_entries=9, max_cells=9)
    assert (content.packages, content.newest, content.newest_cells, content.first_page.entries) == (0, (), "", ())
    assert not content.changed
