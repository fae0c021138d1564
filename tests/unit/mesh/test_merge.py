"""A batch is merged completely, not at all, or already exists."""

from collections.abc import Callable
from typing import Any

import pytest

from ppp.ledger.batches import read_batch
from ppp.ledger.store import Store
from ppp.mesh.batch import Batch, verify_batch
from ppp.mesh.merge import merge
from ppp.mesh.node import NodeKey
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.matrix import Cell

KEY = NodeKey.from_seed(b"k" * 32)


@pytest.fixture
def batch(batch_document: Callable[..., dict[str, Any]]) -> Batch:
    document = batch_document(KEY, result="FAIL", log_sha256=sha256_hex(b"log"))
    data = canonical_json({**document, "logs": {sha256_hex(b"log"): "log"}})
    found = verify_batch(data, KEY.sign(data), batch_id=sha256_hex(data), trusted={KEY.id}, now=1_714_089_600)
    assert isinstance(found, Batch)
    return found


def test_a_merged_batch_can_be_published_byte_for_byte(store: Store, batch: Batch) -> None:
    assert merge(store, batch, now=1_714_089_600) == 2
    assert sha256_hex(read_batch(store.db, batch.id)) == batch.id


def test_merging_again_changes_nothing(store: Store, batch: Batch, dumped: Callable[..., str]) -> None:
    merge(store, batch, now=1_714_089_600)
    before = dumped(store.db)
    assert merge(store, batch, now=1_714_089_600) == 0
    assert dumped(store.db) == before


def test_records_that_exist_are_not_counted(store: Store, batch: Batch) -> None:
    store.add_record(batch.records[0], "log")
    assert merge(store, batch, now=1_714_089_600) == 1


@pytest.mark.attack("crash-safe")
def test_a_batch_that_fails_to_merge_leaves_nothing(store: Store, batch: Batch, dumped: Callable[..., str]) -> None:
    before = dumped(store.db)
    spoiled = Batch(
        id=batch.id,
        data=batch.data,
        node=batch.node,
        signature=batch.signature,
        records=batch.records,
        logs={sha256_hex(b"log"): "gol"},
    )
    with pytest.raises(ValueError, match="the log is not the one"):
        merge(store, spoiled, now=1_714_089_600)
    assert dumped(store.db) == before


@pytest.mark.attack("own-verdict")
def test_another_nodes_result_removes_no_cell_from_the_queue(store: Store, batch: Batch) -> None:
    release = batch.records[0].release
    store.queue.enqueue([Cell(release=release, environment="py312-slim")], source="feed", now=1)
    merge(store, batch, now=1_714_089_600)
    assert store.queue.length() == 1
