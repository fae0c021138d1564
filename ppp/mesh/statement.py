"""A statement is a node's signed word on what it holds; each names the one before it, and runs out.

Whether to believe one is decided here from its bytes, what was seen before and the time, without I/O.
"""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final, Self

from ppp.ledger.statements import StoredStatement, add_statement, newest_statement
from ppp.ledger.store import Store
from ppp.mesh.batch import CLOCK_TOLERANCE_S
from ppp.mesh.node import NodeKey, verify_signature
from ppp.mesh.untrusted import canonical_bytes, parse_document, refuse
from ppp.model.errors import RejectedDataError
from ppp.model.record import Json, canonical_json, sha256_hex

STATEMENT_SCHEMA: Final = "ppp-statement-1"
MAX_STATEMENT_BYTES: Final = 64 * 1024
#: After this a peer that repeats itself shows as frozen; past its half the next publish says it anew.
LIFETIME_S: Final = 7 * 24 * 3600
#: A statement that lives for longer than this could hide that its peer is frozen.
MAX_LIFETIME_S: Final = 31 * 24 * 3600

_SCHEMA: Final = "site/schemas/statement.schema.json"
_WHAT: Final = "statement"


class ForkedError(RejectedDataError):
    """Two different statements of one number, both signed: the peer tells different things to different nodes."""

    exit_code = 35


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a node says: digests are sha256 in hex, times epoch seconds, `images` the image digest by environment."""

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
        """Give the `signed` part that `statement.schema.json` describes."""
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
        """Build from a `signed` part that `statement.schema.json` has passed."""
        return cls(**{name: value for name, value in signed.items() if name != "schema"})

    @property
    def digest(self) -> str:
        """Give the sha256 (hex) of the signed part, by which the next statement names this one."""
        return sha256_hex(canonical_json(self.to_json()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A statement, the bytes that were signed, and the signature (hex)."""

    statement: Statement
    message: bytes
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSeen:
    """The last statement that was taken from a peer."""

    sequence: int
    digest: str


def sign_statement(statement: Statement, key: NodeKey) -> bytes:
    """Give a statement signed: the canonical JSON that is published."""
    signed = statement.to_json()
    return canonical_json({"signed": signed, "signature": key.sign(canonical_json(signed))})


def open_envelope(data: bytes, *, trusted: Container[str]) -> Statement:
    """Give the statement that a pinned node signed; raise `RefusedError` for anything else."""
    return authenticate(read_envelope(data), trusted=trusted)


def read_envelope(data: bytes) -> Envelope:
    """Give what an envelope says, nothing of it proved yet; raise `RefusedError` if it is malformed."""
    document = parse_document(data, what=_WHAT, schema=_SCHEMA, max_bytes=MAX_STATEMENT_BYTES)
    return Envelope(
        statement=Statement.from_json(document["signed"]),
        message=canonical_bytes(document["signed"], what=_WHAT),
        signature=document["signature"],
    )


def authenticate(read: Envelope, *, trusted: Container[str]) -> Statement:
    """Give the statement of an envelope that its node signed; raise `RefusedError` if it did not, or is not pinned."""
    node = read.statement.node
    if node not in trusted:
        refuse(_WHAT, f"node {node} is not pinned", hint="pin it with `ppp peer add URL KEY` if you trust it")
    if not verify_signature(node, read.message, read.signature):
        refuse(_WHAT, f"its signature is not that of node {node}")
    return read.statement


def check_sequence(statement: Statement, *, last_seen: LastSeen | None) -> None:
    """Raise `ForkedError` or `RefusedError` unless a statement is the one seen last, or comes after it."""
    number = f"statement {statement.sequence} of node {statement.node}"
    if last_seen is None or (statement.sequence, statement.digest) == (last_seen.sequence, last_seen.digest):
        return
    if statement.sequence == last_seen.sequence:
        raise ForkedError(
            f"{number} refused: it signed another statement under that number",
            hint="both are kept as evidence; ask its operator, and remove the peer if you are not told why",
        )
    if statement.sequence < last_seen.sequence:
        refuse(
            number,
            f"number {last_seen.sequence} was seen before",
            hint="an old state is served again; if its operator began anew, remove the peer and add it again",
        )
    if statement.sequence == last_seen.sequence + 1 and statement.previous != last_seen.digest:
        refuse(number, f"it follows {statement.previous or 'nothing'}, but the one before it was {last_seen.digest}")


def check_expiry(statement: Statement, *, now: int) -> None:
    """Raise `RefusedError` unless a statement is in force at `now`, in epoch seconds."""
    number = f"statement {statement.sequence} of node {statement.node}"
    life_s = statement.expires_at - statement.issued_at
    if statement.issued_at > now + CLOCK_TOLERANCE_S:
        refuse(
            number, f"it was issued in the future, at {statement.issued_at}", hint="compare the two machines' clocks"
        )
    if not 0 < life_s <= MAX_LIFETIME_S:
        refuse(number, f"it claims a life of {life_s} seconds")
    if statement.expires_at <= now:
        refuse(number, f"it expired at {statement.expires_at}", hint="the peer is frozen, or has stopped publishing")


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
    """Sign and keep the next statement of this node's chain; give its envelope.

    Gives None, and changes nothing, while the last one says the same of the same files and is not past half its life.
    """
    last = newest_statement(store.db)
    before = Statement.from_json(json.loads(last.text)["signed"]) if last else None
    # A ledger that came with another node's chain: its numbers go on, a chain of this node's begins.
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


def _is_still_current(before: Statement, *, current_sha256: str, files_sha256: str, now: int) -> bool:
    same = (before.current_sha256, before.files_sha256) == (current_sha256, files_sha256)
    return same and now <= (before.issued_at + before.expires_at) // 2
