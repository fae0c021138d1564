"""A night in shards: planned by the node, checked by machines without its key, one of which is killed, and taken."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cell_environments import FetchedPip
from local_index import LocalIndex
from program import Program, new_program, wait_until
from projects import module_project

PACKAGES = ("one", "two", "three", "four", "five", "six")

pytestmark = pytest.mark.online


@pytest.fixture
def node(program: Program, local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path) -> Program:
    """A node with six packages in its queue, of which one fails."""
    local.add_pip(pinned_pip.wheel)
    local.add(*(module_project(name, "raise ValueError" if name == "two" else "") for name in PACKAGES))
    (tmp_path / "wanted.txt").write_text("\n".join(PACKAGES))
    program.run_in_process_ok("watch", "-r", "wanted.txt")
    return program


@pytest.fixture
def shards(local: LocalIndex, tmp_path: Path) -> Iterator[list[Program]]:
    """Two machines that share nothing with the node but files."""
    with ExitStack() as stack:
        folders = [tmp_path / "first", tmp_path / "second"]
        for folder in folders:
            folder.mkdir()
        yield [stack.enter_context(new_program(folder, local)) for folder in folders]


def test_a_night_in_two_shards_of_which_one_is_killed(node: Program, shards: list[Program], tmp_path: Path) -> None:
    plan, results = str(tmp_path / "plan.json"), tmp_path / "results"
    matrix = f"--matrix={node.matrix}"
    planned = json.loads(node.run_in_process_ok("shard", "plan", plan, "--shards", "2", matrix, "--json"))
    assert (planned["cells"], len(planned["jobs"])) == (6, 2), "both shards have something to do"
    kept, killed = shards
    killed.start("shard", "check", plan, "--shard", "2/2", "--jobs=1", matrix)
    wait_until((killed.data / "ppp.db").exists)
    killed.kill_all()

    kept.run_ok("shard", "check", plan, "--shard", "1/2", matrix)
    (first,) = (job["cells"] for job in planned["jobs"] if job["shard"] == "1/2")
    again = json.loads(kept.run_ok("shard", "check", plan, "--shard", "1/2", matrix, "--json"))
    assert (again["given"], again["finished"]) == (first, first), "what was finished is not checked again"
    kept.run_in_process_ok("shard", "export", plan, str(results), "--shard", "1/2", matrix)
    assert not (kept.data / "node.key").exists(), "a shard needs no key"
    assert kept.query("SELECT DISTINCT node FROM records") == [("00" * 32,)]

    poisoned = tmp_path / "results" / "shard-poisoned.json.gz"
    poisoned.write_bytes(b"\x1f\x8bnothing")
    taken = node.run_in_process("shard", "import", plan, str(results), "--json")
    assert taken.code == 28, taken
    answer = json.loads(taken.out)
    assert (answer["given"], answer["finished"], answer["new"], answer["missing"]) == (6, first, first, 1)
    assert [*answer["rejected"]] == ["shard-poisoned.json.gz"]
    assert (
        f"shard 2/2 of {node.environment}: it did not report; {6 - first} cells of {6 - first} stay queued" in taken.err
    )
    assert node.query("SELECT count(*) FROM queue") == [(6 - first,)]
    poisoned.unlink()
    assert json.loads(node.run_in_process_ok("shard", "import", plan, str(results), "--json"))["new"] == 0

    node.run_in_process_ok("publish")
    assert node.run_in_process("verify", str(node.data / "public")).code == 0
    assert node.query("SELECT count(*) FROM batch_records") == [(first,)], "signed by the node that planned them"
    left = json.loads(node.run_in_process_ok("shard", "plan", plan, "--shards", "2", matrix, "--json"))
    assert left["cells"] == 6 - first, "what the killed shard had is planned again"


def test_a_machine_that_cannot_read_a_plan_says_so(node: Program, tmp_path: Path) -> None:
    matrix = f"--matrix={node.matrix}"
    missing = node.run_in_process("shard", "check", "nowhere.json", "--shard", "1/2", matrix)
    assert (missing.code, "cannot read nowhere.json" in missing.err) == (37, True)
    (tmp_path / "plan.json").write_text("{}")
    invalid = node.run_in_process("shard", "import", "plan.json")
    assert (invalid.code, "the plan is invalid" in invalid.err) == (28, True)
    node.run_in_process_ok("shard", "plan", "plan.json", "--shards", "2", matrix)
    other = node.run_in_process("shard", "export", "plan.json", "out", "--shard", "1/3", matrix)
    assert (other.code, "the plan has 2 shards, not 3" in other.err) == (2, True)
