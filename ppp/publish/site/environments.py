"""`/env/`: each environment with its result counts, the causes of its failures, and the packages that fail in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.check.pythons import frozen_pythons
from ppp.ledger.published import Counts, ImageContent
from ppp.model.canonical import Json
from ppp.model.matrix import Environment
from ppp.model.record import Result
from ppp.model.verdict_words import PLATFORM_NAMES
from ppp.publish import text
from ppp.publish.api.encoding import document_bytes
from ppp.publish.listings.content import ListingContent
from ppp.publish.packages.pages import ALL_PAGES, PackagePages
from ppp.publish.site.causes import CauseOverview, ExplainedCause
from ppp.publish.site.deferred import Content
from ppp.publish.site.listing import Listing, fitting_rows, listing_document, prefix_page_files
from ppp.publish.site.templates import render

ENVIRONMENT_SCHEMA: Final = "ppp-environment-1"
#: How many images of an environment are shown, and the bytes of HTML for what each holds.
MAX_IMAGES: Final = 4
IMAGE_BUDGET: Final = 1_500
NAME_LIMIT: Final = 120
#: The length of an image's digest on the page, as docker shows it; the JSON file has the full digest.
DIGEST_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _ShownImage:
    """An image by its shortened digest (None: this machine), what it holds, and how much of that is not shown."""

    digest: str | None
    names: tuple[str, ...]
    omitted: int


def environment_pages(
    contents: Iterable[tuple[Environment, ListingContent]],
    environments: Sequence[Environment],
    counts: Counts,
    causes: CauseOverview,
    images: Mapping[str, Sequence[ImageContent]],
    *,
    pages: PackagePages = ALL_PAGES,
) -> Iterator[tuple[str, Content]]:
    """Yield `/env/index.html`, and for each environment its pages and `/api/v1/env/<id>.json`.

    `images` are those of each environment that are known by what they hold, newest first.
    """
    path = "env/index.html"
    pythons = [*dict.fromkeys(environment.python for environment in environments)]
    yield path, render("environments.html", path=path, environments=environments, pythons=pythons, counts=counts)
    for environment, content in contents:
        listing = _environment_listing(environment, content)
        explained = [c for c in causes.causes if _cell_count(c, environment)]
        explained.sort(key=lambda c: (-_cell_count(c, environment), c.cause))
        path = f"{listing.folder}/index.html"
        shown_images = images.get(environment.id, ())[:MAX_IMAGES]
        page = render(
            "environment.html",
            path=path,
            e=environment,
            counts=counts.shown_in(environment.id),
            about=_about(environment),
            images=[*map(_shown_image, shown_images)],
            as_of=counts.as_of,
            causes=[(c, _cell_count(c, environment)) for c in explained],
            listing=listing,
            rows=fitting_rows(listing.rows()),
            below=content.first_page.below,
            pages=pages,
        )
        yield path, page
        yield from prefix_page_files(listing)
        yield listing.data_path, document_bytes(_document(environment, counts, explained, listing, shown_images))


def _shown_image(image: ImageContent) -> _ShownImage:
    names = [text.single_line(f"{one.name} {one.version}", NAME_LIMIT) for one in image.preinstalled]
    shown = text.fit_budget(names, IMAGE_BUDGET, lambda name: text.html_size(name) + 14)
    digest = image.image_digest and image.image_digest.removeprefix("sha256:")[:DIGEST_DIGITS]
    return _ShownImage(digest=digest, names=tuple(shown), omitted=len(names) - len(shown))


def _about(environment: Environment) -> str | None:
    """Return what is particular to an environment's Python; None for nothing."""
    frozen = frozen_pythons().get(environment.python)
    return None if frozen is None else frozen.about


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
    environment: Environment,
    counts: Counts,
    explained: Sequence[ExplainedCause],
    listing: Listing,
    images: Sequence[ImageContent],
) -> Mapping[str, Json]:
    by_result = counts.by_environment[environment.id]
    document: dict[str, Json] = {
        "schema": ENVIRONMENT_SCHEMA,
        "as_of": counts.as_of,
        "environment": environment.id,
        "python": environment.python,
        "platform": environment.platform,
        "results": {str(result): by_result[result] for result in Result},
        "causes": {c.cause: _cell_count(c, environment) for c in explained},
        **listing_document(listing),
    }
    if about := _about(environment):
        document["about"] = about
    if nothing_to_import := counts.nothing_to_import.get(environment.id):
        document["nothing_to_import"] = nothing_to_import
    if images:
        document["images"] = [
            {"image": image.image_digest, "preinstalled": [[one.name, one.version] for one in image.preinstalled]}
            for image in images
        ]
    return document
