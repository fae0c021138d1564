"""`/p/<package>/breaks/<version>/`: the verdicts on other packages that changed after a release came; and their file.

Both belong to the package whose release that is: they are written when it has new records, or when a record names it
as what made a node check something again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ppp.ledger.flips import Flip, FlipKind
from ppp.model.canonical import Json
from ppp.model.matrix import environment_sort_key
from ppp.publish import text
from ppp.publish.api.encoding import document_bytes
from ppp.publish.packages.breaks import ReleaseFlips
from ppp.publish.packages.pages import ALL_PAGES, PackagePages
from ppp.publish.site.standins import find_standins
from ppp.publish.site.templates import render

BREAKS_SCHEMA: Final = "ppp-breaks-1"
#: The most flips in the file of a package, newest releases first.
MAX_FLIPS: Final = 5_000
#: Bytes of HTML for the rows of a page, and how long a detail there is, in characters.
ROWS_BUDGET: Final = 28_000
DETAIL_LIMIT: Final = 200
#: How many releases a package's page links.
MAX_LINKED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipRow:
    """The flips of one release in which all but the environment and the node is the same."""

    first: Flip
    environments: tuple[str, ...]

    @property
    def detail(self) -> str:
        """Return the detail as one visible line, "" without one."""
        return text.single_line(self.first.detail or "", DETAIL_LIMIT)

    @property
    def estimated_bytes(self) -> int:
        """Return an upper estimate of the size of its HTML in bytes."""
        names = 2 * len(self.first.release.package) + 2 * len(self.first.release.version)
        return 420 + names + text.html_size(self.detail) + sum(len(place) + 17 for place in self.environments)


def breaks_folder(package: str, version: str) -> str:
    """Return the folder of a release's page; no path has the sign of an epoch, and no version a hyphen."""
    return f"p/{package}/breaks/{version.replace('!', '-')}"


def breaks_links(package: str, releases: Sequence[ReleaseFlips]) -> list[tuple[str, str, str]]:
    """Return for the package's page: version, address from that page, and what the release did, newest first."""
    folder = f"p/{package}/"
    return [
        (one.version, f"{breaks_folder(package, one.version).removeprefix(folder)}/index.html", one.summary)
        for one in releases[:MAX_LINKED]
    ]


def breaks_pages(
    package: str, releases: Sequence[ReleaseFlips], pages: PackagePages = ALL_PAGES
) -> Iterator[tuple[str, bytes]]:
    """Yield the page of each release that changed a verdict, and `/api/v1/breaks/<package>.json`; else nothing."""
    data_path = f"api/v1/breaks/{package}.json"
    for one in releases:
        path = f"{breaks_folder(package, one.version)}/index.html"
        rows = {kind: _rows([flip for flip in one.flips if flip.kind is kind]) for kind in FlipKind}
        shown = text.fit_budget(
            [(kind, row) for kind in FlipKind for row in rows[kind]], ROWS_BUDGET, lambda pair: pair[1].estimated_bytes
        )
        page = render(
            "breaks.html",
            path=path,
            package=package,
            release=one,
            as_of=one.flips[0].observed_at,
            groups=[(kind, [row for of_kind, row in shown if of_kind is kind]) for kind in FlipKind],
            standins=find_standins((place, row.first.standin) for _, row in shown for place in row.environments),
            omitted=sum(map(len, rows.values())) - len(shown),
            data_path=data_path,
            pages=pages,
        )
        yield path, page
    if releases:
        yield data_path, document_bytes(breaks_document(package, releases))


def _rows(flips: Sequence[Flip]) -> list[FlipRow]:
    ordered = sorted(flips, key=_row_key)
    return [
        FlipRow(
            first=(members := [*group])[0],
            environments=tuple(sorted({flip.environment for flip in members}, key=environment_sort_key)),
        )
        for _, group in groupby(ordered, key=_row_key)
    ]


def _row_key(flip: Flip) -> tuple[str, ...]:
    fields = (flip.release.package, flip.release.version, flip.result_before, flip.result)
    return *fields, flip.cause or "", flip.detail or "", str(flip.confirmed), str(flip.standin)


def breaks_document(package: str, releases: Sequence[ReleaseFlips]) -> dict[str, Json]:
    """Return the document of `/api/v1/breaks/<package>.json`."""
    remaining = MAX_FLIPS
    listed: list[Json] = []
    for one in releases:
        shown = one.flips[:remaining]
        remaining -= len(shown)
        listed.append(
            {
                "version": one.version,
                "broke": one.broke,
                "fixed": one.fixed,
                "total": len(one.flips),
                "flips": [_json(flip) for flip in shown],
            }
        )
    return {
        "schema": BREAKS_SCHEMA,
        "package": package,
        "as_of": max(flip.observed_at for one in releases for flip in one.flips),
        "releases": listed,
    }


def _json(flip: Flip) -> Json:
    return {
        "flip": flip.kind,
        "trigger": flip.trigger.to_json(),
        "package": flip.release.package,
        "version": flip.release.version,
        "environment": flip.environment,
        "before": {"result": flip.result_before, "record": flip.record_before},
        "result": flip.result,
        "cause": flip.cause,
        "detail": flip.detail,
        "observed_at": flip.observed_at,
        "node": flip.node,
        "record": flip.record,
        "confirmed": flip.confirmed,
    }
