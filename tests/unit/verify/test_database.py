"""Verification of databases: intact ones are valid, changed ones are not, hostile ones do no harm."""

import gzip
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from older_ledger import add_to_older_ledger
from snapshot_ledgers import MARCH, make_ledger, sample_observations, take_snapshots, tamper
from sqlite_utils import Database

from ppp.ledger.batches import seal
from ppp.ledger.schema import migrations
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.record import Record
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER
from ppp.verify.examine import VerifyOptions, examine
from ppp.verify.result import Verification

Builder = Callable[..., Record]
ASKED = VerifyOptions(now=2_000_000_000)


def verify_path(path: Path, **more: str) -> Verification:
    (found,) = examine(path, VerifyOptions(now=ASKED.now, **more))
    assert found.message.isprintable()
    return found


@pytest.fixture(scope="module")
def taken(record: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder `data` with its snapshots in `public`, which are copied for each test."""
    made = tmp_path_factory.mktemp("taken")
    take_snapshots(make_ledger(made / "data", sample_observations(record)), made / "public")
    return made


@pytest.fixture
def folder(taken: Path, tmp_path: Path) -> Path:
    """A folder of snapshots, beside the ledger's."""
    shutil.copytree(taken, tmp_path, dirs_exist_ok=True)
    return tmp_path / "public" / SNAPSHOTS_FOLDER


def test_snapshots_are_valid_as_written(folder: Path) -> None:
    named = ("ppp-2024-04-25", "ppp-2024-03", "window", "latest")
    for path in [folder / f"{name}{end}" for name in named for end in (".db", ".json")]:
        found = verify_path(path)
        assert found.valid, found
        assert "a snapshot" in found.message
    assert verify_path(folder / "window.db.gz").message == "window.db, compressed"


def test_the_committed_ledger_is_valid(tmp_path: Path) -> None:
    (tmp_path / "ppp.db").write_bytes((Path(__file__).parents[3] / "data" / "ppp.db").read_bytes())
    assert verify_path(tmp_path / "ppp.db").valid


def test_a_ledger_is_valid_before_and_after_its_migration(tmp_path: Path, record: Builder) -> None:
    path = tmp_path / "ppp.db"
    with closing(sqlite3.connect(path)) as connection:
        db = Database(connection)
        migrations.apply(db, stop_before="m002_peers")
        add_to_older_ledger(db, record(), tmp_path / "now")
        connection.commit()
    before = verify_path(path)
    Store.open(tmp_path).db.close()
    assert before.valid
    assert verify_path(path) == before


def test_a_ledger_is_valid_by_itself(folder: Path, tmp_path: Path) -> None:
    found = verify_path(tmp_path / "data" / "ppp.db")
    assert found.valid
    assert found.message.startswith(
        "a ledger of 168 records, each named by its sha256; nothing confirms that it is complete"
    )
    content = (folder / "ppp-2024-03.db").read_bytes()
    alone = tmp_path / "alone.db"
    alone.write_bytes(content)
    assert verify_path(alone, sha256=sha256_hex(content)).message == "a ledger of 93 records"
    assert verify_path(alone, sha256="0" * 64).message == f"it hashes to {sha256_hex(content)}"


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DELETE FROM batch_files", "the bytes of the batch"),
        ("UPDATE batch_files SET packed = x'00112233'", "it is not gzip"),
        ("UPDATE batch_files SET packed = substr(packed, 1, length(packed) - 1)", "its gzip stream is cut short"),
        ("UPDATE batch_files SET packed = (SELECT packed FROM batch_files WHERE rowid = 1)", "hashes to"),
        ("UPDATE batches SET signature = upper(signature)", "is not signed by node"),
        ("UPDATE batches SET signature = '\x1b[2J'", "is not signed by node"),
    ],
)
def test_a_ledger_with_a_changed_batch_is_invalid(change: str, expected: str, record: Builder, tmp_path: Path) -> None:
    key = NodeKey.from_seed(b"k" * 32)
    with Store.open(tmp_path) as store:
        for version in ("1.0", "2.0"):
            store.add_record(record("six", version, node=key.id))
            seal(store, node=key.id, sign=key.sign, verify=lambda _: None)
    database = tmp_path / "ppp.db"
    assert verify_path(database).valid
    tamper(database, change)
    found = verify_path(database)
    assert not found.valid
    assert expected in found.message


#: Each change with the expected message. An attacker who can write the database can write the files next to it, too.
CHANGES = {
    "UPDATE records SET result = 'FAIL' WHERE rowid = 3": "hashes to",
    "UPDATE records SET observed_at = observed_at + 1 WHERE rowid = 3": "hashes to",
    "UPDATE records SET installed = '[[1,2,3]]' WHERE rowid = 3": "the record",
    "UPDATE records SET imports = 'not json' WHERE rowid = 3": "is invalid",
    "UPDATE records SET imports = '" + "[" * 5000 + "' WHERE rowid = 3": "the record",
    "UPDATE records SET network = 'carrier pigeon' WHERE rowid = 3": "'carrier pigeon' is not a valid Network",
    "UPDATE records SET version = '2.00' WHERE rowid = 3": "names a row of releases that is not there",
    "UPDATE logs SET log = log || 'x' WHERE rowid = 1": "hashes to",
    "DELETE FROM logs WHERE rowid = 1": "names a row of logs that is not there",
    "INSERT INTO logs VALUES ('ab', 'x')": "the log ab hashes to",
    "DELETE FROM results WHERE record = (SELECT min(record) FROM results)": "is not the current record of",
    "UPDATE results SET record = (SELECT max(record) FROM results) WHERE record = (SELECT min(record) FROM results)": (
        "is not the current"
    ),
    "INSERT INTO packages VALUES ('nobody')": "no record has nobody, which is in the table packages",
    "UPDATE releases SET version_key = 'z' WHERE rowid = 1": "has the wrong sort key z",
    "UPDATE environments SET python_key = 9 WHERE rowid = 1": "is described as Python",
    "INSERT INTO skips VALUES ('a', '1', '', 'because', 5, '')": "skips is private to a node",
    "UPDATE _sqlite_migrations SET applied_at = '2026'": "it contains the time of its creation, 2026",
    "UPDATE records SET detail = zeroblob(20000000) WHERE rowid = 3": "SQLite cannot read it",
    "CREATE TABLE extra (a)": "its table extra is not part of this PPP's schema",
    "DROP VIEW matrix": "its view matrix is missing",
    "CREATE TRIGGER t AFTER INSERT ON records BEGIN SELECT 1; END": "its trigger t is not part of",
    "CREATE VIEW evil AS SELECT load_extension('x')": "its view evil is not part of",
    'CREATE INDEX "i\u202e\x1b[2J" ON records (result)': "its index i??[2J is not part of",
    "PRAGMA journal_mode = wal": "it has a write-ahead log",
}  # fmt: skip


@pytest.mark.heavy
@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(("change", "expected"), CHANGES.items(), ids=[change[:50] for change in CHANGES])
def test_a_changed_database_is_invalid(change: str, expected: str, folder: Path) -> None:
    database = folder / "ppp-2024-03.db"
    assert verify_path(database).valid
    try:
        tamper(database, change)
    except sqlite3.IntegrityError:
        # STRICT: a value of another kind gets in only past SQLite.
        tamper(database, change.replace("zeroblob(20000000)", "printf('%20000000d', 1)"))
    found = verify_path(database)
    assert not found.valid
    assert expected in found.message


@pytest.mark.attack("inert-text")
def test_a_foreign_view_with_a_known_name_is_never_queried(folder: Path) -> None:
    # Asked once, it would never end.
    endless = "CREATE VIEW newest AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n"
    tamper(folder / "ppp-2024-03.db", "DROP VIEW matrix", "DROP VIEW newest", endless)
    assert "its view newest is not part of this PPP's schema" in verify_path(folder / "ppp-2024-03.db").message


@pytest.mark.heavy
@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("place", [0, 20, 100, 4096, 4096 * 3 + 5, -300])
def test_a_damaged_file_is_invalid(place: int, folder: Path, tmp_path: Path) -> None:
    content = bytearray((folder / "ppp-2024-03.db").read_bytes())
    content[place : place + 40] = b"\xfe" * 40
    (tmp_path / "alone.db").write_bytes(content)
    assert not verify_path(tmp_path / "alone.db").valid
    (folder / "ppp-2024-03.db").write_bytes(content)
    assert "its description says" in verify_path(folder / "ppp-2024-03.db").message


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"SQLite format 3\0" + b"\1" * 5000, b"\0" * 9000])
def test_a_file_that_is_not_a_database_is_invalid(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(content)
    assert not verify_path(tmp_path / "x.db").valid


@pytest.mark.attack("bounded-input")
def test_a_pipe_and_a_device_are_invalid(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.db")
    assert verify_path(tmp_path / "x.db").message == "it is not a regular file"
    (tmp_path / "y.db").symlink_to("/dev/zero")
    assert verify_path(tmp_path / "y.db").message == "it is not a regular file"
    assert verify_path(tmp_path / "z.db").message == "it does not exist"


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("logical_sha256", "0" * 64, "for logical_sha256"),
        ("root", "0" * 64, "for root"),
        ("as_of", 5, "for as_of"),
        ("last_day", "2024-03-30", "for last_day"),
        ("bytes", 5, "bytes, its description says 5"),
        ("sha256", "0" * 64, "its description says 0000"),
        ("kind", "day", "its name is wrong"),
        ("file", "ppp-2024-02.db", "its description is of ppp-2024-02.db"),
        ("logs", False, "it has logs"),
    ],
)
def test_a_wrong_description_is_invalid(name: str, value: object, expected: str, folder: Path) -> None:
    beside = folder / "ppp-2024-03.json"
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {name: value}, indent=1, sort_keys=True) + "\n")
    found = verify_path(folder / "ppp-2024-03.db")
    assert not found.valid
    assert expected in found.message


def test_a_window_may_lack_logs_and_a_month_may_not(folder: Path) -> None:
    assert verify_path(folder / "window.db").valid
    beside = folder / "window.json"
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"logs": True}, indent=1, sort_keys=True) + "\n")
    assert "names a row of logs that is not there" in verify_path(folder / "window.db").message


def test_a_month_snapshot_has_one_month(record: Builder, folder: Path) -> None:
    other = make_ledger(
        folder / "other", [(record("six", observed_at=MARCH + n * 86_400 * 31), None) for n in range(2)]
    )
    take_snapshots(other, folder / "both")
    content = (folder / "both" / SNAPSHOTS_FOLDER / "latest.db").read_bytes()
    (folder / "ppp-2024-03.db").write_bytes(content)
    description = json.loads((folder / "both" / SNAPSHOTS_FOLDER / "latest.json").read_text())
    (folder / "ppp-2024-03.json").write_text(
        json.dumps(description | {"kind": "month", "file": "ppp-2024-03.db"}, indent=1, sort_keys=True) + "\n"
    )
    assert "its name is wrong" in verify_path(folder / "ppp-2024-03.db").message


@pytest.mark.heavy
@pytest.mark.attack("bounded-input")
def test_a_zip_bomb_is_cut_short(folder: Path) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, mtime=0)
    beside = folder / "window.json"
    description = json.loads(beside.read_text())
    description["gzip"] |= {"bytes": len(bomb), "sha256": sha256_hex(bomb)}
    beside.write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
    (folder / "window.db.gz").write_bytes(bomb)
    assert "it has more than" in verify_path(folder / "window.db.gz").message
    (folder / "window.db.gz").write_bytes(b"no gzip")
    assert "it hashes to" in verify_path(folder / "window.db.gz").message


def test_verifying_changes_nothing(folder: Path, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = state()
    for path in (tmp_path / "data" / "ppp.db", *folder.iterdir()):
        verify_path(path)
    assert state() == before


@pytest.mark.heavy
def test_a_ledger_in_use_is_verified_as_last_committed(tmp_path: Path, folder: Path) -> None:
    assert folder.exists()
    path = tmp_path / "data" / "ppp.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE records SET result = 'FAIL'")
        assert verify_path(path).valid
        writer.execute("ROLLBACK")
