"""What the statements of one node say together: whether they can be one chain, and what proves that they cannot.

A node signs each number once, and each statement names the digest of the one before. Two valid statements that break
this rule prove, to everybody who has both, that the node showed different histories; nothing else proves it, and
nobody but the node can make them. So it does not matter who showed a statement: every valid one is compared with all
that were seen before.

Nothing here reads or writes: statements go in, contradictions come out.
"""

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final, Self

from ppp.mesh.statement import Statement, authenticate, read_envelope
from ppp.mesh.untrusted import reject
from ppp.model.canonical import canonical_json

#: How many contradictions one comparison names: one is enough to act on, and a peer must not fill a ledger with them.
MAX_CONTRADICTIONS: Final = 20
#: How long, in seconds, a newer statement may be known from others before an older one from the node itself is a
#: freeze: caches of static hosts deliver for a while what they have.
FREEZE_TOLERANCE_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """A statement whose signature was verified, with the envelope that proves it (canonical JSON)."""

    statement: Statement
    text: str

    @classmethod
    def open(cls, data: bytes, *, trusted: Container[str]) -> Self:
        """Return the statement in an envelope if a trusted node signed it; raise `RejectedDataError` otherwise."""
        envelope = read_envelope(data)
        statement = authenticate(envelope, trusted=trusted)
        # Not the bytes that came: a peer could fill them, and so the ledger, with spaces.
        text = canonical_json({"signed": statement.to_json(), "signature": envelope.signature}).decode()
        return cls(statement=statement, text=text)

    @property
    def node(self) -> str:
        """The node that signed it."""
        return self.statement.node

    @property
    def sequence(self) -> int:
        """Its number."""
        return self.statement.sequence

    @property
    def key(self) -> tuple[str, int, str]:
        """The node, the sequence number and the digest: what tells it from every other statement."""
        return self.statement.node, self.statement.sequence, self.statement.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two statements of one node that cannot be part of one chain, and why; `first` has not the greater number."""

    first: SignedStatement
    second: SignedStatement
    reason: str

    @property
    def node(self) -> str:
        """The node that signed both."""
        return self.first.node


def contradiction(one: SignedStatement, other: SignedStatement) -> Contradiction | None:
    """Return the contradiction between two statements of one node, or None if both can be part of one chain."""
    first, second = sorted((one, other), key=lambda s: s.key)
    before, after = first.statement, second.statement
    if before.sequence == after.sequence and before.digest != after.digest:
        reason = f"two different statements have the number {before.sequence}"
    elif before.sequence + 1 == after.sequence and after.previous != before.digest:
        follows = after.previous or "nothing"
        reason = f"statement {after.sequence} follows {follows}, but statement {before.sequence} is {before.digest}"
    else:
        return None
    return Contradiction(first=first, second=second, reason=reason)


def find_contradictions(
    known: Iterable[SignedStatement], shown: Iterable[SignedStatement]
) -> tuple[Contradiction, ...]:
    """Return the contradictions that new statements cause with those known and with each other, the earliest first.

    The statements may be of several nodes; at most `MAX_CONTRADICTIONS` are returned.
    """
    by_number: defaultdict[tuple[str, int], dict[str, SignedStatement]] = defaultdict(dict)
    for statement in known:
        node, sequence, digest = statement.key
        by_number[node, sequence][digest] = statement
    found: list[Contradiction] = []
    for statement in shown:
        node, sequence, digest = statement.key
        # A number that was seen already is compared with what it contradicts only once.
        if digest in by_number[node, sequence]:
            continue
        for near in (sequence - 1, sequence, sequence + 1):
            found += filter(None, (contradiction(o, statement) for o in by_number.get((node, near), {}).values()))
        by_number[node, sequence][digest] = statement
    found.sort(key=lambda c: (c.first.key, c.second.key))
    return tuple(found[:MAX_CONTRADICTIONS])


def check_freeze(served: Statement, known: Iterable[SignedStatement], *, now: int) -> None:
    """Raise `RejectedDataError` if others saw a newer statement of the node long before `now` (epoch seconds)."""
    newest = max((k.statement for k in known if k.node == served.node), key=_sequence, default=served)
    if newest.sequence > served.sequence and newest.issued_at <= now - FREEZE_TOLERANCE_S:
        reject(
            f"statement {served.sequence} of node {served.node}",
            f"others saw its number {newest.sequence}, issued at {newest.issued_at}",
            hint="the peer, or something between, keeps an old state; ask its operator",
        )


def _sequence(statement: Statement) -> int:
    return statement.sequence
