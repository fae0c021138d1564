"""Lists cut by prefix: nobody is lost, nobody stands twice, and one more name changes no page that it is not on."""

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
#: What names come, and whether what they show is another: some come again as they were.
comings = st.lists(
    st.lists(st.tuples(st.text("ab-", min_size=1, max_size=6), st.integers(1, 3)), max_size=12), max_size=4
)


@contextmanager
def shelved(held: list[str]) -> Iterator[ListingStore]:
    """Shelves of a memory with a card for each name, none of which was cut before."""
    with BuildCache.open(None) as memory:
        memory.listings.clear()
        bring(memory.listings, [(name, 1) for name in held])
        yield memory.listings


def bring(shelves: ListingStore, held: list[tuple[str, int]]) -> None:
    cards = (ListingEntry(name, "s", name, None, cost, 1, f"{cost}") for name, cost in held)
    shelves.replace(combine(contribution_from(card.package, Counter(), [card]) for card in cards))


def nodes(held: list[str], limit: int) -> dict[str, PrefixPage]:
    with shelved(held) as shelves:
        made = list(split_into_pages(shelves.entry_tree("s"), limit))
    assert len({node.prefix for node in made}) == len(made)
    return {node.prefix: node for node in made}


@given(held=names, limit=limits)
def test_every_name_stands_once_under_its_prefix(held: list[str], limit: int) -> None:
    made = nodes(held, limit)
    assert sorted(card.package for node in made.values() for card in node.entries) == held
    assert all(card.package.startswith(node.prefix) for node in made.values() for card in node.entries)
    assert all(len(node.entries) <= limit for node in made.values())
    assert made[""].count == len(held)


@given(held=names, limit=limits)
def test_every_node_is_led_to_from_the_one_above(held: list[str], limit: int) -> None:
    made = nodes(held, limit)
    below = [(prefix, count) for node in made.values() for prefix, count in node.below]
    assert sorted(prefix for prefix, _ in below) == sorted(made.keys() - {""})
    assert all(made[prefix].count == count for prefix, count in below)


@given(held=names, limit=limits, more=st.text("ab-", min_size=1, max_size=6))
def test_one_more_name_changes_only_what_begins_as_it_does(held: list[str], limit: int, more: str) -> None:
    before, after = nodes(held, limit), nodes(sorted({*held, more}), limit)
    assert all(
        before[prefix] == after[prefix] for prefix in before.keys() & after.keys() if not more.startswith(prefix)
    )


@given(held=names, limit=limits, comings=comings)
def test_what_is_cut_again_comes_to_what_is_cut_at_once(
    held: list[str], limit: int, comings: list[list[tuple[str, int]]]
) -> None:
    with shelved(held) as shelves:
        stands: dict[str, PrefixPage] = {}
        for coming in [[], *comings]:
            bring(shelves, [*dict(coming).items()])
            for node in split_into_pages(shelves.entry_tree("s"), limit):
                assert set(node.removed) <= stands.keys()
                stands = {prefix: other for prefix, other in stands.items() if prefix not in node.removed}
                stands[node.prefix] = node
            # As if a build had ended, and another begun.
            shelves.changed_keys, shelves.new_packages = {}, set()
        shelves.changed_keys = None
        shelves.entry_tree("s").db.execute("DELETE FROM nodes")
        at_once = {node.prefix: node for node in split_into_pages(shelves.entry_tree("s"), limit)}
        assert {(p, n.entries, n.below) for p, n in stands.items()} == {
            (p, n.entries, n.below) for p, n in at_once.items()
        }
