"""A statement is a node's signed description of what it publishes: how to issue one, and when to accept one.

A statement from a peer is accepted only if it passes these checks, in this order. They follow the detailed client
workflow of The Update Framework (TUF), reduced to one role with one key for each node:
https://theupdateframework.github.io/specification/latest/#detailed-client-workflow

1. *Form.* It is at most `MAX_STATEMENT_BYTES` of JSON that `statement.schema.json` accepts (`read_envelope`).
2. *Authenticity.* It names a trusted node, and its signature over the canonical JSON (RFC 8785) of the `signed` part is
   valid for that node's key (`authenticate`).
3. *No rollback.* Its sequence number is not lower than that of the statement last accepted from the node
   (`check_sequence`, as 4 and 5).
4. *No fork.* It contradicts no statement of that node that anybody has shown: there is one statement with each number
   (`ppp.mesh.chain`). Two with one number prove that the node shows different histories; both are kept as evidence, and
   nothing more is merged from the node until a person clears it (`ppp.mesh.history`).
5. *Unbroken chain.* `previous` is the digest of the statement before. A peer may publish several times between two
   synchronizations: the statements in between are fetched from `statements/`, and must link without a gap.
6. *No freeze.* It was not issued in the future, lives no longer than `MAX_LIFETIME_S`, and has not expired
   (`check_expiry`). So a peer, or anyone between, cannot serve an old state for long without being noticed.

For example, for a peer whose statement 4 was accepted before:

    statement = open_envelope(data, trusted={peer.node})
    check_sequence(statement, last_seen=LastSeen(sequence=4, digest=peer.digest))
    check_expiry(statement, now=now)

The checks use nothing but the bytes, what was seen before, and the time they are given. Only `issue` reads and writes
a ledger: this node's own.
"""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final, Self

from sqlite_utils import Database

from ppp.ledger.seen_statements import newest_seen
from ppp.ledger.statements import StoredStatement, add_statement, newest_statement
from ppp.ledger.store import Store
from ppp.mesh.batch import CLOCK_TOLERANCE_S
from ppp.mesh.node import NodeKey, verify_signature
from ppp.mesh.untrusted import canonical_bytes, parse_document, reject
from ppp.model.canonical import Json, canonical_json, sha256_hex
from ppp.model.errors import RejectedDataError

STATEMENT_SCHEMA: Final = "ppp-statement-1"
MAX_STATEMENT_BYTES: Final = 64 * 1024
#: A statement expires after this time; in the second half of it, publishing issues a new one even if nothing changed.
LIFETIME_S: Final = 7 * 24 * 3600
#: A statement with a longer lifetime could hide a freeze.
MAX_LIFETIME_S: Final = 31 * 24 * 3600

_SCHEMA: Final = "site/schemas/statement.schema.json"
_WHAT: Final = "statement"


class ForkedError(RejectedDataError):
    """Two different signed statements with one sequence number: the peer shows different histories to others."""

    exit_code = 35


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is signed: digests are sha256 in hex, times epoch seconds, `images` image digests by environment."""

    node: str
    sequence: int
    previous: str | None
    issued_at: int
    expires_at: int
    current_sha256: str
    files_sha256: str
    root: str
    records: int
    images: Mapping[str, str]
    pip_version: str

    def to_json(self) -> dict[str, Json]:
        """Return the `signed` part that `statement.schema.json` describes."""
        return {
            "schema": STATEMENT_SCHEMA,
            "node": self.node,
            "sequence": self.sequence,
            "previous": self.previous,
            "issued_at": self.issued_at,
            "expires_at": self.expires_at,
            "current_sha256": self.current_sha256,
            "files_sha256": self.files_sha256,
            "root": self.root,
            "records": self.records,
            "images": dict(self.images),
            "pip_version": self.pip_version,
        }

    @classmethod
    def from_json(cls, signed: Mapping[str, Json]) -> Self:
        """Return the statement of a `signed` part that is valid by `statement.schema.json`."""
        return cls(**{name: value for name, value in signed.items() if name != "schema"})

    @property
    def digest(self) -> str:
        """The sha256 (hex) of the signed part, to which the next statement's `previous` refers."""
        return sha256_hex(canonical_json(self.to_json()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A statement that is not verified yet, the bytes that were signed, and the signature (hex)."""

    statement: Statement
    message: bytes
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSeen:
    """The statement last accepted from a node."""

    sequence: int
    digest: str


def sign_statement(statement: Statement, key: NodeKey) -> bytes:
    """Return the envelope of a statement, signed: the canonical JSON that is published."""
    signed = statement.to_json()
    return canonical_json({"signed": signed, "signature": key.sign(canonical_json(signed))})


def open_envelope(data: bytes, *, trusted: Container[str]) -> Statement:
    """Return the statement in an envelope if a trusted node signed it; raise `RejectedDataError` for anything else."""
    return authenticate(read_envelope(data), trusted=trusted)


def read_envelope(data: bytes) -> Envelope:
    """Return the content of an envelope without verifying it; raise `RejectedDataError` if it is malformed."""
    document = parse_document(data, what=_WHAT, schema=_SCHEMA, max_bytes=MAX_STATEMENT_BYTES)
    return Envelope(
        statement=Statement.from_json(document["signed"]),
        message=canonical_bytes(document["signed"], what=_WHAT),
        signature=document["signature"],
    )


def authenticate(envelope: Envelope, *, trusted: Container[str]) -> Statement:
    """Return an envelope's statement; raise `RejectedDataError` unless its node is trusted and signed it."""
    # Trust is checked first, so that the error for an unknown node says how to trust it.
    node = envelope.statement.node
    if node not in trusted:
        reject(_WHAT, f"node {node} is not trusted", hint=f"if you trust it: `ppp peer trust {node}`")
    if not verify_signature(node, envelope.message, envelope.signature):
        reject(_WHAT, f"its signature is not that of node {node}")
    return envelope.statement


def check_sequence(statement: Statement, *, last_seen: LastSeen | None) -> None:
    """Raise `ForkedError` or `RejectedDataError` unless a statement is the one last seen, or a valid successor."""
    number = f"statement {statement.sequence} of node {statement.node}"
    if last_seen is None or (statement.sequence, statement.digest) == (last_seen.sequence, last_seen.digest):
        return
    if statement.sequence == last_seen.sequence:
        raise ForkedError(
            f"{number} rejected as a fork: the node signed another statement with this number",
            hint="both are kept as evidence; ask its operator, and remove the peer if there is no good explanation",
        )
    if statement.sequence < last_seen.sequence:
        reject(
            number,
            f"it is a rollback, because number {last_seen.sequence} was seen before",
            hint="the peer serves an old state; if its operator started over, remove the peer and add it again",
        )
    # After a gap the chain cannot be checked here; the statements in between are published under `statements/`.
    if statement.sequence == last_seen.sequence + 1 and statement.previous != last_seen.digest:
        reject(number, f"it follows {statement.previous or 'nothing'}, but the last one was {last_seen.digest}")


def check_expiry(statement: Statement, *, now: int) -> None:
    """Raise `RejectedDataError` unless a statement is valid at `now`, in epoch seconds."""
    number = f"statement {statement.sequence} of node {statement.node}"
    lifetime_s = statement.expires_at - statement.issued_at
    if statement.issued_at > now + CLOCK_TOLERANCE_S:
        reject(
            number,
            f"it was issued in the future, at {statement.issued_at}",
            hint="compare the two machines' clocks",
        )
    # A node could otherwise issue a statement that never expires, and a freeze would stay unnoticed.
    if not 0 < lifetime_s <= MAX_LIFETIME_S:
        reject(number, f"it claims a lifetime of {lifetime_s} seconds")
    if statement.expires_at <= now:
        reject(
            number,
            f"it expired at {statement.expires_at}",
            hint="the peer has stopped publishing, or somebody freezes it at an old state",
        )


def issue(
    store: Store,
    key: NodeKey,
    *,
    current_sha256: str,
    files_sha256: str,
    root: str,
    records: int,
    images: Mapping[str, str],
    pip_version: str,
    now: int,
) -> bytes | None:
    """Sign and store the next statement of this node's chain; return its envelope.

    Returns None and changes nothing while the last statement describes the same files and is in the first half of its
    lifetime. Digests are sha256 in hex, `images` image digests by environment, `now` epoch seconds.
    """
    last = _end_of_chain(store.db, key.id)
    before = Statement.from_json(json.loads(last.text)["signed"]) if last else None
    # If the ledger was copied from another node, this node's chain starts at the next sequence number.
    own = before if before and before.node == key.id else None
    if own and _is_still_current(own, current_sha256=current_sha256, files_sha256=files_sha256, now=now):
        return None
    statement = Statement(
        node=key.id,
        sequence=last.sequence + 1 if last else 1,
        previous=own.digest if own else None,
        issued_at=now,
        expires_at=now + LIFETIME_S,
        current_sha256=current_sha256,
        files_sha256=files_sha256,
        root=root,
        records=records,
        images=images,
        pip_version=pip_version,
    )
    data = sign_statement(statement, key)
    add_statement(store, StoredStatement(sequence=statement.sequence, text=data.decode(), digest=statement.digest))
    return data


def _end_of_chain(db: Database, own: str) -> StoredStatement | None:
    """Return the last statement of this node's chain, also if only its peers still have it.

    A ledger that was restored from a copy has lost the last ones. Going on from the copy would be a fork.
    """
    last = newest_statement(db)
    for seen in newest_seen(db):
        if seen.node == own and (last is None or seen.sequence > last.sequence):
            return StoredStatement(sequence=seen.sequence, text=seen.text, digest=seen.digest)
    return last


def _is_still_current(before: Statement, *, current_sha256: str, files_sha256: str, now: int) -> bool:
    same = (before.current_sha256, before.files_sha256) == (current_sha256, files_sha256)
    return same and now <= (before.issued_at + before.expires_at) // 2
