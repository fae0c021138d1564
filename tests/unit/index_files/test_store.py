import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from ppp.index_files.file import IndexedFile
from ppp.index_files.store import INDEX_FILES_NAME, open_index_files, read_index_files
from ppp.model.errors import LedgerDamagedError, UnknownPackageError


def indexed(number: int, project: str = "lib", seen_at: int = 1) -> IndexedFile:
    filename = f"{project}-{number}.0.tar.gz"
    return IndexedFile(
        sha256=f"{number:064x}",
        project=project,
        version=f"{number}.0",
        filename=filename,
        url=f"https://files.example/{filename}",
        seen_at=seen_at,
        size=number,
        upload_time=datetime(2024, 1, 1, 0, 0, 0, number, tzinfo=UTC),
        requires_python=">=3.9",
        yanked="",
        metadata_sha256="0" * 64,
    )


ONE: Final = indexed(1)


def test_a_file_is_read_as_it_was_stored(tmp_path: Path) -> None:
    bare = replace(indexed(2), size=None, upload_time=None, requires_python=None, yanked=None, metadata_sha256=None)
    with open_index_files(tmp_path) as files:
        files.add([ONE, bare])
    with read_index_files(tmp_path) as files:
        assert files.get(ONE.sha256, "lib") == ONE
        assert list(files.all()) == [ONE, bare]


def test_many_files_are_got_at_once(tmp_path: Path) -> None:
    many = [indexed(number) for number in range(1200)]
    with open_index_files(tmp_path) as files:
        files.add(many)
        wanted = [(file.sha256, "lib") for file in many] + [("f" * 64, "lib"), (ONE.sha256, "other")]
        assert files.get_many(wanted) == {(file.sha256, "lib"): file for file in many}


def test_two_projects_may_have_the_same_bytes(tmp_path: Path) -> None:
    other = replace(indexed(1, "other"), sha256=ONE.sha256)
    with open_index_files(tmp_path) as files:
        files.add([ONE, other])
        assert files.get(ONE.sha256, "lib") == ONE
        assert files.get(ONE.sha256, "other") == other


def test_what_the_index_said_last_counts(tmp_path: Path) -> None:
    later, earlier = replace(ONE, yanked="broken", seen_at=3), replace(ONE, yanked=None, seen_at=2)
    with open_index_files(tmp_path) as files:
        for file in (ONE, later, earlier):
            files.add([file])
        assert files.get(ONE.sha256, "lib") == later


def test_only_what_is_missing_is_read_from_the_index(tmp_path: Path) -> None:
    read: list[str] = []

    def read_project(project: str) -> Iterable[IndexedFile]:
        read.append(project)
        if project == "gone":
            raise UnknownPackageError("the index has no package 'gone'", hint="")
        return [indexed(number, project) for number in range(1, 5)]

    with open_index_files(tmp_path) as files:
        files.add([ONE])
        wanted = {"lib": [ONE.sha256], "other": [f"{2:064x}", "f" * 64], "gone": ["e" * 64]}
        done = files.complete(wanted, read_project)
        assert read == ["gone", "other"], "a project of which all is known is not read"
        assert (done.added, done.unknown) == (1, (("gone", "e" * 64), ("other", "f" * 64)))
        assert list(files.all()) == [ONE, indexed(2, "other")], "files that nobody asked for are not stored"


def test_a_missing_database_holds_nothing_and_is_not_created(tmp_path: Path) -> None:
    with read_index_files(tmp_path) as files:
        assert list(files.all()) == []
    assert not list(tmp_path.iterdir())


def test_a_database_of_another_schema_is_begun_anew(tmp_path: Path) -> None:
    with open_index_files(tmp_path) as files:
        files.add([ONE])
    with closing(sqlite3.connect(tmp_path / INDEX_FILES_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with read_index_files(tmp_path) as files:
        assert files.get(ONE.sha256, "lib") is None
    with open_index_files(tmp_path) as files:
        assert list(files.all()) == []
        files.add([ONE])
        assert list(files.all()) == [ONE]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / INDEX_FILES_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerDamagedError, match=INDEX_FILES_NAME), open_index_files(tmp_path):
        pass


def test_additions_and_whatever_is_said_otherwise_are_found_later(tmp_path: Path) -> None:
    with open_index_files(tmp_path) as files:
        files.add([ONE, indexed(2)])
        identity, last = files.position
        assert list(files.added_after(0)) == [ONE, indexed(2)]
        files.add([replace(ONE, seen_at=2)])
        assert files.position == (identity, last), "it was only seen again"
        moved = replace(indexed(2), url="https://other.example/lib-2.0.tar.gz", seen_at=2)
        files.add([moved, replace(indexed(2), url="https://old.example/lib-2.0.tar.gz", seen_at=1), indexed(3)])
        assert list(files.added_after(last)) == [moved, indexed(3)]
        _, last = files.position
        yanked = replace(ONE, yanked="broken", seen_at=3)
        files.add([yanked])
        assert list(files.added_after(last)) == [yanked]
    (tmp_path / INDEX_FILES_NAME).unlink()
    with open_index_files(tmp_path) as files:
        assert files.position[0] != identity, "a database that was lost is another one"
        assert files.position[1] == 0
