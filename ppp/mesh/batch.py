"""A batch from a peer: everything it claims is verified from its bytes alone, without I/O, before anything is stored.

Its name is its hash, its node is accepted, its signature is that node's, its form is canonical, its records are that
node's own, and its logs are the ones that they name.
"""

import zlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ppp.ledger.batches import batch_sort_key
from ppp.mesh.node import is_node_id, verify_signature
from ppp.mesh.untrusted import canonical_bytes, check_schema, control_characters, parse_json, refuse
from ppp.model.record import Json, Record, sha256_hex
from ppp.model.release import InvalidReleaseError

#: What is sealed stays below `ppp.ledger.batches.SEALED_BYTES` but for a single great log, written with escapes.
MAX_BATCH_BYTES: Final = 64 * 1024 * 1024
MAX_LOG_BYTES: Final = 5 * 1024 * 1024
#: How far ahead another machine's clock may be.
CLOCK_TOLERANCE_S: Final = 3600

#: Of zlib: a gzip stream and nothing else.
_GZIP: Final = 16 + zlib.MAX_WBITS
_SCHEMA: Final = "site/schemas/batch.schema.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch that is what it says; `data` are its bytes, `records` by id, `logs` by sha256."""

    id: str
    data: bytes
    node: str
    signature: str
    records: tuple[Record, ...]
    logs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UntrustedBatch:
    """A batch of a node that is not accepted here: nothing to blame its bearer for."""

    node: str


def decompress_batch(data: bytes, *, batch_id: str) -> bytes:
    """Give the bytes of a batch from their gzip; raise `RefusedError` if it is none, or holds more than a batch may."""
    what = f"batch {batch_id}"
    stream = zlib.decompressobj(_GZIP)
    try:
        held = stream.decompress(data, MAX_BATCH_BYTES + 1)
    except zlib.error as error:
        refuse(what, f"it is no gzip: {error}")
    if len(held) > MAX_BATCH_BYTES:
        refuse(what, f"it unpacks to more than {MAX_BATCH_BYTES:,} bytes")
    if not stream.eof or stream.unused_data:
        refuse(what, "its gzip is cut short, or something follows it")
    return held


def verify_batch(
    data: bytes, signature: str, *, batch_id: str, trusted: Container[str], now: int
) -> Batch | UntrustedBatch:
    """Give the batch that bytes are, or say that its node is not among the accepted ones.

    `batch_id` is its sha256 (hex), `signature` 128 hex digits, `now` in epoch seconds. Raises `RefusedError` with the
    first thing that is wrong.
    """
    what = f"batch {batch_id}"
    if len(data) > MAX_BATCH_BYTES:
        refuse(what, f"it is larger than {MAX_BATCH_BYTES:,} bytes")
    if sha256_hex(data) != batch_id:
        refuse(what, f"its bytes hash to {sha256_hex(data)}")
    document = parse_json(data, what=what, max_bytes=MAX_BATCH_BYTES)
    node = document.get("node")
    if not is_node_id(node):
        refuse(what, "it names no node")
    if node not in trusted:
        return UntrustedBatch(node=node)
    if not verify_signature(node, data, signature):
        refuse(what, f"its signature is not that of node {node}")
    check_schema(document, what=what, schema=_SCHEMA)
    if canonical_bytes(document, what=what) != data:
        refuse(what, "it is not in canonical form")
    for place in control_characters(document["records"], place="records"):
        refuse(what, f"a control character stands in {place}")
    try:
        records = tuple(Record.from_json(row) for row in document["records"])
    except InvalidReleaseError as error:
        refuse(what, error.message)
    for mistake in _content_errors(document, records, now):
        refuse(what, mistake)
    return Batch(id=batch_id, data=data, node=node, signature=signature, records=records, logs=document["logs"])


def _content_errors(document: Mapping[str, Json], records: tuple[Record, ...], now: int) -> Iterator[str]:
    # What a schema cannot say, the cheapest first; only the first is asked for.
    for number, (row, record) in enumerate(zip(document["records"], records, strict=True)):
        if record.node != document["node"]:
            yield f"records[{number}] is of another node, {record.node}"
        if record.observed_at > now + CLOCK_TOLERANCE_S:
            yield f"records[{number}] was observed in the future, at {record.observed_at}"
        if record.to_json() != row:
            yield f"records[{number}] is not in normal form"
    if any(one >= other for one, other in pairwise(map(batch_sort_key, records))):
        yield "its records are not in order, or one stands twice"
    yield from _log_errors(document["logs"], {record.log_sha256 for record in records if record.log_sha256})


def _log_errors(logs: Mapping[str, str], named: set[str]) -> Iterator[str]:
    if missing := sorted(named - logs.keys()):
        yield f"the log {missing[0]} is missing"
    if unnamed := sorted(logs.keys() - named):
        yield f"no record names the log {unnamed[0]}"
    for digest, text in logs.items():
        log = text.encode()
        if len(log) > MAX_LOG_BYTES:
            yield f"the log {digest} is larger than {MAX_LOG_BYTES:,} bytes"
        if sha256_hex(log) != digest:
            yield f"the log {digest} is another one"
