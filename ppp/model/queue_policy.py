"""In which order queued cells are checked: the policy of a matrix file, and a cell's place by it. Pure.

A place has these parts, each a number of which a lower one comes first; the policy says in which order they count:

- asked: 0 if a person named the cell's release, on a command line or in a requirements file; else 1.
- watchlist: 0 if it is of the watchlist; else 1.
- turn: how many times `fair_share` releases of the same publisher come before it. What a person named, or the
  watchlist, has turn 0. It always counts just before the first of downloads, risk and age.
- downloads: a band of the package's downloads, a factor of two each; packages without a number come last.
- risk: how likely it is that a check shows another verdict than the last one; see `Risk`.
- age: when the cell was queued, in epoch seconds.

All parts are packed into one integer, the *priority*, which an index of the ledger sorts by. Cells of equal priority
come by package, version and environment, so the order is total, in whatever order cells were queued.

The publisher of a package that many people download is the package itself: nobody gains that at once. Any other
package shares its turns with those whose name begins with the same word: a version costs nothing, and of a name that is
registered by a program, the end varies. The author that a feed gives counts for nothing: whoever uploads writes it, and
could write another one each time, or that of somebody else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, Self

from ppp.model.record import Result

#: How often a package that is a publisher of its own is downloaded at least, in the period of the table of downloads.
STANDING_DOWNLOADS: Final = 10_000
#: Sources of cells, each a `ReleaseSource` of `ppp.watch.queue`: what a person named, the watchlist, both together, and
#: those that check a cell again because something it rests on has changed.
ASKED_SOURCES: Final = frozenset({"named", "requirements"})
WATCHLIST_SOURCES: Final = frozenset({"watchlist"})
TRUSTED_SOURCES: Final = ASKED_SOURCES | WATCHLIST_SOURCES
CHANGE_SOURCES: Final = frozenset({"late-file", "withdrawal", "dependency", "image", "pip"})
#: How many characters of a name's first word make its family.
FAMILY_CHARACTERS: Final = 6
#: How much of a priority each part takes, in bits: 62 in all, so that it fits into a signed integer of 64.
_BITS: Final = {"asked": 1, "watchlist": 1, "turn": 16, "downloads": 6, "risk": 4, "age": 34}
#: The band of a package whose downloads are not known.
NO_DOWNLOADS: Final = (1 << _BITS["downloads"]) - 1
_MAX_TURN: Final = (1 << _BITS["turn"]) - 1
_MAX_AGE: Final = (1 << _BITS["age"]) - 1


class Criterion(StrEnum):
    """What a policy can order by; the default policy uses all, in this order."""

    ASKED = "asked"
    WATCHLIST = "watchlist"
    DOWNLOADS = "downloads"
    RISK = "risk"
    AGE = "age"


class Part(StrEnum):
    """A part of a cell's place: a criterion, or the turn of its publisher."""

    ASKED = "asked"
    WATCHLIST = "watchlist"
    TURN = "turn"
    DOWNLOADS = "downloads"
    RISK = "risk"
    AGE = "age"


class Risk(IntEnum):
    """How likely it is that a check of a cell shows a verdict that is not the last one; lower is likelier.

    Releases on record are those of the same package in the same environment.
    """

    #: It failed, and something that it rests on has changed: a file, a dependency, the image, pip, its offer.
    FAILED_BEFORE_A_CHANGE = 0
    #: The same, of a cell that did not fail.
    BEFORE_A_CHANGE = 1
    #: Of the two newest releases on record, one failed and one did not.
    UNSTEADY = 2
    #: The newest release on record failed, and so did the one before it.
    FAILING = 3
    #: No release is on record.
    UNKNOWN = 4
    #: The newest releases on record did not fail.
    STEADY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePolicy:
    """The table `[queue]` of a matrix file.

    `fair_share` is how many releases of a publisher come before the next turn. A cell of a journal or a feed that waits
    longer than `keep_days` is dropped. A release triggers checks of `dependents` packages at most, and a run queues
    `recheck_budget` triggered cells at most.
    """

    order: tuple[Criterion, ...] = tuple(Criterion)
    fair_share: int = 3
    keep_days: int = 14
    dependents: int = 50
    recheck_budget: int = 200

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Build a policy from a table that is valid by `matrix.schema.json`; what it leaves out has its default."""
        order = {"order": tuple(Criterion(name) for name in data["order"])} if "order" in data else {}
        return cls(**{**data, **order})

    def to_json(self) -> dict[str, Any]:
        """Return the table as a JSON object, with every key."""
        return {
            "order": [str(criterion) for criterion in self.order],
            "fair_share": self.fair_share,
            "keep_days": self.keep_days,
            "dependents": self.dependents,
            "recheck_budget": self.recheck_budget,
        }

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of a place that count, the one that counts most first."""
        parts = [Part(criterion) for criterion in self.order]
        by_measure = (place for place, part in enumerate(parts) if part not in {Part.ASKED, Part.WATCHLIST})
        parts.insert(next(by_measure, len(parts)), Part.TURN)
        return tuple(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The parts of a cell's place, as the module describes them."""

    asked: int
    watchlist: int
    turn: int
    downloads: int
    risk: int
    age: int


class Packer:
    """Packs places by a policy into integers, and unpacks them."""

    def __init__(self, policy: QueuePolicy) -> None:
        """Prepare the weight of each part of the integer; a part that the policy leaves out weighs nothing."""
        self.shifts: dict[Part, int] = {}
        shift = 0
        for part in reversed(policy.parts):
            self.shifts[part] = shift
            shift += _BITS[part]
        weights = [1 << self.shifts[part] if part in self.shifts else 0 for part in Part]
        self._asked, self._watchlist, self._turn, self._downloads, self.risk_weight, self._age = weights

    def pack(self, *, asked: int, watchlist: int, turn: int, downloads: int, risk: int, age: int) -> int:
        """Return the priority of a place. It is called for every queued cell, hence without an object."""
        return (
            asked * self._asked
            + watchlist * self._watchlist
            + min(turn, _MAX_TURN) * self._turn
            + downloads * self._downloads
            + risk * self.risk_weight
            + min(max(age, 0), _MAX_AGE) * self._age
        )

    def ranges(self, priority: int) -> Iterator[tuple[Part, int, int]]:
        """Yield, for each part that counts, its value and the lowest priority that is equal in it and all before it.

        What has a priority from that of the part before up to (not including) that of this part comes before because of
        this part. The first range begins with 0.
        """
        for part, shift in sorted(self.shifts.items(), key=lambda each: -each[1]):
            yield part, (priority >> shift) & ((1 << _BITS[part]) - 1), (priority >> shift) << shift


def downloads_band(downloads: int | None) -> int:
    """Return the band of a number of downloads: one lower for twice as many; `NO_DOWNLOADS` if none is known."""
    return NO_DOWNLOADS if not downloads or downloads < 0 else max(NO_DOWNLOADS - downloads.bit_length(), 0)


def publisher_of(package: str, downloads: int | None) -> str:
    """Return who a package shares its turns with: itself if people download it, else its family, such as `django*`.

    The family is the name's first word without digits at its end, of which the first six characters count.
    """
    if downloads is not None and downloads >= STANDING_DOWNLOADS:
        return package
    word = package.partition("-")[0]
    return f"{(word.rstrip('0123456789') or word)[:FAMILY_CHARACTERS]}*"


def risk_of(*, own: Result | None, changed: bool, newest: Sequence[Result]) -> Risk:
    """Return the risk of a cell.

    `own` is its own result, `changed` says whether it is queued because something it rests on has changed, and `newest`
    are the results of the newest releases on record, the newest first, without `ERROR`; more than two do not matter.
    """
    failed = [result in _FAILED for result in newest[:2]]
    if changed:
        return Risk.FAILED_BEFORE_A_CHANGE if own in _FAILED else Risk.BEFORE_A_CHANGE
    if len(set(failed)) > 1:
        return Risk.UNSTEADY
    return (Risk.FAILING if failed[0] else Risk.STEADY) if failed else Risk.UNKNOWN


_FAILED: Final = frozenset({Result.FAIL, Result.TIMEOUT})
