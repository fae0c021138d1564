"""Bounds of sites with room for few pages of packages, whatever a site needs for its other files."""

from ppp.model.site_bound import SiteBound
from ppp.publish.page_budget import LEAST_FILES_RESERVE


def bound_with_room(files: int) -> SiteBound:
    """Return a bound that leaves room for so many files beside what is kept for pages about many packages."""
    return SiteBound(max_bytes=10**9, max_files=LEAST_FILES_RESERVE + files)
