"""`ppp reproduce`: what is the same with the record's files, and different with what was released since."""

import json
import time
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
from ppp.mesh.node import create_key
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


def drift_of(program: Program) -> list[tuple[str, str, list[str]]]:
    """The cells with a drift in a ledger: cause, what the blame is derived from, and the bounds."""
    rows = program.query("SELECT cause, blamed_by, drift FROM judged WHERE drift IS NOT NULL")
    return [(cause, by, [one["bound"] for one in json.loads(drift)["culprits"]]) for cause, by, drift in rows]


@pytest.mark.online
@pytest.mark.sandbox
@pytest.mark.nginx
def test_a_fresh_failure_is_examined_in_a_run_and_in_a_shard(
    program: Program, index: LocalIndex, tmp_path: Path
) -> None:
    upload(index, BREAKING, "2024-01-01T00:00:00Z")
    (tmp_path / "wanted.txt").write_text("app\n")
    program.run_in_process_ok("watch", "-r", "wanted.txt")
    plan, matrix = str(tmp_path / "plan.json"), f"--matrix={program.matrix}"
    program.run_in_process_ok("shard", "plan", plan, "--shards", "1", matrix)
    proven = [("dependency-drift", "runs", ["base<2.0"])]
    (tmp_path / "shard").mkdir()
    with new_program(tmp_path / "shard", index) as shard:
        shard.settings["PPP_NETWORK"] = "gateway"
        shard.run_ok("shard", "check", plan, "--shard", "1/1", matrix)
        assert drift_of(shard) == proven
    program.run_ok("run")
    assert drift_of(program) == proven


@pytest.mark.online
@pytest.mark.sandbox
@pytest.mark.nginx
def test_what_passed_long_ago_is_checked_again_and_says_why(
    program: Program, index: LocalIndex, record: Callable[..., Record]
) -> None:
    program.data.mkdir(exist_ok=True)
    node = create_key(program.data).id
    old = record("app", "1.0", program.environment, node=node, observed_at=1_600_000_000)
    young = record("base", "1.0", program.environment, node=node, observed_at=int(time.time()))
    with Store.open(program.data) as store:
        store.add_record(old)
        store.add_record(young)
    upload(index, BREAKING, "2024-01-01T00:00:00Z")
    done = json.loads(program.run_ok("rot", "--json"))
    assert done["checked"] == 1, "base passed just now"
    (failed,) = done["no_longer_pass"]
    assert failed["triggered_by"] == {"kind": "age", "name": old.id, "version": "2020-09-13"}
    assert [one["bound"] for one in failed["drift"]["culprits"]] == ["base<2.0"]
    assert program.query("SELECT flip, trigger_kind, record_before FROM flips") == [("broke", "age", old.id)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ab" * 32], 72, "the ledger has no record abab"),
        (["app==9.9", "-e", "py312-slim"], 72, "no record of app==9.9 in py312-slim"),
        (["app==1.0", "-e", "py312-slim", "--network", "open"], 71, "--network gateway"),
        (["app==1.0", "-e", "py312-slim"], 71, f"`docker pull python@sha256:{'5a' * 32}`"),
        (["lib==1.0", "-e", "py312-slim"], 71, f"bring it here: `docker save sha256:{'5a' * 32}`"),
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
        store.add_record(record("lib", "1.0", image_digest=f"sha256:{'5a' * 32}", standin=True))
        error = record("app", "1.0", "py311-slim", result="ERROR", cause="disk", blame=Blame.INFRASTRUCTURE)
        store.add_record(error)
    with LocalIndex() as index, new_program(tmp_path, index) as program:
        program.settings["PPP_NETWORK"] = "gateway"
        program.matrix.write_text(matrix_toml(tiny_matrix(SLIM, replace(SLIM, id="py311-slim", python="3.11"))))
        done = program.run_in_process("reproduce", *arguments)
    assert (done.code, said in done.err) == (code, True), done
