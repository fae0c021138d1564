"""Nodes for tests: a key, a ledger, and a web root in memory that can be published, changed and signed again."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memory_store import open_store
from sqlite_utils import Database

from ppp.ledger.batches import compress_batch, ledger_root, list_batches, published_batch_files, seal
from ppp.ledger.peers import Peer
from ppp.ledger.statements import statement_files
from ppp.ledger.store import Store
from ppp.mesh.chain import SignedStatement
from ppp.mesh.history import peers_file
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import add
from ppp.mesh.statement import LIFETIME_S, Statement, issue, sign_statement
from ppp.mesh.sync import LedgerAccess
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.record import Record

NOW = 1_714_089_600  # 2024-04-26T00:00:00Z, a day after the records' default
#: Tables that a rejection may change: the reason for it, what was seen, and the evidence of a fork.
NOTES = frozenset({"peers", "forks", "quarantines", "seen_statements", "left_out_batches"})


def dump(db: Database, *, without: frozenset[str] = frozenset()) -> str:
    """Return all rows of all tables except SQLite's own, in an order that does not depend on that of insertion."""
    names = [name for name in db.table_names() if name not in without and not name.startswith("_sqlite")]
    tables = {name: sorted(map(repr, db.table(name).rows)) for name in names}
    return json.dumps(tables, indent=0, sort_keys=True)


@dataclass(kw_only=True)
class MeshNode:
    """A node with its ledger, at a URL of the common transport."""

    key: NodeKey
    store: Store
    url: str
    web: Any
    now: int = NOW
    changes: dict[str, object] = field(default_factory=dict)

    @property
    def access(self) -> LedgerAccess:
        return LedgerAccess(open=lambda: nullcontext(self.store), own=self.key.id)

    def trust(self, other: "MeshNode") -> Peer:
        return add(self.store, self.key, other.url, other.key.id, now=NOW)

    def add(self, *records: Record, log: str | None = None) -> None:
        for record in records:
            self.store.add_record(record, log)

    def publish(self, **extra: bytes) -> None:
        """Seal the records, and write the web root with its list of files and a statement."""
        seal(self.store, node=self.key.id, sign=self.key.sign, verify=lambda _: None)
        self.write_web_root({**self.batches(), **{name.replace("__", "/"): b for name, b in extra.items()}})

    def write_web_root(self, files: dict[str, bytes], listing: bytes | None = None) -> None:
        """Publish any files, with a statement that covers them."""
        rows = sorted([path, len(data), sha256_hex(data)] for path, data in files.items())
        listing = listing or json.dumps({"schema": "ppp-files-1", "files": rows}).encode()
        issue(
            self.store,
            self.key,
            current_sha256=ledger_root(self.store.db),
            files_sha256=sha256_hex(listing),
            root=ledger_root(self.store.db),
            records=self.store.db.table("records").count,
            images={"py312-slim": f"sha256:{'0' * 64}"},
            pip_version="26.0.1",
            now=self.now,
        )
        for url in [url for url in self.web.files if url.startswith(self.url)]:
            del self.web.files[url]
        for path, data in {**files, "files.json": listing, **dict(statement_files(self.store.db, self.key.id))}.items():
            self.web.files[self.url + path] = data
        self.publish_seen()

    def publish_seen(self) -> None:
        """Publish what this node saw of its peers."""
        self.web.files[f"{self.url}peers.json"] = peers_file(self.store.db)

    def show(self, chain: Sequence[SignedStatement]) -> None:
        """Publish any statements in place of this node's own."""
        for signed in chain:
            self.web.files[f"{self.url}statements/{signed.sequence}.json"] = signed.text.encode()
        self.web.files[f"{self.url}statement.json"] = chain[-1].text.encode()

    def published(self) -> dict[str, bytes]:
        """Return the files of the web root, by URL."""
        return {url: data for url, data in self.web.files.items() if url.startswith(self.url)}

    def batches(self) -> dict[str, bytes]:
        """Return the files of all batches in the ledger."""
        db = self.store.db
        return {path: data for batch in list_batches(db) for path, data in published_batch_files(db, batch.id)}

    def batch(self, document: dict[str, Any], *, key: NodeKey | None = None) -> str:
        """Publish one batch of any content, signed and covered by the statement; return its id."""
        data = canonical_json(document)
        return self.raw_batch(data, (key or self.key).sign(data))

    def raw_batch(self, data: bytes, signature: str) -> str:
        batch_id = sha256_hex(data)
        self.write_web_root(
            {f"batches/{batch_id}.json.gz": compress_batch(data), f"batches/{batch_id}.sig": f"{signature}\n".encode()}
        )
        return batch_id

    def statement(self, **changes: object) -> bytes:
        """Return the envelope last published, with some fields changed and a new signature."""
        signed = json.loads(self.web.files[f"{self.url}statement.json"])["signed"]
        return sign_statement(Statement.from_json({**signed, **changes}), self.key)

    def dump(self, *, without: frozenset[str] = NOTES) -> str:
        return dump(self.store.db, without=without)


@contextmanager
def mesh_nodes(folder: Path, web: Any) -> Iterator[Callable[[int], MeshNode]]:
    """Yield a function that creates a node by its number, with its ledger in a folder, on a common transport."""
    with ExitStack() as stack:

        def make(number: int) -> MeshNode:
            store = stack.enter_context(open_store(folder / f"node{number}"))
            key = NodeKey.from_seed(bytes([number]) * 32)
            return MeshNode(key=key, store=store, url=f"http://node{number}.example/", web=web)

        yield make


def chain_of(key: NodeKey, length: int, *, fork_at: int | None = None, start: int = NOW) -> list[SignedStatement]:
    """Return the first statements of a node, a second apart; from number `fork_at` on they are of another history."""
    chain: list[SignedStatement] = []
    for sequence in range(1, length + 1):
        forked = fork_at is not None and sequence >= fork_at
        statement = Statement(
            node=key.id,
            sequence=sequence,
            previous=chain[-1].statement.digest if chain else None,
            issued_at=start + sequence,
            expires_at=start + sequence + LIFETIME_S,
            current_sha256="aa" * 32,
            files_sha256="bb" * 32,
            root="dd" * 32 if forked else "cc" * 32,
            records=sequence,
            images={},
            pip_version="26.0.1",
        )
        chain.append(SignedStatement(statement=statement, text=sign_statement(statement, key).decode()))
    return chain
