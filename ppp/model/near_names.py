"""Which names somebody may have meant who typed another one. Pure; `site/script/near.js` is the same rule for pages.

A name is near if few letters are to be changed, of which two that changed places count as one, or if it contains what
was typed. Hyphens do not count: `py-yaml` is nearest to `pyyaml`.
"""

from collections.abc import Iterable
from typing import Final

#: How many names are worth showing.
MAX_NEAR: Final = 6
#: A shorter text is contained in too many names.
MIN_CONTAINED: Final = 3
#: Where a text is too short for two wrong letters.
_SHORT: Final = 5


def near_names(typed: str, names: Iterable[str]) -> list[str]:
    """Return the names that are near a normalized one and are not it, the nearest first, at most `MAX_NEAR`.

    Those with the fewest letters to change come first, then those that contain it, the shortest first.
    """
    wanted = typed.replace("-", "")
    bound = 1 if len(wanted) < _SHORT else 2
    found: set[tuple[int, int, str]] = set()
    for name in names:
        plain = name.replace("-", "")
        distance = edit_distance(wanted, plain, bound)
        if name == typed:
            continue
        if distance is not None and distance < len(wanted):
            found.add((distance, len(name), name))
        elif len(wanted) >= MIN_CONTAINED and wanted in plain:
            found.add((bound + 1, len(name), name))
    return [name for *_, name in sorted(found)[:MAX_NEAR]]


def edit_distance(one: str, other: str, bound: int) -> int | None:
    """Return how many letters to insert, remove, replace or swap with the next make one text the other.

    Return None if these are more than `bound`: most texts are found to be different after a few letters.
    """
    if abs(len(one) - len(other)) > bound:
        return None
    before: list[int] = []
    row = [*range(len(other) + 1)]
    for place, letter in enumerate(one, 1):
        last, before, row = before, row, [place]
        for at, against in enumerate(other, 1):
            cost = min(row[at - 1] + 1, before[at] + 1, before[at - 1] + (letter != against))
            if place > 1 and at > 1 and letter == other[at - 2] and against == one[place - 2]:
                cost = min(cost, last[at - 2] + 1)
            row.append(cost)
        if min(row) > bound:
            return None
    return row[-1] if row[-1] <= bound else None
