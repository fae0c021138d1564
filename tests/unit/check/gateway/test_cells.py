"""What each cell may ask for: its limits, and that another one's use does not count."""

import ipaddress
import threading

import pytest

from ppp.check.gateway.cells import CellLimitError, CellLimits, Cells

LIMITS = CellLimits(pages_at_once=1, pages=3, failures=2, file_bytes=10)


def test_each_cell_has_an_address_of_its_own() -> None:
    cells = Cells()
    with cells.open() as one, cells.open() as other:
        assert ipaddress.IPv6Address(one) != ipaddress.IPv6Address(other)


def test_a_cell_that_has_ended_or_never_was_gets_nothing() -> None:
    cells = Cells()
    with cells.open() as address:
        cells.check(address)
    for unknown in (address, "", "::ffff"):
        with pytest.raises(CellLimitError, match="no such cell"):
            cells.check(unknown)
        cells.count_failure(unknown)


def test_limits_are_per_cell() -> None:
    cells = Cells(LIMITS)
    with cells.open() as greedy, cells.open() as other:
        for _ in range(LIMITS.pages):
            with cells.page_request(greedy):
                pass
        with pytest.raises(CellLimitError, match="asked for 3 pages"), cells.page_request(greedy):
            pass
        cells.count_file(greedy, 10)
        with pytest.raises(CellLimitError, match="got 10 bytes"):
            cells.count_file(greedy, 1)
        for _ in range(LIMITS.failures):
            cells.count_failure(greedy)
        with pytest.raises(CellLimitError, match="could not answer 2 requests"):
            cells.check(greedy)
        cells.check(other)
        cells.count_file(other, 10)
        with cells.page_request(other):
            pass


def test_pages_of_one_cell_wait_for_each_other_and_not_for_another_cells() -> None:
    cells = Cells(LIMITS)
    started = threading.Event()

    def ask(address: str) -> None:
        with cells.page_request(address):
            started.set()

    with cells.open() as one, cells.open() as other:
        with cells.page_request(one):
            second = threading.Thread(target=ask, args=(one,))
            second.start()
            assert not started.wait(0.1)
            with cells.page_request(other):
                pass
        second.join(10)
        assert started.is_set()
