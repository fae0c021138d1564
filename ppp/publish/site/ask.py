"""`/ask/` and `/compare/`: pages that answer for pasted requirements, and for two packages, in the browser alone.

Their scripts read the files of `/api/v1/p/` and follow the rules of `ppp.model.answers`, so that a page says what
`ppp ask` says. Nothing here depends on records: only the environments that can be asked about do.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from ppp.matrix_files import shipped_matrices
from ppp.model.matrix import Environment
from ppp.publish.site.templates import render, shown_environments
from ppp.resources import resource

ASK_PAGE: Final = "ask/index.html"
COMPARE_PAGE: Final = "compare/index.html"


def ask_page(environments: Sequence[Environment], base_url: str) -> tuple[str, bytes]:
    """Return `/ask/index.html`; `environments` are those with results, `base_url` ends in a slash."""
    # As for `ppp ask`, a Python version is known of the environments of shipped matrices.
    pythons = {row.id: row.python for matrix in shipped_matrices().values() for row in matrix.environments}
    shown = shown_environments(environments)
    return ASK_PAGE, render("ask.html", path=ASK_PAGE, environments=shown, pythons=pythons, base_url=base_url)


def compare_files(base_url: str) -> Iterator[tuple[str, bytes]]:
    """Yield `/compare/index.html`, and the scripts of both pages, each with its path within the site."""
    yield COMPARE_PAGE, render("compare.html", path=COMPARE_PAGE, base_url=base_url)
    for source in sorted(resource("site/ask").iterdir()):
        yield f"ask/{source.name}", source.read_bytes()
