"""Decide what a path is and verify it: first against something that confirms its digest, then by its content.

The digest of a file is confirmed by the command line, a description next to it, a list in a parent folder, or its own
name; without any of these it is INVALID. Only a ledger needs none: its records are named by their hashes. Where only
some nodes are accepted, each file, and each record of a ledger, must also be signed by one of them.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ppp.declared.folder import RELEASE_NAME
from ppp.ledger.schema import LEDGER_NAME
from ppp.locks.pylock import LOCK_NAME
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
from ppp.verify import documents, mirrored
from ppp.verify.database import check_private, check_rows, check_signed_records, check_statements, open_verified
from ppp.verify.declared import check_declared_release
from ppp.verify.episode import check_episode
from ppp.verify.result import Verification, fail
from ppp.verify.signed import check_signed

#: The name of a log, by its own sha256.
_LOG_NAME: Final = re.compile(r"[0-9a-f]{64}\.txt")
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """The time now (epoch seconds), the expected sha256 (hex) of the file, and the trusted nodes (none: any)."""

    now: int
    sha256: str | None = None
    nodes: Collection[str] = ()


def examine(path: Path, options: VerifyOptions) -> Iterator[Verification]:
    """Yield a verification of a published file or a ledger, or one for each of those in a folder."""
    try:
        targets = _targets(path) if path.is_dir() else [path]
    except OSError:
        # The name is invalid for the file system; verifying it as a file reports why.
        targets = [path]
    return (_verify(target, options) for target in targets)


def _targets(folder: Path) -> Iterator[Path]:
    if (folder / LEDGER_NAME).exists():
        yield folder / LEDGER_NAME
        if (folder / "public").is_dir():
            yield from _targets(folder / "public")
        return
    if (folder / RELEASE_NAME).exists():
        yield folder / RELEASE_NAME
        return
    yield folder / CURRENT
    yield folder / MANIFEST
    # These are optional: not all builds are signed, not all folders have snapshots.
    for name in ("statement.json", f"{SNAPSHOTS_FOLDER}/index.json"):
        if (folder / name).exists():
            yield folder / name
    for pattern in ("batches/*.json.gz", f"{SNAPSHOTS_FOLDER}/*.db", f"{SNAPSHOTS_FOLDER}/*.db.gz", mirrored.PATTERN):
        yield from sorted(folder.glob(pattern))


def _verify(path: Path, options: VerifyOptions) -> Verification:
    try:
        # No node signs a copy: signed pages name it by its hash.
        copy = options.sha256 is None and mirrored.is_copy(path)
        message = mirrored.check_copy(path) if copy else _check(path, options)
        return Verification(path=str(path), valid=True, message=message)
    except (InvalidFileError, RejectedDataError) as error:
        return Verification(path=str(path), valid=False, message=error.message)
    except OSError as error:
        return Verification(path=str(path), valid=False, message=f"it cannot be read: {error.strerror}")


def _check(path: Path, options: VerifyOptions) -> str:
    if not path.is_file():
        fail("it does not exist" if not path.exists() else "it is not a regular file")
    if options.sha256 and (digest := file_sha256(path)) != options.sha256:
        fail(f"it hashes to {digest}")
    confirmed = options.sha256 is not None
    match path.name:
        case name if name == DIGEST:
            message = documents.check_current(path.with_name(CURRENT), confirmed=False)
            return _with_signature(path, message, options)
        case name if name.endswith(".db"):
            return _check_database(path, options, confirmed=confirmed)
        case name if name.endswith(".db.gz"):
            return _with_signature(path, _check_gzip(path), options)
        case name if name.endswith((".sig", ".json.gz")):
            batch = path.with_name(f"{name.partition('.')[0]}.json.gz")
            return documents.check_batch(batch, nodes=options.nodes, now=options.now)
        case name if name.endswith(".json"):
            return _check_document(path, options, confirmed=confirmed)
    return _with_signature(path, _check_other(path, confirmed=confirmed), options)


def _check_other(path: Path, *, confirmed: bool) -> str:
    if _LOG_NAME.fullmatch(path.name) and not confirmed:
        # It proves itself.
        return _check_log(path)
    content = f"{documents.check_lock(path)}; " if path.name == LOCK_NAME else ""
    return content + _check_listed(path, confirmed=confirmed)


def _with_signature(path: Path, message: str, options: VerifyOptions) -> str:
    """Return the message of a valid file; if only some nodes are accepted, with the one that signed it, or raise."""
    return f"{message}; {check_signed(path, nodes=options.nodes)}" if options.nodes else message


def _check_document(path: Path, options: VerifyOptions, *, confirmed: bool) -> str:
    # By what the document says it is, not by its name: a file may have been renamed when it was downloaded.
    checks: dict[str, Callable[[], str]] = {
        "ppp-current-1": lambda: documents.check_current(path, confirmed=confirmed),
        "ppp-files-1": lambda: documents.check_files(path),
        data_page.SCHEMA: lambda: documents.check_index(path),
        SNAPSHOT_SCHEMA: lambda: _check_description(path),
    }
    try:
        document = documents.read_document(path)
    except RejectedDataError:
        document = {}
    inner = document.get("signed")
    schema = (inner if isinstance(inner, dict) else document).get("schema")
    match schema:
        case "ppp-statement-1":
            return documents.check_statement(path, nodes=options.nodes, now=options.now)
        case "ppp-peers-1":
            return documents.check_peers(path, nodes=options.nodes)
        case "ppp-declared-release-1":
            return check_declared_release(path, nodes=options.nodes)
        case "ppp-batch-1":
            return documents.check_batch(path, nodes=options.nodes, now=options.now)
        case "ppp-episode-1":
            message = f"{check_episode(path)}; {_check_listed(path, confirmed=confirmed)}"
            return _with_signature(path, message, options)
    check = checks.get(schema) if isinstance(schema, str) else None
    return _with_signature(path, check() if check else _check_listed(path, confirmed=confirmed), options)


def _check_description(path: Path) -> str:
    description = read_description(path)
    if description is None:
        fail("it is not the description of a snapshot")
    target = path.with_name(description.file)
    if not target.is_file():
        fail(f"{target.name}, which it describes, is missing")
    return _check_snapshot(target, description)


def _check_database(path: Path, options: VerifyOptions, *, confirmed: bool) -> str:
    description = read_description(path.with_suffix(".json"))
    if description is None:
        return _check_ledger(path, options, confirmed=confirmed)
    # The newest snapshot is also published under a name that stays the same.
    if description.file != path.name and path.stem != LATEST_NAME:
        fail(f"its description is of {description.file}")
    return _with_signature(path, _check_snapshot(path, description), options)


def _check_ledger(path: Path, options: VerifyOptions, *, confirmed: bool) -> str:
    with open_verified(path, immutable=False) as db:
        # A database without any log may be a window snapshot whose description is missing.
        logs = db.execute("SELECT 1 FROM logs LIMIT 1").fetchone() is not None
        count = check_rows(db, logs=logs)
        check_statements(db, nodes=options.nodes)
        if options.nodes:
            check_signed_records(db, nodes=options.nodes)
    signed = ", each in a signed batch" if options.nodes else ""
    summary = f"a ledger of {count} records{signed}{'' if logs else ', without logs'}"
    return summary if confirmed else f"{summary}, each named by its sha256; nothing confirms that it is complete"


def _check_snapshot(path: Path, description: Snapshot) -> str:
    if (size := path.stat().st_size) != description.bytes:
        fail(f"it has {size} bytes, its description says {description.bytes}")
    if (digest := file_sha256(path)) != description.sha256:
        fail(f"it hashes to {digest}, its description says {description.sha256}")
    with open_verified(path, immutable=True) as db:
        check_rows(db, logs=description.logs)
        check_private(db)
    # The description is computed anew from the rows and compared, so that none of its figures is taken on trust.
    found = describe(path, kind=description.kind, file=description.file, logs=description.logs)
    # The version of SQLite and the gzip cannot be derived from the rows.
    described, actual = (
        description.to_json(),
        replace(found, sqlite=description.sqlite, gzip=description.gzip).to_json(),
    )
    for name, value in actual.items():
        if described[name] != value:
            fail(f"its description says {described[name]} for {name}, but it is {value}")
    if description.file != _name(found):
        fail(f"its name is wrong: it has records from {found.first_day} to {found.last_day}")
    if not found.logs and found.rows["logs"]:
        fail("it has logs, but its description says that it has none")
    return f"a snapshot ({description.kind}) of {found.rows['records']} records, root {found.root}"


def _name(found: Snapshot) -> str | None:
    match found.kind:
        case SnapshotKind.WINDOW:
            return f"{WINDOW_NAME}.db"
        case SnapshotKind.DAY:
            return f"ppp-{found.last_day}.db"
        case SnapshotKind.MONTH:
            months = {(day or "")[:7] for day in (found.first_day, found.last_day)}
            return f"ppp-{months.pop()}.db" if len(months) == 1 else None


def _check_log(path: Path) -> str:
    if (digest := file_sha256(path)) != path.stem:
        fail(f"it hashes to {digest}, its name says {path.stem}")
    return "a log that hashes to its name"


def _check_gzip(path: Path) -> str:
    description = read_description(path.with_suffix("").with_suffix(".json"))
    if description is None or description.gzip is None or description.gzip.file != path.name:
        fail("no description next to it describes it")
    if (digest := file_sha256(path)) != description.gzip.sha256:
        fail(f"it hashes to {digest}, its description says {description.gzip.sha256}")
    if _unzipped_sha256(path, most=description.bytes) != description.sha256:
        fail(f"its content is not {description.file}")
    return f"{description.file}, compressed"


def _unzipped_sha256(path: Path, *, most: int) -> str:
    digest, room = hashlib.sha256(), most
    unzip = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while chunk := unzip.unconsumed_tail or file.read(_CHUNK_BYTES):
            try:
                data = unzip.decompress(chunk, _CHUNK_BYTES)
            except zlib.error as error:
                fail(f"it is damaged: {error}")
            # The description says how large the content is: a small file must not expand beyond that.
            room -= len(data)
            if room < 0 or unzip.unused_data:
                fail(f"it has more than {most} bytes")
            digest.update(data)
    return digest.hexdigest()


def _check_listed(path: Path, *, confirmed: bool) -> str:
    if confirmed:
        return "a file with the given sha256"
    place = path.absolute()
    # A file anywhere in a web root is confirmed by the list at its top.
    folder = next((f for f in place.parents if (f / MANIFEST).is_file() and (f / CURRENT).is_file()), None)
    if folder is None:
        fail("nothing confirms its content: give its digest with --sha256")
    file = documents.listed_files(folder).get(place.relative_to(folder).as_posix())
    if file is None:
        fail(f"{folder / MANIFEST} does not list it")
    documents.check_listed(folder, file)
    return f"listed in {folder / MANIFEST} with its size and sha256"
