"""Code in a cell against the gateway of all cells: with thousands of connections, and requests without an end."""

import threading
from collections.abc import Iterator
from typing import Final

import pytest
from cell_environments import FetchedPip
from runtimes import GATED, OTHER, RuntimePlace, run_python, running_runtime

pytestmark = pytest.mark.attack("separate-cells")

#: How long an attack lasts, in seconds: as long as it does, a neighbour installs again and again.
ATTACK_S: Final = 4

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
    assert installed >= 2
