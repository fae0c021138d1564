"""Three nodes on a real mesh: three Yggdrasil daemons in network namespaces, joined in a line 1-2-3 by veth pairs.

Each node serves its public folder at its Yggdrasil address with `ppp serve --mesh`; they check different packages,
synchronise, and end on the same bytes. Everything this starts or makes is its own, and goes when the test ends.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from ppp.ledger.batches import ledger_root
from ppp.ledger.schema import read_ledger
from ppp.ledger.store import Store
from ppp.mesh.node import create_key, load_key
from ppp.mesh.peer import add
from ppp.model.record import Record, sha256_hex

pytestmark = pytest.mark.mesh

#: A mesh that has not come up, or has not agreed, by then is broken; a usual run takes a third of it.
DEADLINE_S = 40
PORT = 8080
MESH_PORT = 9001
SERVE = ("serve", "--mesh", "--host", "::", "--port", str(PORT))
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NODES = (1, 2, 3)
#: The line's two links: which nodes, and the network between them.
LINKS = ((1, 2, "10.201.12"), (3, 2, "10.201.32"))
RESOLVE = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()"

MakeRecord = Callable[..., Record]


@dataclass(kw_only=True)
class Place:
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
    """The machine's side of it: commands, processes by their ids, and the time that is left."""

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

    def ppp(self, place: Place, *arguments: str) -> str:
        inside = ("ip", "netns", "exec", place.namespace)
        return self.run(*inside, sys.executable, "-m", "ppp", *arguments, "--data", str(place.data), "--json").stdout

    def start(self, place: Place, name: str, *command: str) -> Path:
        """Start a process in a place, and see to its end; give its log."""
        log = self.folder / f"{name}{place.number}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ("ip", "netns", "exec", place.namespace, *command),
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
def places(mesh: Mesh) -> Sequence[Place]:
    """The three places, each with an address on the mesh."""
    made = []
    for number in NODES:
        place = Place(number=number, namespace=f"ppp-{os.getpid()}-{number}", data=mesh.folder / f"data{number}")
        mesh.run("ip", "netns", "add", place.namespace)
        # The links in a namespace go with it.
        mesh.stack.callback(
            subprocess.run, ("ip", "netns", "delete", place.namespace), env=mesh.environ, timeout=10, check=True
        )
        mesh.run("ip", "-n", place.namespace, "link", "set", "lo", "up")
        made.append(place)
    by_number = {place.number: place for place in made}
    for one, other, network in LINKS:
        ends = ((by_number[one], f"to{other}", 1), (by_number[other], f"to{one}", 2))
        (here, near, _), (there, far, _) = ends
        peer = ("peer", "name", far, "netns", there.namespace)
        mesh.run("ip", "-n", here.namespace, "link", "add", near, "type", "veth", *peer)
        for place, link, host in ends:
            mesh.run("ip", "-n", place.namespace, "address", "add", f"{network}.{host}/24", "dev", link)
            mesh.run("ip", "-n", place.namespace, "link", "set", link, "up")
    # The one that listens first: a dial that is refused is tried again only after a minute.
    daemon(mesh, by_number[2], Listen=[f"tcp://0.0.0.0:{MESH_PORT}"])
    for one, _, network in LINKS:
        daemon(mesh, by_number[one], Peers=[f"tcp://{network}.2:{MESH_PORT}"])
    return made


def daemon(mesh: Mesh, place: Place, **settings: list[str]) -> None:
    """Start a Yggdrasil daemon that dials or listens as told and does nothing else; note its address."""
    config = json.loads(mesh.run("yggdrasil", "-genconf", "-json").stdout)
    config |= {"AdminListen": "none", "MulticastInterfaces": [], "NodeInfoPrivacy": True, **settings}
    path = mesh.folder / f"yggdrasil{place.number}.json"
    path.touch(0o600)
    path.write_text(json.dumps(config))
    place.address = mesh.run("yggdrasil", "-useconffile", str(path), "-address").stdout.strip()
    log = mesh.start(place, "yggdrasil", "yggdrasil", "-useconffile", str(path))
    ready = "TCP listener started on" if "Listen" in settings else "Connected"
    mesh.wait_for(f"yggdrasil {place.number}: {ready}", lambda: ready in log.read_text())


def test_three_nodes_on_a_mesh_end_on_the_same_bytes(mesh: Mesh, places: Sequence[Place], record: MakeRecord) -> None:
    one, two, three = places
    log = "what pip said"
    for place in places:
        key = create_key(place.data)
        with Store.open(place.data) as store:
            for n in range(place.number):
                store.add_record(record(f"package-{place.number}-{n}", node=key.id))
            failed = record("common", node=key.id, result="FAIL", log_sha256=sha256_hex(log.encode()))
            store.add_record(failed, log)
        mesh.ppp(place, "publish")
        mesh.start(place, "serve", sys.executable, "-m", "ppp", *SERVE, "--data", str(place.data))
    for place in places:
        for other in places:
            if other is not place:
                with Store.open(place.data) as store:
                    add(store, load_key(place.data), other.url, load_key(other.data).id, now=int(time.time()))
    assert len({place.current for place in places}) == 3

    for here, there in ((one, three), (three, one), (two, one)):
        reach = ("ip", "netns", "exec", here.namespace, sys.executable, "-c", RESOLVE, there.address, str(PORT))
        mesh.wait_for(f"{here.number} reaches {there.number}", partial(mesh.succeeds, *reach))

    for place in places:
        synced = json.loads(mesh.ppp(place, "peer", "sync"))
        assert len(synced) == 2
        assert not [outcome for outcome in synced if "trouble" in outcome]
    assert len({place.root for place in places}) == 1
    assert one.current == two.current == three.current
    assert all(outcome["agree"] for outcome in json.loads(mesh.ppp(one, "peer", "sync")))

    # One more record, and the others are told instead of asking.
    with Store.open(one.data) as store:
        store.add_record(record("late", node=load_key(one.data).id))
    mesh.ppp(one, "publish")
    assert one.current != three.current
    heard = json.loads(mesh.ppp(one, "peer", "push"))
    assert [answer["heard"] for answer in heard] == ["accepted", "accepted"]
    mesh.wait_for("the others take over what was announced", lambda: one.current == two.current == three.current)
    assert one.root == two.root == three.root
