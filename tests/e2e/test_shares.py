"""Shards and nodes that share the work check everything together, and nothing twice; a run that follows the journal."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import FetchedPip
from local_index import LocalIndex
from program import Program, new_program
from projects import all_projects, module_project
from warehouse import AT, Warehouse, served

from ppp.mesh.node import NodeKey
from ppp.watch.shares import owners, parse_shard

PACKAGES: Final = tuple(f"shared-{letter}" for letter in "abcd")
CHECKED: Final = "SELECT package FROM records WHERE result <> 'ERROR' ORDER BY package"
RUN: Final = ("run", "--no-feed", "--watchlist", "watched.txt", "--json")

pytestmark = pytest.mark.online


@pytest.fixture
def pair(local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path) -> Iterator[tuple[Program, Program]]:
    """Two data folders with the same watchlist."""
    local.add_pip(pinned_pip.wheel)
    local.add(*(module_project(package, "") for package in PACKAGES))
    with ExitStack() as stack:
        programs = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "watched.txt").write_text("\n".join(PACKAGES))
            programs.append(stack.enter_context(new_program(tmp_path / name, local)))
        first, second = programs
        yield first, second


def run(program: Program, *more: str) -> dict[str, Any]:
    done = program.run(*RUN, *more)
    assert done.code == 0, done
    answer: dict[str, Any] = json.loads(done.out)
    return answer


def checked(program: Program) -> list[str]:
    return [package for (package,) in program.query(CHECKED)]


def left_to_others(answer: dict[str, Any]) -> int:
    return sum(row["cells"] for row in answer["queue"]["waiting"] if "shard" in row["why"] or "share" in row["why"])


def test_two_shards_together_check_everything_and_nothing_twice(pair: tuple[Program, Program]) -> None:
    for program, shard in zip(pair, ("1/2", "2/2"), strict=True):
        answer = run(program, "--shard", shard)
        mine = [package for package in PACKAGES if parse_shard(shard)(package, "1.0")]
        assert checked(program) == mine
        assert left_to_others(answer) == len(PACKAGES) - len(mine) > 0
        assert answer["queue"]["due"] == 0, "the rest is not called due"
    assert sorted(checked(pair[0]) + checked(pair[1])) == [*PACKAGES]


def test_two_nodes_share_the_work_and_each_one_s_queue_empties_as_they_synchronize(
    pair: tuple[Program, Program],
) -> None:
    seeds = (b"\1" * 32, b"\2" * 32)
    keys = [NodeKey.from_seed(seed).id for seed in seeds]
    for program, seed in zip(pair, seeds, strict=True):
        program.settings |= {"PPP_NODE_KEY": seed.hex(), "PPP_SHARE_NODES": " ".join(keys)}
        answer = run(program)
        (own,) = set(keys) & {row["node"] for row in answer["results"]}
        mine = [package for package in PACKAGES if owners(keys, package, "1.0") == [own]]
        assert checked(program) == mine
        assert left_to_others(answer) == len(PACKAGES) - len(mine) > 0
    urls = [served_at(program) for program in pair]
    for program, url, key in zip(pair, reversed(urls), reversed(keys), strict=True):
        program.run_in_process_ok("peer", "add", url, "--key", key)
        program.run_in_process_ok("peer", "sync")
    for program in pair:
        assert checked(program) == [*PACKAGES]
        assert program.query("SELECT count(*) FROM queue") == [(0,)]
        assert "0 cells are queued" in program.run_in_process_ok("status")
        # The watchlist names all of them anew: what the other node has checked is not checked again.
        assert run(program)["queue"] == {"due": 0, "waiting": []}
        assert checked(program) == [*PACKAGES]


def test_shares_without_this_node_are_an_error_before_anything_is_done(pair: tuple[Program, Program]) -> None:
    program = pair[0]
    program.settings |= {"PPP_SHARE_NODES": "ab" * 32}
    done = program.run(*RUN)
    assert done.code == 10, done
    assert "PPP_SHARE_NODES does not name this node" in done.err
    assert program.query("SELECT count(*) FROM queue") == [(0,)]


def served_at(program: Program) -> str:
    """Serve what a node published, and return the address."""
    process = program.start("serve", "--mesh", "--port", "0")
    assert process.stdout
    found = re.search(r" at (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
    assert found
    return found[1]


@pytest.mark.sandbox
@pytest.mark.nginx
def test_a_run_that_follows_the_journal_leaves_nothing_lost(
    program: Program, local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path
) -> None:
    wanted = {"passes", "raises", "needs-newer-python", "no-module", "extension"}
    projects = [project for project in all_projects() if project.name in wanted]
    local.add_pip(pinned_pip.wheel)
    local.add(*projects)
    (tmp_path / "none.txt").write_text("")
    warehouse = Warehouse()
    warehouse.release("old", "1.0", at=AT - 60)
    program.settings |= {"PPP_NETWORK": "gateway", "PPP_JOURNAL": "changelog"}
    with served(warehouse):
        program.settings |= {name: url for name, url in warehouse.settings.items() if name != "PPP_INDEX_URL"}
        # The following begins: nothing is claimed about what was before.
        program.run_in_process_ok("watch")
        for number, project in enumerate(projects):
            warehouse.release(project.name, project.version, at=AT + number)
        # Gone before it could be checked; and a name that is none.
        warehouse.release("gone", "1.0", at=AT + 50)
        warehouse.add("gone", "1.0", "remove release", at=AT + 51)
        warehouse.add("no name", "1.0", "new release", at=AT + 52)
        done = program.run("run", "--watchlist", "none.txt", "--json", timeout_s=180)
    assert done.code == 0, done
    verdicts = dict(program.query("SELECT package, result FROM current"))
    assert verdicts.keys() == {project.name for project in projects}
    assert (verdicts["passes"], verdicts["raises"], verdicts["needs-newer-python"]) == ("PASS", "FAIL", "NA")
    assert program.query("SELECT count(*) FROM queue") == [(0,)]
    states = dict(program.query("SELECT state, count(*) FROM coverage_releases GROUP BY state"))
    assert states == {"tested": len(projects), "skipped": 1}
    coverage = json.loads(program.run_in_process_ok("coverage", "--json"))
    published = json.loads((program.data / "public" / "current.json").read_bytes())
    for told in (coverage, published):
        assert set(re.findall(r'"lost": ?(\d+)', json.dumps(told))) == {"0"}
