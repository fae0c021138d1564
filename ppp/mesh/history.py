"""What this node knows of other nodes' statements: read from the ledger, compared with new ones, and stored there.

Rules:

1. Every valid statement counts, whoever showed it: the node itself, or a peer that saw it (`peers.json`).
2. Two statements that cannot be of one chain are evidence. Both envelopes are kept, and their node is quarantined:
   nothing is merged from it until a person clears it (`clear`).
3. What a person cleared is not held against the node again: other nodes' statements up to that number are ignored.
4. A node is never quarantined by what it did not sign.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.peers import Peer, forget_peer_statement, list_peers, save_peer_statement
from ppp.ledger.quarantines import (
    Quarantine,
    add_quarantines,
    clear_quarantine,
    cleared_through,
    list_quarantines,
    quarantined,
)
from ppp.ledger.seen_statements import SeenStatement, add_seen, forget_seen, newest_seen, seen_statements
from ppp.ledger.statements import Fork, add_forks, list_forks, own_statement
from ppp.ledger.store import Store
from ppp.mesh.chain import Contradiction, SignedStatement, check_freeze, find_contradictions
from ppp.mesh.fetch import PeerConnection
from ppp.mesh.peers_file import MAX_OF_ONE_NODE, MAX_PEERS_BYTES, PEERS_NAME, peers_document, read_peers_document
from ppp.mesh.statement import (
    MAX_STATEMENT_BYTES,
    ForkedError,
    LastSeen,
    Statement,
    check_expiry,
    check_sequence,
    read_envelope,
)
from ppp.mesh.untrusted import reject
from ppp.model.errors import PeerError, PPPError, RejectedDataError
from ppp.storage_errors import translate_storage_errors

#: How many statements of one gap are fetched in one synchronization; the next one goes on there.
MAX_GAP: Final = 1000
#: How many statements are kept as evidence against one node that is quarantined anyway: its key signs any number.
MAX_EVIDENCE: Final = 100


def quarantine_error(quarantine: Quarantine) -> ForkedError:
    """Return the error for a peer that is quarantined."""
    node = quarantine.node
    return ForkedError(
        f"node {node} is quarantined as a fork: {quarantine.reason}",
        hint=f"see `ppp peer evidence {node}`; if its operator has an explanation, `ppp peer clear {node}`",
    )


def known_statements(db: Database, node: str) -> list[SignedStatement]:
    """Return the statements of another node that were seen, by number."""
    return [_signed(seen.text) for seen in seen_statements(db, node)]


def _signed(text: str) -> SignedStatement:
    return SignedStatement(statement=Statement.from_json(json.loads(text)["signed"]), text=text)


def fetch_gap(
    connection: PeerConnection, url: str, *, after: int, newest: SignedStatement
) -> Iterator[SignedStatement]:
    """Fetch the statements of a chain after number `after` and before the newest one, and verify their signatures.

    Yields `MAX_GAP` of them at most, the oldest. Raises `PeerError` or `RejectedDataError` if one is not there, or is
    not that node's with that number: without it nobody can tell whether the chain is unbroken.
    """
    for number in range(after + 1, min(newest.sequence, after + 1 + MAX_GAP)):
        name = f"statements/{number}.json"
        data = connection.get(f"{url}{name}", max_bytes=MAX_STATEMENT_BYTES)
        signed = SignedStatement.open(data, trusted={newest.node})
        if signed.sequence != number:
            reject(name, f"it has the number {signed.sequence}")
        yield signed


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatements:
    """A peer's newest statement, those between it and the last one accepted, and what the peer saw of other nodes.

    All are valid by their signatures; whether they are one chain is not checked yet. `failure` is why there is less
    than there should be: what did come may still prove a fork, so it is compared in any case.
    """

    newest: SignedStatement
    between: tuple[SignedStatement, ...]
    shown: tuple[SignedStatement, ...]
    failure: PPPError | None

    @property
    def chain(self) -> tuple[SignedStatement, ...]:
        """The peer's own statements, by number."""
        return *self.between, self.newest

    @property
    def missing(self) -> int:
        """How many statements before the newest one were too many to fetch at once."""
        return self.newest.sequence - 1 - self.between[-1].sequence if self.between else 0


def fetch_statements(connection: PeerConnection, peer: Peer, *, trusted: Collection[str]) -> PeerStatements:
    """Fetch a peer's newest statement, the chain that leads to it, and what it saw of `trusted` nodes.

    Raises `PeerError` or `RejectedDataError` if there is no valid newest statement.
    """
    data = connection.get(f"{peer.url}statement.json", max_bytes=MAX_STATEMENT_BYTES)
    found = read_envelope(data).statement.node
    if found != peer.node:
        reject(
            "statement",
            f"it is node {found} that publishes at {peer.url}, and not node {peer.node}",
            hint=f"if you trust it: `ppp peer remove {peer.url}`, then `ppp peer add {peer.url} --key {found}`",
        )
    newest = SignedStatement.open(data, trusted={peer.node})
    between: list[SignedStatement] = []
    shown: tuple[SignedStatement, ...] = ()
    failure: PPPError | None = None
    try:
        # Of a peer that was never seen before, the history before its newest statement is taken as it is.
        if peer.sequence is not None:
            # One by one, so that those before a failure are kept.
            for signed in fetch_gap(connection, peer.url, after=peer.sequence, newest=newest):
                between.append(signed)  # noqa: PERF402 - as above
        shown = fetch_shown(connection, peer.url, trusted=trusted)
    except (PeerError, RejectedDataError) as error:
        failure = error
    return PeerStatements(newest=newest, between=tuple(between), shown=shown, failure=failure)


def accept_statements(store: Store, peer: Peer, fetched: PeerStatements, *, own: str, now: int) -> Statement:
    """Compare what a peer publishes with all that was seen, store it, and return its newest statement.

    `peer` is as the ledger has it now. Raises `ForkedError` if the peer contradicts itself, whoever showed that, after
    the evidence is stored; and `RejectedDataError` for a rollback, a freeze, or a statement outside its lifetime. If
    part of a long chain is missing, the part that was fetched is accepted, and the error says what is missing.
    """
    for statements in (fetched.chain, fetched.shown):
        store_statements(store, statements, source=peer.node, own=own, now=now)
    if quarantine := quarantined(store.db).get(peer.node):
        raise quarantine_error(quarantine)
    if fetched.missing:
        _accept(store, fetched.between[-1])
    if fetched.failure:
        raise fetched.failure
    if fetched.missing:
        raise PeerError(
            f"{peer.url} published {fetched.missing} more statements since the last synchronization",
            hint="synchronize again, to go on with them",
        )
    newest = fetched.newest.statement
    last_seen = None
    if peer.sequence is not None and peer.digest is not None:
        last_seen = LastSeen(sequence=peer.sequence, digest=peer.digest)
    check_sequence(newest, last_seen=last_seen)
    check_freeze(newest, known_statements(store.db, peer.node), now=now)
    check_expiry(newest, now=now)
    # Stored before any file is used: even if that fails, no older statement may be accepted afterwards.
    _accept(store, fetched.newest)
    return newest


def _accept(store: Store, signed: SignedStatement) -> None:
    node, sequence, digest = signed.key
    save_peer_statement(store, node, sequence=sequence, digest=digest, text=signed.text)


def fetch_shown(connection: PeerConnection, url: str, *, trusted: Collection[str]) -> tuple[SignedStatement, ...]:
    """Fetch the statements of trusted nodes that a peer saw; none if it publishes no `peers.json`.

    Raises `RejectedDataError` if the file is malformed.
    """
    try:
        data = connection.get(f"{url}{PEERS_NAME}", max_bytes=MAX_PEERS_BYTES)
    except PeerError:
        return ()
    return read_peers_document(data, trusted=trusted)


def store_statements(
    store: Store, statements: Sequence[SignedStatement], *, source: str, own: str, now: int
) -> tuple[Contradiction, ...]:
    """Compare valid statements with all that were seen, store them, and return the contradictions.

    `source` is the node that showed them, `own` this node. Of each contradiction the envelopes are kept as evidence,
    and its node is quarantined. All of it is one transaction.
    """
    with translate_storage_errors(store.path), store.db.atomic():
        cleared, full = cleared_through(store.db), _proved_enough(store.db)
        counted = [
            s for s in statements if s.node not in full and (s.node == source or s.sequence > cleared.get(s.node, 0))
        ]
        issued = _own_statements(store.db, (s.sequence for s in counted if s.node == own))
        seen = (k for node in {s.node for s in counted} for k in known_statements(store.db, node))
        found = find_contradictions([*issued, *seen], counted)
        add_forks(store, tuple(_evidence(found, now)))
        add_quarantines(store, (_quarantine(c, source, now) for c in found))
        ours = {s.key for s in issued}
        add_seen(store, (_seen(s, source, now) for s in counted if s.key not in ours))
    return found


def _proved_enough(db: Database) -> frozenset[str]:
    return frozenset(node for node in quarantined(db) if len(list_forks(db, node)) >= MAX_EVIDENCE)


def _own_statements(db: Database, shown: Iterable[int]) -> list[SignedStatement]:
    numbers = {near for number in shown for near in (number - 1, number, number + 1)}
    stored = [own_statement(db, number) for number in sorted(numbers)]
    return [_signed(statement.text) for statement in stored if statement]


def _evidence(contradictions: Iterable[Contradiction], now: int) -> Iterable[Fork]:
    for found in contradictions:
        for signed in (found.first, found.second):
            node, sequence, digest = signed.key
            yield Fork(node=node, sequence=sequence, digest=digest, text=signed.text, seen_at=now)


def _quarantine(found: Contradiction, source: str, now: int) -> Quarantine:
    return Quarantine(node=found.node, since=now, sequence=found.second.sequence, reason=found.reason, source=source)


def _seen(signed: SignedStatement, source: str, now: int) -> SeenStatement:
    node, sequence, digest = signed.key
    return SeenStatement(node=node, sequence=sequence, digest=digest, text=signed.text, source=source, seen_at=now)


def peers_file(db: Database) -> bytes:
    """Return `peers.json`: the newest statement seen of each peer, and the evidence against nodes in quarantine."""
    peers = {peer.node for peer in list_peers(db)}
    newest = [seen.text for seen in newest_seen(db) if seen.node in peers]
    held = quarantined(db)
    evidence = [fork.text for node in sorted(held) for fork in list_forks(db, node)[: MAX_OF_ONE_NODE - 2]]
    return peers_document([*newest, *evidence])


def clear(store: Store, node: str, *, now: int) -> Quarantine:
    """End a node's quarantine and return what it was for; raise `PeerError` if it is not quarantined.

    The evidence stays. The node's next statement is taken as its first one, and whatever others show up to the highest
    number seen until now is no longer held against it.
    """
    with translate_storage_errors(store.path), store.db.atomic():
        found = quarantined(store.db).get(node)
        if found is None:
            raise PeerError(f"node {node} is not quarantined", hint="`ppp peer list` shows which peers are")
        numbers = [
            *(seen.sequence for seen in seen_statements(store.db, node)),
            *(fork.sequence for fork in list_forks(store.db, node)),
            *(quarantine.sequence for quarantine in list_quarantines(store.db, node)),
        ]
        clear_quarantine(store, node, through=max(numbers), now=now)
        forget_seen(store, node)
        forget_peer_statement(store, node)
    return found
