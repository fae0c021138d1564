"""Real releases in real environments against the truth found by hand: `labelled.toml` says how."""

import os
import threading
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from ppp import config as settings
from ppp.check.causes import rules
from ppp.check.cell import Observation
from ppp.console import LineReporter
from ppp.model.matrix import Cell
from ppp.model.record import Blame, Phase, Record, Result
from ppp.model.release import Release
from ppp.resources import resource
from ppp.runner.context import Context
from ppp.runner.environments import ReadyEnvironments, open_index, prepare_environments

ENOUGH: Final = 0.95
JOBS: Final = 3
#: Causes with a rule that no cell of the set shows, and why.
UNREACHED: Final = {
    "oom": "no release runs out of memory by itself in the time that this test has",
    "disk": "no release that fills a cell's disk is small enough to be fetched here",
    "hash": "an index that gives the wrong file is one that breaks: tests/packages/wrong-hash",
    "bad-sdist": "no real release whose sdist pip cannot unpack was found",
    "network": "it is ours and not a release's: tests of the gateway cut it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A cell and what it comes to; `imports` is None where the set does not say which modules are imported."""

    cell: Cell
    result: Result
    phase: Phase | None
    cause: str | None
    blame: Blame | None
    imports: tuple[str, ...] | None
    truth: str

    def misses(self, record: Record) -> list[str]:
        """Return what of a record is not the truth, a line each."""
        pairs: list[tuple[str, object, object]] = [
            ("result", self.result, record.result),
            ("phase", self.phase, record.failed_phase),
            ("cause", self.cause, record.cause),
            ("blame", self.blame, record.blame),
        ]
        if self.imports is not None:
            pairs.append(("imports", self.imports, record.imports))
        return [f"{name} is {found}, not {truth}" for name, truth, found in pairs if truth != found]


def _labelled() -> tuple[Labelled, ...]:
    rows = tomllib.loads(Path(__file__).with_name("labelled.toml").read_text("utf-8"))["cell"]
    return tuple(
        Labelled(
            cell=Cell(release=Release.parse(row["package"], row["version"]), environment=row["environment"]),
            result=Result(row["result"]),
            phase=Phase(row["phase"]) if "phase" in row else None,
            cause=row.get("cause"),
            blame=Blame(row["blame"]) if "blame" in row else None,
            imports=tuple(row["imports"]) if "imports" in row else None,
            truth=row["truth"],
        )
        for row in rows
    )


LABELLED: Final = _labelled()


@pytest.fixture(scope="module", name="observed")
def _observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Cell, Observation]]:
    config = settings.load(os.environ, data=tmp_path_factory.mktemp("labelled"))
    matrix = settings.load_matrix(resource("matrices/default.toml"))
    with Path(os.devnull).open("w") as quiet:
        context = Context(config=config, reporter=LineReporter(quiet), environ=os.environ, stop=threading.Event())
        environments = matrix.select({labelled.cell.environment for labelled in LABELLED})
        with prepare_environments(context, open_index(config), matrix, environments) as place:
            assert place.unavailable == {}
            observed = _check(place, [labelled.cell for labelled in LABELLED])
            # What is ours and not the release's is tried again, as a run would.
            ours = [cell for cell, observation in observed.items() if observation.record.result is Result.ERROR]
            yield observed | _check(place, ours)


def _check(place: ReadyEnvironments, cells: Iterable[Cell]) -> dict[Cell, Observation]:
    checkers = place.checkers("ab" * 32)

    def check(cell: Cell) -> Observation:
        return checkers[cell.environment].check(cell, place.prepared[cell.environment])

    with ThreadPoolExecutor(JOBS) as threads:
        listed = list(cells)
        return dict(zip(listed, threads.map(check, listed), strict=True))


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
@pytest.mark.slow
def test_verdict_cause_and_blame_are_as_labelled(observed: Mapping[Cell, Observation]) -> None:
    missed = []
    for labelled in LABELLED:
        record = observed[labelled.cell].record
        if wrong := labelled.misses(record):
            missed.append(
                f"{labelled.cell}: {'; '.join(wrong)}\n    truth: {labelled.truth}\n    ours: {record.detail}"
            )
    right = len(LABELLED) - len(missed)
    summary = "\n".join([f"{right} of {len(LABELLED)} cells are right", *missed])
    print(summary)  # noqa: T201 - the misses are worth seeing even if the test passes
    assert right >= ENOUGH * len(LABELLED), summary


def test_the_set_is_large_and_varied_enough() -> None:
    cells = [labelled.cell for labelled in LABELLED]
    assert [cell for cell, times in Counter(cells).items() if times > 1] == []
    assert len(cells) >= 60
    assert len({cell.release.package for cell in cells}) <= 32
    assert {labelled.result for labelled in LABELLED} == {Result.PASS, Result.FAIL, Result.NA}
    for name in ("py39-slim", "py311-slim", "py312-slim", "py39-alpine", "py311-alpine"):
        assert sum(cell.environment == name for cell in cells) >= 5, name


def test_every_rule_has_a_cell_or_a_reason() -> None:
    labelled = {labelled.cause for labelled in LABELLED if labelled.cause}
    causes = {rule.cause for rule in rules()}
    assert causes - labelled - UNREACHED.keys() == set()
    assert UNREACHED.keys() - causes == set(), "a reason for what is no cause"
    assert UNREACHED.keys() & labelled == set(), "a reason, although a cell shows it"


def test_every_label_is_complete() -> None:
    for labelled in LABELLED:
        assert len(labelled.truth) > 10, labelled.cell
        failed = labelled.result is Result.FAIL
        explained = labelled.result is not Result.PASS
        assert (labelled.phase is not None) is failed, labelled.cell
        assert (labelled.cause is not None, labelled.blame is not None) == (explained, explained), labelled.cell
