"""Remarks: what is said of a cell beyond its result, and the findings that they make."""

from collections.abc import Callable
from typing import Any

import pytest

from ppp.ledger.published import observed_environments
from ppp.ledger.store import Store
from ppp.model.installed_files import RecordMismatch, SharedFile, SharedFiles
from ppp.model.record import (
    BrokenEntryPoint,
    EntryPoints,
    ModuleFailure,
    Outcome,
    Phase,
    Preinstalled,
    Record,
    Submodules,
    outcomes_in_order,
)
from ppp.model.shown import Shown
from ppp.publish.packages.finding_kinds import REMARKS, FindingKind
from ppp.publish.packages.read import read_packages
from ppp.publish.packages.remarks import Remark, SharedRemark, remarks, share_remarks
from ppp.publish.packages.summary import PackageSummary, summarize

Make = Callable[..., Record]
NO_IMPORT = outcomes_in_order(dict.fromkeys(Phase, Outcome.PASS) | {Phase.IMPORT: Outcome.SKIP})
POINT = BrokenEntryPoint(group="console_scripts", name="run", value="x:main", detail="x has no main")
LOADS_NOT = ModuleFailure(module="x.c", outcome=Outcome.FAIL, cause="shared-library", detail="libz.so.1: no")


TORN = SharedFile(path="a.py", owners=("x", "y"), equal=False, kept="y")
ALIKE = SharedFile(path="b.py", owners=("x", "y"), equal=True, kept=None)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (
            {"relies_on": ("setuptools",), "preinstalled": (Preinstalled(name="setuptools", version="65.5.1"),)},
            FindingKind.RELIES_ON_IMAGE,
            "setuptools 65.5.1",
        ),
        ({"relies_on": ("a", "b")}, FindingKind.RELIES_ON_IMAGE, "a, b"),
        ({"outcomes": NO_IMPORT, "grounds": {Phase.IMPORT: "stubs"}}, FindingKind.NOTHING_TO_IMPORT, "type stubs only"),
        ({"outcomes": NO_IMPORT, "grounds": {Phase.IMPORT: "new"}}, FindingKind.NOTHING_TO_IMPORT, "new"),
        ({"outcomes": NO_IMPORT, "detail": "a plugin"}, FindingKind.NOTHING_TO_IMPORT, "a plugin"),
        (
            {"outcomes": NO_IMPORT, "grounds": {Phase.IMPORT: "data"}, "detail": "it holds fonts"},
            FindingKind.NOTHING_TO_IMPORT,
            "it holds fonts",
        ),
        ({"outcomes": NO_IMPORT}, FindingKind.NOTHING_TO_IMPORT, "no reason is recorded"),
        (
            {"entry_points": EntryPoints(tried=3, broken=(POINT, POINT))},
            FindingKind.BROKEN_ENTRY_POINT,
            "2 commands, such as run = x:main: x has no main",
        ),
        (
            {"record_mismatch": RecordMismatch(missing=0, unlisted=2, different=1, examples=("a", "b"))},
            FindingKind.RECORD_MISMATCH,
            "files not listed: 2; files with another hash or size: 1; such as a, b",
        ),
        (
            {"shared_files": SharedFiles(conflicts=1, equal=1, files=(TORN, ALIKE))},
            FindingKind.FILE_CONFLICT,
            "a.py differs between x and y; y's content is there",
        ),
        ({"yanked": "broken\x1b[2J wheel"}, FindingKind.YANKED, "broken wheel"),
        ({"yanked": " "}, FindingKind.YANKED, "the index gives no reason"),
        ({"yanked": "x" * 500}, FindingKind.YANKED, "x" * 199 + "…"),
        ({"project_status": "archived"}, FindingKind.PROJECT_STATUS, "the index calls the project archived"),
        ({"result": "NA", "cause": "withdrawn", "detail": "deleted"}, FindingKind.WITHDRAWN, "deleted"),
    ],
)
def test_what_is_said_of_a_cell(changes: dict[str, Any], kind: FindingKind, words: str, record: Make) -> None:
    assert remarks([record(**changes)]) == {"py312-slim": (Remark(kind, words),)}
    assert kind in REMARKS


def test_most_cells_need_no_remark(record: Make) -> None:
    tried = {
        "submodules": Submodules(tried=3, left_out=0, failed=()),
        "entry_points": EntryPoints(tried=1, broken=()),
        "shared_files": SharedFiles(conflicts=0, equal=1, files=(ALIKE,)),
    }
    assert remarks([record(**tried), record(environment="py39-slim", result="FAIL", relies_on=("setuptools",))]) == {}


def test_a_module_that_loads_in_another_environment(record: Make) -> None:
    deep = Submodules(tried=3, left_out=0, failed=())
    here = Submodules(tried=3, left_out=0, failed=(LOADS_NOT,))
    slim, alpine = record(submodules=deep), record(environment="py312-alpine", submodules=here)
    words = "x.c loads elsewhere (py312-slim), but not here: libz.so.1: no"
    assert remarks([slim, alpine]) == {"py312-alpine": (Remark(FindingKind.IMPORTS_IN_PART, words),)}
    # Nowhere: that is how the release is.
    assert remarks([alpine, record(environment="py39-alpine", submodules=here)]) == {}


def test_a_remark_is_said_once_with_its_environments() -> None:
    archived, yanked = Remark(FindingKind.PROJECT_STATUS, "archived"), Remark(FindingKind.YANKED, "why")
    assert share_remarks({"py39-slim": [archived], "py312-slim": [yanked, archived]}) == [
        SharedRemark(remark=yanked, environments=("py312-slim",)),
        SharedRemark(remark=archived, environments=("py39-slim", "py312-slim")),
    ]


def summary_of(store: Store) -> PackageSummary:
    ((summary),) = (summarize(h) for h in read_packages(store.db, ["six"], observed_environments(store.db)))
    return summary


def test_a_remark_makes_a_finding_of_the_newest_release(store: Store, record: Make) -> None:
    store.add_record(record("six", "1", yanked="old"))
    store.add_record(record("six", "2", "py39-slim", outcomes=NO_IMPORT, grounds={Phase.IMPORT: "data"}))
    store.add_record(record("six", "2", "py312-slim", entry_points=EntryPoints(tried=1, broken=(POINT,))))
    summary = summary_of(store)
    assert [(kind, [cell.environment for cell in cells]) for kind, cells in summary.findings.items()] == [
        (FindingKind.NOTHING_TO_IMPORT, ["py39-slim"]),
        (FindingKind.BROKEN_ENTRY_POINT, ["py312-slim"]),
    ]
    ((bare,), (broken,)) = summary.findings.values()
    assert (bare.shown, bare.remark) == (Shown.INSTALLED, "data files only")
    assert (broken.shown, broken.remark) == (Shown.PASS, "run = x:main: x has no main")
    assert (summary.installed_only, summary.passing) == (1, 2)
    assert summary.shown_counts == ((Shown.PASS, 1), (Shown.INSTALLED, 1))


def test_every_optional_field_is_read_for_the_page(store: Store, record: Make) -> None:
    said = {"relies_on": ("a",), "preinstalled": (), "yanked": "", "project_status": "archived"}
    made = record("six", primary_module="six", import_failures=(LOADS_NOT,), **said)
    store.add_record(made)
    ((history),) = read_packages(store.db, ["six"], observed_environments(store.db))
    assert history.newest[0].record == made
