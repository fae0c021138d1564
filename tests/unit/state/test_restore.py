"""A saved state makes the same ledger again; what was changed, is another node's or is older makes none."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mesh_nodes import NOW
from saved_states import GONE, OWN, PEER, add_records, content, files_of, publish, rich_ledger

from ppp.ledger.batches import list_batches
from ppp.ledger.dependents import read_landings
from ppp.ledger.schema import LEDGER_NAME, migrations, read_ledger
from ppp.ledger.statements import newest_statement
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import InvalidFileError, LedgerTooNewError, PPPError, RejectedDataError, StateError
from ppp.model.record import Record
from ppp.state.manifest import STATE_NAME
from ppp.state.restore import RestoredState, restore_state
from ppp.state.save import SavedState, save_state
from ppp.state.tables import carried_tables

MakeRecord = Callable[..., Record]


@pytest.fixture(scope="module", name="template")
def _template(tmp_path_factory: pytest.TempPathFactory, record: MakeRecord) -> Path:
    folder = tmp_path_factory.mktemp("rich")
    rich_ledger(folder, record)
    return folder


@pytest.fixture
def data(tmp_path: Path, template: Path) -> Path:
    """The data folder of a node with a rich ledger."""
    shutil.copytree(template, tmp_path / "data")
    return tmp_path / "data"


def save(data: Path, folder: Path, *, key: NodeKey = OWN, snapshot: Path | None = None) -> SavedState:
    with Store.open(data) as store:
        return save_state(store, key, folder, ledger=data, snapshot=snapshot)


def restore(data: Path, folder: Path, *, key: NodeKey = OWN, snapshot: Path | None = None) -> RestoredState:
    data.mkdir(exist_ok=True)
    return restore_state(data, key, folder, snapshot=snapshot)


def test_the_restored_ledger_has_the_same_rows_in_all_tables(data: Path, tmp_path: Path) -> None:
    with closing(read_ledger(data)) as db:
        filled = content(data).keys() & carried_tables(db).keys()
    # What the fixture does not fill is carried in the same way.
    assert len(filled) > 18, filled
    save(data, tmp_path / "state")
    restored = restore(tmp_path / "other", tmp_path / "state")
    assert content(tmp_path / "other") == content(data)
    assert restored.merged == 0
    with Store.open(tmp_path / "other") as store:
        assert store.db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.db.execute("PRAGMA foreign_key_check").fetchall() == []
        newest = newest_statement(store.db)
        publish(store, OWN, now=NOW + 60)
        following = newest_statement(store.db)
    assert newest is not None
    assert following is not None
    signed = json.loads(following.text)["signed"]
    assert (signed["sequence"], signed["previous"]) == (newest.sequence + 1, newest.digest)


def test_an_unchanged_ledger_leaves_the_folder_as_it_is(data: Path, tmp_path: Path) -> None:
    assert save(data, tmp_path / "state").changed
    before = files_of(tmp_path / "state")
    assert not save(data, tmp_path / "state").changed
    assert files_of(tmp_path / "state") == before
    save(data, tmp_path / "again")
    assert files_of(tmp_path / "again") == before
    restore(tmp_path / "other", tmp_path / "state")
    assert not save(tmp_path / "other", tmp_path / "state").changed, "a restored ledger has the same state"
    assert files_of(tmp_path / "state") == before


def test_the_batches_of_a_snapshot_are_not_in_the_folder_and_those_after_it_are(
    data: Path, tmp_path: Path, record: MakeRecord
) -> None:
    for name in ("node-2026-11.db.gz", "node-2026-11.db"):
        folder, snapshot, other = tmp_path / f"state of {name}", tmp_path / name, tmp_path / f"other of {name}"
        save(data, folder)
        saved = save(data, folder, snapshot=snapshot)
        assert (saved.manifest.batches, list(folder.glob("batches/*"))) == ([], [])
        once = snapshot.read_bytes()
        restore(other, folder, snapshot=snapshot)
        assert content(other) == content(data)
        with Store.open(other) as store:
            add_records(store, OWN, record, at=NOW + 3600)
        assert len(save(other, folder).manifest.batches) == 1
        shutil.copy(snapshot, folder)
        restore(tmp_path / f"third of {name}", folder)
        assert content(tmp_path / f"third of {name}") == content(other)
        save(data, tmp_path / f"anew {name}", snapshot=snapshot)
        assert snapshot.read_bytes() == once, "the same batches give the same bytes"


def test_what_was_not_looked_at_for_re_checks_is_looked_at_after_a_restore(
    data: Path, tmp_path: Path, record: MakeRecord
) -> None:
    with Store.open(data) as store:
        (last,) = store.db.execute("SELECT max(rowid) FROM records").fetchone()
        for environment in ("py312-slim", "py39-alpine"):
            store.db.execute("INSERT OR REPLACE INTO landings_cursor VALUES (?, ?)", (environment, last))
        store.add_record(record("package-1", "9.0", "py312-slim", node=OWN.id, observed_at=NOW))
        store.db.conn.commit()
        before = read_landings(store.db, [OWN.id], "py312-slim")[0]
    assert [landing.release.version for landing in before] == ["9.0"]
    for snapshot in (None, tmp_path / "base.db"):
        other = tmp_path / f"other {snapshot is None}"
        save(data, tmp_path / "state", snapshot=snapshot)
        restore(other, tmp_path / "state", snapshot=snapshot)
        with Store.open(other) as store:
            assert read_landings(store.db, [OWN.id], "py312-slim")[0] == before
            assert read_landings(store.db, [OWN.id], "py39-alpine")[0] == []
            # There it never looked: all is new there.
            assert read_landings(store.db, [OWN.id], "py311-slim")[1] > 0


# ---------------------------------------------------------------- what is refused


def refused(data: Path, folder: Path, error: type[PPPError], match: str, *, key: NodeKey = OWN) -> None:
    """Expect that a restore fails, and changes nothing."""
    before = content(data) if (data / LEDGER_NAME).exists() else None
    with pytest.raises(error, match=match):
        restore(data, folder, key=key)
    assert (content(data) if (data / LEDGER_NAME).exists() else None) == before
    assert not list(data.glob(".ppp.db*"))


@pytest.mark.attack("history")
@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "missing", "swapped"])
@pytest.mark.parametrize("what", ["batches/*.gz", "batches/*.sig", "tables/queue-*", "records/*", STATE_NAME])
def test_a_file_that_was_changed_is_refused(data: Path, tmp_path: Path, what: str, damage: str) -> None:
    folder = tmp_path / "state"
    save(data, folder)
    path = min(folder.glob(what))
    another = max(other for other in folder.rglob("*.gz") if other != path)
    content_before = path.read_bytes()
    match damage:
        case "flip":
            path.write_bytes(content_before[:-20] + bytes([content_before[-20] ^ 1]) + content_before[-19:])
        case "cut":
            path.write_bytes(content_before[:-1])
        case "longer":
            path.write_bytes(content_before + b" \n")
        case "missing":
            path.unlink()
        case _:
            path.write_bytes(another.read_bytes())
    if (what, damage) == (STATE_NAME, "longer"):
        restore(tmp_path / "other", folder)
        assert content(tmp_path / "other") == content(data), "blanks after a document say nothing"
        return
    error = InvalidFileError if (what, damage) == (STATE_NAME, "missing") else RejectedDataError
    refused(tmp_path / "other", folder, error, r"rejected|cannot be read")


@pytest.mark.attack("history")
def test_a_state_that_another_key_signed_is_refused(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    save(data, folder)
    refused(tmp_path / "other", folder, StateError, f"not of this node, {PEER.id}.*{OWN.id}", key=PEER)
    # Somebody else signs it in this node's name.
    signed = json.loads((folder / STATE_NAME).read_bytes())["signed"]
    forged = {"signed": signed, "signature": PEER.sign(canonical_json(signed))}
    (folder / STATE_NAME).write_bytes(canonical_json(forged))
    refused(tmp_path / "other", folder, RejectedDataError, "its signature is not that of node")


@pytest.mark.attack("history")
def test_a_batch_that_its_node_did_not_sign_is_refused_even_in_a_signed_list(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    save(data, folder)
    one = min(folder.glob("batches/*.sig"))
    one.write_text(f"{'00' * 64}\n")
    resign(folder, one)
    refused(tmp_path / "other", folder, RejectedDataError, "its signature is not that of node")


@pytest.mark.attack("history")
@pytest.mark.parametrize("path", ["../secret.gz", "batches/../x.sig", "/etc/passwd", "tables/x.jsonl.gz", "state.json"])
def test_a_list_leads_nowhere_else(data: Path, tmp_path: Path, path: str) -> None:
    folder = tmp_path / "state"
    save(data, folder)
    document = json.loads((folder / STATE_NAME).read_bytes())["signed"]
    document["files"][0]["path"] = path
    rewrite(folder, document)
    refused(tmp_path / "other", folder, RejectedDataError, "it names a file")
    if path == "/etc/passwd":
        one = min(folder.glob("batches/*.sig"))
        save(data, tmp_path / "state 2")
        (tmp_path / "outside").write_bytes(one.read_bytes())
        linked = tmp_path / "state 2" / "batches" / one.name
        linked.unlink()
        linked.symlink_to(tmp_path / "outside")
        refused(tmp_path / "other", tmp_path / "state 2", RejectedDataError, "it leads out of the folder")


def rewrite(folder: Path, signed: dict[str, object]) -> None:
    """Write `state.json` with another content, signed by this node."""
    (folder / STATE_NAME).write_bytes(canonical_json({"signed": signed, "signature": OWN.sign(canonical_json(signed))}))


def resign(folder: Path, changed: Path) -> None:
    """Sign the list again after a file was changed."""
    signed = json.loads((folder / STATE_NAME).read_bytes())["signed"]
    (row,) = (row for row in signed["files"] if row["path"] == changed.relative_to(folder).as_posix())
    row |= {"size": changed.stat().st_size, "sha256": sha256_hex(changed.read_bytes())}
    rewrite(folder, signed)


def test_records_that_are_missing_from_the_list_are_noticed(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    save(data, folder)
    signed = json.loads((folder / STATE_NAME).read_bytes())["signed"]
    signed["files"] = [row for row in signed["files"] if not row["path"].startswith("records/")]
    rewrite(folder, signed)
    refused(tmp_path / "other", folder, RejectedDataError, r"it makes \d+ records with the root")


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"schema": "ppp-state-2"}, StateError, "format 'ppp-state-2'"),
        ({"migrations": ["m999_later"]}, LedgerTooNewError, "m999_later"),
        ({"files": 1}, RejectedDataError, "it is incomplete"),
        ({"more": 1}, RejectedDataError, "it is incomplete"),
    ],
)
def test_the_state_of_another_version_is_told(
    data: Path, tmp_path: Path, change: dict[str, object], error: type[PPPError], match: str
) -> None:
    folder = tmp_path / "state"
    save(data, folder)
    rewrite(folder, json.loads((folder / STATE_NAME).read_bytes())["signed"] | change)
    refused(tmp_path / "other", folder, error, match)


def test_a_folder_without_a_state_and_a_missing_snapshot_are_told(data: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    refused(tmp_path / "other", tmp_path / "state", InvalidFileError, "state.json cannot be read")
    save(data, tmp_path / "state", snapshot=tmp_path / "base.db.gz")
    refused(tmp_path / "other", tmp_path / "state", InvalidFileError, "starts from the snapshot base.db.gz.*--snapshot")
    (tmp_path / "state" / "base.db.gz").write_bytes(b"something else")
    refused(tmp_path / "other", tmp_path / "state", RejectedDataError, "hashes to")


# ---------------------------------------------------------------- a ledger that is there already


def test_an_older_state_never_replaces_a_newer_ledger(data: Path, tmp_path: Path, record: MakeRecord) -> None:
    folder = tmp_path / "state"
    save(data, folder)
    before = files_of(folder)
    restore(data, folder)
    with Store.open(data) as store:
        publish(store, OWN, now=NOW + 60)
    refused(data, folder, StateError, "the state is older than the ledger.*statement is 1, there it is 2")
    restore(tmp_path / "other", folder)
    with Store.open(tmp_path / "other") as store:
        add_records(store, OWN, record, at=NOW + 3600)
    refused(tmp_path / "other", folder, StateError, "lacks 1 of this node's batches")
    restore(tmp_path / "third", folder)
    with Store.open(tmp_path / "third") as store:
        store.add_record(record("new", "1.0", node=OWN.id))
    refused(tmp_path / "third", folder, StateError, "holds 1 records that are in no batch")
    # The other way round: the folder has what an older ledger lacks.
    save(tmp_path / "other", tmp_path / "newer")
    newer = files_of(tmp_path / "newer")
    restore(tmp_path / "fourth", folder)
    with pytest.raises(StateError, match="holds what this ledger lacks"):
        save(tmp_path / "fourth", tmp_path / "newer")
    with pytest.raises(StateError, match="not of this node"):
        save(tmp_path / "fourth", folder, key=PEER)
    assert (files_of(folder), files_of(tmp_path / "newer")) == (before, newer)


@pytest.mark.attack("history")
def test_two_histories_of_one_number_are_never_mixed(data: Path, tmp_path: Path) -> None:
    save(data, tmp_path / "state")
    restore(tmp_path / "other", tmp_path / "state")
    for folder, now in ((data, NOW + 60), (tmp_path / "other", NOW + 61)):
        with Store.open(folder) as store:
            publish(store, OWN, now=now)
    save(data, tmp_path / "state")
    refused(tmp_path / "other", tmp_path / "state", StateError, "different statements with the number 2")


def test_batches_of_other_nodes_that_only_the_ledger_has_are_merged(
    data: Path, tmp_path: Path, record: MakeRecord
) -> None:
    save(data, tmp_path / "state")
    with Store.open(tmp_path / "other") as store:
        add_records(store, GONE, record, at=NOW + 7200)
        (theirs,) = list_batches(store.db)
    assert restore(tmp_path / "other", tmp_path / "state").merged == 1
    assert theirs.id in {batch.id for batch in list_batches(Store.open(tmp_path / "other").db)}
    with Store.open(data) as store:
        add_records(store, GONE, record, at=NOW + 7200)
    assert content(tmp_path / "other") == content(data)


def test_a_state_of_an_older_schema_is_migrated(data: Path, tmp_path: Path) -> None:
    # Before `m004_journal` there were no `installations`, and the queue had fewer columns.
    names = [migration.name for migration in migrations.applied(Store.open(data).db)]
    folder = tmp_path / "state"
    save(data, folder)
    signed = json.loads((folder / STATE_NAME).read_bytes())["signed"]
    signed["migrations"] = names[: names.index("m004_journal")]
    signed["files"] = [row for row in signed["files"] if not row["path"].startswith("tables/")]
    rewrite(folder, signed)
    restore(tmp_path / "other", folder)
    now, before = content(tmp_path / "other"), content(data)
    for table in ("records", "results", "installations", "dependents", "batches", "batch_records"):
        assert now[table] == before[table]
