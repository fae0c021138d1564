"""Batches for which a peer's site has no room: a synchronization says which are missing, and files bring them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppp.ledger.batches import ledger_root, packed_batches, published_batch_files
from ppp.ledger.peers import list_peers
from ppp.mesh.local_batches import import_batches, read_batch_files
from ppp.mesh.older import OLDER_PATH, OlderBatches
from ppp.mesh.sync import SyncFailure, SyncReport, sync
from ppp.model.errors import RejectedDataError
from ppp.model.record import Record
from ppp.publish.api.older_batches import older_batches_file
from ppp.schemas import schema_errors

Node = Any
URL = "https://state.example/batches/"


def synced(here: Node) -> SyncReport:
    (peer,) = list_peers(here.store.db)
    outcome = sync(here.access, peer, here.web, now=here.now)
    if isinstance(outcome, SyncFailure):
        raise outcome.error
    return outcome


@pytest.fixture
def pair(node: Callable[[int], Node], record: Callable[..., Record]) -> tuple[Node, Node]:
    """Two nodes; the second has three batches, and room for the newest one only."""
    here, there = node(1), node(2)
    for number in range(3):
        added = record(f"package-{number}", node=there.key.id)
        there.add(added)
        there.publish()
    here.trust(there)
    publish_newest(there)
    return here, there


def publish_newest(there: Node, **changes: object) -> list[str]:
    """Publish one batch and the list of the others, perhaps a changed one; return the ids of the others."""
    kept, *older = packed_batches(there.store.db)
    _, listed = older_batches_file(older, URL)
    assert listed is not None
    document = json.loads(listed)
    assert schema_errors("site/schemas/older-batches.schema.json", document) == []
    if changes:
        listed = json.dumps(document | changes).encode()
    there.write_web_root({**dict(published_batch_files(there.store.db, kept.id)), OLDER_PATH: listed})
    return [batch.id for batch in older]


def test_what_is_missing_is_counted_and_where_it_is_said(pair: tuple[Node, Node]) -> None:
    here, there = pair
    report = synced(here)
    assert (report.batches, report.records, report.agree, report.rejected_batches) == (1, 1, False, 0)
    older = packed_batches(there.store.db)[1:]
    last = max(batch.last_observed_at for batch in older)
    assert report.older == OlderBatches(batches=2, records=2, last_observed_at=last, url=URL)
    assert not any(url.startswith(URL) for url in here.web.requested)


def test_files_from_anywhere_bring_what_is_missing(pair: tuple[Node, Node], tmp_path: Path) -> None:
    here, there = pair
    synced(here)
    for batch in packed_batches(there.store.db):
        for path, content in published_batch_files(there.store.db, batch.id):
            (tmp_path / Path(path).name).write_bytes(content)
    (tmp_path / "README").write_text("no batch")
    done = import_batches(here.access, read_batch_files(tmp_path), now=here.now)
    assert (done.batches, done.records, done.known, done.untrusted, done.rejections) == (2, 2, 1, (), ())
    assert ledger_root(here.store.db) == ledger_root(there.store.db)
    report = synced(here)
    assert (report.agree, report.older) == (True, None)
    again = import_batches(here.access, read_batch_files(tmp_path), now=here.now)
    assert (again.batches, again.known) == (0, 3)


def test_a_node_that_has_all_of_them_does_not_fetch_the_list(pair: tuple[Node, Node]) -> None:
    here, there = pair
    there.publish()
    assert synced(here).agree
    publish_newest(there)
    here.web.requested.clear()
    assert synced(here).older is None
    assert f"{there.url}{OLDER_PATH}" not in here.web.requested


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize("damage", ["bytes", "signature", "stranger", "no signature"])
def test_what_is_imported_is_verified_as_from_a_peer(damage: str, pair: tuple[Node, Node], tmp_path: Path) -> None:
    here, there = pair
    batch = packed_batches(there.store.db)[1]
    (_, packed), (_, signature) = published_batch_files(there.store.db, batch.id)
    if damage == "stranger":
        here.store.db.execute("DELETE FROM peers")
    (tmp_path / f"{batch.id}.json.gz").write_bytes(packed[:-1] if damage == "bytes" else packed)
    if damage != "no signature":
        (tmp_path / f"{batch.id}.sig").write_bytes(b"00" * 64 if damage == "signature" else signature)
    before = here.dump()
    done = import_batches(here.access, read_batch_files(tmp_path), now=here.now)
    left_out = (1, 0) if damage == "stranger" else (0, 1)
    assert (done.batches, len(done.untrusted), len(done.rejections)) == (0, *left_out)
    assert here.dump() == before


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    "changes",
    [
        {"url": "javascript:alert(1)"},
        {"url": "https://x.example/\x1b[2J"},
        {"batches": []},
        {"batches": [["../x", "a" * 64, 1, 0, 0, 0]]},
        {"batches": [["a" * 64, "b" * 64, True, 0, 0, 0]]},
        {"batches": [["a" * 64, "b" * 64, 1, 0, 0, -1]]},
        {"batches": [["a" * 64, "b" * 64, 1, 0, 0]]},
        {"batches": [["a" * 64, "b" * 64, 1, 0, 0, 0]] * 100_001},
        {"schema": "ppp-older-batches-2"},
        {"more": 1},
    ],
)
def test_a_list_that_is_not_valid_is_rejected(changes: dict[str, object], pair: tuple[Node, Node]) -> None:
    here, there = pair
    publish_newest(there, **changes)
    with pytest.raises(RejectedDataError, match="older"):
        synced(here)
