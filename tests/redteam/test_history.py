"""A peer that shows different histories, or an old one, is found and the proof kept; a wrong clock decides nothing.

The attacker has the key of a trusted peer, and can publish anything; or sits between, and can replay what was there.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from memory_transport import MemoryTransport
from mesh_nodes import NOW, MeshNode, chain_of, mesh_nodes

from ppp.ledger.node_verdicts import read_verdicts
from ppp.ledger.peers import list_peers
from ppp.ledger.quarantines import list_quarantines, quarantined
from ppp.ledger.statements import list_forks
from ppp.ledger.store import Store
from ppp.mesh.chain import FREEZE_TOLERANCE_S, SignedStatement, contradiction
from ppp.mesh.history import MAX_EVIDENCE, MAX_GAP, clear
from ppp.mesh.peer import remove
from ppp.mesh.peers_file import MAX_PEERS_BYTES, peers_document
from ppp.mesh.statement import LIFETIME_S, ForkedError
from ppp.mesh.sync import SyncFailure, SyncReport, sync, sync_all
from ppp.model.errors import PeerError, RejectedDataError
from ppp.model.record import Record

MakeNode = Callable[[int], MeshNode]
MakeRecord = Callable[..., Record]

pytestmark = pytest.mark.attack("history")


@pytest.fixture
def web() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def node(tmp_path: Path, web: MemoryTransport) -> Iterator[MakeNode]:
    with mesh_nodes(tmp_path, web) as make:
        yield make


@pytest.fixture
def trio(node: MakeNode, record: MakeRecord) -> tuple[MeshNode, MeshNode, MeshNode]:
    """This node; an honest peer, which follows the third one too; and the peer whose key the attacker has."""
    here, honest, liar = node(1), node(2), node(3)
    for each in (honest, liar):
        each.add(record(f"of-{each.url[7:12]}", node=each.key.id))
    honest.trust(liar)
    here.trust(honest)
    here.trust(liar)
    liar.publish()
    honest.publish()
    return here, honest, liar


def synced(here: MeshNode, there: MeshNode) -> SyncReport:
    peer = next(p for p in list_peers(here.store.db) if p.node == there.key.id)
    outcome = sync(here.access, peer, here.web, now=here.now)
    if isinstance(outcome, SyncFailure):
        raise outcome.error
    return outcome


def forged(liar: MeshNode, **changes: object) -> SignedStatement:
    """Return another statement in place of the newest one, validly signed."""
    data = liar.statement(**{"root": "ee" * 32, **changes})
    return SignedStatement.open(data, trusted={liar.key.id})


def assert_proved(here: MeshNode, node: str) -> None:
    """Check that a node is quarantined, and that what is kept proves it to anybody."""
    assert node in quarantined(here.store.db)
    kept = [SignedStatement.open(f.text.encode(), trusted={node}) for f in list_forks(here.store.db, node)]
    assert any(contradiction(a, b) for a in kept for b in kept)


def more_statements(liar: MeshNode, count: int) -> None:
    for _ in range(count):
        liar.now += LIFETIME_S // 2 + 1
        liar.write_web_root(liar.batches())
    liar.now = NOW


def test_two_statements_with_one_number(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, _, liar = trio
    synced(here, liar)
    liar.show([forged(liar)])
    with pytest.raises(ForkedError, match="two different statements have the number 1"):
        synced(here, liar)
    assert_proved(here, liar.key.id)


def test_a_fork_behind_a_gap(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, _, liar = trio
    liar.show(chain_of(liar.key, 2))
    del liar.web.files[f"{liar.url}files.json"]
    with pytest.raises(PeerError, match="files"):
        synced(here, liar)
    liar.show(chain_of(liar.key, 9, fork_at=2))
    with pytest.raises(ForkedError, match="statement 3 follows"):
        synced(here, liar)
    assert_proved(here, liar.key.id)


@pytest.mark.parametrize("what", ["missing", "another number", "another node's", "unsigned", "garbage"])
def test_a_gap_that_is_not_shown_is_not_believed(trio: tuple[MeshNode, MeshNode, MeshNode], what: str) -> None:
    here, honest, liar = trio
    liar.show(chain_of(liar.key, 2))
    liar.web.files.pop(f"{liar.url}files.json")
    with pytest.raises(PeerError):
        synced(here, liar)
    chain = chain_of(liar.key, 6)
    liar.show(chain)
    url = f"{liar.url}statements/4.json"
    substitutes = {
        "another number": chain[4].text.encode(),
        "another node's": chain_of(honest.key, 4)[3].text.encode(),
        "unsigned": chain[3].text.replace('"records":4', '"records":5').encode(),
        "garbage": b"\x00" * 500,
    }
    if what == "missing":
        del liar.web.files[url]
    else:
        liar.web.files[url] = substitutes[what]
    with pytest.raises((PeerError, RejectedDataError), match=r"statement"):
        synced(here, liar)
    (peer,) = [p for p in list_peers(here.store.db) if p.node == liar.key.id]
    assert peer.sequence == 3
    assert quarantined(here.store.db) == {}


def test_a_gap_that_is_withheld_does_not_hide_what_is_proved(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, honest, liar = trio
    for there, chain in ((here, chain_of(liar.key, 2)), (honest, chain_of(liar.key, 6, fork_at=2))):
        liar.show(chain)
        liar.web.files.pop(f"{liar.url}files.json", None)
        with pytest.raises(PeerError):
            synced(there, liar)
    honest.publish_seen()
    synced(here, honest)
    liar.show(chain_of(liar.key, 6))
    del liar.web.files[f"{liar.url}statements/3.json"]
    with pytest.raises(ForkedError, match="number 6"):
        synced(here, liar)
    assert_proved(here, liar.key.id)


def test_an_interrupted_gap_is_continued(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, _, liar = trio
    chain = chain_of(liar.key, 9)
    liar.show(chain[:2])
    liar.web.files.pop(f"{liar.url}files.json")
    with pytest.raises(PeerError):
        synced(here, liar)
    liar.show(chain)
    withheld = liar.web.files.pop(f"{liar.url}statements/6.json")
    with pytest.raises(PeerError, match=r"statements/6\.json"):
        synced(here, liar)
    liar.web.files[f"{liar.url}statements/6.json"] = withheld
    here.web.requested.clear()
    with pytest.raises(PeerError, match="files"):
        synced(here, liar)
    assert f"{liar.url}statements/5.json" not in here.web.requested
    (peer,) = [p for p in list_peers(here.store.db) if p.node == liar.key.id]
    assert peer.sequence == 9


def test_an_honest_gap_is_followed(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, _, liar = trio
    synced(here, liar)
    more_statements(liar, 4)
    here.now = liar.now + 2 * LIFETIME_S + 10
    assert synced(here, liar).sequence == 5
    assert [f"{liar.url}statements/{n}.json" in here.web.requested for n in (1, 2, 3, 4, 5)] == [
        False, True, True, True, False,
    ]  # fmt: skip


def test_an_endless_gap_is_followed_in_parts(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, _, liar = trio
    chain = chain_of(liar.key, 2)
    liar.show(chain)
    liar.web.files.pop(f"{liar.url}files.json")
    with pytest.raises(PeerError):
        synced(here, liar)
    # Signed only where it is fetched: a number costs an attacker nothing.
    far = replace(chain[-1].statement, sequence=2**53 - 1, previous="ab" * 32)
    liar.web.files[f"{liar.url}statement.json"] = liar.statement(**far.to_json())
    here.web.requested.clear()
    with pytest.raises((PeerError, RejectedDataError)):
        synced(here, liar)
    assert len(here.web.requested) <= MAX_GAP + 1
    assert quarantined(here.store.db) == {}


@pytest.mark.parametrize("changed", [False, True])
def test_a_rollback(trio: tuple[MeshNode, MeshNode, MeshNode], record: MakeRecord, *, changed: bool) -> None:
    here, _, liar = trio
    synced(here, liar)
    old = forged(liar) if changed else None
    before = liar.published()
    liar.add(record("more", node=liar.key.id))
    liar.publish()
    synced(here, liar)
    liar.web.files.update(before)
    if old:
        # Not only old, but another one than was shown when it was new.
        liar.show([old])
        with pytest.raises(ForkedError):
            synced(here, liar)
        assert_proved(here, liar.key.id)
    else:
        with pytest.raises(RejectedDataError, match="rollback, because number 2 was seen before"):
            synced(here, liar)
        assert quarantined(here.store.db) == {}


def test_an_expired_statement(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, _, liar = trio
    synced(here, liar)
    here.now += LIFETIME_S + 1
    with pytest.raises(RejectedDataError, match="it expired at"):
        synced(here, liar)


def test_a_split_view_shows_through_a_third_node(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, honest, liar = trio
    synced(here, liar)
    shown_here = liar.published()
    liar.show([forged(liar)])
    synced(honest, liar)
    honest.publish_seen()
    liar.web.files.update(shown_here)
    assert synced(here, honest).records == 1, "the peer that shows the proof is honest"
    assert_proved(here, liar.key.id)
    (found,) = list_quarantines(here.store.db)
    assert found.source == honest.key.id
    with pytest.raises(ForkedError, match="quarantined"):
        synced(here, liar)


def test_a_split_view_with_different_numbers_shows_later(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, honest, liar = trio
    one, other = chain_of(liar.key, 8), chain_of(liar.key, 8, fork_at=2)
    for there, chain in ((here, one[:5]), (honest, other[:7])):
        liar.show(chain)
        liar.web.files.pop(f"{liar.url}files.json", None)
        with pytest.raises(PeerError):
            synced(there, liar)
    honest.publish_seen()
    synced(here, honest)
    assert quarantined(here.store.db) == {}, "5 of one history and 7 of another do not prove anything yet"
    liar.show(one)
    with pytest.raises(ForkedError, match=r"quarantined as a fork: .*\b7\b"):
        synced(here, liar)
    assert_proved(here, liar.key.id)


def test_the_proof_is_passed_on(trio: tuple[MeshNode, MeshNode, MeshNode], node: MakeNode) -> None:
    here, honest, liar = trio
    synced(honest, liar)
    liar.show([forged(liar)])
    with pytest.raises(ForkedError):
        synced(honest, liar)
    honest.publish_seen()
    synced(here, honest)
    assert_proved(here, liar.key.id)
    third = node(4)
    third.trust(here)
    here.publish()
    synced(third, here)
    assert quarantined(third.store.db) == {}, "it does not trust the liar, so that its statements are nothing to it"


def test_a_freeze_shows_through_a_third_node(trio: tuple[MeshNode, MeshNode, MeshNode], record: MakeRecord) -> None:
    here, honest, liar = trio
    synced(here, liar)
    frozen = liar.published()
    liar.add(record("more", node=liar.key.id))
    liar.publish()
    synced(honest, liar)
    honest.publish_seen()
    liar.web.files.update(frozen)
    synced(here, honest)
    synced(here, liar)
    here.now += FREEZE_TOLERANCE_S + 1
    with pytest.raises(RejectedDataError, match="others saw its number 2"):
        synced(here, liar)
    assert quarantined(here.store.db) == {}


@pytest.mark.parametrize("forgery", ["signed by the other", "unsigned", "old", "of this node"])
def test_no_node_can_be_accused_by_another(trio: tuple[MeshNode, MeshNode, MeshNode], forgery: str) -> None:
    here, accused, liar = trio
    here.publish()
    synced(here, accused)
    victim = here if forgery == "of this node" else accused
    chain = chain_of(victim.key, 1)
    text = {
        "signed by the other": json.dumps(
            json.loads(chain_of(liar.key, 1)[0].text) | {"signed": chain[0].statement.to_json()}
        ),
        "unsigned": chain[0].text.replace('"records":1', '"records":2'),
        "old": accused.published()[f"{accused.url}statements/1.json"].decode(),
        "of this node": chain[0].text.replace('"records":1', '"records":2'),
    }[forgery]
    liar.web.files[f"{liar.url}peers.json"] = peers_document([text])
    synced(here, liar)
    assert quarantined(here.store.db) == {}
    assert list_forks(here.store.db) == []
    synced(here, accused)


def test_a_statement_that_somebody_signs_with_this_nodes_key_is_evidence(
    trio: tuple[MeshNode, MeshNode, MeshNode],
) -> None:
    here, honest, _ = trio
    here.publish()
    honest.web.files[f"{honest.url}peers.json"] = peers_document([chain_of(here.key, 1)[0].text])
    synced(here, honest)
    assert_proved(here, here.key.id)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[" * 10_000,
        b"x" * (MAX_PEERS_BYTES + 1),
        json.dumps({"schema": "ppp-peers-1", "statements": [{"signed": {"node": "x"}, "signature": ""}]}).encode(),
    ],
    ids=["empty", "deep", "large", "malformed"],
)
def test_a_malformed_list_of_what_was_seen(trio: tuple[MeshNode, MeshNode, MeshNode], content: bytes) -> None:
    here, honest, liar = trio
    liar.web.files[f"{liar.url}peers.json"] = content
    outcomes = {o.peer.node: o for o in sync_all(here.access, here.web, now=here.now)}
    assert isinstance(outcomes[liar.key.id], SyncFailure)
    assert isinstance(outcomes[honest.key.id], SyncReport)


def test_endless_contradictions_do_not_fill_the_ledger(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, accomplice, liar = trio
    synced(here, liar)
    for number in range(60):
        forks = [forged(liar, root=f"{number * 4 + n:064x}").text for n in range(4)]
        accomplice.web.files[f"{accomplice.url}peers.json"] = peers_document(forks)
        synced(here, accomplice)
    assert_proved(here, liar.key.id)
    assert MAX_EVIDENCE <= len(list_forks(here.store.db)) < MAX_EVIDENCE + 10
    assert len(list_quarantines(here.store.db)) == 1


# Quarantine


@pytest.fixture
def forked(trio: tuple[MeshNode, MeshNode, MeshNode]) -> tuple[MeshNode, MeshNode, MeshNode]:
    """The same nodes, after this one found that the third forked."""
    here, honest, liar = trio
    synced(here, liar)
    liar.show([forged(liar)])
    with pytest.raises(ForkedError):
        synced(here, liar)
    return here, honest, liar


def test_a_quarantine_outlives_the_process_and_the_peer(
    forked: tuple[MeshNode, MeshNode, MeshNode], tmp_path: Path
) -> None:
    here, _, liar = forked
    with Store.open(tmp_path / "node1") as again:
        assert liar.key.id in quarantined(again.db)
    remove(here.store, liar.url)
    here.trust(replace(liar, url="http://moved.example/"))
    with pytest.raises(ForkedError, match="quarantined"):
        synced(here, liar)
    assert not [url for url in here.web.requested if url.startswith("http://moved.example/")]


def test_nothing_of_a_quarantined_node_comes_through_others(
    forked: tuple[MeshNode, MeshNode, MeshNode], record: MakeRecord
) -> None:
    here, honest, liar = forked
    liar.add(record("smuggled", node=liar.key.id))
    liar.publish()
    synced(honest, liar)
    honest.publish()
    report = synced(here, honest)
    assert report.untrusted_batches == 1
    assert not here.store.db.execute("SELECT 1 FROM records WHERE package = 'smuggled'").fetchall()
    clear(here.store, liar.key.id, now=NOW)
    assert synced(here, honest).records >= 1
    assert here.store.db.execute("SELECT 1 FROM records WHERE package = 'smuggled'").fetchall()


def test_what_was_merged_before_stays(forked: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, _, liar = forked
    assert here.store.db.execute("SELECT count(*) FROM records WHERE node = ?", (liar.key.id,)).fetchone() == (1,)


def test_a_person_ends_a_quarantine(forked: tuple[MeshNode, MeshNode, MeshNode], record: MakeRecord) -> None:
    here, honest, liar = forked
    before = list_forks(here.store.db)
    # The other history is what the honest peer saw, and goes on showing.
    synced(honest, liar)
    honest.publish_seen()
    assert clear(here.store, liar.key.id, now=NOW + 5).reason == "two different statements have the number 1"
    liar.publish()
    synced(here, liar)
    synced(here, honest)
    assert quarantined(here.store.db) == {}
    (ended,) = list_quarantines(here.store.db)
    assert (ended.cleared_at, ended.cleared_through) == (NOW + 5, 1)
    assert list_forks(here.store.db) == before
    with pytest.raises(PeerError, match="is not quarantined"):
        clear(here.store, liar.key.id, now=NOW)
    liar.add(record("more", node=liar.key.id))
    liar.publish()
    synced(here, liar)
    liar.show([forged(liar)])
    with pytest.raises(ForkedError, match="number 2"):
        synced(here, liar)


# Clocks


def test_a_peer_whose_clock_is_ahead_cannot_replace_this_nodes_word(
    trio: tuple[MeshNode, MeshNode, MeshNode], record: MakeRecord
) -> None:
    here, _, liar = trio
    ours = record("split", node=here.key.id, observed_at=NOW - 5)
    here.add(ours)
    liar.add(record("split", node=liar.key.id, observed_at=NOW + 110, result="FAIL"))
    liar.publish()
    synced(here, liar)
    (found,) = read_verdicts(here.store.db, ours.release, own=here.key.id).values()
    assert found.shown == ours
    assert (found.agreeing, len(found.by_node)) == (1, 2)


@pytest.mark.parametrize("ahead_s", [121, 3599, 86_400 * 365])
def test_a_record_from_the_future_waits_until_its_time_has_come(
    trio: tuple[MeshNode, MeshNode, MeshNode], record: MakeRecord, ahead_s: int
) -> None:
    here, _, liar = trio
    early = record("early", node=liar.key.id, observed_at=NOW + ahead_s)
    liar.add(early)
    liar.publish()
    for outcome in sync_all(here.access, here.web, now=here.now):
        if isinstance(outcome, SyncFailure):
            assert "was observed in the future" in str(outcome.error)
    assert not here.store.db.execute("SELECT 1 FROM records WHERE observed_at > ?", (NOW + 120,)).fetchall()
    if ahead_s < LIFETIME_S:
        here.now += ahead_s
        synced(here, liar)
        assert here.store.db.execute("SELECT 1 FROM records WHERE record = ?", (early.id,)).fetchall()


def test_a_statement_from_the_future(trio: tuple[MeshNode, MeshNode, MeshNode]) -> None:
    here, _, liar = trio
    liar.show([forged(liar, issued_at=NOW + 121, expires_at=NOW + LIFETIME_S)])
    with pytest.raises(RejectedDataError, match="issued in the future"):
        synced(here, liar)
