"""What one package contributes to the pages of many packages: an entry for each listing that it is in, and totals."""

from collections.abc import Iterator, Sequence

from ppp.publish.listings.entries import Contribution, ListingEntry, contribution_from
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.summary import AffectedCell, PackageSummary
from ppp.publish.packages.totals import PackageTotals, package_totals
from ppp.publish.site.causes import cause_entries
from ppp.publish.site.dependency_chains import chain_entries
from ppp.publish.site.directory import directory_entry, search_entries
from ppp.publish.site.environments import environment_folder
from ppp.publish.site.findings import finding_folder
from ppp.publish.site.listing import encode_cell, listing_entry
from ppp.publish.site.lookup import lookup_entry


def contribution_of(history: PackageHistory, summary: PackageSummary, *, lookup: bool = False) -> Contribution:
    """Return what a package contributes; `summary` is that of `history`, `lookup` adds it to the lookup files."""
    totals = package_totals(history)
    entries = _entries(summary, totals)
    return contribution_from(
        summary.package,
        totals.totals,
        [*entries, lookup_entry(history)] if lookup else entries,
        changed_at=max(history.changed_at.values(), default=0),
        severity=totals.severity,
    )


def _entries(summary: PackageSummary, totals: PackageTotals) -> Iterator[ListingEntry]:
    yield directory_entry(summary, totals.severity)
    yield from search_entries(summary)
    yield from cause_entries(totals)
    # Most cells are in several listings: each is encoded once.
    encoded: dict[int, str] = {}
    for kind, cells in summary.findings.items():
        yield listing_entry(finding_folder(kind), cells, _encode(cells, encoded), summary.downloads)
    for cell in summary.failing:
        folder = environment_folder(cell.environment)
        yield listing_entry(folder, [cell], _encode([cell], encoded), summary.downloads)
    yield from chain_entries(summary.package, summary.findings.get(FindingKind.BROKEN_DEPENDENCY, ()))


def _encode(cells: Sequence[AffectedCell], encoded: dict[int, str]) -> str:
    for cell in cells:
        if id(cell) not in encoded:
            encoded[id(cell)] = encode_cell(cell)
    return ",".join(encoded[id(cell)] for cell in cells)
