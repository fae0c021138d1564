"""What the index said about files, as files of a state: a machine that keeps nothing would have to ask for it again."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Final

from ppp.index_files.file import IndexedFile
from ppp.mesh.untrusted import reject
from ppp.model.canonical import Json
from ppp.state.folder import read_listed
from ppp.state.manifest import HINT, Manifest
from ppp.state.tables import NamedFile, read_rows, row_files

FOLDER: Final = "index-files"
_COLUMNS: Final = tuple(field.name for field in fields(IndexedFile))


def dump_index_files(files: Iterable[IndexedFile]) -> Iterator[NamedFile]:
    """Yield the files of a state for what is known of files of the index, in the order given."""
    return row_files(FOLDER, "index_files", _COLUMNS, map(_row, files))


def load_index_files(folder: Path, manifest: Manifest) -> tuple[IndexedFile, ...]:
    """Return what a state says about files of the index; raise `RejectedDataError` if a row is not about one."""
    found: list[IndexedFile] = []
    for listed in manifest.files:
        if listed.path.startswith(f"{FOLDER}/"):
            read = read_rows(read_listed(folder, listed), listed.path)
            found += [_file(dict(zip(read.columns, row, strict=True)), listed.path) for row in read.rows]
    return tuple(found)


def _row(file: IndexedFile) -> list[Json]:
    return [value.isoformat() if isinstance(value, datetime) else value for value in asdict(file).values()]


def _file(row: dict[str, Json], path: str) -> IndexedFile:
    # A size beyond the bound counts as not said; what is none is no row of ours.
    if not isinstance(row.get("size"), int | None):
        reject(path, "a row is not about a file of the index: its size is no number", hint=HINT)
    try:
        uploaded = row.pop("upload_time")
        file = IndexedFile.checked(**row, upload_time=datetime.fromisoformat(uploaded) if uploaded else None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reject(path, f"a row is not about a file of the index: {error}", hint=HINT)
    if file is None:
        reject(path, "a row names no file of the index", hint=HINT)
    return file
