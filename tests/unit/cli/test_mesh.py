"""`ppp peer`: who is quarantined, the evidence, and the end of it."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_http import file_server
from memory_transport import MemoryTransport
from mesh_nodes import NOW, chain_of, mesh_nodes

from ppp.cli import main
from ppp.ledger.store import Store
from ppp.mesh.history import store_statements
from ppp.mesh.node import NodeKey, create_key, verify_signature
from ppp.mesh.peer import add
from ppp.model.record import canonical_json

LIAR, OTHER = (NodeKey.from_seed(bytes([n]) * 32) for n in (7, 8))
URL = "http://liar.example/"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A node with two peers; the second one showed that the first forked."""
    key = create_key(tmp_path)
    with Store.open(tmp_path) as store:
        add(store, key, URL, LIAR.id, now=NOW)
        add(store, key, "http://other.example/", OTHER.id, now=NOW)
        store_statements(store, chain_of(LIAR, 2), source=LIAR.id, own=key.id, now=NOW)
        store_statements(store, chain_of(LIAR, 2, fork_at=2)[1:], source=OTHER.id, own=key.id, now=NOW + 60)
    return tmp_path


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ppp", "peer", *arguments, "--data", str(data)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_the_list_says_who_is_quarantined(run: Run) -> None:
    code, out, _ = run("list")
    assert code == 0
    liar, other = sorted(out.splitlines(), key=lambda line: LIAR.id not in line)
    assert liar.endswith("quarantined since 2024-04-26 00:01 UTC: two different statements have the number 2")
    assert other.endswith("not synced yet")
    rows = {row["node"]: row["quarantined_since"] for row in json.loads(run("list", "--json")[1])}
    assert rows == {LIAR.id: NOW + 60, OTHER.id: None}


@pytest.mark.parametrize("which", [(), (URL,), (LIAR.id.upper(),)])
def test_the_evidence_is_shown(run: Run, which: tuple[str, ...]) -> None:
    code, out, _ = run("evidence", *which)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"node {LIAR.id}: two different statements have the number 2"
    assert lines[1] == f"  found 2024-04-26 00:01 UTC, shown by node {OTHER.id}; quarantined"
    digests = {chain[1].statement.digest for chain in (chain_of(LIAR, 2), chain_of(LIAR, 2, fork_at=2))}
    assert set(lines[2:]) == {f"  statement 2, sha256 {digest}" for digest in digests}


def test_the_evidence_can_be_verified_by_anybody(run: Run) -> None:
    evidence = json.loads(run("evidence", "--json")[1])
    assert [row["reason"] for row in evidence["contradictions"]] == ["two different statements have the number 2"]
    one, other = (row["envelope"] for row in evidence["statements"])
    assert one["signed"] != other["signed"]
    assert one["signed"]["sequence"] == other["signed"]["sequence"] == 2
    for envelope in (one, other):
        assert verify_signature(LIAR.id, canonical_json(envelope["signed"]), envelope["signature"])


def test_without_evidence_it_says_so(run: Run) -> None:
    assert run("evidence", OTHER.id) == (0, "no node has contradicted itself, as far as this one has seen\n", "")
    assert run("evidence", "http://nobody.example/")[0] == 27


def test_clearing_ends_it_once(run: Run) -> None:
    code, out, _ = run("clear", URL)
    assert (code, out) == (0, f"cleared: {LIAR.id} (two different statements have the number 2)\n")
    assert "quarantined" not in run("list")[1]
    assert "; cleared " in run("evidence")[1]
    code, _, err = run("clear", LIAR.id)
    assert code == 27
    assert "is not quarantined" in err


def test_a_removed_peer_can_still_be_cleared(run: Run) -> None:
    assert run("remove", URL)[0] == 0
    assert "quarantined" in run("evidence", LIAR.id)[1]
    assert run("clear", LIAR.id)[0] == 0


def test_synchronizing_says_who_is_quarantined(run: Run) -> None:
    for url in (URL, "http://other.example/"):
        run("remove", url)
    code, out, err = run("sync")
    assert (code, out.strip()) == (35, "no peers: trust one with `ppp peer add URL KEY`")
    assert f"node {LIAR.id} is quarantined as a fork" in err
    assert "ppp peer evidence" in err


# Synchronizing


def test_a_synchronization_says_which_batches_were_rejected(tmp_path: Path, run: Run) -> None:
    web = MemoryTransport()
    with mesh_nodes(tmp_path / "peers", web) as make, file_server(web.files) as url:
        there = make(9)
        there.url, there.now = url, int(time.time())
        there.batch({"schema": "ppp-batch-1", "node": there.key.id, "records": [], "logs": {}})
        for peer in (LIAR.id, OTHER.id):
            run("remove", peer)
        run("clear", LIAR.id)
        run("add", url, there.key.id)
        code, out, err = run("sync")
        assert (code, out) == (
            28,
            f"{url}: 0 new records in 0 batches, 1 batches rejected; the same set of records\n",
        )
        assert err.startswith(f"ppp: {url}: batch ")
        assert "is invalid by batch.schema.json" in err
        assert "1 of its batches rejected; the first: batch " in run("list")[1]
        # It is not new the next time.
        code, out, err = run("sync", "--json", "--deadline", "30")
        assert (code, json.loads(out)[0]["rejected_batches"], err) == (0, 1, "")
        assert "1 of its batches rejected; the first: batch " in run("list")[1]


def test_a_synchronization_takes_no_longer_than_it_may(run: Run) -> None:
    code, out, err = run("sync", "--deadline", "0.001")
    assert code != 0
    assert "http://other.example/: not synced" in out
    assert "when the 0.001 seconds of this peer were over" in err
    assert run("sync", "--deadline", "0")[0] == 2
