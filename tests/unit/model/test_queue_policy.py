"""The order of the queue: what a place weighs, who shares turns, which verdicts may have changed."""

from itertools import permutations

import pytest

from ppp.matrix_files import load_matrix
from ppp.model.queue_policy import (
    CHANGE_SOURCES,
    NO_DOWNLOADS,
    STANDING_DOWNLOADS,
    TRUSTED_SOURCES,
    Criterion,
    Packer,
    Part,
    QueuePolicy,
    Risk,
    downloads_band,
    publisher_of,
    risk_of,
)
from ppp.model.record import Result
from ppp.resources import resource
from ppp.watch.queue import ReleaseSource

LOWEST = {"asked": 0, "watchlist": 0, "turn": 0, "downloads": 0, "risk": 0, "age": 0}
HIGHEST = {"asked": 1, "watchlist": 1, "turn": 10**9, "downloads": NO_DOWNLOADS, "risk": max(Risk), "age": 10**12}
PASS, FAIL, TIMEOUT, NA = Result.PASS, Result.FAIL, Result.TIMEOUT, Result.NA


@pytest.mark.parametrize("order", [*permutations(Criterion, 5), *permutations(Criterion, 2), (Criterion.AGE,)])
def test_what_counts_first_outweighs_all_that_follows(order: tuple[Criterion, ...]) -> None:
    policy = QueuePolicy(order=order)
    pack = Packer(policy).pack
    for place, part in enumerate(policy.parts):
        first = {str(p): HIGHEST[p] for p in policy.parts[place + 1 :]}
        assert pack(**LOWEST | first) < pack(**LOWEST | {str(part): 1}), part
    assert 0 <= pack(**LOWEST) <= pack(**HIGHEST) < 2**63


def test_what_a_policy_leaves_out_does_not_count() -> None:
    policy = QueuePolicy(order=(Criterion.RISK, Criterion.WATCHLIST))
    assert policy.parts == (Part.TURN, Part.RISK, Part.WATCHLIST)
    pack = Packer(policy).pack
    assert pack(**LOWEST) == pack(**LOWEST | {"asked": 1, "downloads": 7, "age": 9})


@pytest.mark.parametrize(
    ("order", "parts"),
    [
        ("asked watchlist downloads risk age", "asked watchlist turn downloads risk age"),
        ("asked downloads watchlist", "asked turn downloads watchlist"),
        ("age", "turn age"),
        ("watchlist", "watchlist turn"),
    ],
)
def test_turns_count_before_the_first_measure(order: str, parts: str) -> None:
    policy = QueuePolicy(order=tuple(map(Criterion, order.split())))
    assert [*policy.parts] == parts.split()


def test_a_priority_can_be_taken_apart() -> None:
    packer = Packer(QueuePolicy())
    place = {"asked": 1, "watchlist": 0, "turn": 7, "downloads": 40, "risk": 4, "age": 1_800_000_000}
    found = [*packer.ranges(packer.pack(**place))]
    assert {str(part): value for part, value, _ in found} == place
    bounds = [lowest for *_, lowest in found]
    assert bounds == sorted(bounds)
    assert bounds[-1] == packer.pack(**place)


def test_the_shipped_matrices_write_the_default_policy_out() -> None:
    for name in ("default", "host", "wide"):
        assert load_matrix(resource(f"matrices/{name}.toml")).queue == QueuePolicy()
    assert QueuePolicy.from_data({}) == QueuePolicy() == QueuePolicy.from_data(QueuePolicy().to_json())


def test_a_band_of_downloads_is_a_factor_of_two() -> None:
    assert downloads_band(None) == downloads_band(0) == downloads_band(-5) == NO_DOWNLOADS
    assert downloads_band(1) == NO_DOWNLOADS - 1
    assert downloads_band(1023) - downloads_band(1024) == 1
    assert downloads_band(10**30) == 0


def test_a_bulk_uploader_is_one_publisher() -> None:
    by_number = {publisher_of(f"spam-{n}", None) for n in range(300)} | {publisher_of(f"spam{n}", 5) for n in range(9)}
    by_word = {publisher_of(f"spam-{word}-lib", None) for word in ("a", "bb", "c-d")}
    assert by_number | by_word == {"spam*"}
    assert {publisher_of(f"freebitcoin{word}", None) for word in ("xa", "xb")} == {"freebi*"}


def test_a_package_with_a_name_of_digits_has_a_family() -> None:
    assert publisher_of("2020", None) == "2020*"
    assert publisher_of("0-0", None) == "0*"


def test_a_package_that_people_download_is_a_publisher_of_its_own() -> None:
    assert publisher_of("spam-eggs", STANDING_DOWNLOADS) == "spam-eggs"
    assert publisher_of("spam-eggs", STANDING_DOWNLOADS - 1) == "spam*"


@pytest.mark.parametrize(
    ("own", "changed", "newest", "risk"),
    [
        (None, False, [], Risk.UNKNOWN),
        (PASS, False, [PASS], Risk.STEADY),
        (None, False, [NA, PASS], Risk.STEADY),
        (None, False, [FAIL, PASS], Risk.UNSTEADY),
        (None, False, [PASS, TIMEOUT], Risk.UNSTEADY),
        (None, False, [FAIL, TIMEOUT, PASS], Risk.FAILING),
        (FAIL, True, [PASS], Risk.FAILED_BEFORE_A_CHANGE),
        (PASS, True, [FAIL], Risk.BEFORE_A_CHANGE),
        (None, True, [], Risk.BEFORE_A_CHANGE),
    ],
)
def test_how_likely_another_verdict_is(own: Result | None, *, changed: bool, newest: list[Result], risk: Risk) -> None:
    assert risk_of(own=own, changed=changed, newest=newest) is risk


def test_the_sources_are_those_of_releases() -> None:
    assert {source.value for source in ReleaseSource if source.is_trusted} == TRUSTED_SOURCES
    new = {ReleaseSource.FEED, ReleaseSource.JOURNAL}
    assert {source.value for source in ReleaseSource} - TRUSTED_SOURCES - new == CHANGE_SOURCES
