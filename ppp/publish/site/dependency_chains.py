"""Which dependencies break packages: cells that are blamed on one, by the dependency, the cause and the platform.

The name of a dependency stands at the head of a cell's detail, where `ppp.check.causes` puts it, or in pip's own words.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from packaging.utils import canonicalize_name

from ppp.model.matrix import EnvironmentId, Platform
from ppp.model.record import Json
from ppp.publish import text
from ppp.publish.listings.entries import ListingEntry
from ppp.publish.packages.summary import AffectedCell

#: The shelf of all chains.
CHAINS_LISTING: Final = "chains"
#: Chains that one page holds, and the packages that each of them names there.
CHAINS_BUDGET: Final = 16_000
MAX_NAMED_PACKAGES: Final = 10
#: Chains in the file; each names all its packages.
MAX_CHAINS: Final = 500

_DEPENDENCY_PATTERNS: Final = (
    re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]{0,213}): "),
    re.compile(r"satisfies the requirement ([A-Za-z0-9][A-Za-z0-9._-]*)"),
    re.compile(r"No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)"),
    re.compile(r"No module named '([A-Za-z0-9_]+)"),
)
#: What begins a line of pip or of a traceback, and is no project.
_NOT_PROJECTS: Final = re.compile(r"error|warning|exception|[a-z]*(error|exception|warning)|note|hint")


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyChain:
    """The packages that one dependency breaks on one platform by one cause; each name once, sorted."""

    dependency: str
    cause: str
    platform: Platform
    packages: tuple[str, ...]
    cells: int

    @property
    def shown(self) -> tuple[str, ...]:
        """Give the packages that the page names."""
        return self.packages[:MAX_NAMED_PACKAGES]

    @property
    def estimated_bytes(self) -> int:
        """Estimate its HTML in bytes, rather too high."""
        return 420 + len(self.dependency) + 2 * len(self.cause) + sum(60 + 2 * len(name) for name in self.shown)


def dependency_of(detail: str | None) -> str | None:
    """Give the normalized name of the project that a detail is about; None where it names none."""
    for pattern in _DEPENDENCY_PATTERNS:
        match = pattern.search(detail or "")
        if match and not _NOT_PROJECTS.fullmatch(name := canonicalize_name(match[1].rstrip(".-_"))):
            return str(name)
    return None


def chain_entries(package: str, cells: Iterable[AffectedCell]) -> Iterator[ListingEntry]:
    """Give a package's cards for the chains that its cells are in."""
    counts = Counter(key for cell in cells if (key := _chain_key(cell)))
    for key, count in sorted(counts.items()):
        yield ListingEntry(package, CHAINS_LISTING, json.dumps(key), None, 0, count, "")


def _chain_key(cell: AffectedCell) -> tuple[str, str, Platform] | None:
    dependency = dependency_of(cell.detail)
    platform = EnvironmentId.parse(cell.environment).platform
    return (dependency, cell.cause or "unclassified", platform) if dependency else None


def chains_from(entries: Iterable[ListingEntry]) -> list[DependencyChain]:
    """Give the chains of all packages: most packages first, then by dependency, cause and platform."""
    chains = [_chain(json.loads(key), list(cards)) for key, cards in groupby(entries, key=lambda card: card.key)]
    return sorted(chains, key=lambda c: (-len(c.packages), c.dependency, c.cause, c.platform))


def _chain(key: Sequence[str], entries: Sequence[ListingEntry]) -> DependencyChain:
    dependency, cause, platform = key
    return DependencyChain(
        dependency=dependency,
        cause=cause,
        platform=Platform(platform),
        packages=tuple(card.package for card in entries),
        cells=sum(card.cells for card in entries),
    )


def shown_chains(chains: Sequence[DependencyChain]) -> list[DependencyChain]:
    """Give the greatest chains that a page has room for."""
    return text.fit_budget(chains, CHAINS_BUDGET, lambda chain: chain.estimated_bytes)


def chains_document(chains: Sequence[DependencyChain], as_of: int | None) -> dict[str, Json]:
    """Give the file of chains."""
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
    """Count those of all cells whose detail names no dependency: what is in no chain."""
    return cells - sum(chain.cells for chain in chains)
