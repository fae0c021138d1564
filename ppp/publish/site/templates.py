"""The Jinja environment, and what all pages share: rendering, names of platforms, the choice of shown environments.

Everything is escaped, and an undefined name in a template is an error. Nothing here reads a clock or the ledger.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Final, Protocol

import jinja2

from ppp.check.cause_rules import cause_help
from ppp.check.pythons import frozen_pythons
from ppp.ledger.published import Counts
from ppp.matrix_files import shipped_environments
from ppp.model.matrix import Environment
from ppp.model.record import Result
from ppp.model.shown import Shown
from ppp.model.verdict_words import PLATFORM_NAMES
from ppp.publish import text
from ppp.publish.packages.finding_kinds import FINDING_TEXTS
from ppp.publish.packages.history import MAX_ENVIRONMENTS
from ppp.publish.site import markup
from ppp.publish.site.standins import Standins, find_standins
from ppp.resources import resource

MEANINGS: Final = {
    Shown.PASS: "installed and imported",
    Shown.INSTALLED: "installed, nothing to import",
    Shown.FAIL: "did not install or did not import",
    Shown.TIMEOUT: "exceeded its time limit",
    Shown.ERROR: "infrastructure error, will be retried",
    Shown.NA: "the release does not claim this environment",
}


class _ShownCell(Protocol):
    # A verdict, or a cell of a listing.
    @property
    def environment(self) -> str: ...
    @property
    def standin(self) -> bool: ...


class _RootedLoader(jinja2.FileSystemLoader):
    """A loader that replaces `{{ root }}` in the template source.

    `root` is the same for all pages of one depth and occurs about thirty times on each, so it is inserted only once,
    when the template is compiled.
    """

    def __init__(self, root: str) -> None:
        super().__init__(resource("site/templates"))
        self._root = root

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, filename, is_current = super().get_source(environment, template)
        return source.replace("{{ root }}", self._root), filename, is_current


@cache
def jinja_environment(root: str) -> jinja2.Environment:
    """Return the Jinja environment for pages from which the relative path `root` (`../`) leads to the site's root."""
    environment = jinja2.Environment(
        loader=_RootedLoader(root),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.globals |= {
        "m": markup,
        "root": root,
        "Result": Result,
        "MEANINGS": MEANINGS,
        "PLATFORM_NAMES": PLATFORM_NAMES,
        "FINDING_TEXTS": FINDING_TEXTS,
        "CAUSES": cause_help(),
        "PYTHON_NOTES": {python: frozen.about for python, frozen in frozen_pythons().items()},
        "shown_environments": shown_environments,
        "shown_columns": shown_columns,
        "standins_among": standins_among,
    }
    environment.filters |= {
        "day": text.day,
        "moment": text.moment,
        "iso": text.iso,
        "duration": text.duration,
        "size": text.size,
        "grouped": text.grouped,
        "period": text.period,
        "short_count": text.short_count,
        "single_line": text.single_line,
        "code_spans": text.with_code_spans,
        "between_tags": text.between_tags,
    }
    return environment


def render(template: str, *, path: str, **values: object) -> bytes:
    """Return the page for `path` within the site; its relative links start from there."""
    return render_from("../" * path.count("/"), template, values)


def render_from(root: str, template: str, values: Mapping[str, object]) -> bytes:
    """Return a page whose links to the site begin with `root`."""
    return jinja_environment(root).get_template(template).render(values).encode()


def shown_columns(counts: Counts) -> list[Shown]:
    """Return what tables of counts have a column for: every result, and `installed` if there is any such cell."""
    return [shown for shown in Shown if shown is not Shown.INSTALLED or any(counts.nothing_to_import.values())]


def shown_environments(environments: Iterable[Environment]) -> list[Environment]:
    """Return at most `MAX_ENVIRONMENTS` environments in the given order, preferring those of the shipped matrices."""
    ordered = [*environments]
    shipped = shipped_environments()
    ranked = sorted(ordered, key=lambda e: shipped.index(e.id) if e.id in shipped else len(shipped))
    chosen = {e.id for e in ranked[:MAX_ENVIRONMENTS]}
    return [e for e in ordered if e.id in chosen]


def standins_among(cells: Iterable[_ShownCell]) -> Standins | None:
    """Return the stand-ins among the cells of a page; None where there are none."""
    return find_standins((cell.environment, cell.standin) for cell in cells)


def platform_groups(environments: Sequence[Environment]) -> list[tuple[str, list[Environment]]]:
    """Return consecutive environments grouped by platform, each group with the platform's name, for table headings."""
    grouped = groupby(environments, key=lambda environment: environment.platform)
    return [(PLATFORM_NAMES[platform], list(members)) for platform, members in grouped]
