"""The main job and the release session on this machine's own Python; two nodes that synchronize until they agree."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cell_environments import FetchedPip
from local_index import LocalIndex, reply
from program import CompletedCommand, Program, new_program, wait_until
from projects import all_projects, module_project

from ppp.model.record import Result
from ppp.model.shown import GLYPHS

WATCHED: Final = ("passes", "raises", "needs-newer-python")
RESULTS: Final = "SELECT package, result FROM records ORDER BY package"
#: Everything that a peer could add to a ledger.
CONTENT: Final = "SELECT record FROM records UNION ALL SELECT batch FROM batches UNION ALL SELECT package FROM packages"

pytestmark = pytest.mark.online


@pytest.fixture
def node(program: Program, local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path) -> Program:
    """A node with a watchlist of three packages, each with a different result."""
    local.add_pip(pinned_pip.wheel)
    local.add(*(project for project in all_projects() if project.name in WATCHED))
    (tmp_path / "watched.txt").write_text("\n".join(WATCHED))
    return program


def sha256sum(public: Path) -> str:
    done = subprocess.run(
        ["sha256sum", "-c", "current.json.sha256"], cwd=public, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_run_and_run_again(node: Program, local: LocalIndex) -> None:
    command = ("run", "--watchlist", "watched.txt")
    local.set_response("/feed", reply(b"<!DOCTYPE html><p>Sorry"))
    done = node.run(*command)
    assert done.code == 0, done
    warnings = [line for line in done.err.splitlines() if line.startswith("warning:")]
    assert len(warnings) == 2, done.err
    assert "PPP_CANARY is off" in warnings[0]
    assert "continuing without the journal" in warnings[1]
    assert local.url_of("/feed") in warnings[1]
    table = done.out.splitlines()
    checked = {r"passes==2\.0": Result.PASS, r"raises==1\.0": Result.FAIL, r"needs-newer-python==1\.0": Result.NA}
    for words in (f"{release} +{GLYPHS[result]} {result}" for release, result in checked.items()):
        assert [line for line in table if re.match(words, line)], done.out
    assert table[-1] == f"checked 3 cells; open {node.data / 'public' / 'index.html'}"
    assert "PASS" in (node.data / "public" / "index.html").read_text()
    assert node.query(RESULTS) == [("needs-newer-python", "NA"), ("passes", "PASS"), ("raises", "FAIL")]
    assert sha256sum(node.data / "public") == "current.json: OK\n"

    held, before = node.ledger_dump(), node.public_files()
    again = node.run(*command)
    assert again.code == 0, again
    assert "checked 0 cells" in again.out
    assert node.ledger_dump() == held, "nothing is checked again"
    assert node.public_files() == before, "no byte changes"
    node.run_in_process_ok("publish")
    assert node.public_files() == before

    node.run_ok("run", "--package", "passes", "--again")
    assert len(node.query(RESULTS)) == 4, "unless it is requested"
    assert sha256sum(node.data / "public") == "current.json: OK\n"


def test_a_run_measures_flakiness(node: Program) -> None:
    done = node.run("run", "--package", "passes", "--package", "raises", "--aa", "2", "--seed", "7", "--json")
    assert done.code == 0, done
    assert "flakiness (A/A test): 2 cells checked twice, 0 disagree" in done.err
    assert json.loads(done.out)["flakiness"] == {"pairs": 2, "disagreements": 0, "results": {}, "causes": {}}
    assert node.query(RESULTS) == [("passes", "PASS")] * 2 + [("raises", "FAIL")] * 2
    assert node.query("SELECT reason, pairs, other_result FROM flakiness") == [("aa", 2, 0)]
    assert node.query("SELECT count(*) FROM batch_records") == [(4,)]


def test_a_run_keeps_to_its_budget_and_the_queue_says_what_is_next(node: Program) -> None:
    command = ("run", "--no-feed", "--watchlist", "watched.txt")
    done = node.run(*command, "--cells", "1", "--json")
    assert done.code == 0, done
    assert "the budget (--cells 1) left out 2 cells" in done.err
    answer = json.loads(done.out)
    assert answer["budget"] == {"minutes": 4.0, "cells": 1, "ended_by": "cells", "left_out": 2}
    assert answer["queue"]["due"] == 2
    assert len(node.query(RESULTS)) == 1
    following = json.loads(node.run_ok("queue", "--json"))["next"]
    assert [row["package"] for row in following] == ["passes", "raises"]
    assert "passes==2.0 in" in node.run_ok("queue", "--why", "passes")
    node.run_ok(*command)
    assert node.query(RESULTS) == [("needs-newer-python", "NA"), ("passes", "PASS"), ("raises", "FAIL")]
    assert node.run_ok("queue").startswith("0 cells are queued")


def test_a_run_fails_on_the_results_that_are_asked(node: Program) -> None:
    command = ("run", "--no-feed", "--watchlist", "watched.txt", "--env", node.environment)
    cut = node.run(*command, "--cells", "1", "--fail-on", "TIMEOUT")
    assert cut.code == 58, "of what is still queued, nobody knows"
    assert "2 of 3 cells have no verdict" in cut.err
    assert node.run(*command, "--fail-on", "TIMEOUT,ERROR").code == 0
    # What an earlier run found counts: nothing is checked again for it.
    again = node.run(*command, "--fail-on", "fail")
    assert (again.code, "checked 0 cells" in again.out) == (1, True)
    assert node.run("run", "--package", "passes", "--fail-on", "FAIL,NA").code == 0
    assert node.run("run", "--package", "needs-newer-python", "--fail-on", "NA").code == 1
    assert node.run(*command).code == 0


def test_a_feed_too_large_does_not_stop_a_run(node: Program, local: LocalIndex, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("needs-newer-python\nunheard-of\n")
    local.set_response("/feed", reply((b" " * 100_000 for _ in range(500)), length=50_000_000))
    done = node.run("run", "--watchlist", "none.txt", "--json")
    assert done.code == 0, done
    assert re.search(r"warning: continuing without the journal: .* larger than 5,000,000 bytes", done.err)
    assert re.search(r"warning: .*none\.txt, line 2: the index has no package 'unheard-of'", done.err)
    answer = json.loads(done.out)
    assert [(row["package"], row["result"]) for row in answer["results"]] == [("needs-newer-python", "NA")]
    assert answer["unavailable"] == {}


def test_a_release_that_the_index_withdraws_gets_a_newer_record(
    node: Program, local: LocalIndex, tmp_path: Path
) -> None:
    (tmp_path / "w.txt").write_text("passes\n")
    command = ("run", "--watchlist", "w.txt", "--json")
    assert [row["result"] for row in json.loads(node.run(*command).out)["results"]] == ["PASS"]
    local.remove("passes")
    local.set_status("passes", "quarantined", "malware & more")
    done = node.run(*command)
    assert done.code == 0, done
    assert "w.txt, line 1: the index has quarantined passes: malware & more" in done.err
    assert "the index has withdrawn passes==" in done.err
    current = "SELECT result, cause, detail, project_status FROM current WHERE package = 'passes'"
    detail = "the index has quarantined the project: malware & more"
    assert node.query(current) == [("NA", "withdrawn", detail, "quarantined")]
    assert node.query("SELECT result FROM records ORDER BY observed_at") == [("PASS",), ("NA",)], "nothing is discarded"
    assert node.query("SELECT count(*) FROM queue") == [(0,)]
    page = (node.data / "public" / "p" / "passes" / "index.html").read_text("utf-8")
    assert "malware &amp; more" in page
    assert "malware & more" not in page
    assert json.loads(node.run(*command).out)["results"] == [], "it is not checked again"


# ---------------------------------------------------------------- two nodes


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip) -> Mapping[str, Path]:
    """The data folders of two nodes that checked different packages."""
    folders = {package: tmp_path_factory.mktemp(package) for package in ("ours", "theirs")}
    with LocalIndex() as index, ExitStack() as stack:
        index.add_pip(pinned_pip.wheel)
        index.add(*(module_project(package, "") for package in folders))
        programs = {package: stack.enter_context(new_program(folder, index)) for package, folder in folders.items()}
        for run in [program.start("run", "--package", package) for package, program in programs.items()]:
            _, err = run.communicate(timeout=60)
            assert run.returncode == 0, err
    return {package: program.data for package, program in programs.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFolder:
    """A node's data folder, its key, and the address at which it serves what it published."""

    program: Program
    key: str
    url: str

    @property
    def current(self) -> bytes:
        return (self.program.data / "public" / "current.json").read_bytes()

    @property
    def packages(self) -> list[str]:
        return [package for (package,) in self.program.query("SELECT package FROM records ORDER BY package")]

    def sync(self) -> CompletedCommand:
        return self.program.run_in_process("peer", "sync")


@pytest.fixture
def nodes(checked: Mapping[str, Path], local: LocalIndex, tmp_path: Path) -> Iterator[tuple[NodeFolder, NodeFolder]]:
    """Both nodes, serving on loopback; neither trusts the other yet."""
    with ExitStack() as stack:
        made = []
        for name, data in checked.items():
            (tmp_path / name).mkdir()
            program = stack.enter_context(new_program(tmp_path / name, local))
            shutil.copytree(data, program.data)
            key = json.loads(program.run_in_process_ok("node", "show", "--json"))
            assert key["id"] == key["key"]
            made.append(NodeFolder(program=program, key=key["key"], url=served(program)))
        ours, theirs = made
        yield ours, theirs


def served(program: Program) -> str:
    """Serve what a node published, and return the address."""
    process = program.start("serve", "--mesh", "--port", "0")
    assert process.stdout
    line = process.stdout.readline()
    address = re.fullmatch(rf"serving {re.escape(str(program.data / 'public'))} at (http://127\.0\.0\.1:\d+/)\n", line)
    assert address, line
    return address[1]


def test_two_nodes_that_synchronised_publish_the_same_bytes(nodes: tuple[NodeFolder, NodeFolder]) -> None:
    ours, theirs = nodes
    assert (ours.packages, theirs.packages) == (["ours"], ["theirs"])
    assert ours.current != theirs.current
    ours.program.run_in_process_ok("peer", "add", theirs.url, "--key", theirs.key)
    theirs.program.run_in_process_ok("peer", "add", ours.url, "--key", ours.key)
    assert "1 new records in 1 batches" in ours.program.run_in_process_ok("peer", "sync")
    assert "the same set of records" in theirs.program.run_in_process_ok("peer", "sync")
    assert ours.packages == theirs.packages == ["ours", "theirs"]
    assert ours.current == theirs.current
    assert sha256sum(ours.program.data / "public") == "current.json: OK\n"
    before = ours.program.public_files()
    (again,) = json.loads(ours.program.run_in_process_ok("peer", "sync", "--json"))
    assert (again["records"], again["agree"]) == (0, True)
    assert ours.program.public_files() == before


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_tampered_files_are_rejected(nodes: tuple[NodeFolder, NodeFolder]) -> None:
    ours, theirs = nodes
    before, held = ours.current, ours.program.query(CONTENT)
    (batch,) = (theirs.program.data / "public" / "batches").glob("*.json.gz")
    signature, files = batch.with_name(f"{batch.name.partition('.')[0]}.sig"), batch.parents[1] / "files.json"

    def rejects(*words: str, said: str = "not synced") -> None:
        done = ours.sync()
        assert done.code == 28, done
        assert done.out == f"{theirs.url}: {said}\n"
        (line,) = done.err.splitlines()
        assert line.startswith(f"ppp: {theirs.url}: ")
        assert not [word for word in words if word not in line], line
        assert (ours.current, ours.program.query(CONTENT)) == (before, held), "nothing is stored"

    ours.program.run_in_process_ok("peer", "add", theirs.url, "--key", "ab" * 32)
    rejects("statement")
    ours.program.run_in_process_ok("peer", "remove", "ab" * 32)
    ours.program.run_in_process_ok("peer", "add", theirs.url, "--key", theirs.key)
    left_out = "0 new records in 0 batches, 1 batches rejected; the sets of records differ"
    for path, at, said in ((batch, 100, left_out), (signature, 0, left_out), (files, 100, "not synced")):
        flip(path, at)
        rejects(path.stem, "rejected", said=said)
        flip(path, at)
    assert ours.sync().code == 0
    assert ours.packages == ["ours", "theirs"]


def test_the_release_session(nodes: tuple[NodeFolder, NodeFolder]) -> None:
    ours, theirs = nodes
    ours.program.run_in_process_ok("peer", "add", theirs.url, "--key", theirs.key)
    theirs.program.run_in_process_ok("peer", "add", ours.url, "--key", ours.key)
    # The steps of `nox -s release`; each can be repeated.
    text = ours.program.run_in_process_ok("narrate", "--seed", "3")
    assert ", verified; seed 3, writer seeded\n" in text
    assert "-- The board" in text
    assert ours.program.run_in_process_ok("narrate", "--seed", "3") == text
    page = ours.program.run_in_process_ok("publish")
    assert page == f"open {ours.program.data / 'public' / 'index.html'}\n"
    assert sha256sum(ours.program.data / "public") == "current.json: OK\n"
    for _ in range(2):
        assert ours.program.run_in_process_ok("peer", "push") == f"{theirs.url}: accepted (answered 202)\n"
    wait_until(lambda: theirs.packages == ["ours", "theirs"], timeout_s=20)
