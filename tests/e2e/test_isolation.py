"""What a cell can reach: the index through the gateway and nothing else; nothing at all during import."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cell_environments import (
    ALPINE,
    SLIM,
    FetchedPip,
    docker_bridge_address,
    host_environ,
    host_environment,
    tiny_matrix,
)
from local_index import LocalIndex
from projects import Project

from ppp.check.cell import Checker, Observation
from ppp.check.gateway.gateway import run_gateway
from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import Runtime
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime
from ppp.model.matrix import Cell, Environment
from ppp.model.record import Network, Result
from ppp.model.release import Release

pytestmark = [pytest.mark.online, pytest.mark.nginx]

#: Tries from inside to reach a listener by TCP and UDP, and the address at which a cell finds the index.
REACH = """
import socket
def reach(host, port, index_port):
    reached = []
    for where in ((host, port), ("127.0.0.1", index_port)):
        try:
            with socket.create_connection(where, timeout=2) as connection:
                connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
                if connection.recv(1) or where[1] == port:
                    reached.append(where)
        except OSError:
            pass
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", (host, port))
    except OSError:
        pass
    return reached
"""


class PortListener:
    """Listens for TCP and UDP on one port and logs what arrives."""

    def __init__(self, host: str) -> None:
        self.tcp = socket.create_server((host, 0))
        self.host, self.port = self.tcp.getsockname()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, self.port))
        self.received: list[str] = []
        for listen in (self._tcp, self._udp):
            threading.Thread(target=listen, daemon=True).start()

    def _tcp(self) -> None:
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            self.received.append("tcp")
            connection.close()

    def _udp(self) -> None:
        while True:
            try:
                if self.udp.recv(100):
                    self.received.append("udp")
            except OSError:
                return

    def close(self) -> None:
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()
        self.udp.close()


def connecting_project(listener: PortListener) -> Project:
    """Return a project that tries to connect during its build, and whose import fails if it can connect then."""
    call = f"reach({listener.host!r}, {listener.port}, 8080)"
    return Project(
        name="reaching",
        kind="sdist",
        files={
            "before_build.py": f"{REACH}\n{call}\n".encode(),
            "src/reaching.py": f"{REACH}\nfound = {call}\nif found:\n    raise RuntimeError(found)\n".encode(),
        },
    )


@contextmanager
def observed(
    environment: Environment, folder: Path, pip: FetchedPip, *, gated: bool
) -> Iterator[tuple[Observation, PortListener]]:
    with ExitStack() as stack:
        client = connect_engine() if environment.image else None
        if client:
            stack.callback(client.close)
        address = docker_bridge_address(client) if client else "127.0.0.1"
        listener = PortListener(address)
        stack.callback(listener.close)
        index = stack.enter_context(LocalIndex(address))
        index.add(connecting_project(listener))
        simple = SimpleIndex(index.url, cache=folder / "files", user_agent="the-pypi-place/tests")
        door = stack.enter_context(run_gateway(simple, cache=folder / "gateway", environ=os.environ)) if gated else None
        matrix = tiny_matrix(environment)
        runtime: Runtime
        if client:
            runtime = DockerRuntime(client, matrix, data=folder, pip=pip.folder, index_url=index.url, gateway=door)
        else:
            confinement = Confinement(bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=door) if door else None
            runtime = HostRuntime(
                matrix, pip=pip.folder, index_url=index.url, environ=host_environ(), confinement=confinement
            )
        stack.callback(runtime.close)
        checker = Checker(index=simple, runtime=runtime, matrix=matrix, node="ab" * 32, index_hosts=simple.hosts)
        cell = Cell(release=Release(package="reaching", version="1.0"), environment=environment.id)
        yield checker.check(cell, runtime.prepare(environment)), listener


@pytest.mark.attack("only-gateway")
@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(SLIM, id=SLIM.id, marks=pytest.mark.docker),
        pytest.param(ALPINE, id=ALPINE.id, marks=pytest.mark.docker),
        pytest.param(None, id="bubblewrap", marks=pytest.mark.sandbox),
    ],
)
def test_nothing_but_the_gateway_is_reached(
    environment: Environment | None, tmp_path: Path, pinned_pip: FetchedPip
) -> None:
    with observed(environment or host_environment(), tmp_path, pinned_pip, gated=True) as (observation, listener):
        assert observation.record.result is Result.PASS, observation.log
        assert observation.record.network is Network.GATEWAY
        assert listener.received == []


@pytest.mark.docker
def test_on_the_open_network_only_the_import_is_isolated(tmp_path: Path, pinned_pip: FetchedPip) -> None:
    with observed(SLIM, tmp_path, pinned_pip, gated=False) as (observation, listener):
        assert observation.record.result is Result.PASS, observation.log
        assert observation.record.network is Network.OPEN
        assert set(listener.received) == {"tcp", "udp"}, "the build reached it, so the test would notice"
