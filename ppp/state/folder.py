"""Read a folder that holds a state, and write it: `state.json` last, so that what it names is always there."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ppp.durability import replace_file
from ppp.mesh.untrusted import reject
from ppp.model.canonical import sha256_hex
from ppp.model.errors import InvalidFileError
from ppp.state.manifest import HINT, MAX_STATE_BYTES, STATE_NAME, Manifest, StateFile, read_manifest
from ppp.state.tables import NamedFile
from ppp.storage_errors import translate_storage_errors

#: The folders of a state, in which nothing else is kept.
FOLDERS: Final = ("batches", "index-files", "records", "tables")


def has_state(folder: Path) -> bool:
    """Return whether a folder holds a state, of whatever node."""
    return os.path.lexists(folder / STATE_NAME)


def open_state(folder: Path, *, own: str) -> Manifest:
    """Return what a folder's `state.json` says if this node (`own`) signed it; see `read_manifest` for the errors.

    Raises `InvalidFileError` if there is none.
    """
    path = folder / STATE_NAME
    try:
        data = _read(path, most=MAX_STATE_BYTES)
    except OSError as error:
        raise InvalidFileError(
            f"{path} cannot be read: {error.strerror}", hint="name a folder that `ppp state save` wrote"
        ) from error
    return read_manifest(data, own=own)


def read_listed(folder: Path, file: StateFile) -> bytes:
    """Return the bytes of a file that a manifest names; raise `RejectedDataError` if it is missing or has others."""
    path = folder / file.path
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            reject(file.path, "it leads out of the folder", hint=HINT)
        content = _read(path, most=file.size)
    except OSError as error:
        reject(file.path, f"it cannot be read: {error.strerror}", hint=HINT)
    if (found := sha256_hex(content)) != file.sha256:
        reject(file.path, f"it hashes to {found}, {STATE_NAME} says {file.sha256}", hint=HINT)
    return content


def _read(path: Path, *, most: int) -> bytes:
    # Beyond the limit a byte is read, so that what is larger is not taken for what it should be.
    with path.open("rb") as file:
        return file.read(most + 1)


def write_file(folder: Path, file: NamedFile) -> StateFile:
    """Write a file if it is not there with these bytes, and return its entry in the manifest."""
    path = folder / file.path
    with translate_storage_errors(path):
        if not (path.is_file() and not path.is_symlink() and path.read_bytes() == file.content):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, file.content)
    return StateFile(path=file.path, size=len(file.content), sha256=sha256_hex(file.content))


def remove_unlisted(folder: Path, manifest: Manifest) -> int:
    """Remove what is in the state's own folders and not in its list; return how many files that were."""
    listed = {file.path for file in manifest.files}
    unlisted = [path for path in _present(folder) if path.relative_to(folder).as_posix() not in listed]
    with translate_storage_errors(folder):
        for path in unlisted:
            path.unlink()
    return len(unlisted)


def _present(folder: Path) -> Iterator[Path]:
    for name in FOLDERS:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            yield from (path for path in sorted((folder / name).iterdir()) if not path.is_dir() or path.is_symlink())
