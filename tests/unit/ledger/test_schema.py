"""Opening the ledger: created once, refused without changes, readable after a kill; and its migrations."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from older_ledger import add_to_older_ledger
from sqlite_utils import Database

from ppp.ledger import queries
from ppp.ledger.episodes import PRESENTERS, StoredLine, read_episodes
from ppp.ledger.quarantines import quarantined
from ppp.ledger.schema import MIGRATIONS_FOLDER, migrations, open_ledger, read_ledger
from ppp.ledger.seen_statements import newest_seen
from ppp.ledger.store import Store
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.current import current_records
from ppp.model.errors import DataReadOnlyError, LedgerBusyError, LedgerDamagedError, LedgerTooNewError, PPPError
from ppp.model.record import Record
from ppp.storage_errors import translate_storage_errors

Builder = Callable[..., Record]


# Opening


def test_a_ledger_is_created_with_its_folder(tmp_path: Path) -> None:
    data = tmp_path / "some" / "where"
    with closing(open_ledger(data)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        tables = db.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
        ours = {name: strict for name, strict in tables.fetchall() if not name.startswith(("sqlite_", "_sqlite_"))}
        assert {"records", "results", "releases", "environments", "batches", "queue"} <= set(ours)
        assert set(ours.values()) == {1}
    assert [path.name for path in data.iterdir()] == ["ppp.db"]


def test_opening_again_changes_no_byte(tmp_path: Path, record: Builder) -> None:
    with Store.open(tmp_path) as store:
        store.add_record(record())
    before = (tmp_path / "ppp.db").read_bytes()
    for opened in (open_ledger, read_ledger):
        with closing(opened(tmp_path)) as db:
            assert db.execute("SELECT count(*) FROM records").fetchone() == (1,)
        assert (tmp_path / "ppp.db").read_bytes() == before


def test_reading_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerDamagedError, match=r"no ledger at .*ppp run"):
        read_ledger(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    with closing(read_ledger(tmp_path)) as db, pytest.raises(DataReadOnlyError), translate_storage_errors(tmp_path):
        db.execute("DELETE FROM records")


def test_a_folder_may_have_any_name(tmp_path: Path, record: Builder) -> None:
    with Store.open(tmp_path / "a?mode=ro & b#c %20 full readonly") as store:
        assert store.add_record(record())


@pytest.mark.parametrize("opened", [open_ledger, read_ledger])
def test_a_newer_ledger_is_refused_unchanged(tmp_path: Path, opened: Callable[[Path], object]) -> None:
    with closing(open_ledger(tmp_path)) as db:
        db.table("_sqlite_migrations").insert({"migration_set": "ppp", "name": "m999_rebuilt", "applied_at": "2099"})
    before = (tmp_path / "ppp.db").read_bytes()
    with pytest.raises(LedgerTooNewError, match=r"newer PPP .it has m999_rebuilt.*upgrade PPP"):
        opened(tmp_path)
    assert (tmp_path / "ppp.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["ppp.db"]


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("opened", [open_ledger, read_ledger])
@pytest.mark.parametrize("content", [b"this is not a database " * 100, b"SQLite format 3\0" + b"\xff" * 2000])
def test_a_file_that_is_not_a_database_is_refused_unchanged(
    tmp_path: Path, opened: Callable[[Path], object], content: bytes
) -> None:
    (tmp_path / "ppp.db").write_bytes(content)
    with pytest.raises(LedgerDamagedError, match=r"cannot be read: .*restore it"):
        opened(tmp_path)
    assert (tmp_path / "ppp.db").read_bytes() == content


@pytest.mark.attack("bounded-input")
def test_a_truncated_ledger_is_an_error(tmp_path: Path, record: Builder) -> None:
    with Store.open(tmp_path) as store:
        store.add_record(record())
    path = tmp_path / "ppp.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(LedgerDamagedError), translate_storage_errors(path), closing(read_ledger(tmp_path)) as db:
        db.execute("SELECT * FROM records").fetchall()


@pytest.mark.attack("bounded-input")
def test_the_database_of_another_program_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "ppp.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE packages (name TEXT)")
        other.commit()
    with pytest.raises(LedgerDamagedError, match="table packages already exists"):
        open_ledger(tmp_path)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'records'").fetchone() == (0,)


def test_an_unfinished_ledger_is_completed(tmp_path: Path) -> None:
    (tmp_path / "ppp.db").touch()  # what a kill during the first opening leaves
    with pytest.raises(LedgerDamagedError, match="from an older PPP"):
        read_ledger(tmp_path)
    open_ledger(tmp_path).close()
    with closing(read_ledger(tmp_path)) as db:
        assert db.execute("SELECT count(*) FROM records").fetchone() == (0,)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    for folder in (tmp_path / "data", tmp_path / "data" / "deeper"):
        with pytest.raises(DataReadOnlyError, match=rf"{re.escape(str(tmp_path / 'data'))} is a file where a folder"):
            open_ledger(folder)


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "ppp.db").mkdir()
    with pytest.raises(LedgerDamagedError, match=r"ppp\.db cannot be read"):
        open_ledger(tmp_path)


def test_another_program_that_locks_it(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ppp.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with (
            closing(sqlite3.connect(tmp_path / "ppp.db", timeout=0.01)) as db,
            pytest.raises(LedgerBusyError, match="locked by another program"),
            translate_storage_errors(tmp_path),
        ):
            db.execute("BEGIN IMMEDIATE")


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "Connection reset", "full readonly locked"), sqlite3.IntegrityError("is full")]
)
def test_other_errors_are_let_through(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, translate_storage_errors(tmp_path):
        raise error
    assert caught.value is error


# Migrations

#: The sha256 of every migration. Never change a released migration, nor its hash here: add a new one. `ppp verify`
#: calls a ledger invalid if its schema is not, word for word, what the migrations create.
RELEASED_MIGRATIONS = {
    "m001.sql": "3e2553535c46c005f9c9bd0422619789acb8ad2f8eda12486fa274a2ae105470",
    "m002.sql": "2461c5cf5e1a1187e675b7c37ed1000785bf9b3a8c9d71cae3c7fb7d1f7267f4",
    "m003.sql": "f27f1688f394f63e8f8d5562d2651692d89eeedd61d64be5ac1bb6fbf873347c",
    "m004.sql": "1c8c758405951c387b78472e3f323025fe8c97ea407c98982d1f624d98270a94",
    "m005.sql": "95562d4d0b228ac14baa3db188c583ea91aa2c98a49f5e24330da12ef400746a",
    "m006.sql": "53010332113dc9a34984ae52ece7385e5a88cfb9ea6caea882c9701fec855640",
}


def test_a_released_migration_is_never_changed() -> None:
    found = {path.name: sha256_hex(path.read_bytes()) for path in MIGRATIONS_FOLDER.iterdir()}
    assert found == RELEASED_MIGRATIONS, "never change a released migration; add a new one"


def test_every_migration_is_a_complete_sql_file(tmp_path: Path) -> None:
    with closing(open_ledger(tmp_path)) as db:
        created = [
            sql
            for (sql,) in db.execute(
                "SELECT sql FROM sqlite_schema WHERE name NOT LIKE '%sqlite_%' AND sql IS NOT NULL"
            )
        ]
        script = "".join(path.read_text("utf-8") for path in sorted(MIGRATIONS_FOLDER.iterdir()))
        # SQLite writes an added column into the statement of its table.
        altered = {f"CREATE TABLE {table} " for table in re.findall(r"\nALTER TABLE (\w+)", script)}
        assert [sql for sql in created if sql not in script and not sql.startswith(tuple(altered))] == []
        assert script.count("\nCREATE ") - script.count("\nDROP ") == len(created)


def test_an_older_ledger_is_migrated_with_what_it_knew_of_its_peers(tmp_path: Path, record: Builder) -> None:
    with closing(sqlite3.connect(tmp_path / "ppp.db")) as connection:
        db = Database(connection)
        migrations.apply(db, stop_before="m002_peers")
        add_to_older_ledger(db, record(), tmp_path / "now")
        peer = {"node": "ab" * 32, "url": "http://one.example/", "added_at": 5}
        seen = {"sequence": 3, "digest": "aa" * 32, "statement": "{}", "synced_at": 7}
        db.table("peers").insert_all([peer | seen, peer | {"node": "cd" * 32, "url": "http://two.example/"}])
        for digest in ("aa" * 32, "bb" * 32):
            fork = {"node": "ab" * 32, "sequence": 3, "digest": digest, "statement": "{}", "seen_at": 9}
            db.table("forks").insert(fork)
        connection.commit()
    with pytest.raises(LedgerDamagedError, match="from an older PPP"):
        read_ledger(tmp_path)
    open_ledger(tmp_path).close()
    with closing(read_ledger(tmp_path)) as db:
        assert [(q.since, q.sequence, q.reason, q.source) for q in quarantined(db).values()] == [
            (9, 3, "two different statements have the number 3", "ab" * 32)
        ]
        assert [(s.node, s.sequence, s.digest, s.seen_at) for s in newest_seen(db)] == [("ab" * 32, 3, "aa" * 32, 7)]
        assert [r.id for r in queries.read_records(db)] == [record().id]


def test_the_episodes_of_an_older_ledger_stay(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ppp.db")) as connection:
        db = Database(connection)
        migrations.apply(db, stop_before="m006_episodes")
        lines = [{"fact": "quiet", "pattern": "Dead {air}.", "speaker": "relay", "text": "Dead air."}]
        row = {"period": "2024-04-25", "seed": 7, "writer": "seeded", "facts": "[]", "script": json.dumps(lines)}
        db.table("episodes").insert_all([row, row | {"period": "2024-04-26", "script": "[]"}])
        connection.commit()
    open_ledger(tmp_path).close()
    with closing(read_ledger(tmp_path)) as db:
        newest, older = read_episodes(db)
        assert (newest.period, newest.script_lines) == ("2024-04-26", ())
        assert (older.seed, older.title, older.cast) == (7, "The night of 2024-04-25", PRESENTERS)
        assert older.script_lines == (
            StoredLine(speaker="relay", text="Dead air.", pattern="Dead {air}.", facts=("quiet",)),
        )
        assert db.execute("SELECT starts_at, ends_at FROM episodes").fetchone() == (1_714_003_200, 1_714_089_600)


def test_the_committed_ledger_is_as_the_migrations_create_it(tmp_path: Path) -> None:
    committed = Path(__file__).parents[3] / "data" / "ppp.db"
    shutil.copy(committed, tmp_path / "ppp.db")
    with closing(read_ledger(tmp_path)) as db:
        assert len(list(queries.read_records(db))) > 100
    open_ledger(tmp_path).close()
    assert (tmp_path / "ppp.db").read_bytes() == committed.read_bytes(), "opening it migrates it: commit the result"


# A kill at any moment


@pytest.mark.attack("crash-safe")
def test_an_interrupted_commit_is_rolled_back(tmp_path: Path, record: Builder) -> None:
    with Store.open(tmp_path / "live") as store:
        store.add_record(record())
        store.db.execute("PRAGMA cache_size = 1")
        store.db.execute("BEGIN")
        for number in range(200):
            store.db.execute("INSERT INTO logs VALUES (?, ?)", (f"{number:064d}", "x" * 500))
        # What a kill leaves now: pages of an unfinished transaction, and the journal to undo it.
        for name in ("reader", "writer"):
            shutil.copytree(tmp_path / "live", tmp_path / name)
        store.db.execute("ROLLBACK")
    assert (tmp_path / "reader" / "ppp.db-journal").stat().st_size > 0
    for opened, name in ((read_ledger, "reader"), (open_ledger, "writer")):
        with closing(opened(tmp_path / name)) as db:
            assert db.execute("SELECT (SELECT count(*) FROM logs), (SELECT count(*) FROM records)").fetchone() == (0, 1)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


WRITER = """
import json, sys
from dataclasses import replace
from pathlib import Path
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import Record
base = Record.from_json(json.loads(sys.argv[2]))
with Store.open(Path(sys.argv[1])) as store:
    for number in range(100_000):
        log = f"log {number} " * 400
        record = replace(base, observed_at=base.observed_at + number // 2, log_sha256=sha256_hex(log.encode()))
        store.add_record(record, log)
        print(record.id, flush=True)
"""


@pytest.mark.heavy
@pytest.mark.attack("crash-safe")
@pytest.mark.parametrize("acknowledged", [1, 23, 60])
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, record: Builder, acknowledged: int) -> None:
    base = canonical_json(record().to_json()).decode()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), base], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        told = [writer.stdout.readline() for _ in range(acknowledged)]
        os.kill(writer.pid, signal.SIGKILL)
        told += writer.stdout.readlines()
    ids = {line.strip() for line in told if line.endswith("\n")}
    assert len(ids) >= acknowledged
    with Store.open(tmp_path) as store:
        held = list(queries.read_records(store.db))
        assert ids <= {r.id for r in held}
        assert len(held) <= len(ids) + 1  # one may be written and not yet told
        assert store.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert store.db.execute("PRAGMA foreign_key_check").fetchall() == []
        (newest,) = current_records(held).values()
        assert [*queries.current_by_environment(store.db, record().release).values()] == [newest]
        assert store.add_record(record(detail="after"))


# A full disk, a read-only folder: in a mount namespace of its own

IN_A_NAMESPACE = """
import json, subprocess, sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from ppp.ledger import queries
from ppp.ledger.episodes import PRESENTERS, StoredLine, read_episodes
from ppp.ledger.lock import writer_lock
from ppp.ledger.schema import open_ledger, read_ledger
from ppp.ledger.store import Store
from ppp.model.errors import PPPError
from ppp.model.canonical import sha256_hex
from ppp.model.record import Record

place, base = Path(sys.argv[1]), Record.from_json(json.loads(sys.argv[2]))

def mount(*words):
    subprocess.run(["mount", *words], check=True)

def ids(data):
    with closing(read_ledger(data)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {r.id for r in queries.read_records(db)}
"""

FULL = """
mount("-t", "tmpfs", "-o", "size=1m", "none", str(place))
added = set()
try:
    with Store.open(place) as store:
        for number in range(2000):
            log = f"log {number} " * 800
            record = replace(base, observed_at=number, log_sha256=sha256_hex(log.encode()))
            store.add_record(record, log)
            added.add(record.id)
except PPPError as error:
    print(type(error).__name__, error)
assert len(added) > 10
assert ids(place) == added, "what was acknowledged is there, and nothing else"
mount("-o", "remount,size=2m", str(place))
with Store.open(place) as store:
    assert store.add_record(base)
assert ids(place) == added | {base.id}
"""

FULL_FROM_THE_START = """
mount("-t", "tmpfs", "-o", "size=16k", "none", str(place))
try:
    open_ledger(place)
except PPPError as error:
    print(type(error).__name__, error)
mount("-o", "remount,size=1m", str(place))
with Store.open(place) as store:
    assert store.add_record(base)
assert ids(place) == {base.id}
"""

READ_ONLY = """
with Store.open(place) as store:
    store.add_record(base)
before = {p.name: p.read_bytes() for p in place.iterdir()}
mount("--bind", str(place), str(place))
mount("-o", "remount,bind,ro", str(place))
def attempt():
    with writer_lock(place):
        print("locked")
def write():
    with Store.open(place) as store:
        store.add_record(replace(base, detail="another"))
def make():
    open_ledger(place / "deeper")
for action in (attempt, write, make):
    try:
        action()
    except PPPError as error:
        print(type(error).__name__, error)
assert ids(place) == {base.id}, "it can still be read"
assert {p.name: p.read_bytes() for p in place.iterdir()} == before
"""


def run_in_a_namespace(script: str, place: Path, base: Record) -> str:
    words = ["unshare", "--mount", "--propagation", "private"]
    done = subprocess.run(
        [*words, sys.executable, "-c", IN_A_NAMESPACE + script, str(place), canonical_json(base.to_json()).decode()],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.heavy
@pytest.mark.attack("crash-safe")
@pytest.mark.mount
def test_a_full_disk_is_an_error_and_the_ledger_stays_unchanged(tmp_path: Path, record: Builder) -> None:
    told = run_in_a_namespace(FULL, tmp_path, record())
    assert told.startswith(f"DiskFullError no space left for {tmp_path}")
    assert len(told.splitlines()) == 1


@pytest.mark.heavy
@pytest.mark.attack("crash-safe")
@pytest.mark.mount
def test_a_disk_that_is_full_from_the_start(tmp_path: Path, record: Builder) -> None:
    told = run_in_a_namespace(FULL_FROM_THE_START, tmp_path, record())
    assert told.startswith(f"DiskFullError no space left for {tmp_path}")


@pytest.mark.heavy
@pytest.mark.attack("crash-safe")
@pytest.mark.mount
def test_a_read_only_folder_can_still_be_read(tmp_path: Path, record: Builder) -> None:
    told = run_in_a_namespace(READ_ONLY, tmp_path, record()).splitlines()
    assert [line.split()[0] for line in told] == ["DataReadOnlyError"] * 3
    assert all(f"cannot write {tmp_path}" in line and "make the folder writable" in line for line in told)


def test_every_error_of_opening_has_a_hint(tmp_path: Path) -> None:
    (tmp_path / "ppp.db").write_bytes(b"x" * 100)
    with pytest.raises(PPPError) as caught:
        open_ledger(tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
