"""All that one package brings to the whole, from its part and its tally: a card for each list that it stands in."""

from collections.abc import Iterator, Sequence

from ppp.publish.listings.entries import Brought, Card, brought_by
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.history import Held
from ppp.publish.packages.summary import Affected, Part
from ppp.publish.packages.totals import Tally, tally_of
from ppp.publish.site.causes import cause_cards
from ppp.publish.site.dependency_chains import chain_cards
from ppp.publish.site.directory import directory_card, search_cards
from ppp.publish.site.environments import environment_folder
from ppp.publish.site.findings import finding_folder
from ppp.publish.site.listing import card_of, encoded_cell


def brought_of(held: Held, part: Part) -> Brought:
    """Give what a package brings."""
    tally = tally_of(held)
    return brought_by(part.package, tally.sums, _cards(part, tally))


def _cards(part: Part, tally: Tally) -> Iterator[Card]:
    yield directory_card(part, tally.weight)
    yield from search_cards(part)
    yield from cause_cards(tally)
    encoded: dict[int, str] = {}
    for kind, cells in part.found.items():
        yield card_of(finding_folder(kind), cells, _encoded(cells, encoded))
    for cell in part.broken:
        yield card_of(environment_folder(cell.environment), [cell], _encoded([cell], encoded))
    yield from chain_cards(part.package, part.found.get(FindingKind.BROKEN_DEPENDENCY, ()))


def _encoded(cells: Sequence[Affected], held: dict[int, str]) -> str:
    # The same cell stands in several lists.
    for cell in cells:
        if id(cell) not in held:
            held[id(cell)] = encoded_cell(cell)
    return ",".join(held[id(cell)] for cell in cells)
