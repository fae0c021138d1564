"""What a path is, and whether it holds: by what vouches for it, then by what is in it.

A file that nothing vouches for (a digest on the command line, a description beside it, a list above it, its own name)
does not hold, whatever it says of itself. Only a ledger vouches for itself: its records are named by their hashes.
"""

import hashlib
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ppp.ledger.schema import LEDGER_NAME
from ppp.model.errors import InvalidFileError, RejectedDataError
from ppp.publish.folder import CURRENT, DIGEST, MANIFEST
from ppp.publish.site import snapshots as data_page
from ppp.publish.snapshots.database import describe
from ppp.publish.snapshots.description import (
    LATEST_NAME,
    SNAPSHOTS_FOLDER,
    WINDOW_NAME,
    Snapshot,
    SnapshotKind,
    file_sha256,
    read_description,
)
from ppp.publish.snapshots.description import SCHEMA as SNAPSHOT_SCHEMA
from ppp.verify import documents
from ppp.verify.database import check_private, check_rows, open_verified
from ppp.verify.result import Verification, fail

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """What a person knows besides: the file's sha256 (hex), the nodes whose word counts (none: any), epoch seconds."""

    now: int
    sha256: str | None = None
    nodes: Collection[str] = ()


def examine(path: Path, options: VerifyOptions) -> Iterator[Verification]:
    """Judge a published file, a ledger, or all there is to judge in a folder of either; one finding for each thing."""
    try:
        things = _targets(path) if path.is_dir() else [path]
    except OSError:
        # A name that no file can have; why is told of it as of a file.
        things = [path]
    return (_verify(thing, options) for thing in things)


def _targets(folder: Path) -> Iterator[Path]:
    if (folder / LEDGER_NAME).exists():
        yield folder / LEDGER_NAME
        if (folder / "public").is_dir():
            yield from _targets(folder / "public")
        return
    yield folder / CURRENT
    yield folder / MANIFEST
    # Not every build is signed, and not every folder has snapshots.
    for name in ("statement.json", f"{SNAPSHOTS_FOLDER}/index.json"):
        if (folder / name).exists():
            yield folder / name
    for pattern in ("batches/*.json.gz", f"{SNAPSHOTS_FOLDER}/*.db", f"{SNAPSHOTS_FOLDER}/*.db.gz"):
        yield from sorted(folder.glob(pattern))


def _verify(path: Path, options: VerifyOptions) -> Verification:
    try:
        return Verification(path=str(path), valid=True, message=_check(path, options))
    except (InvalidFileError, RejectedDataError) as error:
        return Verification(path=str(path), valid=False, message=error.message)
    except OSError as error:
        return Verification(path=str(path), valid=False, message=f"it cannot be read: {error.strerror}")


def _check(path: Path, asked: VerifyOptions) -> str:
    if not path.is_file():
        fail("it is not there" if not path.exists() else "it is not a file")
    if asked.sha256 and (digest := file_sha256(path)) != asked.sha256:
        fail(f"it hashes to {digest}")
    vouched = asked.sha256 is not None
    match path.name:
        case name if name == DIGEST:
            return documents.check_current(path.with_name(CURRENT), vouched=False)
        case name if name.endswith(".db"):
            return _check_database(path, vouched=vouched)
        case name if name.endswith(".db.gz"):
            return _check_gzip(path)
        case name if name.endswith((".sig", ".json.gz")):
            batch = path.with_name(f"{name.partition('.')[0]}.json.gz")
            return documents.check_batch(batch, nodes=asked.nodes, now=asked.now)
        case name if name.endswith(".json"):
            return _check_document(path, asked, vouched=vouched)
    return _check_listed(path, vouched=vouched)


def _check_document(path: Path, asked: VerifyOptions, *, vouched: bool) -> str:
    checks: dict[str, Callable[[], str]] = {
        "ppp-current-1": lambda: documents.check_current(path, vouched=vouched),
        "ppp-files-1": lambda: documents.check_files(path),
        "ppp-statement-1": lambda: documents.check_statement(path, nodes=asked.nodes, now=asked.now),
        "ppp-batch-1": lambda: documents.check_batch(path, nodes=asked.nodes, now=asked.now),
        data_page.SCHEMA: lambda: documents.check_index(path),
        SNAPSHOT_SCHEMA: lambda: _check_description(path),
    }
    try:
        held = documents.read_document(path)
    except RejectedDataError:
        held = {}
    inner = held.get("signed")
    schema = (inner if isinstance(inner, dict) else held).get("schema")
    check = checks.get(schema) if isinstance(schema, str) else None
    return check() if check else _check_listed(path, vouched=vouched)


def _check_description(path: Path) -> str:
    beside = read_description(path)
    if beside is None:
        fail("it is no description of a snapshot")
    target = path.with_name(beside.file)
    if not target.is_file():
        fail(f"{target.name}, which it describes, is not there")
    return _check_snapshot(target, beside)


def _check_database(path: Path, *, vouched: bool) -> str:
    beside = read_description(path.with_suffix(".json"))
    if beside is None:
        return _check_ledger(path, vouched=vouched)
    if beside.file != path.name and path.stem != LATEST_NAME:
        fail(f"the description beside it is of {beside.file}")
    return _check_snapshot(path, beside)


def _check_ledger(path: Path, *, vouched: bool) -> str:
    with open_verified(path, immutable=False) as db:
        # One that holds no log at all may be a window that has lost its description.
        logs = db.execute("SELECT 1 FROM logs LIMIT 1").fetchone() is not None
        count = check_rows(db, logs=logs)
    told = f"a ledger of {count} records{'' if logs else ', without logs'}"
    return told if vouched else f"{told}, each named by its sha256; nothing beside it vouches for the whole"


def _check_snapshot(path: Path, beside: Snapshot) -> str:
    if (size := path.stat().st_size) != beside.bytes:
        fail(f"it has {size} bytes, its description says {beside.bytes}")
    if (digest := file_sha256(path)) != beside.sha256:
        fail(f"it hashes to {digest}, its description says {beside.sha256}")
    with open_verified(path, immutable=True) as db:
        check_rows(db, logs=beside.logs)
        check_private(db)
    found = describe(path, kind=beside.kind, file=beside.file, logs=beside.logs)
    # What wrote it cannot be read off its rows.
    told, held = beside.to_json(), replace(found, sqlite=beside.sqlite, gzip=beside.gzip).to_json()
    for name, value in held.items():
        if told[name] != value:
            fail(f"its description says {told[name]} for {name}, and it is {value}")
    if beside.file != _name(found):
        fail(f"it is named as what it is not: it holds {found.first_day} to {found.last_day}")
    if not found.logs and found.rows["logs"]:
        fail("it holds logs, and is said to hold none")
    return f"a snapshot ({beside.kind}) of {found.rows['records']} records, root {found.root}"


def _name(found: Snapshot) -> str | None:
    match found.kind:
        case SnapshotKind.WINDOW:
            return f"{WINDOW_NAME}.db"
        case SnapshotKind.DAY:
            return f"ppp-{found.last_day}.db"
        case SnapshotKind.MONTH:
            months = {(day or "")[:7] for day in (found.first_day, found.last_day)}
            return f"ppp-{months.pop()}.db" if len(months) == 1 else None


def _check_gzip(path: Path) -> str:
    beside = read_description(path.with_suffix("").with_suffix(".json"))
    if beside is None or beside.gzip is None or beside.gzip.file != path.name:
        fail("no description beside it tells of it")
    if (digest := file_sha256(path)) != beside.gzip.sha256:
        fail(f"it hashes to {digest}, its description says {beside.gzip.sha256}")
    if _unzipped_sha256(path, most=beside.bytes) != beside.sha256:
        fail(f"it does not hold {beside.file}")
    return f"{beside.file}, compressed"


def _unzipped_sha256(path: Path, *, most: int) -> str:
    digest, room = hashlib.sha256(), most
    unzip = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while chunk := unzip.unconsumed_tail or file.read(_CHUNK_BYTES):
            try:
                data = unzip.decompress(chunk, _CHUNK_BYTES)
            except zlib.error as error:
                fail(f"it is damaged: {error}")
            room -= len(data)
            if room < 0 or unzip.unused_data:
                fail(f"it holds more than {most} bytes")
            digest.update(data)
    return digest.hexdigest()


def _check_listed(path: Path, *, vouched: bool) -> str:
    if vouched:
        return "a file with the sha256 that you named"
    place = path.absolute()
    folder = next((f for f in place.parents if (f / MANIFEST).is_file() and (f / CURRENT).is_file()), None)
    if folder is None:
        fail("nothing here vouches for it: name its digest with --sha256")
    file = documents.listed_files(folder).get(place.relative_to(folder).as_posix())
    if file is None:
        fail(f"{folder / MANIFEST} does not list it")
    documents.check_listed(folder, file)
    return f"listed in {folder / MANIFEST} with its size and sha256"
