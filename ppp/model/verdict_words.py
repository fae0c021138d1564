"""One sentence on where a release works and where it does not. Pure: pages and terminals say it in the same words.

Where it works, every Python is named: nothing is claimed of one that was not checked. Where it does not, a platform
without a Python stands for all of its Pythons that were checked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ppp.model.matrix import EnvironmentId, Platform
from ppp.model.shown import Shown

PLATFORM_NAMES: Final = {Platform.SLIM: "Debian slim", Platform.ALPINE: "Alpine", Platform.HOST: "host"}
#: What a release does in an environment, in the order of the sentence.
_DOES: Final = {
    Shown.PASS: "works",
    Shown.INSTALLED: "installs, with nothing to import,",
    Shown.FAIL: "fails",
    Shown.TIMEOUT: "exceeds its time",
    Shown.NA: "is not to be had",
    Shown.ERROR: "could not be checked",
}
_WORKS: Final = frozenset({Shown.PASS, Shown.INSTALLED})


def verdict_sentence(release: str, cells: Mapping[str, Shown]) -> str:
    """Return the sentence on a release, such as `six 1.17.0`, from what its cells are shown as, by environment.

    `six 1.0 works on Debian slim with Python 3.9; it fails on Debian slim with Python 3.11 and 3.12 and on Alpine.`
    """
    clauses = [
        f"{does} {_places([e for e, one in cells.items() if one is shown], cells, names_all=shown in _WORKS)}"
        for shown, does in _DOES.items()
        if shown in cells.values()
    ]
    return f"{release} {'; it '.join(clauses)}." if clauses else f"{release} has not been checked."


def verdict_counts(release: str, cells: Iterable[Shown]) -> str:
    """Return the sentence on a release with more cells than a page shows: it counts all of them, and names none.

    `six 1.0 works in 100 environments; it fails in 101.`
    """
    counts = Counter(cells)
    clauses = [f"{does} in {counts[shown]}" for shown, does in _DOES.items() if counts[shown]]
    clauses[0] += " environment" if clauses[0].endswith(" in 1") else " environments"
    return f"{release} {'; it '.join(clauses)}."


def _places(environments: Sequence[str], checked: Iterable[str], *, names_all: bool) -> str:
    # Platforms with the same Pythons share them; "" stands for all that were checked.
    every = _pythons(checked)
    by_pythons: dict[str, list[str]] = {}
    for platform, pythons in _pythons(environments).items():
        is_whole = pythons == every[platform] and not names_all
        by_pythons.setdefault("" if is_whole else f" with Python {in_words(pythons)}", []).append(
            PLATFORM_NAMES[platform]
        )
    return " and ".join(f"on {in_words(platforms)}{pythons}" for pythons, platforms in by_pythons.items())


def _pythons(environments: Iterable[str]) -> dict[Platform, list[str]]:
    # The Pythons of each platform, both in their order.
    places = sorted((EnvironmentId.parse(one) for one in environments), key=lambda place: place.sort_key)
    found: dict[Platform, list[str]] = {}
    for place in places:
        found.setdefault(place.platform, []).append(place.python_version)
    return found


def in_words(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
