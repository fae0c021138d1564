"""The page of one package: what its newest release did in each environment, why, and how to see it oneself.

Records, logs and agreements come in, HTML goes out. What strangers wrote is cut and shown, never interpreted.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

from markupsafe import Markup, escape

from ppp.check.causes import Help, causes
from ppp.ledger.published import Verdict
from ppp.model.judge import Judgement
from ppp.model.matrix import Environment, Platform
from ppp.model.record import PHASES, Installed, Record, Result
from ppp.model.release import Release
from ppp.publish import text
from ppp.publish.packages.history import Cells, Held, Observed
from ppp.publish.packages.summary import Part, tallied
from ppp.publish.site.front import SHOWN, platform_groups, render, shown_environments

#: What of a package is shown: the newest release in full, the next ones a line each, of the rest their tallies.
LINES: Final = 10
TALLIES: Final = 40
LOG_LINES: Final = 40
LOG_LIMIT: Final = 4_000
#: Bytes of HTML for all logs, and for all lists of what was installed, of one page.
LOG_BUDGET: Final = 12_000
INSTALLED_BUDGET: Final = 6_000
DETAIL_LIMIT: Final = 240
#: Of an image's digest, as many digits as docker shows; the package's data holds all of it.
DIGEST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The newest release's matrix: Pythons as rows, platforms as columns."""

    platforms: tuple[str, ...]
    rows: tuple[tuple[str, Cells], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The releases before: the newest of them by environment, then some by their tallies, then how many more."""

    environments: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Verdict | None, ...]], ...]
    tallies: tuple[tuple[str, tuple[tuple[Result, int], ...]], ...]
    more: int

    @property
    def shown(self) -> set[str]:
        """Give the versions that have a place on the page."""
        return {version for version, _ in (*self.lines, *self.tallies)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Cells of one release that failed alike; `worked` gives, by the newest version that passes there, environments."""

    cells: tuple[Observed, ...]
    worked: Mapping[str | None, Sequence[str]]
    help: Help | None
    log: str | None
    log_environment: str | None

    @property
    def first(self) -> Record:
        """Give the record that speaks for all."""
        return self.cells[0].record

    @property
    def places(self) -> list[str]:
        """Give their environments."""
        return [o.record.environment for o in self.cells]

    @property
    def judgement(self) -> Judgement:
        """Give whose the failure is."""
        return self.cells[0].judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSet:
    """What the same cells installed: their environments, `name version` each, and how many more there were."""

    environments: str
    shown: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A file that was checked, and the environments it was checked in."""

    filename: str
    sha256: str
    size: int
    environments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A package's badge on its own page: what it says, how wide it is (pixels), and the Markdown that shows it."""

    told: str
    width: int
    snippet: str


def package_page(
    held: Held, part: Part, environments: Sequence[Environment], log_of: Callable[[str], str | None], *, badge: Badge
) -> tuple[str, bytes]:
    """`/p/<package>/index.html`, from all that is held of it."""
    environments = _shown(held, environments)
    places = {environment.id for environment in environments}
    newest = [o for o in held.newest if o.record.environment in places]
    older = [[*verdicts] for _, verdicts in groupby(held.older, lambda verdict: verdict.release.version)]
    path = f"p/{held.package}/index.html"
    page = render(
        "package.html",
        path=path,
        package=held.package,
        version=part.version,
        newest=newest,
        total=len(held.newest),
        tally=part.tally,
        passing=part.passing,
        broken=bool(part.broken),
        table=_table(newest, environments),
        as_of=part.as_of,
        commands=commands,
        together=together,
        troubles=_troubles(newest, held.older, log_of),
        worked=last_passed(held.verdicts),
        history=_history(older, environments),
        installed=_installed(newest),
        files=_files(newest),
        nodes=sorted({o.record.node for o in newest}),
        images=[
            f"{o.record.environment} {o.record.image_digest.removeprefix('sha256:')[:DIGEST]}"
            for o in newest
            if o.record.image_digest
        ],
        badge=badge,
        found=part.found,
        standin=any(verdict.standin for verdicts in (held.newest_verdicts, *older[:LINES]) for verdict in verdicts),
        phases=PHASES,
        imports=text.line(", ".join(dict.fromkeys(m for o in newest for m in o.record.imports)), DETAIL_LIMIT),
    )
    return path, page


def _shown(held: Held, environments: Sequence[Environment]) -> Sequence[Environment]:
    # Where there are more than a page has room for, those that the newest release was checked in.
    if len(environments) <= SHOWN:
        return environments
    own = {o.record.environment for o in held.newest}
    return shown_environments(e for e in environments if e.id in own)


def reproduce(release: Release, environment: str) -> str:
    """Give the one command that checks a cell again on the reader's machine."""
    return f'scripts/nox -s "check({environment})" -- {shlex.quote(str(release))}'


def commands(cells: Iterable[Observed]) -> Markup:
    """Give the commands that check cells again, a line each."""
    return _shell("".join(f"{reproduce(o.record.release, o.record.environment)}\n" for o in cells))


def together(cells: Sequence[Observed]) -> Markup:
    """Give the one command that checks cells of a release again, one after the other."""
    sessions = " ".join(f'"check({o.record.environment})"' for o in cells)
    return _shell(f"scripts/nox -s {sessions} -- {shlex.quote(str(cells[0].record.release))}")


def _shell(command: str) -> Markup:
    # Between tags a quote is no more than a quote.
    return Markup(str(escape(command)).replace("&#34;", '"'))  # noqa: S704 - escaped


def last_passed(verdicts: Iterable[Verdict]) -> dict[str, str | None]:
    """Give the newest version that passes in each environment, None where none does; newest version comes first."""
    worked: dict[str, str | None] = {}
    for verdict in verdicts:
        passed = verdict.release.version if verdict.result is Result.PASS else None
        worked[verdict.environment] = worked.get(verdict.environment) or passed
    return worked


def _table(cells: Sequence[Observed], environments: Sequence[Environment]) -> Table:
    # A platform is a column where the release was checked on it with any Python.
    held = {o.record.environment: o for o in cells}
    names, rows = _frame(tuple(environments), frozenset(e.platform for e in environments if e.id in held))
    return Table(platforms=names, rows=tuple((python, tuple(map(held.get, places))) for python, places in rows))


@lru_cache(64)
def _frame(
    environments: tuple[Environment, ...], platforms: frozenset[Platform]
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    # The heads of the columns, and the environments of each Python in their order; "" where there is none.
    groups = platform_groups([e for e in environments if e.platform in platforms])
    by_place = {(e.python, name): e.id for name, members in groups for e in members}
    pythons = dict.fromkeys(e.python for e in sorted(environments, key=_python_key))
    names = tuple(name for name, _ in groups)
    return names, tuple((python, tuple(by_place.get((python, name), "") for name in names)) for python in pythons)


def _history(older: Sequence[Sequence[Verdict]], environments: Sequence[Environment]) -> History:
    shown = [(verdicts[0].release.version, {v.environment: v for v in verdicts}) for verdicts in older[:LINES]]
    columns = tuple(e.id for e in environments if any(e.id in held for _, held in shown))
    rest = older[LINES:]
    return History(
        environments=columns,
        lines=tuple((version, tuple(held.get(column) for column in columns)) for version, held in shown),
        tallies=tuple((verdicts[0].release.version, tallied(verdicts)) for verdicts in rest[:TALLIES]),
        more=max(0, len(rest) - TALLIES),
    )


def _python_key(environment: Environment) -> list[int]:
    return [int(part) for part in environment.python.split(".")]


def _troubles(
    newest: Sequence[Observed], older: Sequence[Verdict], log_of: Callable[[str], str | None]
) -> list[Trouble]:
    def alike(o: Observed) -> tuple[int, str, str, str, str]:
        r = o.record
        severity = [Result.FAIL, Result.TIMEOUT, Result.ERROR, Result.NA].index(r.result)
        blamed = f"{o.judgement.blame} {o.judgement.by}"
        return severity, r.failed_phase or "", r.cause or "", blamed, r.detail or ""

    room = LOG_BUDGET
    troubles = []
    trouble = sorted((o for o in newest if o.record.result is not Result.PASS), key=alike)
    for _, group in groupby(trouble, key=alike):
        cells = tuple(group)
        log, place = _log(cells, log_of, room)
        room -= text.html_bytes(log) if log else 0
        troubles.append(
            Trouble(
                cells=cells,
                worked=_worked(cells, older),
                help=causes().get(cells[0].record.cause or ""),
                log=log,
                log_environment=place,
            )
        )
    return troubles


def _worked(cells: Sequence[Observed], older: Sequence[Verdict]) -> dict[str | None, list[str]]:
    newest = last_passed(older)
    worked: dict[str | None, list[str]] = {}
    for o in cells:
        worked.setdefault(newest.get(o.record.environment), []).append(o.record.environment)
    return worked


def _log(cells: Sequence[Observed], log_of: Callable[[str], str | None], room: int) -> tuple[str | None, str | None]:
    for o in cells:
        if o.record.log_sha256 and (log := log_of(o.record.log_sha256)):
            shown = text.tail(log, lines=LOG_LINES, limit=LOG_LIMIT)
            return (shown, o.record.environment) if text.html_bytes(shown) <= room else (None, None)
    return None, None


def _installed(newest: Sequence[Observed]) -> list[InstalledSet]:
    sets: dict[tuple[str, ...], list[str]] = {}
    for o in newest:
        if o.record.installed:
            sets.setdefault(_names(o.record.installed), []).append(o.record.environment)
    budget = INSTALLED_BUDGET // max(1, len(sets))
    shown = {names: text.fitting(names, budget, lambda name: text.html_bytes(name) + 9) for names in sets}
    return [
        InstalledSet(
            environments=_places(places, newest), shown=tuple(shown[names]), more=len(names) - len(shown[names])
        )
        for names, places in sets.items()
    ]


@lru_cache(256)
def _names(installed: tuple[Installed, ...]) -> tuple[str, ...]:
    return tuple(text.line(f"{one.name} {one.version}", DETAIL_LIMIT) for one in installed)


def _places(places: Sequence[str], newest: Sequence[Observed]) -> str:
    if len(places) == len(newest) > 1:
        return f"all {len(places)} environments"
    return ", ".join(places)


def _files(newest: Sequence[Observed]) -> list[CheckedFile]:
    held: dict[str, list[Observed]] = {}
    for o in newest:
        if o.record.file:
            held.setdefault(o.record.file.sha256, []).append(o)
    return [
        CheckedFile(
            filename=text.line(file.filename, DETAIL_LIMIT),
            sha256=file.sha256,
            size=file.size,
            environments=_places([o.record.environment for o in cells], newest),
        )
        for cells in held.values()
        if (file := cells[0].record.file)
    ]
