"""Periods: a UTC day or an ISO week, named, bounded and followed one by another without a gap."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.model.errors import ConfigError
from ppp.model.period import DAY_S, Period, PeriodKind

KINDS = list(PeriodKind)
#: From 1970 to 2100.
times = st.integers(0, 4_102_444_800)


def test_a_day_and_a_week_are_named_as_people_write_them() -> None:
    night, week = Period.parse("2026-11-28"), Period.parse("2026-W48")
    assert (night.kind, week.kind) == (PeriodKind.NIGHT, PeriodKind.WEEK)
    assert datetime.fromtimestamp(night.start, UTC).isoformat() == "2026-11-28T00:00:00+00:00"
    assert datetime.fromtimestamp(week.start, UTC).isoformat() == "2026-11-23T00:00:00+00:00"
    assert (night.end - night.start, week.end - week.start) == (DAY_S, 7 * DAY_S)
    assert (night.before.id, week.before.id) == ("2026-11-27", "2026-W47")


def test_a_year_has_53_weeks_or_52() -> None:
    assert Period.parse("2027-W01").before.id == "2026-W53"
    with pytest.raises(ConfigError, match="2025-W53"):
        Period.parse("2025-W53")


@pytest.mark.parametrize(
    "text", ["", "yesterday", "20261128", "2026-W4", "2026-W00", "2026-W48-1", "2026-02-30", "0000-W01", "0001-01-1"]
)
def test_other_text_is_no_period(text: str) -> None:
    with pytest.raises(ConfigError, match="neither a day nor a week"):
        Period.parse(text)


@given(times, st.sampled_from(KINDS))
def test_a_time_is_in_one_period_which_its_name_gives_again(seconds: int, kind: PeriodKind) -> None:
    period = Period.at(kind, seconds)
    assert period.start <= seconds < period.end
    assert Period.parse(period.id) == period
    assert Period.at(kind, period.end).before == period
