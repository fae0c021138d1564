"""How much a site may take on its host: presets for hosts, and bounds of one's own."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: What a file takes beyond its bytes: in the tar archive in which a host receives a site, a header of 512 bytes, and
#: up to 511 bytes until the next block begins.
FILE_OVERHEAD: Final = 1_024


class SitePreset(StrEnum):
    """The host that a site is published on."""

    NONE = "none"
    GITHUB_PAGES = "github-pages"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteBound:
    """The most bytes and files of a site; each file counts `FILE_OVERHEAD` bytes beyond its own."""

    max_bytes: int
    max_files: int


#: The share of a bound that snapshots may take: a quarter. Batches take half of what is left beside pages about many
#: packages, and the pages of packages the rest.
SNAPSHOT_SHARE: Final = 4
#: GitHub Pages: a site may take 1 GB, of which a twentieth is left free; for files there is no limit, but a deployment
#: that takes longer than ten minutes fails.
PRESETS: Final = {
    SitePreset.NONE: None,
    SitePreset.GITHUB_PAGES: SiteBound(max_bytes=950_000_000, max_files=250_000),
}
#: What a bound of one's own leaves unsaid.
UNBOUNDED: Final = SiteBound(max_bytes=10**15, max_files=10**9)


def snapshot_share(bound: SiteBound | None) -> int | None:
    """Return how many bytes of a site its snapshots may take; None: there is no bound."""
    return None if bound is None else bound.max_bytes // SNAPSHOT_SHARE


def site_bound(preset: SitePreset, *, max_mib: int | None = None, max_files: int | None = None) -> SiteBound | None:
    """Return the bound of a preset, with the numbers that are given in place of its own; None: there is no bound."""
    bound = PRESETS[preset]
    if max_mib is None and max_files is None:
        return bound
    bound = bound or UNBOUNDED
    return SiteBound(
        max_bytes=bound.max_bytes if max_mib is None else max_mib * 1024 * 1024,
        max_files=bound.max_files if max_files is None else max_files,
    )
