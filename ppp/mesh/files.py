"""What a node publishes, as its statement vouches for it: `files.json` and the lists that it names under `files/`.

Each is verified as a whole before any path in it is used: the one by the statement, the others by `files.json`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ppp.mesh.untrusted import parse_document, refuse
from ppp.model.record import sha256_hex

#: Of `files.json`, and of all lists of batches together.
MAX_FILES_BYTES: Final = 64 * 1024 * 1024

_SCHEMA: Final = "site/schemas/files.schema.json"
_WHAT: Final = "files.json"
_BATCH_LIST: Final = re.compile(r"files/batches(?:-[0-9a-f]{1,8})?\.json")
_BATCH: Final = re.compile(r"batches/([0-9a-f]{64})\.json\.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A published file: its path below the web root, its size in bytes, its sha256 (hex)."""

    path: str
    size: int
    sha256: str


def read_files(data: bytes, *, sha256: str) -> dict[str, PublishedFile]:
    """Give the files that `files.json` lists, by path; raise `RefusedError` unless it is the one a statement names."""
    if sha256_hex(data) != sha256:
        refuse(
            _WHAT,
            f"its bytes hash to {sha256_hex(data)}, the statement says {sha256}",
            hint="the peer may be publishing just now: sync again; ask its operator if it stays so",
        )
    return _read(data, _WHAT)


def _read(data: bytes, what: str) -> dict[str, PublishedFile]:
    document = parse_document(data, what=what, schema=_SCHEMA, max_bytes=MAX_FILES_BYTES)
    files = [PublishedFile(path=path, size=size, sha256=digest) for path, size, digest in document["files"]]
    paths = [file.path for file in files]
    if any(one >= other for one, other in pairwise(paths)):
        refuse(what, "its paths are not sorted, or one stands twice")
    return dict(zip(paths, files, strict=True))


def read_file_list(data: bytes, listed: PublishedFile) -> dict[str, PublishedFile]:
    """Give the files of a list by path; raise `RefusedError` unless it is the one that `files.json` names."""
    if sha256_hex(data) != listed.sha256:
        refuse(
            listed.path,
            f"its bytes hash to {sha256_hex(data)}, {_WHAT} says {listed.sha256}",
            hint="the peer may be publishing just now: sync again; ask its operator if it stays so",
        )
    return _read(data, listed.path)


def batch_lists(files: Mapping[str, PublishedFile]) -> list[PublishedFile]:
    """Give the lists among files that batches stand in; raise `RefusedError` if they are too large together."""
    lists = [file for path, file in files.items() if _BATCH_LIST.fullmatch(path)]
    if sum(file.size for file in lists) > MAX_FILES_BYTES:
        refuse(_WHAT, f"its lists of batches are larger than {MAX_FILES_BYTES:,} bytes")
    return lists


def batch_ids(files: Mapping[str, PublishedFile]) -> list[str]:
    """Give the ids of the batches among files, in the files' order; raise `RefusedError` if one is not signed."""
    ids: list[str] = []
    for path in files:
        if match := _BATCH.fullmatch(path):
            if f"batches/{match[1]}.sig" not in files:
                refuse(_WHAT, f"{path} has no signature beside it")
            ids.append(match[1])
    return ids
