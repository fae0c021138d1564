"""A batch is accepted only if everything it claims is valid."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from ppp.mesh.batch import MAX_BATCH_BYTES, MAX_LOG_BYTES, Batch, UntrustedBatch, verify_batch
from ppp.mesh.node import NodeKey
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import RejectedDataError

NOW = 1_714_089_600
KEY = NodeKey.from_seed(b"k" * 32)
OTHER = NodeKey.from_seed(b"o" * 32)

Document = dict[str, Any]


def verified(data: bytes, *, key: NodeKey = KEY, now: int = NOW) -> Batch | UntrustedBatch:
    return verify_batch(data, key.sign(data), batch_id=sha256_hex(data), trusted={KEY.id}, now=now)


def test_a_valid_batch_is_returned(batch_document: Callable[..., Document]) -> None:
    log = "it said é\x00\x1b[31m\n"
    document = batch_document(KEY, "alpha", "beta", result="FAIL", log_sha256=sha256_hex(log.encode()))
    document["logs"] = {sha256_hex(log.encode()): log}
    data = canonical_json(document)
    batch = verified(data)
    assert isinstance(batch, Batch)
    assert batch.id == sha256_hex(data)
    assert batch.node == KEY.id
    assert batch.signature == KEY.sign(data)
    assert [r.to_json() for r in batch.records] == document["records"]
    assert batch.logs == document["logs"]


def test_a_batch_of_an_untrusted_node_is_returned_as_such(batch_document: Callable[..., Document]) -> None:
    assert verified(canonical_json(batch_document(OTHER)), key=OTHER) == UntrustedBatch(node=OTHER.id)


@pytest.mark.attack("valid-records")
def test_a_flipped_byte_is_rejected(batch_document: Callable[..., Document]) -> None:
    data = canonical_json(batch_document(KEY))
    flipped = data.replace(b'"PASS"', b'"FASS"', 1)
    assert len(flipped) == len(data)
    with pytest.raises(RejectedDataError, match="its bytes hash to"):
        verify_batch(flipped, KEY.sign(data), batch_id=sha256_hex(data), trusted={KEY.id}, now=NOW)


@pytest.mark.attack("valid-records")
def test_a_flipped_byte_under_a_new_name_is_rejected(batch_document: Callable[..., Document]) -> None:
    data = canonical_json(batch_document(KEY))
    flipped = data.replace(b"alpha", b"alphb", 1)
    with pytest.raises(RejectedDataError, match=f"its signature is not that of node {KEY.id}"):
        verify_batch(flipped, KEY.sign(data), batch_id=sha256_hex(flipped), trusted={KEY.id}, now=NOW)


@pytest.mark.attack("valid-records")
def test_a_wrong_key_is_rejected(batch_document: Callable[..., Document]) -> None:
    with pytest.raises(RejectedDataError, match="its signature is not that of node"):
        verified(canonical_json(batch_document(KEY)), key=OTHER)


@pytest.mark.attack("valid-records")
def test_a_malformed_signature_is_rejected(batch_document: Callable[..., Document]) -> None:
    data = canonical_json(batch_document(KEY))
    for signature in ("", "00" * 64, "\ufffd" * 128, KEY.sign(data)[:-1]):
        with pytest.raises(RejectedDataError, match="its signature is not that of node"):
            verify_batch(data, signature, batch_id=sha256_hex(data), trusted={KEY.id}, now=NOW)


#: What a batch of the trusted node contains.
CLAIM = f'"node":"{KEY.id}"'.encode()


@pytest.mark.heavy
@pytest.mark.attack("bounded-input")
def test_a_batch_too_large_is_rejected_unread() -> None:
    with pytest.raises(RejectedDataError, match="larger than 67,108,864 bytes"):
        verified(b"x" * (MAX_BATCH_BYTES + 1))


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html>", "it names no node"),
        (b"[" * 100_000, "it names no node"),
        (CLAIM, "not valid JSON"),
        (CLAIM + b"[" * 100_000, "nests deeper"),
        (b'{"node": "x", ' + CLAIM + b"}", "an object has a duplicate key"),
        (b'{"records": [{' + CLAIM + b"}]}", "but it does not belong to that node"),
        (b'{"records": [{' + CLAIM + b'}], "node": "' + b"ab" * 32 + b'"}', "but it does not belong to that node"),
        (b"{}", "it names no node"),
        (b'{"node": 1}', "it names no node"),
        (b'{"node": "x"}', "it names no node"),
        (json.dumps({"node": KEY.id}).encode(), r"is invalid by batch.schema.json: .*'schema' is a required property"),
        (
            json.dumps({"schema": "ppp-batch-2", "node": KEY.id, "records": [], "logs": {}}).encode(),
            r"is invalid by batch.schema.json: records: \[\] .*; schema: 'ppp-batch-1' was expected",
        ),
    ],
)
def test_an_invalid_batch_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(RejectedDataError, match=reason):
        verified(data)


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"result": "GOOD"}, r"is invalid by batch.schema.json: records\[0\].result: 'GOOD'"),
        ({"extra": 1}, r"records\[0\]: Additional properties"),
        ({"observed_at": NOW + 121}, "records.0. was observed in the future"),
        ({"observed_at": -1}, r"records\[0\].observed_at"),
        ({"observed_at": True}, r"records\[0\].observed_at"),
        ({"version": "1.0-1"}, r"records\[0\].version"),
        ({"version": "1.00"}, r"records\[0\] is not in normal form"),
        ({"version": "1.0.banana"}, "'1.0.banana' is not a version"),
        ({"package": "Alpha"}, r"records\[0\].package"),
        ({"package": "alpha\n"}, r"records\[0\]\.package"),
        ({"environment": "py312-slim\n"}, r"records\[0\]\.environment"),
        ({"duration_ms": {"full\n": 1}}, r"records\[0\]\.duration_ms: "),
        ({"duration_ms": {"fool": 1}}, r"records\[0\].duration_ms: "),
        ({"installed": [["x\x00", "1", None]]}, r"there is a control character in records\[0\].installed\[0\]\[0\]"),
        ({"detail": "a\x1b[31mb"}, r"there is a control character in records\[0\].detail"),
        ({"detail": "a\nb"}, r"there is a control character in records\[0\].detail"),
        ({"detail": "\ud800"}, "no canonical form"),
        ({"imports": ["x\x9b1m"]}, r"there is a control character in records\[0\].imports\[0\]"),
        ({"log_sha256": "00" * 32}, f"the log {'00' * 32} is missing"),
    ],
)
def test_an_invalid_record_makes_its_batch_invalid(
    batch_document: Callable[..., Document], change: dict[str, object], reason: str
) -> None:
    document = batch_document(KEY, "alpha")
    document["records"][0] |= change
    # Half a surrogate pair has no canonical form to send.
    data = json.dumps(document).encode() if change == {"detail": "\ud800"} else canonical_json(document)
    with pytest.raises(RejectedDataError, match=reason):
        verified(data)


def test_a_clock_may_be_two_minutes_ahead(batch_document: Callable[..., Document]) -> None:
    data = canonical_json(batch_document(KEY, observed_at=NOW + 120))
    assert isinstance(verified(data), Batch)


@pytest.mark.attack("valid-records")
def test_a_record_of_another_node_is_rejected(batch_document: Callable[..., Document]) -> None:
    document = batch_document(KEY, "alpha")
    document["records"] = batch_document(OTHER, "alpha")["records"]
    with pytest.raises(RejectedDataError, match=rf"records\[0\] belongs to another node, {OTHER.id}"):
        verified(canonical_json(document))


@pytest.mark.attack("valid-records")
def test_json_that_is_not_canonical_is_rejected(batch_document: Callable[..., Document]) -> None:
    document = batch_document(KEY)
    for data in (
        json.dumps(document).encode(),
        canonical_json(document) + b"\n",
        canonical_json(document).replace(b'"size":1234', b'"size":01234'),
        canonical_json(document).replace(b"alpha", b"\\u0061lpha", 1),
    ):
        with pytest.raises(RejectedDataError, match=r"not in canonical form|not valid JSON"):
            verified(data)


@pytest.mark.attack("valid-records")
def test_records_out_of_order_or_twice_are_rejected(batch_document: Callable[..., Document]) -> None:
    document = batch_document(KEY)
    for rows in (document["records"][::-1], [document["records"][0]] * 2):
        with pytest.raises(RejectedDataError, match="not in order, or one is repeated"):
            verified(canonical_json({**document, "records": rows}))


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("logs", "reason"),
    [
        ({}, "is missing"),
        ({sha256_hex(b"log"): "gol"}, "has a different hash"),
        ({sha256_hex(b"log"): "log", sha256_hex(b"more"): "more"}, "no record names the log"),
        ({"x": "log"}, "is invalid by batch.schema.json: logs"),
        ({sha256_hex(b"log"): 1}, "is invalid by batch.schema.json: logs"),
    ],
)
def test_logs_that_no_record_names_are_rejected(
    batch_document: Callable[..., Document], logs: dict[str, object], reason: str
) -> None:
    document = batch_document(KEY, log_sha256=sha256_hex(b"log"))
    with pytest.raises(RejectedDataError, match=reason):
        verified(canonical_json({**document, "logs": logs}))


@pytest.mark.attack("bounded-input")
def test_a_log_too_large_is_rejected(batch_document: Callable[..., Document]) -> None:
    log = "x" * (MAX_LOG_BYTES + 1)
    digest = sha256_hex(log.encode())
    document = batch_document(KEY, log_sha256=digest)
    with pytest.raises(RejectedDataError, match=f"the log {digest} is larger than 5,242,880 bytes"):
        verified(canonical_json({**document, "logs": {digest: log}}))


@pytest.mark.heavy
@pytest.mark.attack("bounded-input")
def test_too_many_records_are_rejected(batch_document: Callable[..., Document]) -> None:
    document = batch_document(KEY, "alpha")
    with pytest.raises(RejectedDataError, match=r"is invalid by batch.schema.json: records: "):
        verified(canonical_json({**document, "records": document["records"] * 5001}))


@pytest.mark.attack("bounded-input")
def test_only_what_a_trusted_node_signed_is_parsed() -> None:
    # As objects of Python, each of these two bytes would be 64.
    content = b"[" + b"1," * 1_000_000 + b"1]"
    untrusted = b'{"logs":{},"node":"' + b"cd" * 32 + b'","records":' + content + b"}"
    unsigned = b'{"logs":{},' + CLAIM + b',"records":' + content + b"}"
    tracemalloc.start()
    try:
        assert verified(untrusted) == UntrustedBatch(node="cd" * 32)
        with pytest.raises(RejectedDataError, match="its signature is not that of node"):
            verify_batch(unsigned, "00" * 64, batch_id=sha256_hex(unsigned), trusted={KEY.id}, now=NOW)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
