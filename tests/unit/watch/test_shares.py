"""Shares of the queue: disjoint, complete, balanced, and few releases move when a node joins."""

from collections import Counter

import pytest

from ppp.watch.shares import Elsewhere, Share, WorkShare, owners, parse_shard

RELEASES = [(f"package-{number}", f"{number % 7}.0") for number in range(40_000)]


def test_each_release_is_in_as_many_shares_as_there_are_replicas() -> None:
    nodes = ("a", "b", "c", "d", "e")
    for replicas in (1, 2, 5):
        shares = [Share(own=node, nodes=nodes, replicas=replicas) for node in nodes]
        assert {sum(share(*release) for share in shares) for release in RELEASES[:300]} == {replicas}


def test_for_2_to_32_nodes_shares_are_balanced_and_a_node_that_joins_takes_only_its_own() -> None:
    nodes = [f"node-{number}" for number in range(33)]
    taken = [nodes[0]] * len(RELEASES)
    for count, new in enumerate(nodes[1:], 2):
        # Who takes a release from all of them is who takes it from the one that had it and the new one.
        after = [owners((old, new), *release)[0] for old, release in zip(taken, RELEASES, strict=True)]
        sample = slice(None, None, 997)
        assert after[sample] == [owners(nodes[:count], *release)[0] for release in RELEASES[sample]]
        moved = [owner for old, owner in zip(taken, after, strict=True) if old != owner]
        assert set(moved) == {new}
        assert len(moved) / len(RELEASES) < 1 / count + 0.05
        counts = Counter(after)
        assert set(counts) == set(nodes[:count])
        if count <= 32:
            assert max(abs(n * count / len(RELEASES) - 1) for n in counts.values()) < 0.1, count
        taken = after


def test_the_order_of_the_nodes_does_not_matter() -> None:
    assert all(owners("abc", *release, replicas=2) == owners("cba", *release, replicas=2) for release in RELEASES[:300])


def test_the_shards_of_a_number_are_complete_and_disjoint() -> None:
    shards = [parse_shard(f"{number}/3") for number in (1, 2, 3)]
    assert {sum(one(*release) for one in shards) for release in RELEASES[:300]} == {1}


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "-1/3", "1/0", "1/3/3", "1/9999", "a/b", "٣/٨"])
def test_what_is_no_shard_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard"):
        parse_shard(text)


def test_a_share_is_of_a_node_among_the_nodes() -> None:
    with pytest.raises(ValueError, match="not among"):
        Share(own="c", nodes=("a", "b"))
    with pytest.raises(ValueError, match="twice"):
        Share(own="a", nodes=("a", "a"))
    with pytest.raises(ValueError, match="0 replicas"):
        Share(own="a", nodes=("a", "b"), replicas=0)


def test_both_at_once_are_the_shards_of_the_share_of_a_node() -> None:
    nodes, shards = ("a", "b"), [parse_shard(f"{number}/3") for number in (1, 2, 3)]
    shares = {node: Share(own=node, nodes=nodes) for node in nodes}
    for release in RELEASES[:300]:
        found = [
            (node, shard.own)
            for node, share in shares.items()
            for shard in shards
            if WorkShare(node=share, shard=shard)(*release, "feed")
        ]
        assert [node for node, _ in found] == owners(nodes, *release)


def test_what_is_left_to_others_says_to_whom() -> None:
    node, shard = Share(own="a", nodes=("a", "b")), parse_shard("1/2")
    work = WorkShare(node=node, shard=shard)
    for release in RELEASES[:300]:
        told = work.elsewhere(*release, "journal")
        assert told == (Elsewhere.NODE if not node(*release) else Elsewhere.SHARD if not shard(*release) else None)
        # A person waits for it here.
        assert work.elsewhere(*release, "named") is None
        assert work.elsewhere(*release, "requirements") is None
        # Only this node can tell what changed since its verdict.
        assert work.elsewhere(*release, "dependency") == (None if shard(*release) else Elsewhere.SHARD)
        assert WorkShare()(*release, "journal")
