"""`/env/`: each environment with its result counts, the causes of its failures, and the packages that fail in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ppp.ledger.published import Counts
from ppp.model.canonical import Json
from ppp.model.matrix import Environment
from ppp.model.record import Result
from ppp.publish.api.encoding import document_bytes
from ppp.publish.listings.content import ListingContent
from ppp.publish.site.causes import CauseOverview, ExplainedCause
from ppp.publish.site.deferred import Content
from ppp.publish.site.listing import Listing, fitting_rows, listing_document, prefix_page_files
from ppp.publish.site.templates import PLATFORM_NAMES, render

ENVIRONMENT_SCHEMA: Final = "ppp-environment-1"


def environment_pages(
    contents: Iterable[tuple[Environment, ListingContent]],
    environments: Sequence[Environment],
    counts: Counts,
    causes: CauseOverview,
) -> Iterator[tuple[str, Content]]:
    """Yield `/env/index.html`, and for each environment its pages and `/api/v1/env/<id>.json`."""
    path = "env/index.html"
    yield path, render("environments.html", path=path, environments=environments, counts=counts)
    for environment, content in contents:
        listing = _environment_listing(environment, content)
        explained = [c for c in causes.causes if _cell_count(c, environment)]
        explained.sort(key=lambda c: (-_cell_count(c, environment), c.cause))
        path = f"{listing.folder}/index.html"
        page = render(
            "environment.html",
            path=path,
            e=environment,
            counts=counts.by_environment[environment.id],
            as_of=counts.as_of,
            causes=[(c, _cell_count(c, environment)) for c in explained],
            listing=listing,
            rows=fitting_rows(listing.rows()),
            below=content.first_page.below,
        )
        yield path, page
        yield from prefix_page_files(listing)
        yield listing.data_path, document_bytes(_document(environment, counts, explained, listing))


def environment_folder(environment: str) -> str:
    """Return the folder of an environment's pages, which is also the name of its listing."""
    return f"env/{environment}"


def _environment_listing(environment: Environment, content: ListingContent) -> Listing:
    return Listing(
        title=f"Fails in {environment.id}",
        about=f"The newest release fails with Python {environment.python} on {PLATFORM_NAMES[environment.platform]}.",
        folder=environment_folder(environment.id),
        data_path=f"api/v1/env/{environment.id}.json",
        content=content,
    )


def _cell_count(explained: ExplainedCause, environment: Environment) -> int:
    return sum(explained.in_environment(environment.id).values())


def _document(
    environment: Environment, counts: Counts, explained: Sequence[ExplainedCause], listing: Listing
) -> Mapping[str, Json]:
    by_result = counts.by_environment[environment.id]
    return {
        "schema": ENVIRONMENT_SCHEMA,
        "as_of": counts.as_of,
        "environment": environment.id,
        "python": environment.python,
        "platform": environment.platform,
        "results": {str(result): by_result[result] for result in Result},
        "causes": {c.cause: _cell_count(c, environment) for c in explained},
        **listing_document(listing),
    }
