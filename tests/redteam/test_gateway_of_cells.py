"""Code in a cell against the gateway of all cells: with thousands of connections, and requests without an end."""

import threading
from collections.abc import Iterator
from typing import Final

import pytest
from cell_environments import FetchedPip
from local_index import reply
from projects import module_project
from runtimes import GATED, OTHER, RuntimePlace, run_python, running_runtime

from ppp.check.causes import classify_failure
from ppp.model.record import Blame, Outcome, Phase

#: How long an attack lasts, in seconds: as long as it does, a neighbour installs again and again.
ATTACK_S: Final = 4

#: A project that no other test installs.
LATE: Final = module_project("late", "")

#: Opens all the connections that it can, in several processes, to the port and to the socket behind it.
FLOOD: Final = """
import os, socket, sys, time
first = {first!r}
for _ in range(11):
    if os.fork() == 0:
        break
held, refused = [], 0
def connect():
    if len(held) % 2 and os.path.exists('/ppp/sockets/socket'):
        connection, address = socket.socket(socket.AF_UNIX), '/ppp/sockets/socket'
    else:
        connection, address = socket.socket(), ('127.0.0.1', 8080)
    connection.settimeout(0.2)
    held.append(connection)
    connection.connect(address)
    connection.send(first)
while len(held) < 220:
    try:
        connect()
    except OSError:
        refused += 1
        time.sleep(0.01)
os.write(1, b'%d %d\\n' % (len(held), refused))
time.sleep(60)
"""


@pytest.fixture(scope="module", params=GATED)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip
) -> Iterator[RuntimePlace]:
    with running_runtime(request.param, tmp_path_factory.mktemp(request.param), pinned_pip) as running:
        yield running


@pytest.mark.attack("separate-cells")
@pytest.mark.parametrize(
    "first",
    [b"GET / HTTP/1.1\r\n", b"GET /0000000000000000/x/ HTTP/1.1\r\nHost: x\r\n\r\n" * 5],
    ids=["half a header", "requests"],
)
def test_connections_of_one_cell_do_not_fail_another_ones_installation(running: RuntimePlace, first: bytes) -> None:
    with running.sandbox() as attacker, running.sandbox() as neighbour:
        outputs = []

        def attack() -> None:
            outputs.append(run_python(attacker, FLOOD.format(first=first), timeout_s=ATTACK_S))

        attacking = threading.Thread(target=attack)
        attacking.start()
        installed = 0
        while attacking.is_alive():
            target = f"{neighbour.scratch}/{installed}"
            done = neighbour.pip(["install", "--no-cache-dir", "--target", target, OTHER.name], timeout_s=30)
            assert done.ok, done.output
            assert "Retrying" not in done.output, done.output
            installed += 1
        attacking.join()
    assert outputs[0].timed_out, outputs
    assert installed


@pytest.mark.attack("same-bytes")
def test_wrong_bytes_of_the_index_are_no_fault_of_the_package_and_gone_for_the_next_cell(running: RuntimePlace) -> None:
    assert running.index is not None
    path = f"/files/{LATE.name}/{LATE.filename}"
    running.index.add(LATE)
    running.index.set_response(path, reply(LATE.build()[:-9] + b"different"))
    install = ["install", "--no-cache-dir", "--retries=1", LATE.name]
    with running.sandbox() as cell:
        failed = cell.pip(install, timeout_s=60)
    assert not failed.ok
    report = classify_failure(Phase.FULL, failed, package="example-lib")
    assert (report.outcome, report.blame) == (Outcome.ERROR, Blame.INFRASTRUCTURE), failed.output
    running.index.set_response(path, reply(LATE.build()))
    with running.sandbox() as cell:
        installed = cell.pip(install, timeout_s=60)
    assert installed.ok, installed.output
