"""Synchronizing over the fake transport: what is valid is merged, of the rest only the reason is stored."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from ppp.ledger.batches import compress_batch, ledger_root, list_batches
from ppp.ledger.peers import Peer, list_peers
from ppp.ledger.statements import list_forks
from ppp.mesh.batch import MAX_BATCH_BYTES
from ppp.mesh.fetch import UnavailableFileError
from ppp.mesh.peer import remove
from ppp.mesh.receive import RETRY_S, LocalState, fetch_file_lists, receive_batches
from ppp.mesh.statement import LIFETIME_S
from ppp.mesh.sync import LedgerAccess, SyncFailure, SyncReport, sync, sync_all
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import PeerError, RejectedDataError
from ppp.model.record import Record

# The nodes of conftest.py, which cannot be imported from here.
Node = Any
MakeNode = Callable[[int], Node]
MakeRecord = Callable[..., Record]
MakeDocument = Callable[..., dict[str, Any]]


def synced(here: Node, there: Node) -> SyncReport:
    """Synchronize with a peer as the ledger has it now."""
    peer = next(p for p in list_peers(here.store.db) if p.node == there.key.id)
    outcome = sync(here.access, peer, here.web, now=here.now)
    if isinstance(outcome, SyncFailure):
        raise outcome.error
    return outcome


def refused(here: Node, there: Node, reason: str) -> Peer:
    """Check that synchronizing refuses one batch, and changes only the peer's error; return the peer."""
    before = here.dump()
    report = synced(here, there)
    assert (report.batches, report.rejected_batches, len(report.rejections)) == (0, 1, 1)
    assert re.search(reason, report.rejections[0])
    assert report.rejections[0].isprintable()
    assert here.dump() == before
    peer = next(p for p in list_peers(here.store.db) if p.node == there.key.id)
    assert peer.sync_error == f"1 of its batches rejected; the first: {report.rejections[0]}"
    return peer


def rejected(here: Node, there: Node, reason: str) -> Peer:
    """Check that synchronizing is rejected and changes only the peer's error; return the peer."""
    before = here.dump()
    with pytest.raises(RejectedDataError, match=reason) as error:
        synced(here, there)
    assert here.dump() == before
    peer = next(p for p in list_peers(here.store.db) if p.node == there.key.id)
    assert peer.sync_error == str(error.value)
    assert peer.sync_error.isprintable()
    return peer


@pytest.fixture
def pair(node: MakeNode, record: MakeRecord) -> tuple[Node, Node]:
    """Two nodes; the first trusts the second, which has published two records."""
    here, there = node(1), node(2)
    there.add(record("alpha", node=there.key.id), record("beta", node=there.key.id))
    there.publish()
    here.trust(there)
    return here, there


def test_a_peers_records_are_merged(pair: tuple[Node, Node]) -> None:
    here, there = pair
    report = synced(here, there)
    assert (report.sequence, report.batches, report.records, report.untrusted_batches, report.agree) == (
        1,
        1,
        2,
        0,
        True,
    )
    assert ledger_root(here.store.db) == ledger_root(there.store.db)
    (peer,) = list_peers(here.store.db)
    assert (peer.sequence, peer.synced_at, peer.sync_error) == (1, here.now, None)


def test_all_files_are_fetched_in_one_session(pair: tuple[Node, Node]) -> None:
    here, there = pair
    synced(here, there)
    assert here.web.connections == 1
    assert len(here.web.requested) > 3


def test_a_second_synchronisation_requests_no_batch(pair: tuple[Node, Node]) -> None:
    here, there = pair
    synced(here, there)
    before = here.dump()
    here.web.requested.clear()
    report = synced(here, there)
    assert (report.batches, report.records) == (0, 0)
    assert here.web.requested == [f"{there.url}{name}.json" for name in ("statement", "peers", "files")]
    assert here.dump() == before


def test_batches_are_found_through_the_lists_that_files_json_names(pair: tuple[Node, Node]) -> None:
    here, there = pair
    files = there.batches()
    rows = sorted([path, len(data), sha256_hex(data)] for path, data in files.items())
    held = json.dumps({"schema": "ppp-files-1", "files": rows}).encode()
    named = [["files/batches.json", len(held), sha256_hex(held)], ["files/packages.json", 7, "ab" * 32]]
    top = json.dumps({"schema": "ppp-files-1", "files": named}).encode()
    there.write_web_root({**files, "files/batches.json": held}, top)
    report = synced(here, there)
    assert (report.records, report.agree) == (2, True)
    assert f"{there.url}files/batches.json" in here.web.requested
    assert f"{there.url}files/packages.json" not in here.web.requested
    here.web.files[f"{there.url}files/batches.json"] += b" "
    rejected(here, there, "files/batches.json")


def test_synchronising_both_ways_results_in_equal_ledgers(pair: tuple[Node, Node], record: MakeRecord) -> None:
    here, there = pair
    here.add(record("gamma", node=here.key.id, log_sha256=sha256_hex(b"log")), log="log")
    here.publish()
    there.trust(here)
    assert not synced(here, there).agree
    assert synced(there, here).records == 1
    there.publish()
    assert synced(here, there).agree
    same = frozenset({"peers", "statements", "receipts", "seen_statements"})
    assert here.dump(without=same) == there.dump(without=same)


def test_a_batch_is_passed_on_by_a_third_node(pair: tuple[Node, Node], node: MakeNode) -> None:
    here, there = pair
    synced(here, there)
    here.publish()
    third = node(3)
    third.trust(here)
    left_out = synced(third, here)
    assert (left_out.batches, left_out.untrusted_batches, left_out.agree) == (0, 1, False)
    third.trust(there)
    taken = synced(third, here)
    assert (taken.records, taken.untrusted_batches, taken.agree) == (2, 0, True)


def test_a_node_that_lost_its_ledger_gets_its_own_records_back(pair: tuple[Node, Node], node: MakeNode) -> None:
    here, there = pair
    synced(here, there)
    here.publish()
    again = node(4)
    again.key = there.key
    again.trust(here)
    assert synced(again, here).records == 2


def test_an_unreachable_peer_is_reported(node: MakeNode) -> None:
    here = node(1)
    here.trust(node(2))
    with pytest.raises(PeerError, match=r"http://node2\.example/statement\.json answered 404"):
        synced(here, node(2))
    (peer,) = list_peers(here.store.db)
    assert peer.sync_error
    assert peer.synced_at is None


def test_an_error_is_cleared_by_the_next_success(pair: tuple[Node, Node]) -> None:
    here, there = pair
    kept = dict(here.web.files)
    here.web.files.clear()
    with pytest.raises(PeerError):
        synced(here, there)
    here.web.files.update(kept)
    synced(here, there)
    assert list_peers(here.store.db)[0].sync_error is None


@pytest.mark.attack("valid-records")
def test_one_failing_peer_does_not_stop_the_others(pair: tuple[Node, Node], node: MakeNode) -> None:
    here, there = pair
    here.trust(node(3))
    bad = node(4)
    bad.publish()
    here.trust(bad)
    here.web.files[f"{bad.url}statement.json"] = b"{}"
    outcomes = {o.peer.node: o for o in sync_all(here.access, here.web, now=here.now)}
    assert len(outcomes) == 3
    assert isinstance(outcomes[there.key.id], SyncReport)
    assert [type(o.error) for o in outcomes.values() if isinstance(o, SyncFailure)] in (
        [UnavailableFileError, RejectedDataError],
        [RejectedDataError, UnavailableFileError],
    )


# What is rejected: the statement.


@pytest.mark.attack("history")
def test_a_statement_of_another_node_is_rejected(pair: tuple[Node, Node], node: MakeNode) -> None:
    here, there = pair
    other = node(3)
    other.publish()
    here.trust(other)
    here.web.files[f"{there.url}statement.json"] = here.web.files[f"{other.url}statement.json"]
    reason = f"it is node {other.key.id} that publishes at {there.url}, and not node {there.key.id}"
    assert rejected(here, there, reason).sequence is None


@pytest.mark.attack("history")
def test_a_statement_with_a_flipped_byte_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    url = f"{there.url}statement.json"
    here.web.files[url] = here.web.files[url].replace(b'"records":2', b'"records":3')
    assert rejected(here, there, "its signature is not that of node").sequence is None


@pytest.mark.attack("history")
def test_a_rollback_is_rejected(pair: tuple[Node, Node], record: MakeRecord) -> None:
    here, there = pair
    old = {url: data for url, data in here.web.files.items() if url.startswith(there.url)}
    there.add(record("gamma", node=there.key.id))
    there.publish()
    synced(here, there)
    here.web.files.update(old)
    assert rejected(here, there, "rollback, because number 2 was seen before").sequence == 2


@pytest.mark.attack("history")
def test_a_frozen_peer_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    here.now += LIFETIME_S
    assert rejected(here, there, r"it expired at \d+ .the peer has stopped publishing").sequence is None


@pytest.mark.attack("history")
def test_a_statement_from_the_future_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    here.now -= 121
    rejected(here, there, "issued in the future")


@pytest.mark.attack("history")
def test_a_broken_chain_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    synced(here, there)
    here.web.files[f"{there.url}statement.json"] = there.statement(sequence=2, previous="00" * 32)
    assert rejected(here, there, f"quarantined as a fork: statement 2 follows {'00' * 32}").sequence == 1
    assert [f.sequence for f in list_forks(here.store.db)] == [1, 2]


@pytest.mark.attack("history")
def test_a_fork_is_rejected_and_both_statements_are_kept(pair: tuple[Node, Node]) -> None:
    here, there = pair
    synced(here, there)
    url = f"{there.url}statement.json"
    one, other = here.web.files[url], there.statement(root="ee" * 32)
    here.web.files[url] = other
    for _ in range(2):
        rejected(here, there, "is quarantined as a fork: two different statements have the number 1")
    evidence = list_forks(here.store.db)
    assert {(f.node, f.sequence, f.text.encode(), f.seen_at) for f in evidence} == {
        (there.key.id, 1, one, here.now),
        (there.key.id, 1, other, here.now),
    }
    here.web.files[url] = one
    rejected(here, there, "is quarantined")
    assert len(list_forks(here.store.db)) == 2


@pytest.mark.attack("history")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x" * 70_000, "larger than 65,536 bytes"),
        (b"<html>", "not valid JSON"),
        (b'{"signed": {}, "signed": {}}', "an object has a duplicate key"),
        (b"[" * 1000, "nests deeper than 8"),
        (b"{}", "is invalid by statement.schema.json"),
    ],
)
def test_an_invalid_statement_is_rejected(pair: tuple[Node, Node], data: bytes, reason: str) -> None:
    here, there = pair
    here.web.files[f"{there.url}statement.json"] = data
    rejected(here, there, reason)


# What is rejected: the list of files.


@pytest.mark.attack("valid-records")
def test_a_list_of_files_with_another_hash_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    here.web.files[f"{there.url}files.json"] += b" "
    rejected(here, there, "files.json rejected: its bytes hash to")


@pytest.mark.attack("inert-text")
def test_an_unsafe_path_is_rejected_and_nothing_is_fetched(pair: tuple[Node, Node]) -> None:
    here, there = pair
    rows = [["../../etc/passwd", 1, "ab" * 32]]
    there.write_web_root({}, json.dumps({"schema": "ppp-files-1", "files": rows}).encode())
    rejected(here, there, "files.json rejected")
    assert here.web.requested == [f"{there.url}{name}.json" for name in ("statement", "peers", "files")]


@pytest.mark.attack("valid-records")
def test_a_list_of_files_with_a_duplicate_key_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    there.write_web_root({}, b'{"schema": "ppp-files-1", "files": [], "files": []}')
    rejected(here, there, "an object has a duplicate key")


@pytest.mark.attack("bounded-input")
def test_a_batch_listed_as_too_large_is_not_fetched(pair: tuple[Node, Node]) -> None:
    here, there = pair
    digest = "ab" * 32
    rows = [[f"batches/{digest}.json.gz", 1 << 40, digest], [f"batches/{digest}.sig", 129, digest]]
    there.write_web_root({}, json.dumps({"schema": "ppp-files-1", "files": rows}).encode())
    refused(here, there, "larger than 67,108,864 bytes")
    assert not any("batches/" in url for url in here.web.requested)


# What is rejected: a batch.


def the_batch(there: Node) -> str:
    (batch,) = list_batches(there.store.db)
    return f"{there.url}batches/{batch.id}"


@pytest.mark.attack("valid-records")
def test_a_batch_with_a_flipped_byte_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    url = f"{the_batch(there)}.json.gz"
    data = bytearray(here.web.files[url])
    data[len(data) // 2] ^= 1
    here.web.files[url] = bytes(data)
    refused(here, there, "not the file that the peer's statement covers")


@pytest.mark.attack("bounded-input")
def test_a_batch_larger_than_listed_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    here.web.files[f"{the_batch(there)}.json.gz"] += b" "
    refused(here, there, "larger than")


@pytest.mark.attack("valid-records")
def test_a_batch_cut_short_is_rejected(pair: tuple[Node, Node]) -> None:
    here, there = pair
    url = f"{the_batch(there)}.json.gz"
    here.web.files[url] = here.web.files[url][:-1]
    refused(here, there, "not the file that the peer's statement covers")


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: compress_batch(data)[:-1], "cut short"),
        (lambda data: compress_batch(data) + b"more", "something follows it"),
        (lambda data: compress_batch(data) * 2, "something follows it"),
        (lambda data: data, "is not gzip"),
        (lambda data: compress_batch(data.replace(b"gamma", b"delta")), "its bytes hash to"),
        (lambda _: compress_batch(bytes(MAX_BATCH_BYTES + 1)), "unpacks to more than 67,108,864 bytes"),
    ],
)
def test_a_batch_that_does_not_unpack_is_rejected(
    pair: tuple[Node, Node], batch_document: MakeDocument, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    here, there = pair
    data = canonical_json(batch_document(there.key, "gamma"))
    name, signature = f"batches/{sha256_hex(data)}", there.key.sign(data)
    there.write_web_root({f"{name}.json.gz": spoil(data), f"{name}.sig": f"{signature}\n".encode()})
    refused(here, there, reason)


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize("signature", [b"", b"00" * 64 + b"\n", b"\xff" * 129])
def test_a_signature_file_with_another_hash_is_rejected(pair: tuple[Node, Node], signature: bytes) -> None:
    here, there = pair
    here.web.files[f"{the_batch(there)}.sig"] = signature
    refused(here, there, "not the file that the peer's statement covers")


@pytest.mark.attack("valid-records")
def test_a_batch_signed_by_another_key_is_rejected(
    pair: tuple[Node, Node], node: MakeNode, batch_document: MakeDocument
) -> None:
    here, there = pair
    there.batch(batch_document(there.key, "gamma"), key=node(3).key)
    refused(here, there, f"its signature is not that of node {there.key.id}")


@pytest.mark.attack("valid-records")
def test_a_batch_with_the_signature_of_another_message_is_rejected(
    pair: tuple[Node, Node], batch_document: MakeDocument
) -> None:
    here, there = pair
    there.raw_batch(canonical_json(batch_document(there.key, "gamma")), there.key.sign(b"something else"))
    refused(here, there, "its signature is not that of node")


@pytest.mark.attack("valid-records")
def test_a_batch_with_records_of_another_node_is_rejected(
    pair: tuple[Node, Node], node: MakeNode, batch_document: MakeDocument
) -> None:
    here, there = pair
    other = node(3)
    document = batch_document(there.key, "gamma")
    document["records"] += batch_document(other.key, "delta")["records"]
    document["records"].sort(key=lambda row: sha256_hex(canonical_json(row)))
    there.batch(document)
    refused(here, there, f"belongs to another node, {other.key.id}")


@pytest.mark.attack("valid-records")
def test_a_batch_with_another_log_is_rejected(pair: tuple[Node, Node], batch_document: MakeDocument) -> None:
    here, there = pair
    digest = sha256_hex(b"log")
    there.batch({**batch_document(there.key, log_sha256=digest), "logs": {digest: "gol"}})
    refused(here, there, f"the log {digest} has a different hash")


@pytest.mark.attack("valid-records")
def test_a_batch_of_another_schema_is_rejected(pair: tuple[Node, Node], batch_document: MakeDocument) -> None:
    here, there = pair
    there.batch({**batch_document(there.key), "schema": "ppp-batch-9"})
    refused(here, there, "'ppp-batch-1' was expected")


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"node": "x", CLAIM}', "an object has a duplicate key"),
        (b"CLAIM" + b"[" * 100_000, "nests deeper than 8"),
        (b"CLAIM PK\x03\x04", "not valid JSON"),
        (b"PK\x03\x04", "it names no node"),
    ],
)
def test_an_invalid_batch_is_rejected(pair: tuple[Node, Node], data: bytes, reason: str) -> None:
    here, there = pair
    data = data.replace(b"CLAIM", f'"node":"{there.key.id}"'.encode())
    there.raw_batch(data, there.key.sign(data))
    refused(here, there, reason)


@pytest.mark.attack("valid-records")
def publish_batches(
    there: Node, batch_document: MakeDocument, count: int, *, signed_badly: frozenset[int] = frozenset()
) -> list[str]:
    """Publish batches of one record each, some with an invalid signature, by their place; return the ids in order."""
    documents = [canonical_json(batch_document(there.key, f"package-{n}")) for n in range(count)]
    files: dict[str, bytes] = {}
    ids = []
    for number, data in enumerate(sorted(documents, key=sha256_hex)):
        ids.append(sha256_hex(data))
        signature = "00" * 64 if number in signed_badly else there.key.sign(data)
        files[f"batches/{ids[-1]}.json.gz"] = compress_batch(data)
        files[f"batches/{ids[-1]}.sig"] = f"{signature}\n".encode()
    there.write_web_root(files)
    return ids


def test_valid_batches_are_merged_whatever_is_among_them(pair: tuple[Node, Node], batch_document: MakeDocument) -> None:
    here, there = pair
    ids = publish_batches(there, batch_document, 5, signed_badly=frozenset({0, 2}))
    report = synced(here, there)
    assert (report.batches, report.records, report.rejected_batches) == (3, 3, 2)
    assert [batch.id for batch in list_batches(here.store.db)] == [ids[1], ids[3], ids[4]]
    assert [reason.split()[1] for reason in report.rejections] == [ids[0], ids[2]]
    (peer,) = list_peers(here.store.db)
    assert peer.synced_at == here.now
    assert peer.sync_error
    assert peer.sync_error.startswith(f"2 of its batches rejected; the first: batch {ids[0]} rejected: its signature")


def test_a_batch_that_is_not_there_stops_no_other(pair: tuple[Node, Node], batch_document: MakeDocument) -> None:
    here, there = pair
    ids = publish_batches(there, batch_document, 3)
    missing = here.web.files.pop(f"{there.url}batches/{ids[0]}.json.gz")
    report = synced(here, there)
    assert (report.batches, report.rejected_batches) == (2, 1)
    # The next answer may be another, so it is fetched again.
    here.web.files[f"{there.url}batches/{ids[0]}.json.gz"] = missing
    assert synced(here, there).batches == 1
    assert list_peers(here.store.db)[0].sync_error is None


# What was left out is not fetched again.


def batches_fetched(here: Node, there: Node) -> int:
    """Synchronize, and return how many batches were fetched."""
    here.web.requested.clear()
    synced(here, there)
    return sum(url.endswith(".json.gz") for url in here.web.requested)


def test_an_invalid_batch_is_fetched_once_a_day(pair: tuple[Node, Node], batch_document: MakeDocument) -> None:
    here, there = pair
    publish_batches(there, batch_document, 3, signed_badly=frozenset({1}))
    assert batches_fetched(here, there) == 3
    assert batches_fetched(here, there) == 0
    report = synced(here, there)
    assert (report.rejected_batches, report.rejections) == (1, ())
    assert list_peers(here.store.db)[0].sync_error
    here.now += RETRY_S
    assert batches_fetched(here, there) == 1


def test_batches_of_an_untrusted_node_are_fetched_again_when_it_is_trusted(
    pair: tuple[Node, Node], node: MakeNode, batch_document: MakeDocument
) -> None:
    here, there = pair
    other = node(3)
    for count in (2, 3):
        ids = publish_batches(other, batch_document, count)
        files = {
            f"batches/{i}{ending}": here.web.files[f"{other.url}batches/{i}{ending}"]
            for i in ids
            for ending in (".json.gz", ".sig")
        }
        there.write_web_root(files)
        # Only what was not seen before is fetched.
        assert batches_fetched(here, there) == (2 if count == 2 else 1)
        assert synced(here, there).untrusted_batches == count
        here.now += RETRY_S
    assert batches_fetched(here, there) == 0
    here.trust(other)
    assert synced(here, there).records == 3


def test_a_peer_that_is_removed_starts_anew(pair: tuple[Node, Node], batch_document: MakeDocument) -> None:
    here, there = pair
    publish_batches(there, batch_document, 1, signed_badly=frozenset({0}))
    assert batches_fetched(here, there) == 1
    remove(here.store, there.url)
    assert here.store.db.table("left_out_batches").count == 0
    here.trust(there)
    assert batches_fetched(here, there) == 1


# The ledger is free while a peer answers.


@dataclass
class Watched:
    """A ledger that counts how often it is open, and a transport that notes this number at each request."""

    here: Node
    before_request: Callable[[str], object] = lambda _: None
    opened: int = 0

    @contextmanager
    def open(self) -> Iterator[Any]:
        self.opened += 1
        yield self.here.store
        self.opened -= 1

    @contextmanager
    def connect(self) -> Iterator[Any]:
        yield self

    def get(self, url: str, *, max_bytes: int) -> bytes:
        assert self.opened == 0
        self.before_request(url)
        content: bytes = self.here.web.get(url, max_bytes=max_bytes)
        return content

    def sync(self, there: Node) -> SyncReport | SyncFailure:
        peer = next(p for p in list_peers(self.here.store.db) if p.node == there.key.id)
        return sync(LedgerAccess(open=self.open, own=self.here.key.id), peer, self, now=self.here.now)


def test_the_ledger_is_not_open_while_a_peer_is_asked(pair: tuple[Node, Node]) -> None:
    here, there = pair
    outcome = Watched(here).sync(there)
    assert isinstance(outcome, SyncReport)
    assert outcome.records == 2


def test_a_large_peer_is_received_in_rounds(pair: tuple[Node, Node], batch_document: MakeDocument) -> None:
    here, there = pair
    ids = publish_batches(there, batch_document, 5, signed_badly=frozenset({1}))
    peer = list_peers(here.store.db)[0]
    nodes = frozenset({there.key.id})
    local = LocalState(peer=peer, trusted=nodes, batches=frozenset(), left_out={})
    listing = here.web.files[f"{there.url}files.json"]
    files = fetch_file_lists(here.web, peer.url, sha256=sha256_hex(listing))
    first = receive_batches(here.web, files, local, tried=set(), now=here.now, max_bytes=1)
    assert ([b.id for b in first.batches], first.rejected, first.complete) == ([ids[0]], (), False)
    second = receive_batches(here.web, files, local, tried={ids[0]}, now=here.now, max_bytes=1)
    assert ([b.id for b in second.batches], [b.id for b in second.rejected]) == ([ids[2]], [ids[1]])
    last = receive_batches(here.web, files, local, tried=set(ids[:3]), now=here.now)
    assert ([b.id for b in last.batches], last.complete) == (ids[3:], True)


def test_nothing_is_stored_of_a_peer_that_was_removed_meanwhile(pair: tuple[Node, Node]) -> None:
    here, there = pair
    before = here.dump()

    def remove_peer(url: str) -> None:
        if url.endswith(".sig"):
            remove(here.store, there.url)

    outcome = Watched(here, before_request=remove_peer).sync(there)
    assert isinstance(outcome, SyncFailure)
    assert "is no longer a peer" in outcome.error.message
    assert here.dump() == before


def test_a_newer_statement_that_was_accepted_meanwhile_stays(pair: tuple[Node, Node], record: MakeRecord) -> None:
    here, there = pair
    older = dict(here.web.files)
    there.add(record("gamma", node=there.key.id))
    there.publish()
    newer = dict(here.web.files)

    def another_sync(url: str) -> None:
        if url.endswith("peers.json"):
            here.web.files = newer
            synced(here, there)
            here.web.files = older

    here.web.files = older
    outcome = Watched(here, before_request=another_sync).sync(there)
    assert isinstance(outcome, SyncFailure)
    assert "another command synchronized" in outcome.error.message
    assert list_peers(here.store.db)[0].sequence == 2
    assert here.store.db.table("records").count == 3


def test_peers_that_failed_come_last(pair: tuple[Node, Node], node: MakeNode) -> None:
    here, there = pair
    bad = node(4)
    here.trust(bad)
    here.store.db.execute("UPDATE peers SET added_at = 1 WHERE node = ?", (bad.key.id,))
    orders = []
    for _ in range(2):
        outcomes = sync_all(here.access, here.web, now=here.now)
        orders.append([outcome.peer.node for outcome in outcomes])
    assert orders == [[bad.key.id, there.key.id], [there.key.id, bad.key.id]]
