"""Shares of the queue: disjoint, complete, balanced, and few releases move when a node joins."""

from collections import Counter

import pytest

from ppp.watch.shares import Share, owners, parse_shard

RELEASES = [(f"package-{number}", f"{number % 7}.0") for number in range(24_000)]


def test_each_release_is_in_as_many_shares_as_there_are_replicas() -> None:
    nodes = ("a", "b", "c", "d", "e")
    for replicas in (1, 2, 5):
        shares = [Share(own=node, nodes=nodes, replicas=replicas) for node in nodes]
        assert {sum(share(*release) for share in shares) for release in RELEASES[:300]} == {replicas}


@pytest.mark.parametrize("count", [2, 8, 32])
def test_shares_are_balanced_and_a_node_that_joins_takes_only_its_own(count: int) -> None:
    nodes = [f"node-{number}" for number in range(count)]
    before = [owners(nodes, *release)[0] for release in RELEASES]
    assert all(abs(n * count / len(RELEASES) - 1) < 0.1 for n in Counter(before).values())
    after = [owners([*nodes, "new"], *release)[0] for release in RELEASES]
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {"new"}
    assert len(moved) / len(RELEASES) < 1 / count + 0.05


def test_the_order_of_the_nodes_does_not_matter() -> None:
    assert all(owners("abc", *release, replicas=2) == owners("cba", *release, replicas=2) for release in RELEASES[:300])


def test_the_shards_of_a_number_are_complete_and_disjoint() -> None:
    shards = [parse_shard(f"{number}/3") for number in (1, 2, 3)]
    assert {sum(one(*release) for one in shards) for release in RELEASES[:300]} == {1}


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "-1/3", "1/0", "1/3/3", "1/9999", "a/b", "٣/٨"])
def test_what_is_no_shard_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard"):
        parse_shard(text)


def test_a_share_is_of_a_node_among_the_nodes_and_no_more_replicas_than_nodes() -> None:
    with pytest.raises(ValueError, match="not among"):
        Share(own="c", nodes=("a", "b"))
    with pytest.raises(ValueError, match="twice"):
        Share(own="a", nodes=("a", "a"))
    with pytest.raises(ValueError, match="3 replicas"):
        Share(own="a", nodes=("a", "b"), replicas=3)
