"""How a cell is shown to people: a `PASS` in which nothing was imported never looks like one in which something was.

Results stay the five words of `Result`, in records, in the ledger and in JSON files. Pages, badges and terminals show a
`PASS` whose phase `import` was skipped as `installed`, with the reason.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Final

from ppp.model.record import Outcome, Phase, Record, Result


class Shown(StrEnum):
    """What a cell is shown as: its result, or `installed` for a `PASS` of a release that has nothing to import.

    The lower case says that it is not a result.
    """

    PASS = "PASS"
    INSTALLED = "installed"
    FAIL = "FAIL"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    NA = "NA"

    @property
    def result(self) -> Result:
        """Return the result that is shown."""
        return Result.PASS if self is Shown.INSTALLED else Result(self.value)


#: Shown by word and glyph (on pages by pattern, too), never by colour alone.
GLYPHS: Final[Mapping[str, str]] = {
    Shown.PASS: "✓",
    Shown.INSTALLED: "◇",
    Shown.FAIL: "✗",
    Shown.TIMEOUT: "◷",
    Shown.ERROR: "▲",
    Shown.NA: "–",  # noqa: RUF001 - the en dash is intended
}
#: Why a release has nothing to import, by the ground of its skipped phase `import`.
_REASONS: Final = {
    "requirements-only": "it only requires other distributions",
    "stubs": "type stubs only",
    "data": "data files only",
    "pth": "a .pth file only",
    "scripts": "scripts only",
    "declares-none": "it declares that it has no modules",
    "no-module": "none of its files is a module",
}


@cache
def shown_as(result: Result, import_outcome: Outcome) -> Shown:
    """Return what a cell is shown as, from its result and the outcome of its phase `import`."""
    if result is Result.PASS and import_outcome is Outcome.SKIP:
        return Shown.INSTALLED
    return Shown(result.value)


def record_shown_as(record: Record) -> Shown:
    """Return what the cell of a record is shown as."""
    return shown_as(record.result, record.outcome(Phase.IMPORT))


def count_shown(shown: Iterable[Shown]) -> tuple[tuple[Shown, int], ...]:
    """Return how many cells are shown as each, in the order of `Shown`; those without any are left out."""
    cells = [*shown]
    return tuple((one, count) for one in Shown if (count := cells.count(one)))


def nothing_to_import(record: Record) -> str | None:
    """Return why a record that is shown as `installed` has nothing to import, "" if it does not say; None for others.

    Its detail says it best, and may hold text of the release; its ground is one of a few.
    """
    if record_shown_as(record) is not Shown.INSTALLED:
        return None
    ground = record.grounds.get(Phase.IMPORT, "")
    return record.detail or _REASONS.get(ground, ground)
