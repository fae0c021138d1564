"""The real commands, over HTTP: a node whose ledger was put back to an old copy forks, and what its peers do then."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser_tools import serve_folder
from local_index import LocalIndex
from program import CompletedCommand, Program, new_program

from ppp.ledger.store import Store
from ppp.model.record import Record

pytestmark = pytest.mark.attack("history")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node whose public folder is served as static files at `url`."""

    program: Program
    key: str
    url: str

    def observe(self, record: Record) -> None:
        with Store.open(self.program.data) as store:
            store.add_record(record)

    def command(self, *arguments: str) -> CompletedCommand:
        return self.program.run_in_process(*arguments)

    def trust(self, *others: "Node") -> None:
        for other in others:
            self.program.run_in_process_ok("peer", "add", other.url, "--key", other.key)

    def publish(self, *records: Record) -> None:
        """Add records of this node, and publish."""
        with Store.open(self.program.data) as store:
            for record in records:
                store.add_record(record)
        self.program.run_in_process_ok("publish")

    def results(self) -> list[str]:
        return [package for (package,) in self.program.query("SELECT package FROM records ORDER BY package")]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """This node, and one whose ledger will be put back; each trusts the other."""
    with ExitStack() as stack:
        index = stack.enter_context(LocalIndex())
        made = []
        for name in ("here", "there"):
            (tmp_path / name).mkdir()
            program = stack.enter_context(new_program(tmp_path / name, index))
            key = json.loads(program.run_in_process_ok("node", "init", "--json"))["key"]
            public = program.data / "public"
            public.mkdir()
            made.append(Node(program=program, key=key, url=f"{stack.enter_context(serve_folder(public))}/"))
        here, there = made
        here.trust(there)
        there.trust(here)
        yield here, there


Builder = Callable[..., Record]


def put_back(node: Node, copy: Path) -> None:
    """Put a node's ledger back to a copy, but not what it published."""
    shutil.copy(copy, node.program.data / "ppp.db")


def test_a_node_that_goes_on_from_an_old_copy_is_quarantined_until_a_person_clears_it(
    nodes: tuple[Node, Node], record: Builder, tmp_path: Path
) -> None:
    here, there = nodes
    there.publish(record("one", node=there.key))
    assert here.command("peer", "sync").code == 0
    shutil.copy(there.program.data / "ppp.db", tmp_path / "copy.db")
    there.publish(record("two", node=there.key))
    assert here.command("peer", "sync").code == 0
    put_back(there, tmp_path / "copy.db")
    there.publish(record("three", node=there.key))

    for _ in range(2):
        done = here.command("peer", "sync")
        assert done.code == 35, done
        assert f"node {there.key} is quarantined as a fork: two different statements have the number 2" in done.err
    assert here.results() == ["one", "two"]
    assert here.command("show", "two").code == 0
    assert "quarantined since" in here.program.run_in_process_ok("peer", "list")
    evidence = json.loads(here.program.run_in_process_ok("peer", "evidence", there.url, "--json"))
    one, other = (row["envelope"]["signed"] for row in evidence["statements"])
    assert (one["sequence"], other["sequence"], one["previous"] == other["previous"]) == (2, 2, True)
    published = json.loads((here.program.data / "public" / "peers.json").read_text())["statements"]
    assert [row["envelope"] for row in evidence["statements"]] == [s for s in published if s["signed"]["sequence"] == 2]

    here.program.run_in_process_ok("peer", "clear", there.url)
    assert here.command("peer", "sync").code == 0
    assert here.results() == ["one", "three", "two"]


def test_a_node_that_first_asks_its_peers_goes_on_where_it_was(
    nodes: tuple[Node, Node], record: Builder, tmp_path: Path
) -> None:
    here, there = nodes
    here.publish(record("ours", node=here.key))
    there.publish(record("one", node=there.key))
    shutil.copy(there.program.data / "ppp.db", tmp_path / "copy.db")
    there.publish(record("two", node=there.key))
    assert here.command("peer", "sync").code == 0
    put_back(there, tmp_path / "copy.db")
    assert there.command("peer", "sync").code == 0
    assert there.results() == ["one", "ours", "two"]
    there.publish(record("three", node=there.key))
    assert here.command("peer", "sync").code == 0
    assert here.results() == there.results() == ["one", "ours", "three", "two"]
    assert here.program.run_in_process_ok("peer", "evidence") == (
        "no node has contradicted itself, as far as this one has seen\n"
    )
