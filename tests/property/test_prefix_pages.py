"""Listings split by prefix: no entry is lost or shown twice, and one more name changes only the pages it is under."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st

from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.listings.entries import ListingEntry, combine, contribution_from
from ppp.publish.listings.prefix_pages import PrefixPage, split_into_pages
from ppp.publish.listings.store import ListingStore

names = st.lists(st.text("ab-", min_size=1, max_size=6), unique=True, max_size=60).map(sorted)
limits = st.integers(1, 8)
#: For each later build, the names that come, and what each shows: some come again as they were.
later_builds = st.lists(
    st.lists(st.tuples(st.text("ab-", min_size=1, max_size=6), st.integers(1, 3)), max_size=12), max_size=4
)


@contextmanager
def store_of(package_names: list[str]) -> Iterator[ListingStore]:
    """A store with an entry for each name in one listing, which was never split."""
    with BuildCache.open(None) as cache:
        cache.listings.clear()
        replace(cache.listings, [(name, 1) for name in package_names])
        yield cache.listings


def replace(store: ListingStore, costs: list[tuple[str, int]]) -> None:
    entries = (ListingEntry(name, "s", name, None, cost, 1, f"{cost}") for name, cost in costs)
    store.replace(combine(contribution_from(entry.package, Counter(), [entry]) for entry in entries))


def split(package_names: list[str], limit: int) -> dict[str, PrefixPage]:
    with store_of(package_names) as store:
        pages = list(split_into_pages(store.entry_tree("s"), limit))
    assert len({page.prefix for page in pages}) == len(pages)
    return {page.prefix: page for page in pages}


@given(package_names=names, limit=limits)
def test_every_name_is_on_one_page_under_its_prefix(package_names: list[str], limit: int) -> None:
    pages = split(package_names, limit)
    assert sorted(entry.package for page in pages.values() for entry in page.entries) == package_names
    assert all(entry.package.startswith(page.prefix) for page in pages.values() for entry in page.entries)
    assert all(len(page.entries) <= limit for page in pages.values())
    assert pages[""].count == len(package_names)


@given(package_names=names, limit=limits)
def test_every_page_is_linked_from_the_one_above(package_names: list[str], limit: int) -> None:
    pages = split(package_names, limit)
    below = [(prefix, count) for page in pages.values() for prefix, count in page.below]
    assert sorted(prefix for prefix, _ in below) == sorted(pages.keys() - {""})
    assert all(pages[prefix].count == count for prefix, count in below)


@given(package_names=names, limit=limits, more=st.text("ab-", min_size=1, max_size=6))
def test_one_more_name_changes_only_the_pages_of_its_prefixes(package_names: list[str], limit: int, more: str) -> None:
    before, after = split(package_names, limit), split(sorted({*package_names, more}), limit)
    assert all(
        before[prefix] == after[prefix] for prefix in before.keys() & after.keys() if not more.startswith(prefix)
    )


@given(package_names=names, limit=limits, builds=later_builds)
def test_splitting_build_by_build_gives_the_pages_of_a_single_build(
    package_names: list[str], limit: int, builds: list[list[tuple[str, int]]]
) -> None:
    with store_of(package_names) as store:
        pages: dict[str, PrefixPage] = {}
        for build in [[], *builds]:
            replace(store, [*dict(build).items()])
            for page in split_into_pages(store.entry_tree("s"), limit):
                assert set(page.removed) <= pages.keys()
                pages = {prefix: other for prefix, other in pages.items() if prefix not in page.removed}
                pages[page.prefix] = page
            # As if a build had ended, and the next one had begun.
            store.changed_keys, store.new_packages = {}, set()
        store.changed_keys = None
        store.entry_tree("s").db.execute("DELETE FROM pages")
        single = {page.prefix: page for page in split_into_pages(store.entry_tree("s"), limit)}
        assert {(p, n.entries, n.below) for p, n in pages.items()} == {
            (p, n.entries, n.below) for p, n in single.items()
        }
