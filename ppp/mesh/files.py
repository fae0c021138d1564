"""What a node publishes, as its statement vouches for it: `files.json`, verified as a whole before any path is used."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ppp.mesh.untrusted import parse, refuse
from ppp.model.record import sha256_hex

MAX_FILES_BYTES: Final = 64 * 1024 * 1024

_SCHEMA: Final = "site/schemas/files.schema.json"
_WHAT: Final = "files.json"
_BATCH: Final = re.compile(r"batches/([0-9a-f]{64})\.json")


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
    document = parse(data, what=_WHAT, schema=_SCHEMA, max_bytes=MAX_FILES_BYTES)
    files = [PublishedFile(path=path, size=size, sha256=digest) for path, size, digest in document["files"]]
    paths = [file.path for file in files]
    if any(one >= other for one, other in pairwise(paths)):
        refuse(_WHAT, "its paths are not sorted, or one stands twice")
    return dict(zip(paths, files, strict=True))


def batch_ids(files: Mapping[str, PublishedFile]) -> list[str]:
    """Give the ids of the batches among files, in the files' order; raise `RefusedError` if one belies its name."""
    ids: list[str] = []
    for path, file in files.items():
        if match := _BATCH.fullmatch(path):
            if file.sha256 != match[1]:
                refuse(_WHAT, f"{path} is listed with the sha256 {file.sha256}")
            if f"batches/{match[1]}.sig" not in files:
                refuse(_WHAT, f"{path} has no signature beside it")
            ids.append(match[1])
    return ids
