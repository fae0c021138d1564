"""`ppp peer`: who is quarantined, the evidence, and the end of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mesh_nodes import NOW, chain_of

from ppp.cli import main
from ppp.ledger.store import Store
from ppp.mesh.history import store_statements
from ppp.mesh.node import NodeKey, create_key, load_key, verify_signature
from ppp.mesh.peer import add
from ppp.mesh.trust import shipped_keys
from ppp.model.canonical import canonical_json

LIAR, OTHER = (NodeKey.from_seed(bytes([n]) * 32) for n in (7, 8))
URL = "http://liar.example/"
(FOUNDER,) = shipped_keys()
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
    shipped, *lines = sorted(out.splitlines(), key=lambda line: "no address" not in line)
    assert shipped.endswith("no address  trusted by matrices/trusted-keys.txt")
    liar, other = sorted(lines, key=lambda line: LIAR.id not in line)
    assert liar.endswith("quarantined since 2024-04-26 00:01 UTC: two different statements have the number 2")
    assert other.endswith("not synced yet")
    rows = {row["node"]: row["quarantined_since"] for row in json.loads(run("list", "--json")[1])}
    assert rows == {LIAR.id: NOW + 60, OTHER.id: None, FOUNDER: None}


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


def test_synchronizing_says_which_peer_is_quarantined(run: Run) -> None:
    run("remove", "http://other.example/")
    code, out, err = run("sync")
    assert (code, out) == (35, f"{URL}: not synced\n")
    (line,) = err.splitlines()
    assert line.startswith(f"ppp: node {LIAR.id} is quarantined as a fork: two different statements have the number 2")
    assert "ppp peer evidence" in line


def test_a_node_that_is_no_peer_any_more_is_no_news(run: Run) -> None:
    for url in (URL, "http://other.example/"):
        run("remove", url)
    assert run("sync") == (0, "no peers: add one with `ppp peer add URL`\n", "")


def test_a_statement_that_somebody_else_signed_with_this_nodes_key_is_news(run: Run, data: Path) -> None:
    own = load_key(data)
    for url in (URL, "http://other.example/"):
        run("remove", url)
    with Store.open(data) as store:
        for chain in (chain_of(own, 1), chain_of(own, 1, fork_at=1)):
            store_statements(store, chain, source=OTHER.id, own=own.id, now=NOW)
    code, _, err = run("sync")
    assert code == 35
    assert f"node {own.id} is quarantined" in err


def test_a_key_that_is_trusted_without_an_address_is_news_when_it_is_quarantined(run: Run) -> None:
    for url in (URL, "http://other.example/"):
        run("remove", url)
    run("trust", LIAR.id)
    code, _, err = run("sync")
    assert code == 35
    assert f"`ppp peer evidence {LIAR.id}`" in err
    assert f"`ppp peer clear {LIAR.id}`" in err
