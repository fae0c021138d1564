"""What pages say with absolute addresses: their own, the program's repository, the node's Datasette.

Every page has two places for it, in its head and in its footer, which are filled in once it is rendered: so pages are
rendered without knowing any address. No text from a package can be such a place, because `<` in it is escaped.
"""

from functools import cache, partial
from html import escape
from typing import Final
from urllib.parse import quote, urlencode

from ppp.ledger.schema import LEDGER_NAME
from ppp.model.site_address import SiteAddresses
from ppp.publish.datasette.definition import saved_queries
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.site.deferred import Content, DeferredContent
from ppp.publish.site.preview import SITE_PREVIEW, Preview

#: The places, as `base.html` has them.
HEAD_PLACE: Final = b"<!--addresses-->\n"
FOOTER_PLACE: Final = b"<!--repository-->"
_PAGE: Final = "index.html"
#: The tables and views of Datasette that have what a finding's page shows; the other kinds have none.
_FINDING_TABLES: Final = {
    FindingKind.NEWLY_BROKEN: "newly_broken",
    FindingKind.ALPINE_ONLY: "alpine_only",
    FindingKind.NEVER_ON_ALPINE: "never_on_alpine",
    FindingKind.PYTHON_REGRESSION: "python_regressions",
    FindingKind.PHANTOM_SUCCESS: "phantom_successes",
    FindingKind.BROKEN_DEPENDENCY: "failures?blame=dependency",
    FindingKind.RELIES_ON_IMAGE: "relies_on_image",
    FindingKind.IMPORTS_IN_PART: "imports_in_part",
    FindingKind.BROKEN_ENTRY_POINT: "broken_entry_points",
    FindingKind.RECORD_MISMATCH: "record_mismatches",
    FindingKind.FILE_CONFLICT: "file_conflicts",
    FindingKind.YANKED: "yanked_releases",
    FindingKind.WITHDRAWN: "withdrawn",
    FindingKind.PROJECT_STATUS: "project_statuses",
    FindingKind.BREAKS_OTHERS: "flips?trigger_kind=dependency",
}


def complete(file: tuple[str, bytes], addresses: SiteAddresses, preview: Preview = SITE_PREVIEW) -> tuple[str, bytes]:
    """Return a file with what its places are for, `preview` among it; only pages have any."""
    path, content = file
    if not path.endswith(".html"):
        return file
    head, footer = _head(path, addresses, preview), _footer(addresses.repository_url)
    return path, content.replace(HEAD_PLACE, head.encode(), 1).replace(FOOTER_PLACE, footer.encode(), 1)


def complete_content(path: str, content: Content, addresses: SiteAddresses) -> Content:
    """Return the content of a file as `complete` does, deferred where it is."""
    if isinstance(content, partial):
        return partial(_complete_deferred, path, content, addresses)
    return content and complete((path, content), addresses)[1]


def _complete_deferred(path: str, content: DeferredContent, addresses: SiteAddresses) -> bytes:
    return complete((path, content()), addresses)[1]


def _head(path: str, addresses: SiteAddresses, preview: Preview) -> str:
    # An image has an absolute address or none. The page for missing addresses has no address of its own.
    if not addresses.base_url or not path.endswith(_PAGE):
        return ""
    base_url = escape(addresses.base_url)
    return (
        f'<meta property="og:url" content="{base_url}{path}">\n'
        f'<meta property="og:image" content="{base_url}{preview.path}">\n'
        f'<meta property="og:image:alt" content="{escape(preview.words)}">\n'
    )


def _footer(repository_url: str) -> str:
    return f' · <a href="{escape(repository_url)}">Source</a>' if repository_url else ""


def report_address(repository_url: str, release: str, environments: str, records: str) -> str:
    """Return where a reader reports a verdict on some cells as wrong, with these filled in; `""` without a repository.

    Repositories of all large hosts of git have their form for a new issue at this address, or redirect to it.
    """
    if not repository_url:
        return ""
    fields = {"title": f"Wrong verdict: {release} in {environments}", "body": f"Records: {records}\n\nBecause: "}
    return f"{repository_url}issues/new?{urlencode(fields, quote_via=quote)}"


def datasette_query(datasette_url: str, query: str, **values: str) -> str:
    """Return where Datasette runs a saved query with values; `""` without a Datasette. Raises `ValueError` for others.

    All of our saved queries are in the Datasette that `ppp serve` starts.
    """
    if query not in _query_names():
        raise ValueError(f"{query!r} is none of the saved queries")
    return datasette_url and f"{_database(datasette_url)}{query}{'?' if values else ''}{urlencode(values)}"


@cache
def _query_names() -> frozenset[str]:
    return frozenset(query.name for query in saved_queries())


def datasette_finding(datasette_url: str, kind: FindingKind) -> str:
    """Return where Datasette shows what a finding's page does; `""` without a Datasette or such a table."""
    table = _FINDING_TABLES.get(kind)
    return f"{_database(datasette_url)}{table}" if datasette_url and table else ""


def datasette_database(datasette_url: str) -> str:
    """Return where Datasette runs any SQL on the ledger; `""` without a Datasette."""
    return datasette_url and _database(datasette_url)


def _database(datasette_url: str) -> str:
    return f"{datasette_url}{LEDGER_NAME.removesuffix('.db')}/"
