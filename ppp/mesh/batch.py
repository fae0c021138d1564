"""Verify a batch from a peer, from its bytes alone and without I/O, before any of it is stored.

A valid batch is named by its sha256, comes from a trusted node, carries that node's signature, is canonical JSON, holds
records of that node only, and contains exactly the logs that those records name.
"""

import re
import zlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ppp.ledger.batches import batch_sort_key
from ppp.mesh.node import verify_signature
from ppp.mesh.untrusted import canonical_bytes, check_schema, parse_json, reject
from ppp.model.canonical import Json, sha256_hex
from ppp.model.errors import RejectedDataError
from ppp.model.record import Record
from ppp.model.release import InvalidReleaseError
from ppp.record_rules import control_characters, has_normal_form

#: A node seals at most `ppp.ledger.batches.MAX_SEALED_BYTES`; only a single large log with many escapes exceeds that.
MAX_BATCH_BYTES: Final = 64 * 1024 * 1024
MAX_LOG_BYTES: Final = 5 * 1024 * 1024
#: How far ahead of ours, in seconds, another machine's clock may be. A node whose clock is more than a minute off does
#: not run (`ppp.runner.clock`), and two such clocks may be off in opposite directions.
CLOCK_TOLERANCE_S: Final = 120

#: Names a batch's node, before its JSON is parsed: in canonical JSON a quote within a string is escaped, and of the
#: batch's own keys only "logs", which holds no such key, comes before "node".
_NODE: Final = re.compile(rb'"node"\s*:\s*"([0-9a-f]{64})"')
#: The `wbits` of zlib that accepts a gzip stream and no other format.
_GZIP: Final = 16 + zlib.MAX_WBITS
_SCHEMA: Final = "site/schemas/batch.schema.json"


class EarlyBatchError(RejectedDataError):
    """A batch with a record from the future. It is valid later, so it must not be remembered as invalid."""

    exit_code = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A verified batch: its bytes, its records, and its logs by sha256 (hex)."""

    id: str
    data: bytes
    node: str
    signature: str
    records: tuple[Record, ...]
    logs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UntrustedBatch:
    """A batch of a node that is not trusted here. That is no fault of the peer that serves it."""

    node: str


def decompress_batch(data: bytes, *, what: str) -> bytes:
    """Return the bytes of a gzipped batch; raise `RejectedDataError` if it is not gzip, or unpacks to too much.

    `what` names it in the error.
    """
    stream = zlib.decompressobj(_GZIP)
    try:
        content = stream.decompress(data, MAX_BATCH_BYTES + 1)
    except zlib.error as error:
        reject(what, f"it is not gzip: {error}")
    if len(content) > MAX_BATCH_BYTES:
        reject(what, f"it unpacks to more than {MAX_BATCH_BYTES:,} bytes")
    if not stream.eof or stream.unused_data:
        reject(what, "its gzip stream is cut short, or something follows it")
    return content


def verify_batch(
    data: bytes, signature: str, *, batch_id: str, trusted: Container[str], now: int
) -> Batch | UntrustedBatch:
    """Return the verified batch, or an `UntrustedBatch` if its node is not among the `trusted` ones.

    `batch_id` is its sha256 (hex), `signature` 128 hex digits, `now` in epoch seconds. Raises `RejectedDataError` with
    the first error found; if all that is wrong is the time of a record, an `EarlyBatchError`.
    """
    what = f"batch {batch_id}"
    _check_identity(data, batch_id, what=what)
    # Trust and signature come before the JSON, which can take twenty times its size in memory, and before the schema,
    # whose check is slow: only a trusted node can cause these costs.
    node = claimed_node(data, what=what)
    if node not in trusted:
        return UntrustedBatch(node=node)
    if not verify_signature(node, data, signature):
        reject(what, f"its signature is not that of node {node}")
    document = parse_json(data, what=what, max_bytes=MAX_BATCH_BYTES)
    if document.get("node") != node:
        reject(what, f"node {node} signed it, but it does not belong to that node")
    records = _verified_content(document, data, what=what, now=now)
    return Batch(id=batch_id, data=data, node=node, signature=signature, records=records, logs=document["logs"])


def authenticate_batch(data: bytes, signature: str, *, batch_id: str) -> str:
    """Return the node that signed a batch; raise `RejectedDataError` unless the batch has that id and that signature.

    Neither trust nor the content is looked at: that is for batches whose content was verified before.
    """
    what = f"batch {batch_id}"
    _check_identity(data, batch_id, what=what)
    node = claimed_node(data, what=what)
    if not verify_signature(node, data, signature):
        reject(what, f"its signature is not that of node {node}")
    return node


def _check_identity(data: bytes, batch_id: str, *, what: str) -> None:
    if len(data) > MAX_BATCH_BYTES:
        reject(what, f"it is larger than {MAX_BATCH_BYTES:,} bytes")
    if sha256_hex(data) != batch_id:
        reject(what, f"its bytes hash to {sha256_hex(data)}")


def claimed_node(data: bytes, *, what: str) -> str:
    """Return the node that a batch names, without parsing it; raise `RejectedDataError` if it names none."""
    claim = _NODE.search(data)
    if claim is None:
        reject(what, "it names no node")
    return claim[1].decode()


def verify_own_batch(data: bytes, *, node: str, now: int) -> tuple[Record, ...]:
    """Return the records of a batch that is not signed yet, in its order.

    Raise `RejectedDataError` for one that a peer with a right clock would reject, or that is of another node. It is
    held to all that `verify_batch` checks besides the signature. `now` is in epoch seconds.
    """
    what = f"batch {sha256_hex(data)}"
    document = parse_json(data, what=what, max_bytes=MAX_BATCH_BYTES)
    if document.get("node") != node:
        reject(what, f"it does not belong to node {node}")
    return _verified_content(document, data, what=what, now=now)


def _verified_content(document: dict[str, Json], data: bytes, *, what: str, now: int) -> tuple[Record, ...]:
    """Return the records of a batch; raise `RejectedDataError` with the first error of its content."""
    check_schema(document, what=what, schema=_SCHEMA)
    # One content has one encoding, so that a node cannot sign the same records under many ids.
    if canonical_bytes(document, what=what) != data:
        reject(what, "it is not in canonical form")
    # Only the records: a log is the output of a program, and may contain anything.
    for place in control_characters(document["records"], place="records"):
        reject(what, f"there is a control character in {place}")
    try:
        records = tuple(Record.from_json(row) for row in document["records"])
    except InvalidReleaseError as error:
        reject(what, error.message)
    for mistake in _content_errors(document, records):
        reject(what, mistake)
    _check_times(what, records, now)
    return records


def _check_times(what: str, records: tuple[Record, ...], now: int) -> None:
    for number, record in enumerate(records):
        if record.observed_at > now + CLOCK_TOLERANCE_S:
            raise EarlyBatchError(
                f"{what} rejected: records[{number}] was observed in the future, at {record.observed_at}",
                hint="it can be merged when that time has come; compare the two machines' clocks",
            )


def _content_errors(document: Mapping[str, Json], records: tuple[Record, ...]) -> Iterator[str]:
    # What a schema cannot express, the cheapest first: the caller takes only the first error.
    for number, (row, record) in enumerate(zip(document["records"], records, strict=True)):
        if record.node != document["node"]:
            yield f"records[{number}] belongs to another node, {record.node}"
        # A record that changes when it is parsed and written again would have another id here than at the peer.
        if not has_normal_form(row, record):
            yield f"records[{number}] is not in normal form"
    if any(one >= other for one, other in pairwise(map(batch_sort_key, records))):
        yield "its records are not in order, or one is repeated"
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
            yield f"the log {digest} has a different hash"
