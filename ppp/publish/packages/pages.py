"""Which packages have pages of their own, and where the others are looked up."""

from dataclasses import dataclass
from typing import Final

#: The page that answers for every package.
LOOKUP_PAGE: Final = "lookup/index.html"


@dataclass(frozen=True, slots=True)
class PackagePages:
    """The packages that have pages; None: all of them."""

    names: frozenset[str] | None = None

    def has(self, package: str) -> bool:
        """Return whether a package has a page."""
        return self.names is None or package in self.names

    def path(self, package: str) -> str:
        """Return the address within the site that shows a package: its page, or the lookup page with its name."""
        return f"p/{package}/index.html" if self.has(package) else f"{LOOKUP_PAGE}?name={package}"

    def cell(self, package: str, environment: str) -> str:
        """Return the address within the site that explains a cell of a package's newest release."""
        return f"{self.path(package)}#{environment}"


#: Where there is room for a page of each package.
ALL_PAGES: Final = PackagePages()
#: Where a page is not written again when others get or lose theirs: the lookup page leads to those that are there.
LOOKUP_ALL: Final = PackagePages(frozenset())
