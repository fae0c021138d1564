"""The cover of an episode: a square PNG of its period's results, a bar for each environment; pure.

A bar has the share of passes first, then that of failures, which are as wide as half a bar is high, then all others:
what is said by colour is also said by form and in words.
"""

from collections.abc import Sequence
from typing import Final

from ppp.bitmap import Band, Colour, bar, gap, letters_on_line, line, png
from ppp.model.period import Period
from ppp.narrate.sound.results import EnvironmentResults

#: Podcasts want squares of 1400 to 3000 pixels.
SIDE: Final = 1_500
MAX_BARS: Final = 8
_BAR_UNITS: Final = (SIDE - 120) // 4
_BAR_ROWS: Final = 36


def cover(period: Period, results: Sequence[EnvironmentResults]) -> bytes:
    """Return the cover of a period with these results."""
    bands = [gap(80, SIDE), _words("THE PYPI PLACE", 4), gap(24, SIDE), _words(period.id, 3, Colour.GOOD)]
    bands += [gap(18, SIDE), _words(f"the {period.kind}, as it was observed", 1), gap(56, SIDE)]
    for one in results[:MAX_BARS]:
        bands += _bars(one)
    if not results:
        bands += [_words("nothing was observed", 2)]
    if more := len(results) - MAX_BARS:
        bands += [_words(f"and {more} more environments", 1)] if more > 0 else []
    return png([*bands, gap(SIDE - sum(band.rows for band in bands), SIDE)], SIDE, SIDE)


def _words(words: str, scale: int, colour: Colour = Colour.TEXT) -> Band:
    return line(((words[: letters_on_line(scale, SIDE)], colour),), scale, SIDE)


def _bars(one: EnvironmentResults) -> list[Band]:
    total = max(1, one.total)
    passed, failed = (count * _BAR_UNITS // total for count in (one.passed, one.failed))
    others = _BAR_UNITS * (one.passed + one.failed) // total
    rest = (Colour.TEXT, 2 if one.total > one.passed + one.failed else 0)
    # Any failure is seen, however few there are.
    failed = max(failed, 2) if one.failed else 0
    empty = max(0, others - passed - failed)
    whole = ((Colour.GOOD, passed), (Colour.BACKGROUND, failed + empty), rest)
    half = ((Colour.GOOD, passed), (Colour.BAD, failed), (Colour.BACKGROUND, empty), rest)
    counts = f"{one.environment}: {one.passed:,} passed, {one.failed:,} failed, {one.total:,} in all"
    return [
        _words(counts, 1),
        gap(10, SIDE),
        bar(whole, _BAR_ROWS // 2, SIDE),
        bar(half, _BAR_ROWS // 2, SIDE),
        gap(34, SIDE),
    ]
