"""The page of one package: what its newest release did in each environment, why, and how to see it oneself.

Records, logs and agreements come in, HTML goes out. What strangers wrote is cut and shown, never interpreted.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from markupsafe import escape

from ppp.check.causes import Help, causes
from ppp.ledger.published import Agreement
from ppp.model.judge import Judgement
from ppp.model.matrix import Environment, Platform
from ppp.model.record import PHASES, Record, Result
from ppp.publish import text
from ppp.publish.kinds import FindingKind
from ppp.publish.pages import platform_groups, render

#: What of a package is shown: the newest release in full, the next ones as tables, of the rest their tallies.
TABLES: Final = 4
TALLIES: Final = 40
LOG_LINES: Final = 40
LOG_LIMIT: Final = 4_000
#: Bytes of HTML for all logs, and for all lists of what was installed, of one page.
LOG_BUDGET: Final = 12_000
INSTALLED_BUDGET: Final = 6_000
DETAIL_LIMIT: Final = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A current record, how many nodes agree with it, and whose its failure is once its siblings were heard."""

    record: Record
    agreement: Agreement
    judgement: Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A release's matrix: Pythons as rows, platforms as columns; None where it was not checked."""

    version: str
    platforms: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Observed | None, ...]], ...]
    tally: tuple[tuple[Result, int], ...]


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
    def judgement(self) -> Judgement:
        """Give whose the failure is."""
        return self.cells[0].judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSet:
    """What the same cells installed: their environments, `name version` each, and how many more there were."""

    environments: tuple[str, ...]
    shown: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A file that was checked, and the environments it was checked in."""

    filename: str
    sha256: str
    size: int
    environments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A package's badge on its own page: what it says, how wide it is (pixels), and the Markdown that shows it."""

    told: str
    width: int
    snippet: str


def package_page(
    package: str,
    observed: Sequence[Observed],
    environments: Sequence[Environment],
    log_of: Callable[[str], str | None],
    *,
    badge: Badge,
    found: Collection[FindingKind] = (),
) -> tuple[str, bytes]:
    """`/p/<package>/index.html`, from the current records of all its cells, newest version first."""
    order = {environment.id: place for place, environment in enumerate(environments)}
    releases = [
        sorted(cells, key=lambda o: order[o.record.environment])
        for _, cells in groupby(observed, key=lambda o: o.record.release)
    ]
    newest = releases[0]
    tables = [_table(cells, environments) for cells in releases]
    path = f"p/{package}/index.html"
    page = render(
        "package.html",
        path=path,
        package=package,
        newest=newest,
        tables=tables[: 1 + TABLES],
        older=tables[1 + TABLES :][:TALLIES],
        oldest=max(0, len(tables) - 1 - TABLES - TALLIES),
        as_of=max(o.record.observed_at for o in observed),
        troubles=_troubles(newest, releases[1:], log_of),
        installed=_installed(newest),
        files=_files(newest),
        nodes=sorted({o.record.node for o in newest}),
        images=sorted({(o.record.environment, o.record.image_digest) for o in newest if o.record.image_digest}),
        reproduce=reproduce,
        worked=last_passed(observed),
        badge=badge,
        found=found,
        standin=any(o.record.standin for cells in releases[: 1 + TABLES] for o in cells),
        phases=PHASES,
        imports=text.line(", ".join(dict.fromkeys(m for o in newest for m in o.record.imports)), DETAIL_LIMIT),
    )
    return path, page


def reproduce(record: Record) -> str:
    """Give the one command that checks a cell again on the reader's machine."""
    return f'scripts/nox -s "check({record.environment})" -- {shlex.quote(str(record.release))}'


def last_passed(observed: Iterable[Observed]) -> dict[str, str | None]:
    """Give the newest version that passes in each environment, None where none does; newest version comes first."""
    worked: dict[str, str | None] = {}
    for o in observed:
        passed = o.record.release.version if o.record.result is Result.PASS else None
        worked[o.record.environment] = worked.get(o.record.environment) or passed
    return worked


def _table(cells: Sequence[Observed], environments: Sequence[Environment]) -> Table:
    held = {o.record.environment: o for o in cells}
    groups = platform_groups([e for e in environments if any(_beside(e, o) for o in held)])
    by_place = {(e.python, name): held.get(e.id) for name, members in groups for e in members}
    pythons = dict.fromkeys(e.python for e in sorted(environments, key=_python_key))
    words = Counter(o.record.result for o in cells)
    names = tuple(name for name, _ in groups)
    return Table(
        version=cells[0].record.release.version,
        platforms=names,
        rows=tuple((python, tuple(by_place.get((python, name)) for name in names)) for python in pythons),
        tally=tuple((result, words[result]) for result in Result if words[result]),
    )


def _beside(environment: Environment, other: str) -> bool:
    # A platform is a column where the release was checked on it with any Python.
    return Platform(other.rpartition("-")[2]) is environment.platform


def _python_key(environment: Environment) -> list[int]:
    return [int(part) for part in environment.python.split(".")]


def _troubles(
    newest: Sequence[Observed], older: Sequence[Sequence[Observed]], log_of: Callable[[str], str | None]
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
        room -= len(escape(log)) if log else 0
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


def _worked(cells: Sequence[Observed], older: Sequence[Sequence[Observed]]) -> dict[str | None, list[str]]:
    newest: dict[str, str] = {}
    for o in (o for release in reversed(older) for o in release if o.record.result is Result.PASS):
        newest[o.record.environment] = o.record.release.version
    worked: dict[str | None, list[str]] = {}
    for o in cells:
        worked.setdefault(newest.get(o.record.environment), []).append(o.record.environment)
    return worked


def _log(cells: Sequence[Observed], log_of: Callable[[str], str | None], room: int) -> tuple[str | None, str | None]:
    for o in cells:
        if o.record.log_sha256 and (log := log_of(o.record.log_sha256)):
            shown = text.tail(log, lines=LOG_LINES, limit=LOG_LIMIT)
            return (shown, o.record.environment) if len(escape(shown)) <= room else (None, None)
    return None, None


def _installed(newest: Sequence[Observed]) -> list[InstalledSet]:
    sets: dict[tuple[str, ...], list[str]] = {}
    for o in newest:
        names = tuple(text.line(f"{i.name} {i.version}", DETAIL_LIMIT) for i in o.record.installed)
        if names:
            sets.setdefault(names, []).append(o.record.environment)
    budget = INSTALLED_BUDGET // max(1, len(sets))
    shown = {names: text.fitting(names, budget, lambda name: len(escape(name)) + 9) for names in sets}
    return [
        InstalledSet(environments=tuple(places), shown=tuple(shown[names]), more=len(names) - len(shown[names]))
        for names, places in sets.items()
    ]


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
            environments=tuple(o.record.environment for o in cells),
        )
        for cells in held.values()
        if (file := cells[0].record.file)
    ]
