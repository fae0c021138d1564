"""The results of the observations of each UTC day: a chart for the front page, and `/api/v1/trends.json`.

Each observation counts on the day on which it was made, even if a later one superseded it. Days without observations
are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.ledger.digests import DayDigest
from ppp.model.canonical import Json
from ppp.model.record import Result
from ppp.publish.api.encoding import document_bytes

SCHEMA: Final = "ppp-trends-1"
#: The most days in the chart.
MAX_DAYS: Final = 30
#: In SVG units: the width of a day, the y of 100 % and 0 % for the line, the base of the bars and their maximum height.
_DAY_WIDTH: Final = 10
_TOP_Y: Final = 6
_ZERO_Y: Final = 46
_BASE_Y: Final = 150
_MAX_BAR_HEIGHT: Final = 90
#: The minimum height of a bar, so that small counts remain visible.
_MIN_BAR_HEIGHT: Final = 3
#: In pixels: the width of a day, its width in a chart of few days, and the maximum width of such a chart.
_DAY_PX: Final = 16
_MAX_DAY_PX: Final = 48
_MIN_WIDTH_PX: Final = 480


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The chart of the newest days, oldest first, each with its `passed_percent`.

    `bars` has an SVG path for each result that occurs; `line` is drawn above them, between the two `gridlines`.
    `busiest` is the newest of the days with the most records. `width` and `height` are in SVG units, `pixels` is the
    width on screen; `older` is the number of days not shown.
    """

    days: Sequence[tuple[DayDigest, float | None]]
    older: int
    busiest: DayDigest
    bars: Mapping[Result, str]
    line: str
    gridlines: str
    width: int
    height: int
    pixels: int


def passed_percent(day: DayDigest) -> float | None:
    """Return the share of PASS among PASS, FAIL and TIMEOUT in percent with one decimal; None if there are none."""
    decided = day.passed + day.failed + day.timed_out
    # Integer arithmetic: halves are rounded up, as in SQLite.
    return (2000 * day.passed + decided) // (2 * decided) / 10 if decided else None


def draw_trend(days: Sequence[DayDigest]) -> Trend | None:
    """Return the chart of the newest days, or None without any; `days` come oldest first."""
    shown = days[-MAX_DAYS:]
    if not shown:
        return None
    most = max(shown, key=lambda day: (day.records, day.day))
    percents = [passed_percent(day) for day in shown]
    width = _DAY_WIDTH * len(shown)
    return Trend(
        days=list(zip(shown, percents, strict=True)),
        older=len(days) - len(shown),
        busiest=most,
        bars=_bars(shown, most.records),
        line=_line(percents),
        gridlines=f"M0 {_TOP_Y}h{width}M0 {_ZERO_Y}h{width}",
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
    # A horizontal step for each day, so that a single day is visible too.
    line, connected = "", False
    for place, percent in enumerate(percents):
        if percent is not None:
            height = f"{_ZERO_Y - percent * (_ZERO_Y - _TOP_Y) / 100:.1f}"
            line += f"V{height}h{_DAY_WIDTH}" if connected else f"M{_DAY_WIDTH * place} {height}h{_DAY_WIDTH}"
        connected = percent is not None
    return line


def trends_file(days: Sequence[DayDigest], as_of: int | None) -> tuple[str, bytes]:
    """Return `/api/v1/trends.json`: all days with records, oldest first."""
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
