"""Batches: each record is sealed once, and batches are published byte for byte."""

import gzip
import json
from collections.abc import Callable

import pytest
from nacl.signing import SigningKey

from ppp.ledger.batches import (
    MAX_BATCH_RECORDS,
    MAX_SEALED_BYTES,
    add_batch,
    compress_batch,
    encode_batch,
    has_batch,
    ledger_root,
    list_batches,
    published_batch_files,
    read_batch,
    seal,
)
from ppp.ledger.store import Store
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import DataReadOnlyError, LedgerDamagedError, RejectedDataError
from ppp.model.record import Record
from ppp.schemas import schema_errors

MakeRecord = Callable[..., Record]

NODE = "ab" * 32
OTHER = "cd" * 32


def sign(message: bytes) -> str:
    return SigningKey(b"k" * 32).sign(message).signature.hex()


def test_a_batch_is_canonical_json_named_by_its_hash(store: Store, record: MakeRecord) -> None:
    log = "some\x00log\né"
    store.add_record(record("alpha"))
    store.add_record(record("beta", result="FAIL", log_sha256=sha256_hex(log.encode())), log)
    (batch_id,) = seal(store, node=NODE, sign=sign, verify=lambda _: None).batches
    data = read_batch(store.db, batch_id)
    document = json.loads(data)
    assert sha256_hex(data) == batch_id
    assert canonical_json(document) == data
    assert schema_errors("site/schemas/batch.schema.json", document) == []
    assert document["logs"] == {sha256_hex(log.encode()): log}
    places = [
        (row["package"], row["version"], row["environment"], sha256_hex(canonical_json(row)))
        for row in document["records"]
    ]
    assert places == sorted(places)
    (kept,) = list_batches(store.db)
    assert (kept.id, kept.node, kept.signature, kept.records) == (batch_id, NODE, sign(data), 2)
    assert has_batch(store.db, batch_id)
    assert not has_batch(store.db, "00" * 32)


def test_seal_takes_each_own_record_once(store: Store, record: MakeRecord) -> None:
    assert seal(store, node=NODE, sign=sign, verify=lambda _: None).batches == ()
    store.add_record(record("alpha", observed_at=5))
    store.add_record(record("beta", node=OTHER))
    (one,) = seal(store, node=NODE, sign=sign, verify=lambda _: None).batches
    assert seal(store, node=NODE, sign=sign, verify=lambda _: None).batches == ()
    store.add_record(record("gamma", observed_at=7))
    store.add_record(record("delta", observed_at=6))
    (two,) = seal(store, node=NODE, sign=sign, verify=lambda _: None).batches
    spans = {b.id: (b.records, b.first_observed_at, b.last_observed_at) for b in list_batches(store.db)}
    assert spans == {one: (1, 5, 5), two: (2, 6, 7)}


def test_a_batch_does_not_depend_on_the_order_of_its_records(record: MakeRecord) -> None:
    records = [record(name) for name in ("alpha", "beta", "gamma")]
    assert encode_batch(NODE, records, {}) == encode_batch(NODE, records[::-1], {})


@pytest.mark.heavy
def test_many_records_make_several_batches(store: Store, record: MakeRecord) -> None:
    expected = {record(f"package-{n}").id for n in range(8)}
    for n in range(8):
        store.add_record(record(f"package-{n}"))
    sealed = seal(store, node=NODE, sign=sign, verify=lambda _: None, max_records=3).batches
    assert [b.records for b in sorted(list_batches(store.db), key=lambda b: sealed.index(b.id))] == [3, 3, 2]
    rows = store.db.execute("SELECT record FROM batch_records").fetchall()
    assert sorted(r for (r,) in rows) == sorted(expected)


def test_large_logs_make_several_batches(store: Store, record: MakeRecord) -> None:
    logs = [f"{n}" * (MAX_SEALED_BYTES // 2 - 100_000) for n in (1, 2, 3)]
    for log in logs:
        store.add_record(record(f"package-{log[0]}", log_sha256=sha256_hex(log.encode())), log)
    seal(store, node=NODE, sign=sign, verify=lambda _: None)
    assert sorted(b.records for b in list_batches(store.db)) == [1, 2]
    assert max(len(read_batch(store.db, b.id)) for b in list_batches(store.db)) <= MAX_SEALED_BYTES


def test_the_schema_allows_the_maximum_number_of_records() -> None:
    document = {"schema": "ppp-batch-1", "node": NODE, "logs": {}, "records": [None] * (MAX_BATCH_RECORDS + 1)}
    (mistake, *_) = schema_errors("site/schemas/batch.schema.json", document, limit=1)
    assert mistake.startswith("records: ")
    document["records"] = [None] * MAX_BATCH_RECORDS
    (mistake, *_) = schema_errors("site/schemas/batch.schema.json", document, limit=1)
    assert mistake.startswith("records[0]: ")


def test_a_record_may_be_in_several_batches(store: Store, record: MakeRecord) -> None:
    records = [record("alpha"), record("beta")]
    for one in records:
        store.add_record(one)
    data = encode_batch(NODE, records[:1], {})
    add_batch(store.db, data, node=NODE, signature=sign(data), records=records[:1])
    other = encode_batch(NODE, records, {})
    add_batch(store.db, other, node=NODE, signature=sign(other), records=records)
    assert read_batch(store.db, sha256_hex(data)) == data
    assert read_batch(store.db, sha256_hex(other)) == other


def test_the_published_files_of_a_batch(store: Store, record: MakeRecord) -> None:
    store.add_record(record())
    (batch_id,) = seal(store, node=NODE, sign=sign, verify=lambda _: None).batches
    data = read_batch(store.db, batch_id)
    file, signature = published_batch_files(store.db, batch_id)
    assert file[0] == f"batches/{batch_id}.json.gz"
    assert gzip.decompress(file[1]) == data
    assert signature == (f"batches/{batch_id}.sig", f"{sign(data)}\n".encode())


def test_a_missing_log_is_an_error(store: Store, record: MakeRecord) -> None:
    store.add_record(record(log_sha256=sha256_hex(b"log")), "log")
    store.db.execute("PRAGMA foreign_keys = OFF")
    store.db.execute("DELETE FROM logs")
    with pytest.raises(LedgerDamagedError, match="is missing from the ledger"):
        seal(store, node=NODE, sign=sign, verify=lambda _: None)


@pytest.mark.parametrize(
    "damaged", [compress_batch(b"another"), compress_batch(b"cut")[:-1], b"no gzip", b"\x1f\x8b\x08\x00" + bytes(9)]
)
def test_a_damaged_batch_is_an_error(damaged: bytes, store: Store, record: MakeRecord) -> None:
    store.add_record(record())
    (batch_id,) = seal(store, node=NODE, sign=sign, verify=lambda _: None).batches
    store.db.execute("UPDATE batch_files SET packed = ?", (damaged,))
    for batch, read in ((batch_id, read_batch), (batch_id, published_batch_files), ("00" * 32, read_batch)):
        with pytest.raises(LedgerDamagedError, match=f"the batch {batch} is not in the ledger as it was signed"):
            list(read(store.db, batch))


@pytest.mark.attack("crash-safe")
def test_a_failed_seal_stores_nothing(store: Store, record: MakeRecord) -> None:
    store.add_record(record())

    def refuse(_: bytes) -> str:
        raise OSError(5, "the key is on a stick that was pulled out")

    with pytest.raises(DataReadOnlyError, match="Input/output error"):
        seal(store, node=NODE, sign=refuse, verify=lambda _: None)
    assert list_batches(store.db) == []


def test_the_root_depends_only_on_the_set_of_records(store: Store, record: MakeRecord) -> None:
    assert ledger_root(store.db) == sha256_hex(b"")
    records = [record("alpha"), record("beta"), record("alpha", observed_at=1_714_003_200 + 86_400)]
    for one in records:
        store.add_record(one)
    ids = [[r.id for r in records[:2]], [records[2].id]]
    digests = [sha256_hex("".join(f"{record_id}\n" for record_id in sorted(each)).encode()) for each in ids]
    lines = f"2024-04-25 2 {digests[0]}\n2024-04-26 1 {digests[1]}\n"
    assert ledger_root(store.db) == sha256_hex(lines.encode())


def test_a_record_that_peers_would_reject_is_left_out_and_named(store: Store, record: MakeRecord) -> None:
    bad = record("beta")
    for one in (record("alpha"), bad, record("gamma")):
        store.add_record(one)
    signed: list[bytes] = []

    def verify(data: bytes) -> None:
        if b'"beta"' in data:
            raise RejectedDataError("beta is refused", hint="")

    def signing(data: bytes) -> str:
        signed.append(data)
        return sign(data)

    report = seal(store, node=NODE, sign=signing, verify=verify)
    assert {id_: (str(r.cell), r.mistake) for id_, r in report.refused.items()} == {
        bad.id: ("beta==2.1.0 in py312-slim", "beta is refused")
    }
    assert [b.records for b in list_batches(store.db)] == [2]
    assert [b"beta" in data for data in signed] == [False]
    # It stays in the ledger, and is tried again until it is accepted.
    again = seal(store, node=NODE, sign=signing, verify=verify)
    assert (again.batches, list(again.refused)) == ((), [bad.id])
    assert len(seal(store, node=NODE, sign=sign, verify=lambda _: None).batches) == 1


def test_nothing_is_signed_if_valid_records_make_no_valid_batch(store: Store, record: MakeRecord) -> None:
    for name in ("alpha", "beta"):
        store.add_record(record(name))

    def verify(data: bytes) -> None:
        if len(json.loads(data)["records"]) > 1:
            raise RejectedDataError("too many", hint="")

    with pytest.raises(LedgerDamagedError, match="2 valid records make no valid batch: too many"):
        seal(store, node=NODE, sign=sign, verify=verify)
    assert list_batches(store.db) == []
