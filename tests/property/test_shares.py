"""Any nodes, any release: it has as many owners as there are to be, and a node that leaves is replaced by one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ppp.watch.shares import Share, owners

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
nodes = st.lists(names, min_size=1, max_size=32, unique=True)
releases = st.tuples(names, names)


@given(nodes, releases, st.integers(1, 40))
@settings(max_examples=40)
def test_a_release_is_in_the_shares_of_its_owners_and_in_no_other(
    some: list[str], release: tuple[str, str], replicas: int
) -> None:
    shares = [Share(own=node, nodes=tuple(some), replicas=replicas) for node in some]
    mine = {share.own for share in shares if share(*release)}
    assert len(mine) == min(replicas, len(some))
    assert mine == {*owners(some, *release, replicas=replicas)} == {*shares[0].owners(*release)}


@given(nodes, releases, st.integers(1, 4), st.data())
def test_the_order_of_nodes_does_not_matter_and_one_that_leaves_is_replaced_by_one(
    some: list[str], release: tuple[str, str], replicas: int, data: st.DataObject
) -> None:
    before = owners(some, *release, replicas=replicas)
    assert before == owners(data.draw(st.permutations(some)), *release, replicas=replicas)
    leaves = data.draw(st.sampled_from(some))
    left = [node for node in some if node != leaves]
    after = owners(left, *release, replicas=replicas)
    # The others keep what they had; at most one takes what the one that left had.
    assert [node for node in before if node != leaves] == after[: len(before) - (leaves in before)]
    assert len(after) == min(replicas, len(left))
