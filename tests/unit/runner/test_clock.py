"""The clock check: by the index's date, where it sends one."""

from dataclasses import dataclass, field

import pytest

from ppp.check.index.choose import IndexFile
from ppp.model.errors import ClockError, IndexUnreachableError, PPPError, UnknownPackageError
from ppp.runner.clock import MAX_SKEW_S, check_clock

NOW = 1_714_003_200


@dataclass
class DatedFakeIndex:
    """An index that sends a date with each answer, or none, or fails."""

    date: int | None
    error: PPPError | None = None
    server_time: int | None = field(default=None, init=False)

    def files(self, package: str) -> tuple[IndexFile, ...]:
        assert package == "pip"
        if isinstance(self.error, IndexUnreachableError):
            raise self.error
        self.server_time = self.date
        if self.error:
            raise self.error
        return ()


@pytest.mark.parametrize("skew", [-MAX_SKEW_S, 0, MAX_SKEW_S])
def test_a_clock_that_is_about_right_is_accepted(skew: int) -> None:
    index = DatedFakeIndex(NOW + skew)
    check_clock(index, clock=lambda: NOW + 0.9)
    assert index.server_time == NOW + skew


@pytest.mark.parametrize("error", [None, UnknownPackageError("no pip", hint="")])
@pytest.mark.parametrize("skew", [-86_400, -MAX_SKEW_S - 1, MAX_SKEW_S + 1, 10**9])
def test_a_wrong_clock_is_refused(skew: int, error: PPPError | None) -> None:
    with pytest.raises(ClockError, match=rf"2024-04-25 00:00:00 UTC, .* {abs(skew)} seconds apart.*set the clock"):
        check_clock(DatedFakeIndex(NOW + skew, error), clock=lambda: NOW)


@pytest.mark.parametrize("index", [DatedFakeIndex(None), DatedFakeIndex(0, IndexUnreachableError("down", hint=""))])
def test_without_a_date_there_is_nothing_to_compare_with(index: DatedFakeIndex) -> None:
    check_clock(index, clock=lambda: NOW)
