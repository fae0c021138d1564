"""Compare a ledger with what its node has published, and get back from there what the ledger lacks.

A machine that keeps nothing knows from its saved state how far the node's chain of statements goes. If that state is
lost, or an older one was put back, the next statement would be a second one with its number: a fork, which peers never
forgive. What the node published shows it, because its own key signed it.

What is published lies where others may write, so nothing in it counts that the key did not sign: the newest statement
names the hash of the list of files, which names those of the batches, and each statement that of the one before it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

from sqlite_utils import Database

from ppp.ledger.batches import ledger_root, list_batch_ids
from ppp.ledger.peers import Peer
from ppp.ledger.seen_statements import newest_seen
from ppp.ledger.statements import StoredStatement, add_statement, newest_statement, own_statement
from ppp.ledger.store import Store
from ppp.mesh.chain import SignedStatement
from ppp.mesh.fetch import PeerConnection, UnavailableFileError
from ppp.mesh.merge import merge
from ppp.mesh.older import OlderBatches, fetch_older
from ppp.mesh.receive import LocalState, Received, fetch_file_lists, receive_batches
from ppp.mesh.statement import MAX_STATEMENT_BYTES, read_envelope
from ppp.mesh.untrusted import reject
from ppp.model.errors import RejectedDataError, StateError
from ppp.storage_errors import translate_storage_errors

#: How many statements are fetched at most: those of more than twenty years, four a day.
MAX_CHAIN: Final = 30_000
#: How long, in seconds, the newest statement may take to come, and all that a node has published.
COMPARE_DEADLINE_S: Final = 60.0
RECOVER_DEADLINE_S: Final = 3_000.0
_TWO_MACHINES: Final = "two machines ran as one node: stop one of them, and go on with the ledger of the other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a ledger got back: batches, records and statements; `agree` if it has the published set of records now.

    `left_out` counts the batches of nodes that are not trusted here, `older` those that the site has no room for.
    """

    batches: int
    records: int
    left_out: int
    older: OlderBatches | None
    statements: int = 0
    agree: bool = False


def fetch_published(connection: PeerConnection, url: str, *, own: str) -> SignedStatement:
    """Return the newest statement that this node (`own`) published at a URL that ends with `/`.

    Raises `PeerError` if there is none, and `RejectedDataError` if it is invalid or another node's.
    """
    data = connection.get(f"{url}statement.json", max_bytes=MAX_STATEMENT_BYTES)
    found = read_envelope(data).statement.node
    if found != own:
        reject("statement", f"it is node {found} that publishes at {url}, and not this one, {own}")
    return SignedStatement.open(data, trusted={own})


def check_published(db: Database, published: SignedStatement, *, url: str) -> None:
    """Raise `StateError` if a ledger lacks statements that its node has published, or has others in their place."""
    refuse_contradiction(db, published, url=url)
    number, newest = published.sequence, _newest_number(db, published.node)
    if number > newest:
        raise StateError(
            f"this node's newest statement at {url} has the number {number}, and the ledger's has {newest}: the state"
            " was lost, or an older one was put back",
            hint=f"get it back with `ppp restore --from {url}`, or go on without the records that are missing with"
            " `ppp state check --begin-anew`; on GitHub, run the workflow by hand and choose one of the two",
        )


def refuse_contradiction(db: Database, published: SignedStatement, *, url: str) -> None:
    """Raise `StateError` if a ledger has another statement in the place of one that its node has published."""
    known = _own_statement(db, published.node, published.sequence)
    if known is not None and known.digest != published.statement.digest:
        raise StateError(
            f"the ledger and {url} have different statements of this node with the number {published.sequence}",
            hint=_TWO_MACHINES,
        )


def _newest_number(db: Database, own: str) -> int:
    """Return the number of the newest statement of the chain that goes on, also if only peers still have it."""
    last = newest_statement(db)
    return max([last.sequence if last else 0, *(seen.sequence for seen in newest_seen(db) if seen.node == own)])


def _own_statement(db: Database, own: str, number: int) -> StoredStatement | None:
    """Return the stored statement with a number; None where a ledger that was copied has another node's."""
    stored = own_statement(db, number)
    return stored if stored and json.loads(stored.text)["signed"]["node"] == own else None


def recover(
    store: Store,
    connection: PeerConnection,
    url: str,
    *,
    own: str,
    trusted: Callable[[Database], frozenset[str]],
    now: int,
) -> Recovered:
    """Get back what this node (`own`) published at a URL and its ledger lacks; `now` is in epoch seconds.

    Batches come first, of the nodes that are `trusted`, then the chain: a ledger that is complete by its chain has the
    batches. Raises `StateError` if the ledger contradicts what is published, and `PeerError` or `RejectedDataError` if
    something cannot be had; the batches before it are stored then.
    """
    published = fetch_published(connection, url, own=own)
    refuse_contradiction(store.db, published, url=url)
    chain = fetch_chain(connection, store.db, published, url)
    found = _recover_batches(store, connection, published, url, trusted=trusted, now=now)
    add_chain(store, chain)
    agree = ledger_root(store.db) == published.statement.root
    return replace(found, statements=len(chain), agree=agree)


def fetch_chain(
    connection: PeerConnection, db: Database, published: SignedStatement, url: str
) -> list[SignedStatement]:
    """Return the published statements that a ledger lacks, by number; each names the one before it.

    They begin where the chain began, or where the site has no older ones. Raises `StateError` if they do not join the
    ledger's.
    """
    last = newest_statement(db)
    newest = last.sequence if last else 0
    chain = [*takewhile(lambda signed: signed.sequence > newest, _backwards(connection, published, url))][::-1]
    joins = last and chain and chain[0].sequence == newest + 1 and _own_statement(db, published.node, newest)
    if joins and joins.digest != chain[0].statement.previous:
        raise StateError(
            f"statement {newest + 1} of this node at {url} does not follow the ledger's number {newest}",
            hint=_TWO_MACHINES,
        )
    return chain


def _backwards(connection: PeerConnection, newest: SignedStatement, url: str) -> Iterator[SignedStatement]:
    """Yield a chain from its newest statement on, as far as the site has it.

    Each is the one that the statement after it names.
    """
    signed = newest
    for _ in range(MAX_CHAIN):
        yield signed
        before = signed.statement.previous
        if before is None:
            return
        name = f"statements/{signed.sequence - 1}.json"
        try:
            data = connection.get(f"{url}{name}", max_bytes=MAX_STATEMENT_BYTES)
        except UnavailableFileError:
            return
        signed = SignedStatement.open(data, trusted={newest.node})
        if signed.statement.digest != before:
            reject(name, f"it is not the statement that the one after it names, {before}")


def _recover_batches(
    store: Store,
    connection: PeerConnection,
    published: SignedStatement,
    url: str,
    *,
    trusted: Callable[[Database], frozenset[str]],
    now: int,
) -> Recovered:
    """Merge the published batches that the ledger lacks, round by round, and return what these were."""
    files = fetch_file_lists(connection, url, sha256=published.statement.files_sha256)
    peer = Peer(node=published.node, url=url, added_at=now)
    merged: set[str] = set()
    left_out: set[str] = set()
    records = 0
    while True:
        local = LocalState(
            peer=peer, trusted=trusted(store.db), batches=frozenset(list_batch_ids(store.db)), left_out={}
        )
        received = receive_batches(connection, files, local, tried=merged | left_out, now=now)
        records += sum(merge(store, batch, now=now) for batch in received.batches)
        merged |= {batch.id for batch in received.batches}
        left_out |= {one.batch for one in received.untrusted}
        _raise_failure(received)
        if received.complete:
            older = fetch_older(connection, files, replace(local, batches=frozenset(list_batch_ids(store.db))))
            return Recovered(batches=len(merged), records=records, left_out=len(left_out), older=older)


def _raise_failure(received: Received) -> None:
    if received.error is not None:
        raise received.error
    for batch in received.rejected:
        raise RejectedDataError(
            batch.reason, hint="what this node signed is damaged there: take it from a copy of the site"
        )


def add_chain(store: Store, chain: list[SignedStatement]) -> None:
    """Store published statements as this node's own, so that its chain goes on after them."""
    with translate_storage_errors(store.path), store.db.atomic():
        for signed in chain:
            add_statement(
                store,
                StoredStatement(sequence=signed.sequence, text=signed.text, digest=signed.statement.digest),
            )
