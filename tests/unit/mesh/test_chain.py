"""Which statements of a node cannot be of one chain: all of them are found, and nothing else is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_nodes import NOW, chain_of

from ppp.mesh.chain import (
    FREEZE_TOLERANCE_S,
    MAX_CONTRADICTIONS,
    SignedStatement,
    check_freeze,
    contradiction,
    find_contradictions,
)
from ppp.mesh.node import NodeKey
from ppp.model.errors import RejectedDataError

KEY, OTHER = (NodeKey.from_seed(bytes([n]) * 32) for n in (1, 2))


def test_a_chain_does_not_contradict_itself_in_any_order() -> None:
    chain = chain_of(KEY, 6)
    assert find_contradictions((), chain) == ()
    assert find_contradictions(chain[::2], chain[::-1]) == ()
    assert find_contradictions(chain, [chain[3], chain[3]]) == ()


def test_two_statements_with_one_number_are_a_contradiction() -> None:
    one, other = chain_of(KEY, 3), chain_of(KEY, 3, fork_at=3)
    (found,) = find_contradictions(one, other)
    assert (found.node, found.first.sequence, found.second.sequence) == (KEY.id, 3, 3)
    assert sorted(s.key for s in (found.first, found.second)) == sorted(s.key for s in (one[2], other[2]))
    assert found.reason == "two different statements have the number 3"
    assert contradiction(one[2], other[2]) == contradiction(other[2], one[2]) == found


def test_a_statement_that_follows_another_one_is_a_contradiction() -> None:
    one, other = chain_of(KEY, 3), chain_of(KEY, 4, fork_at=2)
    (found,) = find_contradictions(one, [other[3]])
    assert (found.first, found.second) == (one[2], other[3])
    assert found.reason.startswith("statement 4 follows ")
    assert one[2].statement.digest in found.reason


def test_a_chain_that_begins_again_with_nothing_before_is_a_contradiction() -> None:
    chain = chain_of(KEY, 2)
    again = replace(chain[1], statement=replace(chain[1].statement, previous=None))
    reasons = [found.reason for found in find_contradictions([chain[0]], [again])]
    assert reasons == [f"statement 2 follows nothing, but statement 1 is {chain[0].statement.digest}"]


def test_statements_of_different_nodes_never_contradict_each_other() -> None:
    assert find_contradictions(chain_of(KEY, 4), chain_of(OTHER, 4, fork_at=1)) == ()


def test_the_number_of_contradictions_is_limited() -> None:
    assert len(find_contradictions(chain_of(KEY, 60), chain_of(KEY, 60, fork_at=1))) == MAX_CONTRADICTIONS


@given(
    length=st.integers(2, 12),
    fork_at=st.integers(1, 12),
    known=st.sets(st.integers(0, 11)),
    shown=st.sets(st.integers(0, 11)),
)
def test_a_fork_is_found_exactly_where_two_neighbours_of_its_sides_are_known(
    length: int, fork_at: int, known: set[int], shown: set[int]
) -> None:
    honest, forked = chain_of(KEY, length), chain_of(KEY, length, fork_at=fork_at)
    ours: list[SignedStatement] = [honest[n] for n in sorted(known) if n < length]
    theirs = [forked[n] for n in sorted(shown) if n < length]
    found = find_contradictions(ours, theirs)
    expected = any(
        (a.sequence == b.sequence and a != b)
        or (a.sequence + 1 == b.sequence and b.statement.previous != a.statement.digest)
        or (b.sequence + 1 == a.sequence and a.statement.previous != b.statement.digest)
        for a in ours
        for b in theirs
    )
    assert bool(found) == expected
    assert all(contradiction(each.first, each.second) == each for each in found)


def test_a_statement_older_than_what_others_saw_long_ago_is_a_freeze() -> None:
    chain = chain_of(KEY, 5)
    served, newest = chain[2].statement, chain[4].statement
    with pytest.raises(RejectedDataError, match=r"statement 3 .* others saw its number 5"):
        check_freeze(served, chain, now=newest.issued_at + FREEZE_TOLERANCE_S)
    check_freeze(served, chain, now=newest.issued_at + FREEZE_TOLERANCE_S - 1)
    check_freeze(newest, chain, now=NOW + FREEZE_TOLERANCE_S * 10)
    check_freeze(served, chain_of(OTHER, 9), now=NOW + FREEZE_TOLERANCE_S * 10)


def test_an_envelope_is_kept_in_canonical_form() -> None:
    (signed,) = chain_of(KEY, 1)
    padded = signed.text.replace(":", ": \n  ", 5).encode() + b" " * 5000
    assert SignedStatement.open(padded, trusted={KEY.id}) == signed
    with pytest.raises(RejectedDataError, match="is not trusted"):
        SignedStatement.open(padded, trusted={OTHER.id})
