"""What the observations of each UTC day came to: a drawing for the front page, and `/api/v1/trends.json`.

Every observation counts on the day it was made, whatever was seen of its cell since. A day without one is left out:
it has no bar, and no row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.ledger.digests import DayDigest
from ppp.model.record import Json, Result
from ppp.publish.api.encoding import document_bytes

SCHEMA: Final = "ppp-trends-1"
#: As many days as a page has room for.
MAX_DAYS: Final = 30
#: In units of the drawing: a day's width; where the line's 100 % and 0 % are; where bars stand, and how high they grow.
_DAY_WIDTH: Final = 10
_TOP_Y: Final = 6
_ZERO_Y: Final = 46
_BASE_Y: Final = 150
_MAX_BAR_HEIGHT: Final = 90
#: One of a thousand is still seen.
_MIN_BAR_HEIGHT: Final = 3
#: Pixels: what a day takes, and what a drawing of few days may.
_DAY_PX: Final = 16
_MAX_DAY_PX: Final = 48
_MIN_WIDTH_PX: Final = 480


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The newest days, oldest first, each with its `passed_percent`, and the paths that draw them.

    `bars` has a path for each result that occurs; above them goes `line`, between the two of `rules`. `most` is the day
    with the most records, the newest of such; sizes are in units, `pixels` is how wide it may be on a screen.
    """

    days: Sequence[tuple[DayDigest, float | None]]
    older: int
    most: DayDigest
    bars: Mapping[Result, str]
    line: str
    rules: str
    width: int
    height: int
    pixels: int


def passed_percent(day: DayDigest) -> float | None:
    """Give the share of `PASS` among `PASS`, `FAIL` and `TIMEOUT`, in percent with one decimal; None where none is."""
    decided = day.passed + day.failed + day.timed_out
    # Halves go up, as in SQL.
    return (2000 * day.passed + decided) // (2 * decided) / 10 if decided else None


def draw_trend(days: Sequence[DayDigest]) -> Trend | None:
    """Draw the newest of all days, which come oldest first; None where there is no day."""
    shown = days[-MAX_DAYS:]
    if not shown:
        return None
    most = max(shown, key=lambda day: (day.records, day.day))
    percents = [passed_percent(day) for day in shown]
    width = _DAY_WIDTH * len(shown)
    return Trend(
        days=list(zip(shown, percents, strict=True)),
        older=len(days) - len(shown),
        most=most,
        bars=_bars(shown, most.records),
        line=_line(percents),
        rules=f"M0 {_TOP_Y}h{width}M0 {_ZERO_Y}h{width}",
        width=width,
        height=_BASE_Y + 1,
        pixels=max(_DAY_PX * len(shown), min(_MAX_DAY_PX * len(shown), _MIN_WIDTH_PX)),
    )


def _bars(days: Sequence[DayDigest], most: int) -> dict[Result, str]:
    paths = dict.fromkeys(Result, "")
    for place, day in enumerate(days):
        foot = _BASE_Y
        for result, count in day.by_result.items():
            if count:
                head = foot - max(_MIN_BAR_HEIGHT, round(_MAX_BAR_HEIGHT * count / most))
                paths[result] += f"M{_DAY_WIDTH * place + _DAY_WIDTH // 2} {foot}V{head}"
                foot = head
    return {result: path for result, path in paths.items() if path}


def _line(percents: Sequence[float | None]) -> str:
    # A step for each day, so that one day alone is a line, too.
    line, goes_on = "", False
    for place, percent in enumerate(percents):
        if percent is not None:
            height = f"{_ZERO_Y - percent * (_ZERO_Y - _TOP_Y) / 100:.1f}"
            line += f"V{height}h{_DAY_WIDTH}" if goes_on else f"M{_DAY_WIDTH * place} {height}h{_DAY_WIDTH}"
        goes_on = percent is not None
    return line


def trends_file(days: Sequence[DayDigest], as_of: int | None) -> tuple[str, bytes]:
    """`/api/v1/trends.json`: all days that have records, oldest first."""
    rows: list[Json] = [
        {
            "day": day.day,
            "records": day.records,
            "results": {str(result): count for result, count in day.by_result.items()},
            "passed_percent": passed_percent(day),
        }
        for day in days
    ]
    return "api/v1/trends.json", document_bytes({"schema": SCHEMA, "as_of": as_of, "days": rows})
