"""Which batches a site with a bound publishes: the newest ones, within their share."""

import json

import pytest

from ppp.ledger.batches import PackedBatch
from ppp.mesh.older import MAX_OLDER_BYTES
from ppp.model.site_bound import FILE_OVERHEAD, SiteBound
from ppp.publish.api.older_batches import older_batches_file
from ppp.publish.batch_budget import MAX_LISTED, BatchChoice, batch_share, choose_batches
from ppp.publish.page_budget import Room, lookup_estimate, site_reserve

BOUND = SiteBound(max_bytes=100_000_000, max_files=10_000)
PACKAGES = 1_000


def packed(number: int, size: int) -> PackedBatch:
    """A batch; the greater its number, the older it is."""
    at = 2_000_000_000 - number
    return PackedBatch(f"{number:064x}", "a" * 64, 10, at - 60, at, size)


def test_without_a_bound_and_where_all_fit_nothing_is_left_out() -> None:
    batches = [packed(number, 1_000) for number in range(5)]
    assert choose_batches(batches, None, PACKAGES) == BatchChoice(batches, ())
    assert choose_batches(batches, BOUND, PACKAGES) == BatchChoice(batches, ())
    assert choose_batches([], BOUND, PACKAGES).room == Room(0, 0)


def test_the_newest_are_kept_within_half_of_what_pages_leave() -> None:
    batches = [packed(number, 10_000_000) for number in range(20)]
    kept, older = chosen = choose_batches(batches, BOUND, PACKAGES)
    assert [*kept, *older] == batches
    share = batch_share(BOUND, PACKAGES).bytes
    assert share - 11_000_000 < chosen.room.bytes <= share + 20 * 220 + FILE_OVERHEAD
    assert chosen.room.files == 2 * len(kept) + 1


def test_many_small_ones_are_bounded_by_files() -> None:
    chosen = choose_batches([packed(number, 10) for number in range(9_000)], BOUND, PACKAGES)
    share = batch_share(BOUND, PACKAGES).files
    assert share - 2 <= 2 * len(chosen.kept) <= share


def test_none_that_is_newer_than_one_without_room_is_left_out() -> None:
    # The third would fit, but who had the second misses nothing only if nothing in between is missing.
    sizes = [1_000, 90_000_000, 1_000]
    kept, older = choose_batches([packed(number, size) for number, size in enumerate(sizes)], BOUND, PACKAGES)
    assert [batch.size for batch in kept] == [1_000]
    assert [batch.size for batch in older] == [90_000_000, 1_000]


@pytest.mark.parametrize("number", range(5))
def test_a_newer_batch_only_pushes_out_older_ones(number: int) -> None:
    batches = [packed(n, 7_000_000 + n) for n in range(20)]
    before = choose_batches(batches[number + 1 :], BOUND, PACKAGES)
    after = choose_batches(batches[number:], BOUND, PACKAGES)
    assert {*before.older} <= {*after.older}
    assert batches[number] in after.kept


def test_a_list_of_older_batches_is_bounded_and_counts_all() -> None:
    older = [packed(number, 10) for number in range(MAX_LISTED + 5)]
    _, content = older_batches_file(older, None)
    assert content is not None
    document = json.loads(content)
    assert (document["older"], document["records"]) == (MAX_LISTED + 5, 10 * (MAX_LISTED + 5))
    assert [row[0] for row in document["batches"]] == [batch.id for batch in older[:MAX_LISTED]]
    assert len(content) < BatchChoice((), older).room.bytes < MAX_OLDER_BYTES
    assert older_batches_file([], None)[1] is None


def test_the_lookup_of_all_packages_comes_before_batches() -> None:
    few, many = batch_share(BOUND, 100), batch_share(BOUND, 100_000)
    # Half of what is left beside the look-up.
    more = lookup_estimate(100_000).minus(lookup_estimate(100))
    assert more.bytes > 10_000_000
    assert abs(few.bytes - many.bytes - more.bytes // 2) <= 1
    for packages in (100, 100_000):
        rest = batch_share(BOUND, packages).plus(lookup_estimate(packages)).plus(site_reserve(BOUND))
        assert Room(BOUND.max_bytes, BOUND.max_files).minus(rest).bytes >= batch_share(BOUND, packages).bytes
    kept, older = choose_batches([packed(1, 1_000)], BOUND, 10_000_000)
    assert (len(kept), len(older)) == (0, 1)
