"""The releases of `tests/online/labelled.toml`, what they result in, and how PPP observes them."""

import os
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ppp import config as settings
from ppp.check.cell_facts import Expectations
from ppp.matrix_files import load_matrix
from ppp.model.matrix import Cell
from ppp.model.record import Blame, Phase, Record, Result
from ppp.model.release import Release
from ppp.progress import LineReporter
from ppp.resources import resource
from ppp.runner.context import Context
from ppp.runner.environments import ReadyEnvironments, open_index, prepare_environments

LABELLED_FILE: Final = Path(__file__).parents[1] / "online" / "labelled.toml"
#: Cells of the set that are checked at a time.
JOBS: Final = 3
#: What else of a record a label can name, each by its key, and how to read it from a record.
_FACTS: Final[Mapping[str, Callable[[Record], object]]] = {
    "imports": lambda record: list(record.imports),
    "relies_on": lambda record: list(record.relies_on),
    "primary": lambda record: record.primary_module,
    "ground": lambda record: record.grounds.get(Phase.IMPORT),
    "broken_entry_points": lambda record: (
        [point.name for point in record.entry_points.broken] if record.entry_points else []
    ),
    "record_mismatch": lambda record: {
        key: count for key in ("missing", "unlisted", "different") if (count := getattr(record.record_mismatch, key, 0))
    },
    "yanked": lambda record: record.yanked,
    "project_status": lambda record: record.project_status,
}
#: Facts of which a label names some: a record may hold more.
_PARTS: Final[Mapping[str, Callable[[Record], Sequence[str]]]] = {
    "not_imported": lambda record: [f"{failure.module}: {failure.cause}" for failure in record.import_failures],
    "submodules_failed": lambda record: [
        f"{failure.module}: {failure.cause}" for failure in (record.submodules.failed if record.submodules else ())
    ],
    "detail": lambda record: record.detail or "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A cell and what it results in.

    `facts` are other parts of its record, by the keys of `labelled.toml`, where the cell was chosen for them. `command`
    is what a user would type to see it: install, then import. `differs` says why plain pip in the image ends otherwise
    than the record, `may_differ` why it does on some machines; empty where it does not.
    """

    cell: Cell
    result: Result
    phase: Phase | None
    cause: str | None
    blame: Blame | None
    facts: Mapping[str, Any]
    command: str
    truth: str
    kind: str
    in_ci: bool
    differs: str
    may_differ: str

    def misses(self, record: Record) -> list[str]:
        """Return what of a record is not the truth, a line each."""
        pairs: list[tuple[str, object, object]] = [
            ("result", self.result, record.result),
            ("phase", self.phase, record.failed_phase),
            ("cause", self.cause, record.cause),
            ("blame", self.blame, record.blame),
        ]
        pairs += [(name, self.facts[name], read(record)) for name, read in _FACTS.items() if name in self.facts]
        missed = [f"{name} is {found}, not {truth}" for name, truth, found in pairs if truth != found]
        for name, read in _PARTS.items():
            found = read(record)
            missed += [
                f"{name} is {found!r}, without {part!r}" for part in self.facts.get(name, ()) if part not in found
            ]
        return missed


def labelled_cells(path: Path = LABELLED_FILE) -> tuple[Labelled, ...]:
    """Return the cells of the set, in the order of the file."""
    rows = tomllib.loads(path.read_text("utf-8"))["cell"]
    return tuple(_labelled(row, name) for row in rows for name in row.get("environments") or [row["environment"]])


def _labelled(row: Mapping[str, Any], environment: str) -> Labelled:
    if unknown := row.keys() - _KEYS:
        raise ValueError(f"{row['package']} in {LABELLED_FILE.name} has keys that nothing reads: {sorted(unknown)}")
    release = Release.parse(row["package"], row["version"])
    return Labelled(
        cell=Cell(release=release, environment=environment),
        result=Result(row["result"]),
        phase=Phase(row["phase"]) if "phase" in row else None,
        cause=row.get("cause"),
        blame=Blame(row["blame"]) if "blame" in row else None,
        facts={name: row[name] for name in (*_FACTS, *_PARTS) if name in row},
        command=_command(row, release),
        truth=row["truth"],
        kind=row.get("kind", ""),
        in_ci=environment in row["ci"] if isinstance(row.get("ci"), list) else row.get("ci", True),
        differs=row.get("differs", ""),
        may_differ=row.get("may_differ", ""),
    )


#: What a row can hold.
_KEYS: Final = (
    frozenset({"package", "version", "environment", "environments", "module", "kind", "ci", "truth"})
    | {"result", "phase", "cause", "blame", "differs", "may_differ"}
    | _FACTS.keys()
    | _PARTS.keys()
)


def _command(row: Mapping[str, Any], release: Release) -> str:
    # As a user would type it: the first module, or nothing after the installation where there is none.
    default = (row.get("imports", [release.package.replace("-", "_")]) or [""])[0]
    module = row.get("module", default)
    install = f"pip install {release.package}=={release.version}"
    return f"{install} && python -c 'import {module}'" if module else install


@contextmanager
def ready_environments(names: Iterable[str], data: Path) -> Iterator[ReadyEnvironments]:
    """Prepare the named environments of the default matrix, with `data` as the folder of PPP's own files.

    Raises `RuntimeError` if one of them is unavailable.
    """
    config = settings.load(os.environ, data=data)
    matrix = load_matrix(resource("matrices/default.toml"))
    with Path(os.devnull).open("w") as quiet:
        context = Context(config=config, reporter=LineReporter(quiet), environ=os.environ, stop=threading.Event())
        with prepare_environments(context, open_index(config), matrix, matrix.select(names)) as place:
            if place.unavailable:
                raise RuntimeError(f"unavailable: {place.unavailable}")
            yield place


def check_cells(place: ReadyEnvironments, cells: Sequence[Cell]) -> dict[Cell, Record]:
    """Return a record for each cell. What is an infrastructure error is tried once more, as a run would."""
    checkers = place.checkers("ab" * 32)

    def check(cell: Cell) -> Record:
        prepared, expected = place.prepared[cell.environment], Expectations(absence_is_final=True)
        return checkers[cell.environment].check(cell, prepared, expected=expected).record

    def check_all(cells: Sequence[Cell]) -> dict[Cell, Record]:
        with ThreadPoolExecutor(JOBS) as threads:
            return dict(zip(cells, threads.map(check, cells), strict=True))

    first = check_all(cells)
    return first | check_all([cell for cell, record in first.items() if record.result is Result.ERROR])
