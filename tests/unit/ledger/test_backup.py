"""A backup is complete and sound, or it is not there."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ppp.ledger.backup import back_up
from ppp.ledger.schema import LEDGER_NAME
from ppp.ledger.store import Store
from ppp.model.errors import BackupError, DataReadOnlyError, LedgerDamagedError
from ppp.model.record import Record

Builder = Callable[..., Record]


@pytest.fixture
def data(tmp_path: Path, record: Builder) -> Path:
    with Store.open(tmp_path / "data") as store:
        for number in range(20):
            store.add_record(record(f"package-{number}"))
    return tmp_path / "data"


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def test_a_backup_is_a_ledger_with_the_same_content(data: Path, tmp_path: Path) -> None:
    made = back_up(data / LEDGER_NAME, tmp_path / "new" / LEDGER_NAME)
    assert made.rows["records"] == 20
    assert dump(made.path) == dump(data / LEDGER_NAME)
    assert [path.name for path in made.path.parent.iterdir()] == [LEDGER_NAME]
    with Store.open(tmp_path / "new") as store:
        assert store.db.table("records").count == 20


def test_what_is_not_committed_is_not_in_it(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / LEDGER_NAME)) as writer:
        writer.execute("DELETE FROM queue")
        writer.execute("UPDATE records SET observed_at = 1")
        made = back_up(data / LEDGER_NAME, tmp_path / "copy.db")
    assert dump(made.path) == dump(data / LEDGER_NAME)


@pytest.mark.parametrize("kind", ["file", "link", "ledger"])
def test_nothing_is_overwritten(data: Path, tmp_path: Path, kind: str) -> None:
    target = data / LEDGER_NAME if kind == "ledger" else tmp_path / "there"
    if kind == "file":
        target.write_text("a file")
    elif kind == "link":
        target.symlink_to(tmp_path / "nowhere")
    before = (data / LEDGER_NAME).read_bytes()
    with pytest.raises(BackupError, match="exists"):
        back_up(data / LEDGER_NAME, target)
    assert (data / LEDGER_NAME).read_bytes() == before


def test_a_ledger_with_a_damaged_page_has_no_backup(data: Path, tmp_path: Path) -> None:
    path = data / LEDGER_NAME
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'results'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)
    with pytest.raises((BackupError, LedgerDamagedError)):
        back_up(data / LEDGER_NAME, tmp_path / "copy.db")
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_a_row_that_refers_to_nothing_is_found(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / LEDGER_NAME)) as db:
        db.execute("DELETE FROM packages")
        db.commit()
    with pytest.raises(BackupError, match="refers to nothing"):
        back_up(data / LEDGER_NAME, tmp_path / "copy.db")


def test_without_a_ledger_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(LedgerDamagedError, match="no ledger"):
        back_up(tmp_path / LEDGER_NAME, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(data: Path) -> None:
    with pytest.raises((BackupError, DataReadOnlyError)):
        back_up(data / LEDGER_NAME, Path("/proc/copy.db"))
