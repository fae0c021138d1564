"""A node with one honest, one dripping, one lying and one forked peer, with the real commands, over loopback.

It is synchronized with the honest one within the deadline of a peer, keeps the evidence against the forked one, and its
other commands work meanwhile.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hostile_http import DRIPS, file_server, hostile_server
from local_index import LocalIndex
from memory_transport import MemoryTransport
from mesh_nodes import MeshNode, mesh_nodes
from program import Program, new_program

from ppp.mesh.statement import ForkedError
from ppp.mesh.trust import shipped_keys
from ppp.model.record import Record

#: How many seconds a peer may take; and how many more the other peers and this machine may add to it.
DEADLINE_S: Final = 12.0
REST_S: Final = 40.0
HONEST_RECORDS: Final = 5

pytestmark = [pytest.mark.attack("deadlines"), pytest.mark.attack("history")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The program, its four peers as (URL, key), and an event that is set once the dripping one is asked."""

    program: Program
    honest: tuple[str, str]
    dripping: tuple[str, str]
    lying: tuple[str, str]
    forked: tuple[str, str]
    fork: Callable[[], None]
    dripping_is_asked: threading.Event

    def command(self, *arguments: str) -> Any:
        """Run a command that must succeed; return its JSON answer."""
        return json.loads(self.program.run_in_process_ok(*arguments, "--json"))

    def add(self, peer: tuple[str, str]) -> None:
        """Add a peer by its address and key."""
        url, key = peer
        self.command("peer", "add", url, "--key", key)


@pytest.fixture
def scenario(tmp_path: Path, record: Callable[..., Record]) -> Iterator[Scenario]:
    asked = threading.Event()

    def drip(connection: socket.socket, over: threading.Event) -> None:
        asked.set()
        DRIPS["trailers"](connection, over)

    with ExitStack() as stack:
        index = stack.enter_context(LocalIndex())
        program = stack.enter_context(new_program(tmp_path, index))
        peers: list[MeshNode] = []
        for number, packages in ((2, [f"honest-{n}" for n in range(HONEST_RECORDS)]), (3, ["lying"]), (4, ["forked"])):
            # Each has a web of its own, as it has an address of its own.
            web = MemoryTransport()
            node = stack.enter_context(mesh_nodes(tmp_path, web))(number)
            node.url, node.now = stack.enter_context(file_server(web.files)), int(time.time())
            node.add(*(record(package, node=node.key.id) for package in packages))
            node.publish()
            peers.append(node)
        honest, lying, forked = peers
        # The list of files is not the one that the statement covers.
        lying.web.files[f"{lying.url}files.json"] += b" "

        def fork() -> None:
            forked.web.files[f"{forked.url}statement.json"] = forked.statement(root="ee" * 32)

        yield Scenario(
            program=program,
            honest=(honest.url, honest.key.id),
            dripping=(stack.enter_context(hostile_server(drip)), "cd" * 32),
            lying=(lying.url, lying.key.id),
            forked=(forked.url, forked.key.id),
            fork=fork,
            dripping_is_asked=asked,
        )


def test_an_honest_a_dripping_a_lying_and_a_forked_peer(scenario: Scenario) -> None:
    program = scenario.program
    scenario.add(scenario.forked)
    (first,) = scenario.command("peer", "sync")
    assert first["records"] == 1
    scenario.fork()
    # The honest one comes last.
    for peer in (scenario.dripping, scenario.lying, scenario.honest):
        scenario.add(peer)

    started = time.monotonic()
    syncing = program.start("peer", "sync", "--deadline", str(DEADLINE_S), "--json")
    assert scenario.dripping_is_asked.wait(REST_S)
    # Meanwhile other commands read and write.
    assert len(scenario.command("peer", "list")) == 4 + len(shipped_keys())
    assert [row["result"] for row in scenario.command("show", "forked")["results"]] == ["PASS"]
    scenario.add(("http://127.0.0.1:9/fifth/", "ef" * 32))
    scenario.command("peer", "remove", "ef" * 32)
    assert syncing.poll() is None
    out, err = syncing.communicate(timeout=DEADLINE_S + REST_S)
    assert time.monotonic() - started < DEADLINE_S + REST_S

    outcomes = {row["node"]: row for row in json.loads(out)}
    assert outcomes[scenario.honest[1]]["records"] == HONEST_RECORDS
    for (_, key), reason in (
        (scenario.dripping, "when the 12 seconds of this peer were over"),
        (scenario.lying, "files.json rejected: its bytes hash to"),
        (scenario.forked, "two different statements have the number 1"),
    ):
        assert reason in outcomes[key]["error"]
    assert syncing.returncode != 0
    assert "Traceback" not in err

    # What is left: the honest peer's records, the evidence, and who is to be asked first the next time.
    assert [row["result"] for row in scenario.command("show", "honest-0")["results"]] == ["PASS"]
    evidence = scenario.command("peer", "evidence", scenario.forked[0])
    assert [statement["sequence"] for statement in evidence["statements"]] == [1, 1]
    assert len({statement["sha256"] for statement in evidence["statements"]}) == 2
    states = {row["node"]: row for row in scenario.command("peer", "list")}
    assert states[scenario.honest[1]]["error"] is None
    assert states[scenario.forked[1]]["quarantined_since"]
    assert all(states[key]["error"] for _, key in (scenario.dripping, scenario.lying, scenario.forked))
    again = program.run_in_process("peer", "sync", "--deadline", "0.5", "--json")
    assert again.code in {27, 28, ForkedError.exit_code}
    assert json.loads(again.out)[0]["node"] == scenario.honest[1]
