"""Lists cut by prefix: nobody is lost, nobody stands twice, and one more name changes no page that it is not on."""

from hypothesis import given
from hypothesis import strategies as st

from ppp.publish.prefixes import Node, by_prefix

names = st.lists(st.text("ab-", min_size=1, max_size=6), unique=True, max_size=60).map(sorted)
limits = st.integers(1, 8)


def nodes(held: list[str], limit: int) -> dict[str, Node[str]]:
    made = list(by_prefix([(name, name) for name in held], lambda _: 1, limit))
    assert len({node.prefix for node in made}) == len(made)
    return {node.prefix: node for node in made}


@given(held=names, limit=limits)
def test_every_name_stands_once_under_its_prefix(held: list[str], limit: int) -> None:
    made = nodes(held, limit)
    assert sorted(item for node in made.values() for item in node.items) == held
    assert all(item.startswith(node.prefix) for node in made.values() for item in node.items)
    assert all(len(node.items) <= limit for node in made.values())
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
