"""All that one package brings to the whole, from its part and its tally: a card for each list that it stands in."""

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


def contribution_of(held: PackageHistory, part: PackageSummary) -> Contribution:
    """Give what a package brings."""
    tally = package_totals(held)
    return contribution_from(part.package, tally.totals, _cards(part, tally))


def _cards(part: PackageSummary, tally: PackageTotals) -> Iterator[ListingEntry]:
    yield directory_entry(part, tally.severity)
    yield from search_entries(part)
    yield from cause_entries(tally)
    encoded: dict[int, str] = {}
    for kind, cells in part.findings.items():
        yield listing_entry(finding_folder(kind), cells, _encoded(cells, encoded))
    for cell in part.failing:
        yield listing_entry(environment_folder(cell.environment), [cell], _encoded([cell], encoded))
    yield from chain_entries(part.package, part.findings.get(FindingKind.BROKEN_DEPENDENCY, ()))


def _encoded(cells: Sequence[AffectedCell], held: dict[int, str]) -> str:
    # The same cell stands in several lists.
    for cell in cells:
        if id(cell) not in held:
            held[id(cell)] = encode_cell(cell)
    return ",".join(held[id(cell)] for cell in cells)
