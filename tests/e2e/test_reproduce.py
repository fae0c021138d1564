"""`ppp reproduce`: what is the same with the record's files, and different with what was released since."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, FetchedPip, host_environment, matrix_toml, tiny_matrix
from local_index import LocalIndex
from program import Program, new_program
from projects import Project, module_project

from ppp.ledger.store import Store
from ppp.model.record import Blame, Record

WORKING: Final = module_project("base", "def helper(): return 1\n", version="1.0")
BREAKING: Final = module_project("base", "", version="2.0")
APP: Final = module_project("app", "from base import helper\n", version="1.0", requires=("base",))


def upload(index: LocalIndex, project: Project, at: str) -> None:
    index.add_file(project.name, project.filename, project.build(), uploaded=at)


@pytest.fixture
def index(pinned_pip: FetchedPip) -> Iterator[LocalIndex]:
    with LocalIndex(json_pages=True) as made:
        made.add_pip(pinned_pip.wheel)
        upload(made, WORKING, "2020-01-01T00:00:00Z")
        upload(made, APP, "2020-02-01T00:00:00Z")
        yield made


@pytest.fixture
def program(index: LocalIndex, tmp_path: Path) -> Iterator[Program]:
    with new_program(tmp_path, index) as made:
        made.matrix.write_text(matrix_toml(tiny_matrix(host_environment())))
        made.settings["PPP_NETWORK"] = "gateway"
        yield made


@pytest.mark.online
@pytest.mark.sandbox
@pytest.mark.nginx
def test_a_dependency_that_changed_since_makes_no_difference_to_the_record_s_files(
    program: Program, index: LocalIndex
) -> None:
    cell = ("app==1.0", "-e", program.environment)
    checked = json.loads(program.run_ok("check", program.environment, "app", "--json"))
    assert checked["result"] == "PASS", checked
    upload(index, BREAKING, "2024-01-01T00:00:00Z")

    same = program.run("reproduce", *cell)
    assert (same.code, same.out.splitlines()[0]) == (0, f"app==1.0 in {program.environment}: same"), same
    different = program.run("reproduce", checked["record"][:12], "--as-of", "now", "--json")
    assert different.code == 70, different
    told = json.loads(different.out)
    assert not told["same"]
    assert [one["about"] for one in told["differences"]["phases"]] == ["result", "import", "cause"]
    assert [(one["about"], one["before"][:3], one["now"][:3]) for one in told["differences"]["files"]] == [
        ("base", "1.0", "2.0")
    ]
    assert program.query("SELECT count(*) FROM records") == [(1,)], "nothing was recorded"

    assert program.run("reproduce", *cell, "--as-of", "now", "--record").code == 70
    assert program.query("SELECT result FROM records ORDER BY observed_at") == [
        ("PASS",),
        ("FAIL",),
        ("FAIL",),
    ], "a new regression is observed twice"
    ((drift,),) = program.query("SELECT drift FROM records WHERE drift IS NOT NULL")
    shown = json.loads(drift)
    assert (shown["result_then"], [one["bound"] for one in shown["culprits"]]) == ("PASS", ["base<2.0"])
    failed = program.run("reproduce", *cell)
    assert (failed.code, "FAIL" in failed.out) == (0, True), "a failure is reproduced as well"
    index.remove("base", BREAKING.filename)
    assert program.run("reproduce", *cell).code == 71, "its files are gone"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ab" * 32], 72, "the ledger has no record abab"),
        (["app==9.9", "-e", "py312-slim"], 72, "no record of app==9.9 in py312-slim"),
        (["app==1.0", "-e", "py312-slim", "--network", "open"], 71, "--network gateway"),
        (["app==1.0", "-e", "py312-slim"], 71, f"sha256:{'5a' * 32}"),
        (["app==1.0", "-e", "py311-slim"], 71, "an ERROR, which says nothing"),
        (["app==1.0"], 2, "-e ENVIRONMENT"),
        (["app==1.0", "-e", "py312-slim", "--record"], 2, "--as-of now"),
        (["app==1.0", "-e", "py312-slim", "--as-of", "yesterday"], 2, "neither `now` nor a time"),
        (["app==1.0", "-e", "py312-slim", "--as-of", "999999-01-01"], 2, "neither `now` nor a time"),
    ],
)
@pytest.mark.docker
def test_what_cannot_be_reproduced_is_said_before_anything_runs(
    tmp_path: Path, record: Callable[..., Record], arguments: list[str], code: int, said: str
) -> None:
    with Store.open(tmp_path / "data") as store:
        store.add_record(record("app", "1.0", image_digest=f"sha256:{'5a' * 32}"))
        error = record("app", "1.0", "py311-slim", result="ERROR", cause="disk", blame=Blame.INFRASTRUCTURE)
        store.add_record(error)
    with LocalIndex() as index, new_program(tmp_path, index) as program:
        program.settings["PPP_NETWORK"] = "gateway"
        program.matrix.write_text(matrix_toml(tiny_matrix(SLIM, replace(SLIM, id="py311-slim", python="3.11"))))
        done = program.run_in_process("reproduce", *arguments)
    assert (done.code, said in done.err) == (code, True), done
