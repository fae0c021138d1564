"""Real releases in real environments against the truth found by hand: `labelled.toml` says how.

By default those cells are checked that CI checks: every kind, and what is quick. `PPP_ONLINE=all` checks all.
"""

import os
from collections import Counter
from collections.abc import Mapping
from typing import Final

import pytest
from online_set import LABELLED_FILE, check_cells, labelled_cells, ready_environments

from ppp.check.cause_rules import rules
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result

ENOUGH: Final = 0.95
#: Causes with a rule that no cell of the set shows, and why.
UNREACHED: Final = {
    "oom": "no release runs out of memory by itself in the time that this test has",
    "disk": "no release that fills a cell's disk is small enough to be fetched here",
    "hash": "an index that gives the wrong file is one that breaks: tests/packages/wrong-hash",
    "bad-sdist": "no real release whose sdist pip cannot unpack was found",
    "syntax-error": "no real release was found whose file no Python can parse: tests/unit/check/test_syntax_errors.py",
    "network": "it is ours and not a release's: tests of the gateway cut it",
}
LABELLED: Final = labelled_cells()


@pytest.fixture(scope="module", name="observed")
def _observed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Cell, Record]:
    cells = [one.cell for one in LABELLED if one.in_ci or os.environ.get("PPP_ONLINE") == "all"]
    with ready_environments({cell.environment for cell in cells}, tmp_path_factory.mktemp("labelled")) as place:
        return check_cells(place, cells)


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
@pytest.mark.slow
def test_records_are_as_labelled(observed: Mapping[Cell, Record]) -> None:
    missed = []
    for labelled in LABELLED:
        record = observed.get(labelled.cell)
        if record and (wrong := labelled.misses(record)):
            missed.append(
                f"{labelled.cell}: {'; '.join(wrong)}\n    truth: {labelled.truth}\n    ours: {record.detail}"
            )
    right = len(observed) - len(missed)
    summary = "\n".join([f"{right} of {len(observed)} cells are right", *missed])
    print(summary)  # noqa: T201 - the misses are worth seeing even if the test passes
    assert right >= ENOUGH * len(observed), summary


def test_the_set_is_large_and_varied_enough() -> None:
    cells = [labelled.cell for labelled in LABELLED]
    assert [cell for cell, times in Counter(cells).items() if times > 1] == []
    assert len(cells) >= 170
    assert len({cell.release.package for cell in cells}) <= 100
    assert {labelled.result for labelled in LABELLED} == {Result.PASS, Result.FAIL, Result.NA}
    for name in ("py39-slim", "py311-slim", "py312-slim", "py39-alpine", "py311-alpine"):
        assert sum(cell.environment == name for cell in cells) >= 5, name


def test_ci_checks_every_kind_and_every_cause() -> None:
    in_ci = [labelled for labelled in LABELLED if labelled.in_ci]
    assert {labelled.kind for labelled in LABELLED} == {labelled.kind for labelled in in_ci}
    assert {labelled.cause for labelled in LABELLED} == {labelled.cause for labelled in in_ci}


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
        assert not (labelled.differs and labelled.may_differ), labelled.cell


def test_the_set_names_no_host() -> None:
    assert "://" not in LABELLED_FILE.read_text("utf-8")
