"""All that one package brings to the whole, from its part and its tally: a card for each list that it stands in."""

from collections.abc import Iterator, Sequence

from ppp.publish.cards import Brought, Card, brought_by
from ppp.publish.causes import cause_cards
from ppp.publish.chains import chain_cards
from ppp.publish.directory import directory_card, search_cards
from ppp.publish.environments import environment_folder
from ppp.publish.findings import finding_folder
from ppp.publish.kinds import FindingKind
from ppp.publish.listing import card_of, encoded_cell
from ppp.publish.part import Affected, Held, Part
from ppp.publish.tally import Tally, tally_of


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
