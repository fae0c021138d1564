"""What the index said about files goes with a state, and comes back as it was; nothing else is accepted as such."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ppp.index_files.file import IndexedFile
from ppp.index_files.store import open_index_files, read_index_files
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.errors import RejectedDataError
from ppp.model.record import Record
from ppp.state.folder import open_state
from ppp.state.manifest import STATE_NAME, StateFile, sign_manifest
from ppp.state.restore import restore_state
from ppp.state.save import save_state
from ppp.state.tables import read_rows, row_files

KEY = NodeKey.from_seed(b"k" * 32)
FILES = (
    IndexedFile(
        sha256="aa" * 32,
        project="six",
        version="1.17.0",
        filename="six-1.17.0-py3-none-any.whl",
        url="https://files.example/six-1.17.0-py3-none-any.whl",
        seen_at=1_714_003_200,
        size=11_050,
        upload_time=datetime(2024, 12, 4, 17, 35, 26, 123456, tzinfo=UTC),
        requires_python=">=2.7",
        yanked="",
        metadata_sha256="bb" * 32,
    ),
    IndexedFile(
        sha256="cc" * 32,
        project="old",
        version="1.0",
        filename="old-1.0.tar.gz",
        url="https://files.example/old-1.0.tar.gz",
        seen_at=0,
    ),
)


@pytest.fixture(name="state")
def _state(tmp_path: Path, record: Callable[..., Record]) -> Path:
    with open_index_files(tmp_path / "data") as index_files:
        index_files.add(FILES)
    save(tmp_path, record)
    return tmp_path / "state"


def save(folder: Path, record: Callable[..., Record]) -> bool:
    with Store.open(folder / "data") as store:
        store.add_record(record())
        return save_state(store, KEY, folder / "state", ledger=folder / "data").changed


def restored(state: Path, data: Path) -> list[IndexedFile]:
    data.mkdir()
    restore_state(data, KEY, state, snapshot=None)
    with read_index_files(data) as index_files:
        return [*index_files.all()]


def test_what_was_known_is_known_again(state: Path, tmp_path: Path) -> None:
    assert restored(state, tmp_path / "other") == sorted(FILES, key=lambda file: file.sha256)


def test_an_unchanged_database_changes_no_byte(state: Path, tmp_path: Path, record: Callable[..., Record]) -> None:
    before = {path.name: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    assert save(tmp_path, record) is False
    assert {path.name: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before


def test_without_the_database_a_state_has_no_such_file(tmp_path: Path, record: Callable[..., Record]) -> None:
    save(tmp_path, record)
    assert not (tmp_path / "state" / "index-files").exists()
    assert restored(tmp_path / "state", tmp_path / "other") == []


@pytest.mark.parametrize(
    "change",
    [
        {"url": "javascript:alert(1)"},
        {"url": "https://user:secret@files.example/old-1.0.tar.gz"},
        {"sha256": "short"},
        {"filename": "../../etc/passwd"},
        {"project": "no name"},
        {"upload_time": "yesterday"},
        {"size": "large"},
        {"unknown": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_is_about_no_file_is_refused(state: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    (path,) = (state / "index-files").iterdir()
    found = read_rows(path.read_bytes(), path.name)
    row = {**dict(zip(found.columns, found.rows[1], strict=True)), **change}
    (forged,) = row_files("index-files", "index_files", tuple(row), [row.values()])
    path.unlink()
    (state / forged.path).write_bytes(forged.content)
    _sign_again(state, forged.path, forged.content)
    with pytest.raises(RejectedDataError, match=r"a row (is not about|names no)"):
        restored(state, tmp_path / "other")
    assert not (tmp_path / "other" / "ppp.db").exists()


def _sign_again(state: Path, path: str, content: bytes) -> None:
    manifest = open_state(state, own=KEY.id)
    others = [file for file in manifest.files if not file.path.startswith("index-files/")]
    forged = StateFile(path=path, size=len(content), sha256=sha256_hex(content))
    files = tuple(sorted([*others, forged], key=lambda file: file.path))
    (state / STATE_NAME).write_bytes(sign_manifest(replace(manifest, files=files), KEY))
