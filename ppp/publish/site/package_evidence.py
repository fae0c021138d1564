"""What was checked: files, what they installed, and images, each with the environments that share it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ppp.model.record import Installed
from ppp.publish import text
from ppp.publish.packages.history import CurrentRecord

#: Bytes of HTML for all lists of installed distributions of a page.
INSTALLED_BUDGET: Final = 6_000
DETAIL_LIMIT: Final = 240
#: The length of an image digest on the page, as docker shows it; the JSON file has the full digest.
DIGEST_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSet:
    """The distributions (`name version`) installed in some environments; `omitted` is the number of those not shown."""

    environments: str
    names: tuple[str, ...]
    omitted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A checked file, and the environments in which it was checked; `size` is in bytes."""

    filename: str
    sha256: str
    size: int
    environments: str


def image_digests(newest: Sequence[CurrentRecord]) -> list[str]:
    """Return the image of each cell, with the first digits of its digest."""
    return [
        f"{current.record.environment} {current.record.image_digest.removeprefix('sha256:')[:DIGEST_DIGITS]}"
        for current in newest
        if current.record.image_digest
    ]


def installed_sets(newest: Sequence[CurrentRecord]) -> list[InstalledSet]:
    """Return what was installed, each set once."""
    sets: dict[tuple[str, ...], list[str]] = {}
    for current in newest:
        if current.record.installed:
            sets.setdefault(_installed_names(current.record.installed), []).append(current.record.environment)
    budget = INSTALLED_BUDGET // max(1, len(sets))
    shown = {names: text.fit_budget(names, budget, lambda name: text.html_size(name) + 9) for names in sets}
    return [
        InstalledSet(
            environments=environment_list(places, newest),
            names=tuple(shown[names]),
            omitted=len(names) - len(shown[names]),
        )
        for names, places in sets.items()
    ]


@lru_cache(256)
def _installed_names(installed: tuple[Installed, ...]) -> tuple[str, ...]:
    return tuple(text.single_line(f"{one.name} {one.version}", DETAIL_LIMIT) for one in installed)


def environment_list(environments: Sequence[str], newest: Sequence[CurrentRecord]) -> str:
    """Return environments as words, all of the newest release's as a number."""
    if len(environments) == len(newest) > 1:
        return f"all {len(environments)} environments"
    return ", ".join(environments)


def checked_files(newest: Sequence[CurrentRecord]) -> list[CheckedFile]:
    """Return the files that were checked, each once."""
    by_sha256: dict[str, list[CurrentRecord]] = {}
    for current in newest:
        if current.record.file:
            by_sha256.setdefault(current.record.file.sha256, []).append(current)
    return [
        CheckedFile(
            filename=text.single_line(file.filename, DETAIL_LIMIT),
            sha256=file.sha256,
            size=file.size,
            environments=environment_list([current.record.environment for current in cells], newest),
        )
        for cells in by_sha256.values()
        if (file := cells[0].record.file)
    ]
