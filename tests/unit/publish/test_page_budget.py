"""Which packages get pages: a pure decision."""

import pytest

from ppp.model.errors import PublishError
from ppp.model.site_bound import FILE_OVERHEAD, PRESETS, SiteBound, SitePreset, site_bound
from ppp.publish.page_budget import Room, check_bound, holds_all, merge_ranks, package_room, room_for_pages

BOUND = SiteBound(max_bytes=100_000_000, max_files=10_000)


def test_the_best_place_in_any_order_counts_and_each_name_comes_once() -> None:
    assert [*merge_ranks("abc", "bd", "")] == ["a", "b", "d", "c"]
    assert [*merge_ranks()] == []


def test_orders_are_read_no_further_than_names_are_taken() -> None:
    read: list[int] = []

    def names() -> object:
        for number in range(100):
            read.append(number)
            yield str(number)

    ranked = merge_ranks(names())  # type: ignore[arg-type]
    assert [next(ranked), next(ranked)] == ["0", "1"]
    assert read == [0, 1]


def test_a_file_takes_more_than_its_bytes() -> None:
    assert Room.of(10, 2) == Room(10 + 2 * FILE_OVERHEAD, 2)
    assert package_room(1_000, 5, 400).bytes > Room.of(1_000, 5).bytes + 400


def test_all_packages_have_room_or_not() -> None:
    fixed = {"batches": Room.of(1_000_000, 2)}
    assert holds_all(BOUND, 100, fixed)
    assert not holds_all(BOUND, 3_000, fixed)
    assert not holds_all(SiteBound(max_bytes=10**12, max_files=700), 100, fixed)


def test_what_is_left_for_pages_and_what_does_not_fit() -> None:
    small = room_for_pages(BOUND, {})
    less = room_for_pages(BOUND, {"snapshots": Room.of(5_000_000, 10)})
    assert small.minus(less) == Room.of(5_000_000, 10)
    with pytest.raises(PublishError, match=r"snapshots 9\d\.\d MB in 10 files.*more than 100\.0 MB in 10,000 files"):
        room_for_pages(BOUND, {"batches": Room(0, 0), "snapshots": Room.of(90_000_000, 10)})
    with pytest.raises(PublishError, match="9,000 files"):
        room_for_pages(BOUND, {"batches": Room(0, 9_000)})


def test_a_site_larger_than_its_bound_is_an_error() -> None:
    check_bound(BOUND, Room(100_000_000, 10_000))
    for taken in (Room(100_000_001, 1), Room(1, 10_001)):
        with pytest.raises(PublishError, match="more than its bound of"):
            check_bound(BOUND, taken)


def test_presets_leave_a_margin_and_yield_to_numbers_of_ones_own() -> None:
    pages = PRESETS[SitePreset.GITHUB_PAGES]
    assert pages is not None
    assert pages.max_bytes <= 0.95 * 10**9
    assert site_bound(SitePreset.NONE) is None
    assert site_bound(SitePreset.GITHUB_PAGES) == pages
    assert site_bound(SitePreset.GITHUB_PAGES, max_files=10) == SiteBound(max_bytes=pages.max_bytes, max_files=10)
    own = site_bound(SitePreset.NONE, max_mib=2)
    assert own is not None
    assert own.max_bytes == 2 * 2**20
