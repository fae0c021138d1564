"""`ppp peer add`, `list`, `trust` and `distrust`, with a node that really publishes on this machine."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ppp.cli import main
from ppp.ledger.peers import list_peers
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey, create_key
from ppp.mesh.peer import add, distrust
from ppp.mesh.trust import shipped_keys
from ppp.model.record import Record

OTHER = NodeKey.from_seed(b"o" * 32)
(FOUNDER,) = shipped_keys()
Run = Callable[..., tuple[int, str, str]]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Iterator[tuple[str, str]]:
    """The URL and key of a node that publishes a record of its own and one of another node."""
    data = tmp_path_factory.mktemp("published")
    key = create_key(data)
    with Store.open(data) as store:
        store.add_record(record("one", node=key.id))
    subprocess.run(
        [sys.executable, "-m", "ppp", "publish", "--data", str(data)], check=True, capture_output=True, timeout=120
    )
    handler = partial(QuietHandler, directory=str(data / "public"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", key.id
        server.shutdown()
        thread.join(5)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ppp", "peer", *arguments, "--data", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def peers(data: Path) -> list[tuple[str, str]]:
    with Store.open(data) as store:
        return [(peer.node, peer.url) for peer in list_peers(store.db)]


def test_without_a_terminal_it_shows_the_keys_and_what_to_run(
    run: Run, tmp_path: Path, published: tuple[str, str]
) -> None:
    url, key = published
    code, out, err = run("add", url)
    assert code == 27
    title, statement, row = out.splitlines()
    assert title == f"{url} is published by node {key}"
    assert "its statement 1, signed by it on 20" in statement
    assert row == (
        f"  {key}  1 records, signed by it in 1 batches, the newest of 2024-04-25 00:00 UTC; publishes here, not"
        " trusted yet"
    )
    assert f"`ppp peer add {url} --key {key}`" in err
    assert peers(tmp_path) == []


def test_a_key_that_is_given_is_not_asked_about(run: Run, tmp_path: Path, published: tuple[str, str]) -> None:
    url, key = published
    code, out, _ = run("add", url, "--key", key.upper(), "--json")
    assert (code, json.loads(out)) == (0, {"node": key, "url": url, "trusted": [key]})
    assert peers(tmp_path) == [(key, url)]
    code, _, err = run("add", url)
    assert code == 27
    assert f"node {key} is already a peer, at {url}" in err


def on_terminal(data: Path, answers: str, *arguments: str) -> tuple[int, str]:
    """Run a command whose standard input is a terminal, on which a person types the answers."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answers.encode())
        done = subprocess.run(
            [sys.executable, "-m", "ppp", "peer", *arguments, "--data", str(data)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 27), ("\n", 27)])
def test_a_person_confirms_the_key_on_a_terminal(
    tmp_path: Path, published: tuple[str, str], answer: str, code: int
) -> None:
    url, key = published
    ended, out = on_terminal(tmp_path, answer, "add", url)
    assert ended == code, out
    assert f"Trust {key}, and fetch from {url}? [y/N]" in out
    assert peers(tmp_path) == ([(key, url)] if code == 0 else [])


def test_a_key_is_trusted_and_distrusted_without_an_address(run: Run) -> None:
    assert run("trust", OTHER.id)[0] == 0
    assert f"{OTHER.id}  no address  trusted by ppp peer trust\n" in run("list")[1]
    assert run("distrust", OTHER.id)[:2] == (0, f"not trusted: {OTHER.id}; `ppp peer trust {OTHER.id}` changes that\n")
    assert run("distrust", FOUNDER, "--json")[0] == 0
    rows = {row["node"]: row["trusted"] for row in json.loads(run("list", "--json")[1])}
    assert rows == {OTHER.id: None, FOUNDER: None}
    assert run("trust", "x")[0] == 27


def test_a_removed_peer_that_the_shipped_list_trusts_says_so(run: Run, tmp_path: Path) -> None:
    key = create_key(tmp_path)
    with Store.open(tmp_path) as store:
        distrust(store, key, FOUNDER, now=1)
        add(store, key, "http://founder.example/", FOUNDER, now=2)
    code, out, _ = run("remove", FOUNDER)
    assert (code, f"`ppp peer distrust {FOUNDER}`" in out) == (0, True)


def test_this_nodes_own_address_is_refused(run: Run, tmp_path: Path, published: tuple[str, str]) -> None:
    url, _ = published
    assert run("add", "not an address")[0] == 27
    assert run("add", f"{url}nowhere/")[0] == 41
    assert peers(tmp_path) == []
