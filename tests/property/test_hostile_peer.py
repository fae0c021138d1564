"""Synchronizing with a peer that may publish anything: the ledger stays valid, and only valid records enter it."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

import pytest
from hostile_peer import NOW, PEER, PLAIN, PUBLICATIONS, THIRD, HostilePeer, HostilePublication
from hostile_strings import unsafe_characters
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import store_in_memory
from memory_transport import MemoryTransport
from sample_record import SAMPLE_RECORD

from ppp.ledger.batches import list_batches, published_batch_files, read_batch
from ppp.ledger.peers import list_peers
from ppp.ledger.store import Store
from ppp.mesh.batch import Batch, decompress_batch, verify_batch
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import add
from ppp.mesh.sync import LedgerAccess, SyncFailure, SyncReport, sync
from ppp.schemas import schema_errors
from ppp.verify.database import check_rows

KEY: Final = NodeKey.from_seed(b"\x01" * 32)
URL: Final = "http://peer.example/"
OWN: Final = replace(SAMPLE_RECORD, node=KEY.id, observed_at=NOW - 7200)
TRUSTED: Final = frozenset({KEY.id, PEER.id, THIRD.id})
#: For one publication of a few kilobytes, on a busy machine.
MAX_SYNC_S: Final = 20


def assert_valid(store: Store) -> None:
    """Check what `ppp verify` checks, that every record is valid by the schema, and that a peer would take all."""
    check_rows(store.db, logs=True)
    assert store.db.execute("SELECT count(*) FROM records WHERE node = ?", (KEY.id,)).fetchone() == (1,)
    in_batches = {OWN.id}
    for sealed in list_batches(store.db):
        data = read_batch(store.db, sealed.id)
        verified = verify_batch(data, sealed.signature, batch_id=sealed.id, trusted=TRUSTED, now=NOW)
        assert isinstance(verified, Batch)
        for record in verified.records:
            assert schema_errors("site/schemas/record.schema.json", record.to_json()) == []
        in_batches |= {record.id for record in verified.records}
        (path, packed), (_, signature) = published_batch_files(store.db, sealed.id)
        assert path == f"batches/{sealed.id}.json.gz"
        assert decompress_batch(packed, what=sealed.id) == data
        assert signature.decode() == f"{sealed.signature}\n"
    assert {record for (record,) in store.db.execute("SELECT record FROM records")} == in_batches


def access(store: Store) -> LedgerAccess:
    return LedgerAccess(open=lambda: nullcontext(store), own=KEY.id)


def synchronize(store: Store, transport: MemoryTransport) -> None:
    started = time.monotonic()
    peer = next(peer for peer in list_peers(store.db) if peer.node == PEER.id)
    outcome = sync(access(store), peer, transport, now=NOW)
    if isinstance(outcome, SyncFailure):
        texts: tuple[str, ...] = (outcome.error.message, outcome.error.hint)
    else:
        texts = outcome.rejections
    for text in texts:
        assert unsafe_characters(text, keep="") == set()
        assert len(text) < 2_000
    assert time.monotonic() - started < MAX_SYNC_S


@pytest.mark.fuzz
@pytest.mark.attack("valid-records")
@given(publications=st.lists(PUBLICATIONS, min_size=1, max_size=3))
@settings(max_examples=40)
def test_whatever_a_peer_publishes_the_ledger_stays_valid(publications: Sequence[HostilePublication]) -> None:
    hostile = HostilePeer()
    with store_in_memory([OWN]) as store:
        add(store, KEY, URL, PEER.id, now=NOW)
        add(store, KEY, "http://third.example/", THIRD.id, now=NOW)
        for publication in publications:
            files = {URL + path: data for path, data in hostile.web_root(publication).items()}
            synchronize(store, MemoryTransport(files=files))
            assert_valid(store)


@pytest.mark.parametrize("in_list", [False, True])
def test_a_publication_without_any_edit_is_merged(*, in_list: bool) -> None:
    # Otherwise the property above could hold because everything is rejected.
    with store_in_memory([OWN]) as store:
        peer = add(store, KEY, URL, PEER.id, now=NOW)
        files = HostilePeer().web_root(replace(PLAIN, in_list=in_list))
        transport = MemoryTransport(files={URL + path: data for path, data in files.items()})
        report = sync(access(store), peer, transport, now=NOW)
        assert isinstance(report, SyncReport)
        assert (report.batches, report.records) == (1, 3)
        assert_valid(store)
