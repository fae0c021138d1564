"""Before a ledger's schema changes there is a backup, and a kill at any moment leaves the old schema or the new one."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from older_ledger import MIGRATIONS, make_older_ledger
from sqlite_utils import Database

from ppp.ledger import queries
from ppp.ledger.backup import back_up
from ppp.ledger.connect import connect_as_it_is
from ppp.ledger.schema import LEDGER_NAME, migrations, open_ledger, read_ledger
from ppp.ledger.upgrade import KEPT, list_upgrade_backups, schema_number, way_back
from ppp.model.errors import BackupError, LedgerTooNewError
from ppp.model.record import Record

Builder = Callable[..., Record]
OLDER: Final = range(1, len(MIGRATIONS))
#: 2024-04-22, at noon, and as it is in a name.
NOON: Final = 1_713_787_200
NAMED: Final = "20240422T120000Z"


def dump(path: Path) -> list[str]:
    """Return what a ledger holds, but for when its schema was changed."""
    with closing(connect_as_it_is(path)) as db:
        return [line for line in db.iterdump() if '"_sqlite_migrations" VALUES' not in line]


def schema_of(path: Path) -> int:
    with closing(connect_as_it_is(path)) as db:
        return schema_number(one.name for one in migrations.applied(Database(db)))


@pytest.fixture(name="older")
def _older(tmp_path: Path, record: Builder) -> Callable[[int], Path]:
    def make(schema: int) -> Path:
        data = tmp_path / f"data-{schema}"
        data.mkdir()
        packages = (record(f"package-{number}") for number in range(5))
        make_older_ledger(data / LEDGER_NAME, packages, schema=schema, folder=tmp_path / f"now-{schema}")
        os.utime(data / LEDGER_NAME, (NOON, NOON))
        return data

    return make


@pytest.mark.parametrize("schema", OLDER)
def test_a_backup_of_the_older_ledger_is_beside_it(older: Callable[[int], Path], schema: int) -> None:
    data = older(schema)
    before = dump(data / LEDGER_NAME)
    open_ledger(data).close()
    (made,) = list_upgrade_backups(data)
    assert made.path.name == f"ppp-m00{schema}-{NAMED}.db"
    assert dump(made.path) == before
    assert sorted(path.name for path in data.iterdir()) == [made.path.name, LEDGER_NAME]
    with closing(read_ledger(data)) as db:
        assert len(list(queries.read_records(db))) == 5


def test_neither_a_new_ledger_nor_one_of_today_has_a_backup(tmp_path: Path) -> None:
    for _ in range(2):
        open_ledger(tmp_path).close()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / LEDGER_NAME).touch()
    open_ledger(tmp_path / "empty").close()
    assert list_upgrade_backups(tmp_path) == list_upgrade_backups(tmp_path / "empty") == []


@pytest.mark.parametrize("schema", OLDER)
def test_an_older_ledger_is_backed_up_and_restored_by_a_newer_program(
    older: Callable[[int], Path], schema: int, tmp_path: Path
) -> None:
    data, restored = older(schema), tmp_path / "restored"
    before = dump(data / LEDGER_NAME)
    assert back_up(data / LEDGER_NAME, restored / LEDGER_NAME).rows["records"] == 5
    assert dump(restored / LEDGER_NAME) == before
    for folder in (data, restored):
        open_ledger(folder).close()
    assert dump(restored / LEDGER_NAME) == dump(data / LEDGER_NAME)


@pytest.mark.parametrize("opened", [open_ledger, read_ledger])
def test_who_cannot_read_a_newer_ledger_is_told_the_backup_to_go_back_to(
    older: Callable[[int], Path], opened: Callable[[Path], object]
) -> None:
    data, newest = older(len(MIGRATIONS)), len(MIGRATIONS)
    for schema, at in ((newest - 1, "20240101T000000Z"), (newest, NAMED), (newest + 1, "20250101T000000Z")):
        back_up(data / LEDGER_NAME, data / f"ppp-m{schema:03}-{at}.db")
    with closing(sqlite3.connect(data / LEDGER_NAME)) as db:
        Database(db).table("_sqlite_migrations").insert(
            {"migration_set": "ppp", "name": f"m{newest + 1:03}_later", "applied_at": "2099"}
        )
        db.commit()
    with pytest.raises(LedgerTooNewError) as caught:
        opened(data)
    back = data / f"ppp-m{newest:03}-{NAMED}.db"
    assert caught.value.hint == f"upgrade PPP, or go back to {back}, which this PPP reads"
    back.replace(data / LEDGER_NAME)
    open_ledger(data).close()


def test_a_bounded_number_is_kept_and_always_the_one_that_was_just_made(older: Callable[[int], Path]) -> None:
    data = older(3)
    for day in range(1, 9):
        (data / f"ppp-m003-202501{day:02}T000000Z.db").touch()
    (data / "ppp-m003-mine.db").touch()
    (data / ".ppp-m003-20230101T000000Z.db.part").touch()
    open_ledger(data).close()
    assert [each.path.name for each in list_upgrade_backups(data)] == [
        f"ppp-m003-{at}.db" for at in (NAMED, "20250107T000000Z", "20250108T000000Z")
    ]
    assert len(list_upgrade_backups(data)) == KEPT
    assert {path.name for path in data.iterdir()} - {each.path.name for each in list_upgrade_backups(data)} == {
        LEDGER_NAME,
        "ppp-m003-mine.db",
    }


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"x" * 9_000])
def test_another_file_of_that_name_stays(older: Callable[[int], Path], content: bytes) -> None:
    data = older(2)
    other = data / f"ppp-m002-{NAMED}.db"
    other.write_bytes(content)
    before = dump(data / LEDGER_NAME)
    open_ledger(data).close()
    assert other.read_bytes() == content
    newest = way_back(data, 2)
    assert newest
    assert dump(newest.path) == before


def test_a_ledger_that_cannot_be_copied_is_not_migrated(older: Callable[[int], Path]) -> None:
    data = older(3)
    with closing(sqlite3.connect(data / LEDGER_NAME)) as db:
        db.execute("DELETE FROM packages")
        db.commit()
    before = (data / LEDGER_NAME).read_bytes()
    with pytest.raises(BackupError, match="refers to nothing"):
        open_ledger(data)
    assert (data / LEDGER_NAME).read_bytes() == before
    assert list_upgrade_backups(data) == []


#: Opens a ledger, and ends itself by SIGKILL at a moment of that: a use of a file, or some steps of a statement.
KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from ppp.ledger.schema import open_ledger
data, at = sys.argv[1], int(sys.argv[2])
seen = 0
def moment():
    global seen
    seen += 1
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)
def hook(event, arguments):
    if event in {"open", "os.link", "os.remove", "sqlite3.connect"} and data in str(arguments[0]):
        moment()
def connected(*arguments, connect=sqlite3.connect, **options):
    connection = connect(*arguments, **options)
    connection.set_progress_handler(moment, 100)
    return connection
sys.addaudithook(hook)
sqlite3.connect = connected
open_ledger(Path(data)).close()
print(seen)
"""


def open_and_kill(data: Path, *, at: int) -> int:
    """Open a ledger in a process of its own that is killed at a moment; return how many it has if it is not."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(data), str(at)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return int(done.stdout or 0)


@pytest.mark.attack("crash-safe")
def test_a_kill_leaves_the_old_ledger_or_the_new_one(older: Callable[[int], Path], tmp_path: Path) -> None:
    data = older(1)
    old = (data / LEDGER_NAME).read_bytes()
    moments = open_and_kill(data, at=-1)
    assert moments > 50, "it is interrupted at many moments"
    new = dump(data / LEDGER_NAME)
    (backup,) = (dump(each.path) for each in list_upgrade_backups(data))
    schemas = []
    for at in range(2, moments + 1, moments // 7):
        killed = tmp_path / f"killed-{at}"
        killed.mkdir()
        (killed / LEDGER_NAME).write_bytes(old)
        os.utime(killed / LEDGER_NAME, (NOON, NOON))
        open_and_kill(killed, at=at)
        schemas.append(schema_of(killed / LEDGER_NAME))
        assert dump(killed / LEDGER_NAME) == (backup if schemas[-1] == 1 else new)
        open_ledger(killed).close()
        assert dump(killed / LEDGER_NAME) == new
        assert [dump(each.path) for each in list_upgrade_backups(killed)] == [backup]
        assert {path.name for path in killed.iterdir()} == {LEDGER_NAME, f"ppp-m001-{NAMED}.db"}
    assert {*schemas} <= {1, len(MIGRATIONS)}, "never one in between"
    assert 1 in schemas
