"""Nodes for tests: a key, a ledger, and a web root in memory that can be published, changed and signed again."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from memory_transport import MemoryTransport
from sqlite_utils import Database

from ppp.ledger.batches import batch_sort_key, compress_batch, ledger_root, list_batches, published_batch_files, seal
from ppp.ledger.peers import Peer
from ppp.ledger.statements import statement_files
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import add
from ppp.mesh.statement import Statement, issue, sign_statement
from ppp.model.record import Record, canonical_json, sha256_hex

NOW = 1_714_089_600  # 2024-04-26T00:00:00Z, a day after the records' default
#: Tables that a rejection may change: the reason for it, and the evidence of a fork.
NOTES = frozenset({"peers", "forks"})


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

    def trust(self, other: "MeshNode") -> Peer:
        return add(self.store, self.key, other.url, other.key.id, now=NOW)

    def add(self, *records: Record, log: str | None = None) -> None:
        for record in records:
            self.store.add_record(record, log)

    def publish(self, **extra: bytes) -> None:
        """Seal the records, and write the web root with its list of files and a statement."""
        seal(self.store, node=self.key.id, sign=self.key.sign)
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
        for path, data in {**files, "files.json": listing, **dict(statement_files(self.store.db))}.items():
            self.web.files[self.url + path] = data

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


@pytest.fixture
def web() -> Any:
    return MemoryTransport()


@pytest.fixture
def node(tmp_path: Path, web: Any) -> Iterator[Callable[[int], MeshNode]]:
    """A function that creates a node by its number."""
    with ExitStack() as stack:

        def make(number: int) -> MeshNode:
            store = stack.enter_context(Store.open(tmp_path / f"node{number}"))
            key = NodeKey.from_seed(bytes([number]) * 32)
            return MeshNode(key=key, store=store, url=f"http://node{number}.example/", web=web)

        yield make


@pytest.fixture
def batch_document(record: Callable[..., Record]) -> Callable[..., dict[str, Any]]:
    """A function that creates a batch document, valid except for the given changes."""

    def make(key: NodeKey, *packages: str, **changes: object) -> dict[str, Any]:
        records = [record(package, node=key.id, **changes) for package in packages or ("alpha", "beta")]
        rows = [r.to_json() for r in sorted(records, key=batch_sort_key)]
        return {"schema": "ppp-batch-1", "node": key.id, "records": rows, "logs": {}}

    return make


@pytest.fixture
def dumped() -> Callable[..., str]:
    return dump
