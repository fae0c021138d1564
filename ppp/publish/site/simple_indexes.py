"""`/simple/`: the simple indexes of what passed, one for each environment, and how to use them."""

from collections.abc import Sequence
from typing import Final

from ppp.model.simple_index import SIMPLE_FOLDER
from ppp.publish.site.templates import render
from ppp.publish.verified_index.listing import NO_FILE, QUARANTINED, UNKNOWN_ADDRESS, IndexName
from ppp.publish.verified_index.pages import claim, index_folder
from ppp.publish.verified_index.store import IndexSummary

SIMPLE_PAGE: Final = f"{SIMPLE_FOLDER}/index.html"
#: Peers may publish records of any number of environments.
MAX_ROWS: Final = 60
#: Why files that passed are not listed, in words.
_REASONS: Final = {
    NO_FILE: "their records name no file",
    QUARANTINED: "the index has quarantined the project",
    UNKNOWN_ADDRESS: "nobody here knows their address",
}


def simple_indexes_page(indexes: Sequence[IndexSummary], base_url: str) -> tuple[str, bytes]:
    """Return the page; `base_url` is the site's address, which ends in a slash, or `""`."""
    shown = [each for each in indexes if each.listed.projects]
    rows = [(each, _folder(each), _folder(each, days=each.days)) for each in shown[:MAX_ROWS]]
    left_out = {reason: sum(each.left_out.get(reason, 0) for each in indexes) for reason in _REASONS}
    return SIMPLE_PAGE, render(
        "simple.html",
        path=SIMPLE_PAGE,
        rows=rows,
        others=len(shown) - len(rows),
        claim=claim(IndexName(environment="")),
        days=indexes[0].days if indexes else None,
        left_out=[(count, _REASONS[reason]) for reason, count in left_out.items() if count],
        without_room=indexes[0].without_room if indexes else 0,
        example=f"{base_url or '…/'}{_example(shown)}/",
    )


def _folder(index: IndexSummary, *, days: int | None = None) -> str:
    return index_folder(IndexName(environment=index.environment, days=days))


def _example(indexes: Sequence[IndexSummary]) -> str:
    named = [each.environment for each in indexes]
    return index_folder(IndexName(environment="py312-alpine" if "py312-alpine" in named or not named else named[0]))
