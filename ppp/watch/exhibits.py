"""The releases that the shipped watchlist pins: each was chosen for the failure that it shows, so it stands for itself.

No headline and no finding counts them. A package whose newest release was checked, too, is not about its exhibit.
"""

from functools import cache

from packaging.specifiers import SpecifierSet

from ppp.model.release import Release
from ppp.resources import resource
from ppp.watch import watchlist


@cache
def shipped_exhibits() -> frozenset[Release]:
    """Return the releases that the shipped watchlist pins with `==`."""
    return frozenset(
        Release.parse(wanted.package, pin.version)
        for wanted in watchlist.read(resource("matrices/watchlist.txt")).wanted
        for pin in SpecifierSet(wanted.specifier)
        if pin.operator == "==" and not pin.version.endswith(".*")
    )
