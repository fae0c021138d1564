"""Batches that a peer must not have signed, or does not have: each is refused alone, and remembered.

The attacker has the key of a trusted peer, and publishes a bad batch that sorts before all good ones; or a peer that
means well has signed such a batch, or passes on batches of nodes that are not trusted here.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pytest
from memory_transport import MemoryTransport
from mesh_nodes import MeshNode, mesh_nodes

from ppp.ledger.batches import batch_sort_key, compress_batch, list_batches
from ppp.ledger.left_out import LeftOutBatch, read_left_out, save_left_out
from ppp.ledger.peers import list_peers
from ppp.mesh.batch import MAX_BATCH_BYTES
from ppp.mesh.receive import RETRY_S
from ppp.mesh.sync import SyncReport, sync
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.record import Record

#: How many valid batches there are beside a bad one.
GOOD: Final = 3

MakeRecord = Callable[..., Record]
#: A batch as it is published: its bytes, its packed bytes, its signature.
Published = tuple[bytes, bytes, str]

pytestmark = pytest.mark.attack("valid-records")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[MeshNode, MeshNode]]:
    with mesh_nodes(tmp_path, MemoryTransport()) as make:
        here, there = make(1), make(2)
        here.trust(there)
        yield here, there


def document(node: MeshNode, *records: Record) -> dict[str, Any]:
    rows = [record.to_json() for record in sorted(records, key=batch_sort_key)]
    return {"schema": "ppp-batch-1", "node": node.key.id, "records": rows, "logs": {}}


def signed(node: MeshNode, data: bytes) -> Published:
    return data, compress_batch(data), node.key.sign(data)


def publish(node: MeshNode, batches: list[Published]) -> list[str]:
    """Publish batches, and return their ids."""
    files: dict[str, bytes] = {}
    for data, packed, signature in batches:
        files[f"batches/{sha256_hex(data)}.json.gz"] = packed
        files[f"batches/{sha256_hex(data)}.sig"] = f"{signature}\n".encode()
    node.write_web_root(files)
    return [sha256_hex(data) for data, _, _ in batches]


def synced(here: MeshNode) -> SyncReport:
    outcome = sync(here.access, list_peers(here.store.db)[0], here.web, now=here.now)
    assert isinstance(outcome, SyncReport)
    return outcome


def with_field(node: MeshNode, record: Record, name: str, value: object) -> bytes:
    content = document(node, record)
    content["records"][0][name] = value
    return canonical_json(content)


def good_batches(node: MeshNode, record: MakeRecord, *, after: str = "") -> list[Published]:
    """Return valid batches whose ids sort after another one."""
    documents = (canonical_json(document(node, record(f"good-{n}", node=node.key.id))) for n in range(10_000))
    return [signed(node, data) for data in islice((d for d in documents if sha256_hex(d) > after), GOOD)]


Bad = Callable[[MeshNode, Record], Published]

#: Bad batches by what is wrong with them.
BAD: Final[dict[str, Bad]] = {
    "signature": lambda n, r: (*signed(n, canonical_json(document(n, r)))[:2], "00" * 64),
    "signature-of-another": lambda n, r: (*signed(n, canonical_json(document(n, r)))[:2], n.key.sign(b"other")),
    "long-name": lambda n, r: signed(n, with_field(n, r, "package", "i" * 428)),
    "long-detail": lambda n, r: signed(n, with_field(n, r, "detail", "x" * 100_000)),
    "control-character": lambda n, r: signed(n, with_field(n, r, "detail", "\x1b[2J")),
    "unknown-field": lambda n, r: signed(n, with_field(n, r, "verdict", "PASS")),
    "unknown-result": lambda n, r: signed(n, with_field(n, r, "result", "GREAT")),
    "another-nodes-record": lambda n, r: signed(n, with_field(n, r, "node", "ab" * 32)),
    "future": lambda n, r: signed(n, with_field(n, r, "observed_at", n.now + 10**6)),
    "not-canonical": lambda n, r: signed(n, json.dumps(document(n, r)).encode()),
    "twice": lambda n, r: signed(n, canonical_json(document(n, r, r))),
    "empty": lambda n, _: signed(n, canonical_json(document(n))),
    "no-json": lambda n, _: signed(n, b"<html>"),
    "deep-json": lambda n, _: signed(n, b"[" * 10_000),
    "duplicate-key": lambda n, _: signed(n, b'{"node": "x", "node": "y"}'),
    "no-gzip": lambda n, r: (canonical_json(document(n, r)), b"plain", n.key.sign(canonical_json(document(n, r)))),
    "bomb": lambda n, _: (b"bomb", compress_batch(bytes(MAX_BATCH_BYTES + 1)), n.key.sign(b"bomb")),
    "other-content": lambda n, r: (b"id of this", *signed(n, canonical_json(document(n, r)))[1:]),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_batch_stops_no_other(kind: str, pair: tuple[MeshNode, MeshNode], record: MakeRecord) -> None:
    here, there = pair
    bad = BAD[kind](there, record("bad", node=there.key.id))
    ids = publish(there, [bad, *good_batches(there, record, after=sha256_hex(bad[0]))])
    report = synced(here)
    assert (report.batches, report.records, report.rejected_batches) == (GOOD, GOOD, 1)
    assert {batch.id for batch in list_batches(here.store.db)} == set(ids[1:])
    (reason,) = report.rejections
    assert ids[0] in reason
    assert reason.isprintable()
    assert list_peers(here.store.db)[0].sync_error == f"1 of its batches rejected; the first: {reason}"
    # It is not fetched again; but one that is only early, or that comes as it is listed the next time, is.
    here.web.requested.clear()
    synced(here)
    assert [url for url in here.web.requested if ids[0] in url] == [] or kind == "future"
    here.now += RETRY_S
    assert synced(here).rejections


@pytest.mark.parametrize("damage", ["missing", "no-signature-file", "cut", "flipped", "longer"])
def test_a_batch_that_is_not_as_listed_stops_no_other(
    damage: str, pair: tuple[MeshNode, MeshNode], record: MakeRecord
) -> None:
    here, there = pair
    ids = sorted(publish(there, good_batches(there, record)))
    url = f"{there.url}batches/{ids[0]}"
    whole = dict(here.web.files)
    content = here.web.files[f"{url}.json.gz"]
    match damage:
        case "missing":
            del here.web.files[f"{url}.json.gz"]
        case "no-signature-file":
            del here.web.files[f"{url}.sig"]
        case "cut":
            here.web.files[f"{url}.json.gz"] = content[:-1]
        case "flipped":
            here.web.files[f"{url}.json.gz"] = bytes([content[0] ^ 1]) + content[1:]
        case _:
            here.web.files[f"{url}.json.gz"] = content + b" "
    report = synced(here)
    assert (report.batches, report.rejected_batches) == (GOOD - 1, 1)
    assert re.search(ids[0], report.rejections[0])
    # Nothing is held against the batch itself.
    here.web.files.update(whole)
    assert synced(here).batches == 1
    assert list_peers(here.store.db)[0].sync_error is None


@pytest.mark.attack("bounded-input")
def test_batches_of_untrusted_nodes_cost_one_fetch_each(
    pair: tuple[MeshNode, MeshNode], tmp_path: Path, record: MakeRecord
) -> None:
    here, there = pair
    with mesh_nodes(tmp_path / "others", here.web) as make:
        other = make(3)
        batches = [
            signed(other, canonical_json(document(other, record(f"p-{n}", node=other.key.id)))) for n in range(200)
        ]
        publish(there, batches)
        assert synced(here).untrusted_batches == 200
        for _ in range(2):
            here.web.requested.clear()
            assert synced(here).untrusted_batches == 200
            assert not [url for url in here.web.requested if "batches/" in url]
            here.now += RETRY_S
        here.trust(other)
        assert synced(here).records == 200


@pytest.mark.attack("bounded-input")
def test_what_is_remembered_of_a_peer_is_limited(pair: tuple[MeshNode, MeshNode]) -> None:
    here, there = pair
    for day in range(5):
        many = [LeftOutBatch(batch=f"{day}-{n}", node=None, reason="invalid", seen_at=day) for n in range(day * 3)]
        save_left_out(here.store, there.key.id, many, limit=10)
    found = read_left_out(here.store.db, there.key.id)
    assert len(found) == 10
    assert {each.seen_at for each in found.values()} == {4}
