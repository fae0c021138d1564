"""What changed for other packages after a package's releases came: the flips that each of its releases triggered.

The words are careful: what was observed is that a verdict changed when a cell was checked again after the release came.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ppp.ledger.flips import Flip, FlipKind
from ppp.model.release import version_key

#: How many packages a remark names; the page and the file have all.
MAX_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFlips:
    """The verdicts of other packages that changed after one release came, newest first."""

    version: str
    flips: Sequence[Flip]

    def packages(self, kind: FlipKind) -> list[str]:
        """Return the packages that it broke, or fixed, by name: of one with several cells, any of them counts."""
        return sorted({flip.release.package for flip in self.flips if flip.kind is kind})

    @property
    def broke(self) -> int:
        """Return how many packages no longer passed somewhere."""
        return len(self.packages(FlipKind.BROKE))

    @property
    def fixed(self) -> int:
        """Return how many packages passed again somewhere."""
        return len(self.packages(FlipKind.FIXED))

    @property
    def summary(self) -> str:
        """Return what it did, such as `broke 41 packages here, fixed 3`."""
        broke = f"broke {_count(self.broke)} here" if self.broke else ""
        fixed = f"fixed {self.fixed if broke else f'{_count(self.fixed)} here'}" if self.fixed else ""
        return ", ".join(filter(None, (broke, fixed)))


def _count(packages: int) -> str:
    return "1 package" if packages == 1 else f"{packages} packages"


def flips_by_release(flips: Iterable[Flip]) -> list[ReleaseFlips]:
    """Return the flips that the releases of one package triggered, by release, the newest version first."""
    newest = sorted(flips, key=lambda flip: (flip.observed_at, flip.record), reverse=True)
    by_version = sorted(
        newest, key=lambda flip: (version_key(flip.trigger.version), flip.trigger.version), reverse=True
    )
    return [
        ReleaseFlips(version=version, flips=tuple(of_version))
        for version, of_version in groupby(by_version, key=lambda flip: flip.trigger.version)
    ]


def breaks_remarks(version: str, flips: Iterable[Flip]) -> Mapping[str, str]:
    """Return what a release broke, in words, by environment."""
    broken: dict[str, set[str]] = {}
    for flip in flips:
        if flip.trigger.version == version and flip.kind is FlipKind.BROKE:
            broken.setdefault(flip.environment, set()).add(str(flip.release))
    return {environment: _words(sorted(releases)) for environment, releases in broken.items()}


def _words(releases: Sequence[str]) -> str:
    named = ", ".join(releases[:MAX_NAMED])
    more = f" and {len(releases) - MAX_NAMED} more" if len(releases) > MAX_NAMED else ""
    passed = f"{_count(len(releases))} that passed before did"
    return f"{passed} not when checked again after it came: {named}{more}"
