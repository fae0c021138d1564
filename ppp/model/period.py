"""Periods that an episode is about: a night, which is one UTC day, or an ISO week, which begins on Monday.

A period is named as people write it, `2026-11-28` or `2026-W48`, and its name says all of it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from ppp.model.errors import ConfigError

DAY_S: Final = 86_400

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_WEEK: Final = re.compile(r"(?P<year>[0-9]{4})-W(?P<week>[0-9]{2})", re.ASCII)


class PeriodKind(StrEnum):
    """The kind of a period."""

    NIGHT = "night"
    WEEK = "week"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A period; `start` and `end` in epoch seconds, `end` excluded."""

    id: str
    kind: PeriodKind
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the period of a name such as `2026-11-28` or `2026-W48`; raise `ConfigError` if it is none."""
        kind = PeriodKind.WEEK if _WEEK.fullmatch(text) else PeriodKind.NIGHT
        try:
            return cls.of(kind, _first_day(text))
        except (ValueError, OverflowError) as error:
            raise ConfigError(
                f"{text[:40]!r} is neither a day nor a week", hint="write a day as 2026-11-28, or a week as 2026-W48"
            ) from error

    @classmethod
    def of(cls, kind: PeriodKind, day: date) -> Self:
        """Return the period of a kind that a UTC day is in."""
        if kind is PeriodKind.NIGHT:
            return cls._from(day.isoformat(), kind, day, days=1)
        year, week, weekday = day.isocalendar()
        return cls._from(f"{year:04}-W{week:02}", kind, day - timedelta(days=weekday - 1), days=7)

    @classmethod
    def at(cls, kind: PeriodKind, seconds: int) -> Self:
        """Return the period of a kind that a time, in epoch seconds, is in."""
        return cls.of(kind, datetime.fromtimestamp(seconds, UTC).date())

    @classmethod
    def _from(cls, id_: str, kind: PeriodKind, first: date, *, days: int) -> Self:
        start = int(datetime.combine(first, datetime.min.time(), UTC).timestamp())
        return cls(id=id_, kind=kind, start=start, end=start + days * DAY_S)

    @property
    def before(self) -> "Period":
        """The period of the same kind that ends where this one starts."""
        return Period.at(self.kind, self.start - 1)


def _first_day(text: str) -> date:
    if week := _WEEK.fullmatch(text):
        return date.fromisocalendar(int(week["year"]), int(week["week"]), 1)
    if not _DAY.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)
