"""Attacks on the promise that every peer accepts what a node signs: invalid records on each way into the ledger.

What runs inside a cell is in tests/property/test_hostile_inside.py.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from recording_reporter import RecordingReporter

from ppp import config, pipeline
from ppp.ledger import batches, staging
from ppp.ledger.queries import read_records
from ppp.ledger.schema import read_ledger
from ppp.ledger.staging import StagedRecord
from ppp.ledger.store import Store
from ppp.mesh.batch import Batch, verify_batch
from ppp.mesh.node import NodeKey, load_or_create_key
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import InvalidRecordError
from ppp.model.record import DistributionFile, Installed, Phase, Record, Result
from ppp.model.release import InvalidReleaseError, Release
from ppp.runner.context import Context

MakeRecord = Callable[..., Record]
NOW: Final = 1_714_089_600

pytestmark = pytest.mark.attack("valid-records")

#: Fields of a record that break the published schema, or what no schema can express.
INVALID: Final[dict[str, dict[str, Any]]] = {
    "a name that lengthens": {"installed": (Installed(name=("İ" * 214).lower(), version="1", sha256=None),)},
    "a name of 215 letters": {"installed": (Installed(name="x" * 215, version="1", sha256=None),)},
    "a version of 129": {"installed": (Installed(name="x", version="1" * 129, sha256=None),)},
    "2001 distributions": {"installed": (Installed(name="x", version="1", sha256=None),) * 2001},
    "65 modules": {"imports": tuple(f"m{n}" for n in range(65))},
    "a module of 256 letters": {"imports": ("m" * 256,)},
    "a detail that is too long": {"detail": "x" * 501},
    "an escape sequence": {"detail": "\x1b]0;owned\x07"},
    "a C1 control": {"detail": "\x9b31m"},
    "a paragraph separator": {"detail": "one\u2029two"},
    "half a surrogate pair": {"detail": "\ud83d"},
    "a negative time": {"duration_ms": {Phase.NODEPS: -1}},
    "a number beyond doubles": {"bytes": {Phase.FULL: 2**53}},
    "a path for a name": {"file": DistributionFile(filename="../../x.whl", sha256="5a" * 32, size=1)},
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_record_enters_the_ledger_on_no_way(store: Store, record: MakeRecord, name: str) -> None:
    invalid = record(**INVALID[name])
    before = list(store.db.conn.iterdump())
    with pytest.raises(InvalidRecordError):
        store.add_record(invalid)
    with pytest.raises(InvalidRecordError):
        staging.stage(
            store, [StagedRecord(record=record("valid"), log=None), StagedRecord(record=invalid, log=None)], now=NOW
        )
    assert list(store.db.conn.iterdump()) == before


@pytest.mark.parametrize("name", [name for name in INVALID if name != "half a surrogate pair"])
def test_what_an_older_version_staged_blocks_nothing(store: Store, record: MakeRecord, name: str) -> None:
    valid, invalid = record("valid"), record(**INVALID[name])
    staging.stage(store, [StagedRecord(record=valid, log=None)], now=NOW)
    row = next(store.db.query("SELECT * FROM pending"))
    document = json.dumps(invalid.to_json(), ensure_ascii=False, sort_keys=True)
    store.db.table("pending").insert(row | {"record": "00" * 32, "document": document})
    promoted = staging.promote(store, valid.environment)
    assert [each.record.result for each in promoted] == [Result.PASS, Result.ERROR]
    assert {r.release.package for r in read_records(store.db)} == {"valid", invalid.release.package}
    assert_peers_accept(store, NodeKey.from_seed(b"k" * 32), valid.node)


def assert_peers_accept(store: Store, key: NodeKey, node: str) -> None:
    """Check, for each record, that a batch of it is accepted by a peer's verifier."""
    for each in read_records(store.db):
        assert each.node == node
        ours = replace(each, node=key.id)
        data = batches.encode_batch(key.id, [ours], {})
        found = verify_batch(data, key.sign(data), batch_id=sha256_hex(data), trusted={key.id}, now=NOW)
        assert isinstance(found, Batch)


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("İ" * 200, "1.0"),
        ("K" * 10, "1.0"),
        ("\u017fix", "1.0"),
        ("six\n", "1.0"),
        ("six", "1.0+İ"),
        ("six", "1.0+" + "\u017f" * 20),
        ("six", "1-" + "1" * 126),
        ("six", "1" * 126 + "rc"),
    ],
)
def test_no_feed_names_a_release_that_no_record_can_name(package: str, version: str, record: MakeRecord) -> None:
    try:
        release = Release.parse(package, version)
    except InvalidReleaseError:
        return
    # What is accepted is publishable.
    assert release.package.isascii()
    assert release.version.isascii()
    assert len(release.version) <= 128
    assert Record.from_json(record(release=release).to_json()).release == release


# ---------------------------------------------------------------- a node whose ledger holds a record that peers reject


def insert_unchecked(store: Store, record: Record) -> None:
    """Insert a record as a version of PPP did that did not check it."""
    with store.db.atomic():
        store.insert_record(record, None)


def context_of(data: Path, *, now: int = NOW) -> Context:
    reporter = RecordingReporter()
    settings = config.load({"PPP_BASE_URL": "https://node.example/"}, data=data)
    return Context(config=settings, reporter=reporter, environ={}, stop=threading.Event(), clock=lambda: now)


@pytest.mark.parametrize(
    "changes", [INVALID["a name that lengthens"], {"detail": "x" * 501}, {"observed_at": NOW + 7200}]
)
def test_a_node_publishes_all_but_the_record_that_peers_would_reject(
    tmp_path: Path, record: MakeRecord, changes: dict[str, Any]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    key, _ = load_or_create_key(data)
    bad = record("beta", node=key.id, **changes)
    with Store.open(data) as store:
        for one in (record("alpha", node=key.id), record("gamma", node=key.id)):
            store.add_record(one)
        insert_unchecked(store, bad)
    context = context_of(data)
    pipeline.publish(context)
    (warning,) = context.reporter.warnings  # type: ignore[attr-defined]
    assert bad.id in warning
    assert "beta==2.1.0 in py312-slim" in warning
    assert warning.isprintable()
    db = read_ledger(data)
    try:
        (batch,) = batches.list_batches(db)
        content = batches.read_batch(db, batch.id)
    finally:
        db.close()
    found = verify_batch(content, batch.signature, batch_id=batch.id, trusted={key.id}, now=NOW)
    assert isinstance(found, Batch)
    assert [each.release.package for each in found.records] == ["alpha", "gamma"]
    assert canonical_json(json.loads(content)) == content
    # Once its time has come, a record that was observed in the future is published, too.
    if "observed_at" in changes:
        pipeline.publish(later := context_of(data, now=NOW + 7200))
        assert later.reporter.warnings == []  # type: ignore[attr-defined]
