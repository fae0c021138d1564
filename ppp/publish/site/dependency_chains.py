"""Which dependencies break packages: the cells blamed on a dependency, grouped by dependency, cause and platform.

The name of the dependency comes from a cell's detail: `ppp.check.causes` puts it first, or pip's message contains it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from packaging.utils import canonicalize_name

from ppp.model.canonical import Json
from ppp.model.matrix import EnvironmentId, Platform
from ppp.publish import text
from ppp.publish.listings.entries import ListingEntry
from ppp.publish.packages.summary import AffectedCell

#: The listing of all chains.
CHAINS_LISTING: Final = "chains"
#: Bytes of HTML for the chains on the page, and the most packages that it names for each chain.
CHAINS_BUDGET: Final = 16_000
MAX_NAMED_PACKAGES: Final = 10
#: The most chains in the JSON file, where each names all its packages.
MAX_CHAINS: Final = 500

_DEPENDENCY_PATTERNS: Final = (
    # An import's detail begins with the module that was imported.
    re.compile(r"^(?:import [\w.]{1,300}: )?([A-Za-z0-9][A-Za-z0-9._-]{0,213}): "),
    re.compile(r"satisfies the requirement ([A-Za-z0-9][A-Za-z0-9._-]*)"),
    re.compile(r"No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)"),
    re.compile(r"No module named '([A-Za-z0-9_]+)"),
)
#: Words at the beginning of a line from pip or a traceback that are not names of projects.
_NOT_PROJECTS: Final = re.compile(r"error|warning|exception|[a-z]*(error|exception|warning)|note|hint")


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyChain:
    """The packages, sorted by name, that one dependency breaks on one platform with one cause."""

    dependency: str
    cause: str
    platform: Platform
    packages: tuple[str, ...]
    cells: int

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the packages that the page names."""
        return self.packages[:MAX_NAMED_PACKAGES]

    @property
    def estimated_bytes(self) -> int:
        """Return an upper estimate of the size of its HTML in bytes."""
        return 420 + len(self.dependency) + 2 * len(self.cause) + sum(60 + 2 * len(name) for name in self.shown)


def dependency_of(detail: str | None) -> str | None:
    """Return the normalized name of the project that a detail names, or None."""
    for pattern in _DEPENDENCY_PATTERNS:
        match = pattern.search(detail or "")
        if match and not _NOT_PROJECTS.fullmatch(name := canonicalize_name(match[1].rstrip(".-_"))):
            return str(name)
    return None


def chain_entries(package: str, cells: Iterable[AffectedCell]) -> Iterator[ListingEntry]:
    """Yield the listing entries of a package for the chains that its cells belong to."""
    counts = Counter(key for cell in cells if (key := _chain_key(cell)))
    for key, count in sorted(counts.items()):
        yield ListingEntry(package, CHAINS_LISTING, json.dumps(key), None, 0, count, "")


def _chain_key(cell: AffectedCell) -> tuple[str, str, Platform] | None:
    dependency = dependency_of(cell.detail)
    platform = EnvironmentId.parse(cell.environment).platform
    return (dependency, cell.cause or "unclassified", platform) if dependency else None


def chains_from(entries: Iterable[ListingEntry]) -> list[DependencyChain]:
    """Return the chains of all packages: most packages first, then by dependency, cause and platform."""
    chains = [_chain(json.loads(key), list(group)) for key, group in groupby(entries, key=lambda entry: entry.key)]
    return sorted(chains, key=lambda c: (-len(c.packages), c.dependency, c.cause, c.platform))


def _chain(key: Sequence[str], entries: Sequence[ListingEntry]) -> DependencyChain:
    dependency, cause, platform = key
    return DependencyChain(
        dependency=dependency,
        cause=cause,
        platform=Platform(platform),
        packages=tuple(entry.package for entry in entries),
        cells=sum(entry.cells for entry in entries),
    )


def shown_chains(chains: Sequence[DependencyChain]) -> list[DependencyChain]:
    """Return the largest chains, as many as fit on the page."""
    return text.fit_budget(chains, CHAINS_BUDGET, lambda chain: chain.estimated_bytes)


def chains_document(chains: Sequence[DependencyChain], as_of: int | None) -> dict[str, Json]:
    """Return the document of `/api/v1/dependency-chains.json`."""
    return {
        "schema": "ppp-chains-1",
        "as_of": as_of,
        "chains": [_json(chain) for chain in chains[:MAX_CHAINS]],
        "total": len(chains),
    }


def _json(chain: DependencyChain) -> Mapping[str, Json]:
    return {
        "dependency": chain.dependency,
        "cause": chain.cause,
        "platform": chain.platform,
        "packages": [*chain.packages],
        "cells": chain.cells,
    }


def cells_without_dependency(chains: Iterable[DependencyChain], cells: int) -> int:
    """Return how many of `cells` cells are in no chain, because their detail names no dependency."""
    return cells - sum(chain.cells for chain in chains)
