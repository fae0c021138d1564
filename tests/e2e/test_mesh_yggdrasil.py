"""Five nodes on a real mesh: Yggdrasil daemons in network namespaces, joined in a line 1-2-3-4-5 by veth pairs.

Each node serves its public folder at its Yggdrasil address with `ppp serve --mesh`; they have different records, and
publish the same bytes in the end: first they synchronize, then one of them announces what is new. Only node 1 knows the
address of each; the others know its address alone, and trust the other keys without one. The test removes everything
that it started or created.
"""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from ppp import config as settings
from ppp import pipeline
from ppp.ledger.batches import ledger_root
from ppp.ledger.schema import read_ledger
from ppp.ledger.store import Store
from ppp.mesh.node import create_key
from ppp.mesh.peer import add, trust
from ppp.mesh.yggdrasil import address_mistake, address_of, read_getself
from ppp.model.canonical import sha256_hex
from ppp.model.record import Record
from ppp.progress import LineReporter
from ppp.runner.context import Context

pytestmark = pytest.mark.mesh

#: The limit for the whole test, generous for a busy machine: it takes about 20 seconds on one at rest.
DEADLINE_S = 180
PORT = 8080
MESH_PORT = 9001
SERVE = ("serve", "--mesh", "--host", "::", "--port", str(PORT))
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NODES = (1, 2, 3, 4, 5)
#: The links of the line: a node, the next one, and the network between them.
LINKS = tuple((n, n + 1, f"10.201.{n}") for n in NODES[:-1])
RESOLVE = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()"

MakeRecord = Callable[..., Record]


@dataclass(kw_only=True)
class NetworkNode:
    """A network namespace with a Yggdrasil daemon and a PPP node in it."""

    number: int
    namespace: str
    data: Path
    address: str = ""

    @property
    def url(self) -> str:
        return f"http://[{self.address}]:{PORT}/"

    @property
    def current(self) -> bytes:
        return (self.data / "public" / "current.json").read_bytes()

    @property
    def root(self) -> str:
        db = read_ledger(self.data)
        try:
            return ledger_root(db)
        finally:
            db.close()


class Mesh:
    """Runs commands and processes on this machine, within the time that is left."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.deadline = time.monotonic() + DEADLINE_S
        self.environ = {**os.environ, "PATH": PATH, "PYTHONWARNINGS": "error"}
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            self.environ.pop(name, None)
            self.environ.pop(name.upper(), None)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        left_s = max(self.deadline - time.monotonic(), 0.1)
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, timeout=left_s, check=False, cwd=self.folder
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} gave {done.returncode}: {done.stdout}{done.stderr}\n{self.logs()}")
        return done

    def succeeds(self, *command: str) -> bool:
        return self.run(*command, check=False).returncode == 0

    def ppp(self, node: NetworkNode, *arguments: str) -> str:
        inside = ("ip", "netns", "exec", node.namespace)
        return self.run(*inside, sys.executable, "-m", "ppp", *arguments, "--data", str(node.data), "--json").stdout

    def start(self, node: NetworkNode, name: str, *command: str) -> Path:
        """Start a process in a node's namespace, stop it at the end of the test, and return the path of its log."""
        log = self.folder / f"{name}{node.number}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ("ip", "netns", "exec", node.namespace, *command),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environ,
                cwd=self.folder,
            )
        self.stack.callback(stop, process)
        return log

    def wait_for(self, what: str, is_so: Callable[[], bool]) -> None:
        while not is_so():
            if time.monotonic() > self.deadline:
                pytest.fail(f"{what}: not within {DEADLINE_S} s\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in sorted(self.folder.glob("*.log")))


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with ExitStack() as stack:
        yield Mesh(tmp_path, stack)


@pytest.fixture
def nodes(mesh: Mesh) -> Sequence[NetworkNode]:
    """The nodes, each with an address on the mesh."""
    made = []
    for number in NODES:
        node = NetworkNode(number=number, namespace=f"ppp-{os.getpid()}-{number}", data=mesh.folder / f"data{number}")
        mesh.run("ip", "netns", "add", node.namespace)
        # This removes the links in the namespace too.
        mesh.stack.callback(
            subprocess.run, ("ip", "netns", "delete", node.namespace), env=mesh.environ, timeout=10, check=True
        )
        mesh.run("ip", "-n", node.namespace, "link", "set", "lo", "up")
        made.append(node)
    by_number = {node.number: node for node in made}
    for one, other, network in LINKS:
        ends = ((by_number[one], f"to{other}", 1), (by_number[other], f"to{one}", 2))
        (here, near, _), (there, far, _) = ends
        peer = ("peer", "name", far, "netns", there.namespace)
        mesh.run("ip", "-n", here.namespace, "link", "add", near, "type", "veth", *peer)
        for node, link, host in ends:
            mesh.run("ip", "-n", node.namespace, "address", "add", f"{network}.{host}/24", "dev", link)
            mesh.run("ip", "-n", node.namespace, "link", "set", link, "up")
    # A daemon whose connection is refused waits before the next try: each is started after the one that it connects to.
    to_next = {one: f"tcp://{network}.2:{MESH_PORT}" for one, _, network in LINKS}
    for node in reversed(made):
        peers = [to_next[node.number]] if node.number in to_next else []
        daemon(mesh, node, Listen=[f"tcp://0.0.0.0:{MESH_PORT}"], Peers=peers)
    return made


def daemon(mesh: Mesh, node: NetworkNode, **changes: list[str]) -> None:
    """Start a Yggdrasil daemon with these settings and nothing else; its address follows from its key."""
    config = json.loads(mesh.run("yggdrasil", "-genconf", "-json").stdout)
    socket = f"unix://{mesh.folder}/admin{node.number}.sock"
    config |= {"AdminListen": socket, "MulticastInterfaces": [], "NodeInfoPrivacy": True, **changes}
    path = mesh.folder / f"yggdrasil{node.number}.json"
    path.touch(0o600)
    path.write_text(json.dumps(config))
    # The last half of an Ed25519 secret key, as Go keeps it, is the public key.
    node.address = str(address_of(config["PrivateKey"][64:]))
    log = mesh.start(node, "yggdrasil", "yggdrasil", "-useconffile", str(path))
    for ready in ("TCP listener started on", *(["Connected"] if changes["Peers"] else [])):
        mesh.wait_for(f"yggdrasil {node.number}: {ready}", lambda text=ready: text in log.read_text())  # type: ignore[misc]
    said = read_getself(mesh.run("yggdrasilctl", "-json", f"-endpoint={socket}", "getself").stdout)
    assert (address_mistake(said), str(said.address)) == (None, node.address)


def publish(node: NetworkNode) -> None:
    """Publish in this process: that needs no network, and starting Python takes longer."""
    config = settings.load({}, data=node.data)
    pipeline.publish(Context(config=config, reporter=LineReporter(io.StringIO()), environ={}, stop=threading.Event()))


def test_five_nodes_on_a_mesh_publish_the_same_bytes(
    mesh: Mesh, nodes: Sequence[NetworkNode], record: MakeRecord
) -> None:
    one, *others = nodes
    keys = {node.number: create_key(node.data) for node in nodes}
    log = "the output of pip"
    for node in nodes:
        key = keys[node.number]
        with Store.open(node.data) as store:
            for n in range(node.number):
                store.add_record(record(f"package-{node.number}-{n}", node=key.id))
            failed = record("common", node=key.id, result="FAIL", log_sha256=sha256_hex(log.encode()))
            store.add_record(failed, log)
            for other in others if node is one else [one]:
                add(store, key, other.url, keys[other.number].id, now=int(time.time()))
            for other in others:
                if one is not node is not other:
                    trust(store, key, keys[other.number].id, now=int(time.time()))
        publish(node)
        mesh.start(node, "serve", sys.executable, "-m", "ppp", *SERVE, "--data", str(node.data))
    assert len({node.current for node in nodes}) == len(nodes)

    far = others[-1]
    for here, there in ((one, far), (far, one), *((one, other) for other in others[:-1])):
        reach = (
            "ip",
            "netns",
            "exec",
            here.namespace,
            sys.executable,
            "-I",
            "-S",
            "-c",
            RESOLVE,
            there.address,
            str(PORT),
        )
        mesh.wait_for(f"{here.number} reaches {there.number}", partial(mesh.succeeds, *reach))

    for node in nodes:
        synced = json.loads(mesh.ppp(node, "peer", "sync"))
        assert len(synced) == (len(others) if node is one else 1)
        assert not [outcome for outcome in synced if "error" in outcome or outcome["untrusted"]]
    assert len({node.root for node in nodes}) == 1
    assert len({node.current for node in nodes}) == 1

    # One more record: now it is announced to the others.
    with Store.open(one.data) as store:
        store.add_record(record("late", node=keys[1].id))
    publish(one)
    assert one.current != far.current
    announced = json.loads(mesh.ppp(one, "peer", "push"))
    assert [row["status"] for row in announced] == ["accepted"] * len(others)
    mesh.wait_for("the others merge what was announced", lambda: len({node.current for node in nodes}) == 1)
    assert len({node.root for node in nodes}) == 1
    for node in nodes:
        assert unsealed_records(node) == 0


def unsealed_records(node: NetworkNode) -> int:
    """Return how many records of a node's ledger, all of which its statement covers, are in no batch."""
    with closing(read_ledger(node.data)) as db:
        (count,) = db.execute(
            "SELECT count(*) FROM records WHERE record NOT IN (SELECT record FROM batch_records)"
        ).fetchone()
    return int(count)
