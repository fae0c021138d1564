"""The description published beside each snapshot: its content, its digests, and the versions that wrote it.

A build reads only these descriptions, never the databases.
"""

import hashlib
import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from ppp.model.canonical import Json
from ppp.schemas import schema_errors

SCHEMA: Final = "ppp-snapshot-1"
#: The SPDX identifier of the data's licence; the view `about` of each snapshot has its address and its limits.
DATA_LICENSE: Final = "CC0-1.0"
SNAPSHOTS_FOLDER: Final = "snapshots"
LATEST_NAME: Final = "latest"
WINDOW_NAME: Final = "window"
#: The maximum size of a description in bytes.
MAX_DESCRIPTION_BYTES: Final = 64 * 1024
_SCHEMA: Final = "site/schemas/snapshot.schema.json"


class SnapshotKind(StrEnum):
    """What a snapshot contains: all records, one month, or the newest days without logs."""

    DAY = "day"
    MONTH = "month"
    WINDOW = "window"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedFile:
    """The gzipped copy of a snapshot: its name, size in bytes, sha256 (hex), and the zlib version that wrote it."""

    file: str
    bytes: int
    sha256: str
    zlib: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The description of a snapshot.

    Digests are sha256 in hex; `as_of` is the newest observation in epoch seconds; `logical_sha256` is the result of
    `logical_hash`; `root` equals that of `current.json` if the snapshot contains all records.
    """

    kind: SnapshotKind
    file: str
    as_of: int | None
    first_day: str | None
    last_day: str | None
    logs: bool
    bytes: int
    sha256: str
    logical_sha256: str
    root: str
    rows: Mapping[str, int]
    sqlite: str
    gzip: CompressedFile | None = None
    #: None in descriptions from before snapshots named their licence.
    license: str | None = DATA_LICENSE

    def to_json(self) -> dict[str, Json]:
        """Return the object described by `snapshot.schema.json`."""
        return {
            "schema": SCHEMA,
            "kind": str(self.kind),
            "file": self.file,
            "as_of": self.as_of,
            "first_day": self.first_day,
            "last_day": self.last_day,
            "logs": self.logs,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "logical_sha256": self.logical_sha256,
            "root": self.root,
            "rows": dict(self.rows),
            "sqlite": self.sqlite,
            **({} if self.license is None else {"license": self.license}),
            "gzip": None
            if self.gzip is None
            else {
                "file": self.gzip.file,
                "bytes": self.gzip.bytes,
                "sha256": self.gzip.sha256,
                "zlib": self.gzip.zlib,
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Return the snapshot from an object that is valid under `snapshot.schema.json`."""
        rest = {name: value for name, value in data.items() if name not in {"schema", "kind", "gzip"}}
        zipped = data["gzip"] and CompressedFile(**data["gzip"])
        return cls(kind=SnapshotKind(data["kind"]), gzip=zipped, **{"license": None} | rest)


def file_sha256(path: Path) -> str:
    """Return a file's sha256 (hex), reading it in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def complete_snapshots(out: Path) -> tuple[Snapshot, ...]:
    """Return the snapshots in a public folder that are complete, newest first.

    A snapshot is complete if its description is valid and its database has the described size; its content is not read.
    """
    folder = out / SNAPSHOTS_FOLDER
    names = sorted((path.name for path in folder.glob("*.db")), reverse=True)
    found = [description_of(folder, name) for name in names if name != f"{LATEST_NAME}.db"]
    return tuple(snapshot for snapshot in found if snapshot and file_size(folder / snapshot.file) == snapshot.bytes)


def description_of(folder: Path, file: str) -> Snapshot | None:
    """Return the description of the snapshot with that file name, or None without a valid one."""
    found = read_description((folder / file).with_suffix(".json"))
    return found if found and found.file == file else None


def read_description(path: Path) -> Snapshot | None:
    """Return the snapshot that a file describes, or None if it is not a valid description.

    It is one only byte by byte as it is published: a JSON parser lets other forms of one document pass.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DESCRIPTION_BYTES)
        data = json.loads(content)
    except (OSError, ValueError, RecursionError):
        return None
    if schema_errors(_SCHEMA, data, limit=1):
        return None
    snapshot = Snapshot.from_json(data)
    return snapshot if content == description_bytes(snapshot) else None


def description_bytes(snapshot: Snapshot) -> bytes:
    """Return a description as it is published: indented JSON, sorted keys, ASCII only."""
    return (json.dumps(snapshot.to_json(), indent=1, sort_keys=True) + "\n").encode("ascii")


def digest_lines(digests: Sequence[tuple[str, str]]) -> bytes:
    """Return the lines that `sha256sum -c` reads, from pairs of sha256 (hex) and file name."""
    return "".join(f"{sha256}  {name}\n" for sha256, name in digests).encode()


def file_size(path: Path) -> int | None:
    """Return a file's size in bytes, or None if it is missing or not a regular file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
