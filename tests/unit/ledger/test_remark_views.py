"""The views of what a result leaves unsaid: they hold current cells only, and are read by their index."""

from collections.abc import Callable
from typing import Any

import pytest

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

DAY = 1_714_003_200
Make = Callable[..., Record]
NO_IMPORT = outcomes_in_order(dict.fromkeys(Phase, Outcome.PASS) | {Phase.IMPORT: Outcome.SKIP})
MISSING = ModuleFailure(module="x.c", outcome=Outcome.FAIL, cause="shared-library", detail="libz.so.1: no")
DEEP = Submodules(tried=3, left_out=0, failed=())
SHARED = (
    SharedFile(path="a.py", owners=("left", "right"), equal=False, kept="right"),
    SharedFile(path='"conflicts":0,', owners=("left", "right"), equal=True, kept=None),
)
VIEWS = (
    "nothing_to_import",
    "relies_on_image",
    "imports_in_part",
    "broken_entry_points",
    "record_mismatches",
    "file_conflicts",
    "yanked_releases",
    "withdrawn",
    "project_statuses",
)


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.db.execute(sql).fetchall()]


def test_each_view_says_what_is_remarkable(store: Store, record: Make) -> None:
    point = BrokenEntryPoint(group="console_scripts", name="run", value="x:main", detail="no main")
    brought = (Preinstalled(name="pip", version="24.0"), Preinstalled(name="setuptools", version="65.5.1"))
    for made in (
        record("stubs", outcomes=NO_IMPORT, grounds={Phase.IMPORT: "stubs"}, imports=()),
        record("early", outcomes=NO_IMPORT, imports=(), detail="it holds only type stubs"),
        record("leans", relies_on=("setuptools", "wheel"), preinstalled=brought),
        record("works", submodules=DEEP, entry_points=EntryPoints(tried=2, broken=()), preinstalled=brought),
        record("script", entry_points=EntryPoints(tried=2, broken=(point,))),
        record("odd", record_mismatch=RecordMismatch(missing=1, unlisted=0, different=2, examples=("a.py",))),
        record("torn", shared_files=SharedFiles(conflicts=1, equal=1, files=SHARED)),
        record("alike", shared_files=SharedFiles(conflicts=0, equal=1, files=SHARED[1:])),
        record("bad", yanked="wrong wheel"),
        record("worse", yanked=""),
        record("gone", result="NA", cause="withdrawn", blame=None, detail="it was deleted"),
        record("old", project_status="archived"),
    ):
        store.add_record(made)
    found = {
        "nothing_to_import": "package, ground, detail",
        "relies_on_image": "package, distribution, brought_version",
        "broken_entry_points": "package, result, entry_group, name, value, detail",
        "record_mismatches": "package, missing, unlisted, different, examples",
        "file_conflicts": "package, path, owners, kept, conflicts",
        "yanked_releases": "package, reason",
        "withdrawn": "package, result, detail",
        "project_statuses": "package, status",
    }
    shown = {view: rows(store, f"SELECT {columns} FROM {view} ORDER BY 1, 2") for view, columns in found.items()}  # noqa: S608 - our own words
    assert shown == {
        "nothing_to_import": [("early", None, "it holds only type stubs"), ("stubs", "stubs", None)],
        "relies_on_image": [("leans", "setuptools", "65.5.1"), ("leans", "wheel", None)],
        "broken_entry_points": [("script", "PASS", "console_scripts", "run", "x:main", "no main")],
        "record_mismatches": [("odd", 1, 0, 2, '["a.py"]')],
        "file_conflicts": [("torn", "a.py", "left, right", "right", 1)],
        "yanked_releases": [("bad", "wrong wheel"), ("worse", "")],
        "withdrawn": [("gone", "NA", "it was deleted")],
        "project_statuses": [("old", "archived")],
    }
    assert rows(store, "SELECT * FROM imports_in_part") == []


def test_a_newer_observation_takes_the_place_of_an_older_one(store: Store, record: Make) -> None:
    store.add_record(record("six", relies_on=("setuptools",), yanked="", project_status="archived"))
    store.add_record(record("six", observed_at=DAY + 1))
    assert [rows(store, f"SELECT * FROM {view}") for view in VIEWS] == [[]] * len(VIEWS)  # noqa: S608 - our own words


def test_a_module_that_loads_elsewhere(store: Store, record: Make) -> None:
    for failed, environment in ((MISSING,), "py312-alpine"), ((), "py312-slim"), ((), "py39-slim"):
        submodules = Submodules(tried=3, left_out=0, failed=failed)
        store.add_record(record("pillow", "1", environment, submodules=submodules))
    assert rows(store, "SELECT package, environment, module, cause, detail, loads_in FROM imports_in_part") == [
        ("pillow", "py312-alpine", "x.c", "shared-library", "libz.so.1: no", "py312-slim")
    ]


@pytest.mark.parametrize(
    ("tried", "left_out", "loads_in"),
    [(3, 5, "py312-slim"), (3, 0, "py312-slim"), (4, 0, "py312-slim"), (2, 0, None), (3, 4, None), (4, 5, None)],
)
def test_a_module_loads_elsewhere_only_where_it_was_tried(
    store: Store, record: Make, tried: int, left_out: int, loads_in: str | None
) -> None:
    store.add_record(record("x", "1", "py312-alpine", submodules=Submodules(tried=3, left_out=5, failed=(MISSING,))))
    store.add_record(record("x", "1", "py312-slim", submodules=Submodules(tried=tried, left_out=left_out, failed=())))
    assert rows(store, "SELECT loads_in FROM imports_in_part") == ([(loads_in,)] if loads_in else [])


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_reads_only_what_the_index_names(store: Store, view: str) -> None:
    for where in ("", " WHERE package = 'six'"):
        steps = [row[3] for row in store.db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {view}{where}").fetchall()]  # noqa: S608 - our own words
        scanned = [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
        assert all(step == "SCAN c USING INDEX records_with_remarks" for step in scanned), steps
        assert bool(scanned) == (not where)
        assert not [step for step in steps if "TEMP" in step], steps
