"""Read the lists of files that a node publishes: `files.json`, and the lists under `files/` that it names.

Each list is verified as a whole before any path in it is used: the statement has the hash of `files.json`, and
`files.json` has those of the other lists.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ppp.mesh.untrusted import parse_rows, reject
from ppp.model.canonical import Json, is_sha256, sha256_hex

#: The limit for `files.json`, and for all lists of batches together.
MAX_FILES_BYTES: Final = 64 * 1024 * 1024
#: As in the schema.
MAX_FILES: Final = 1_000_000
MAX_PATH_LENGTH: Final = 512

_PATH: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+!~-]*)*")
_SCHEMA: Final = "site/schemas/files.schema.json"
_FILES_JSON: Final = "files.json"
_BATCH_LIST: Final = re.compile(r"files/batches(?:-[0-9a-f]{1,8})?\.json")
_HINT: Final = "the peer may be publishing right now: sync again, and ask its operator if this happens again"
_BATCH: Final = re.compile(r"batches/([0-9a-f]{64})\.json\.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A published file: its path below the web root, its size in bytes and its sha256 (hex)."""

    path: str
    size: int
    sha256: str


def read_files(data: bytes, *, sha256: str) -> dict[str, PublishedFile]:
    """Return the files that `files.json` lists, by path; raise `RejectedDataError` unless `data` has this sha256."""
    if sha256_hex(data) != sha256:
        reject(
            _FILES_JSON,
            f"its bytes hash to {sha256_hex(data)}, the statement says {sha256}",
            hint=_HINT,
        )
    return _read(data, _FILES_JSON)


def _read(data: bytes, what: str) -> dict[str, PublishedFile]:
    document = parse_rows(
        data, what=what, key="files", schema=_SCHEMA, max_bytes=MAX_FILES_BYTES, max_rows=MAX_FILES, is_row=is_file_row
    )
    files = [PublishedFile(path=path, size=size, sha256=digest) for path, size, digest in document["files"]]
    paths = [file.path for file in files]
    # Sorted and unique, so that one set of files has one list, and a path cannot appear with two hashes.
    if any(one >= other for one, other in pairwise(paths)):
        reject(what, "its paths are not sorted, or one is repeated")
    return dict(zip(paths, files, strict=True))


def is_file_row(row: Json) -> bool:
    """Return whether a value is a row of a list of files, by the same rules as the schema."""
    match row:
        case [str() as path, int() as size, str() as sha256] if not isinstance(size, bool):
            return (
                len(path) <= MAX_PATH_LENGTH and _PATH.fullmatch(path) is not None and size >= 0 and is_sha256(sha256)
            )
    return False


def read_file_list(data: bytes, listed: PublishedFile) -> dict[str, PublishedFile]:
    """Return the files of a list, by path; raise `RejectedDataError` unless it is the one that `files.json` names."""
    if sha256_hex(data) != listed.sha256:
        reject(
            listed.path,
            f"its bytes hash to {sha256_hex(data)}, {_FILES_JSON} says {listed.sha256}",
            hint=_HINT,
        )
    return _read(data, listed.path)


def batch_lists(files: Mapping[str, PublishedFile]) -> list[PublishedFile]:
    """Return those files that are lists of batches; raise `RejectedDataError` if they are too large together."""
    lists = [file for path, file in files.items() if _BATCH_LIST.fullmatch(path)]
    # Each list is fetched up to the size that the peer claims for it: limit what all of them may claim together.
    if sum(file.size for file in lists) > MAX_FILES_BYTES:
        reject(_FILES_JSON, f"its lists of batches are larger than {MAX_FILES_BYTES:,} bytes")
    return lists


def batch_ids(files: Mapping[str, PublishedFile]) -> list[str]:
    """Return the ids of the batches among files, in order; raise `RejectedDataError` if one has no signature file."""
    ids: list[str] = []
    for path in files:
        if match := _BATCH.fullmatch(path):
            if f"batches/{match[1]}.sig" not in files:
                reject(_FILES_JSON, f"{path} has no signature file")
            ids.append(match[1])
    return ids
