"""The published documents: `current.json`, `files.json`, statements, batches, and the list of snapshots.

Each is judged by what it must be by itself, and by what stands beside it. Paths that a document names are used only
after its schema has passed them: they never lead out of its folder.
"""

import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ppp.mesh import batch as batches
from ppp.mesh.files import MAX_FILES_BYTES, PublishedFile, read_file_list, read_files
from ppp.mesh.statement import MAX_STATEMENT_BYTES, authenticate, check_expiry, read_envelope
from ppp.mesh.untrusted import check_schema, parse_json
from ppp.model.errors import RejectedDataError
from ppp.model.record import Json, sha256_hex
from ppp.publish.api.current import current_bytes
from ppp.publish.folder import CURRENT, DIGEST, LISTS_FOLDER, MANIFEST
from ppp.publish.snapshots.description import Snapshot, file_sha256
from ppp.verify.result import fail

#: No document of ours is larger, in bytes.
MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
SIGNATURE_BYTES: Final = 129


def read(path: Path, *, most: int = MAX_DOCUMENT_BYTES) -> bytes:
    """Give a file's bytes; raise `DoesNotHoldError` where there is none, or a larger one."""
    if not path.is_file():
        fail(f"{path.name} is not there")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        fail(f"{path.name} is larger than {most:,} bytes")
    return data


def read_document(path: Path) -> dict[str, Json]:
    """Give the JSON object that a file holds; raise `RefusedError` or `DoesNotHoldError`."""
    return parse_json(read(path), what=path.name, max_bytes=MAX_DOCUMENT_BYTES)


def check_current(path: Path, *, vouched: bool) -> str:
    """Check a `current.json` by itself and by its digest, which need not be there where somebody else has vouched."""
    data = read(path)
    held = parse_json(data, what=CURRENT, max_bytes=MAX_DOCUMENT_BYTES)
    check_schema(held, what=CURRENT, schema="site/schemas/current.schema.json")
    if current_bytes(held) != data:
        fail("it is not written as current.json is")
    counts = held["counts"]
    if sum(day["records"] for day in held["days"]) != counts["records"]:
        fail("the records of its days do not add up to its records")
    if sum(counts["results"].values()) != counts["cells"]:
        fail("its results do not add up to its cells")
    digest = sha256_hex(data)
    if not vouched and read(path.with_name(DIGEST)) != f"{digest}  {CURRENT}\n".encode():
        fail(f"it hashes to {digest}, and {DIGEST} beside it says otherwise")
    return f"current.json of {counts['records']} records, root {held['root']}"


def check_files(path: Path) -> str:
    """Check `files.json` and every file that its lists name, or one of these lists and the files that it names."""
    folder = path.parent
    if path.parent.name == LISTS_FOLDER and (path.parent.parent / MANIFEST).is_file():
        folder = path.parent.parent
    only = None if folder == path.parent else f"{LISTS_FOLDER}/{path.name}"
    files = listed_files(folder, only=only)
    for file in files.values():
        check_listed(folder, file)
    return f"a list of {len(files)} files, each of them there with its size and sha256"


def listed_files(folder: Path, *, only: str | None = None) -> dict[str, PublishedFile]:
    """Give what the `files.json` of a folder vouches for, by path: the lists that it names, and what these name.

    `only` is the path of one list.
    """
    data = read(folder / MANIFEST, most=MAX_FILES_BYTES)
    lists = read_files(data, sha256=sha256_hex(data))
    if only is not None and only not in lists:
        fail(f"{MANIFEST} does not name it")
    found: dict[str, PublishedFile] = {}
    for path, listed in lists.items():
        if only in {None, path}:
            found[path] = listed
            if path.startswith(f"{LISTS_FOLDER}/"):
                found |= read_file_list(read(folder / path, most=MAX_FILES_BYTES), listed)
    return found


def check_listed(folder: Path, file: PublishedFile) -> None:
    """Raise `DoesNotHoldError` unless a listed file is there with its size and sha256."""
    path = folder / file.path
    try:
        found = path.stat()
    except OSError:
        fail(f"{file.path} is listed and not there")
    if not stat.S_ISREG(found.st_mode):
        fail(f"{file.path} is listed and no file")
    if found.st_size != file.size:
        fail(f"{file.path} has {found.st_size} bytes, {MANIFEST} lists {file.size}")
    if (digest := file_sha256(path)) != file.sha256:
        fail(f"{file.path} hashes to {digest}, {MANIFEST} lists {file.sha256}")


def check_statement(path: Path, *, nodes: Collection[str], now: int) -> str:
    """Check a statement's signature, and what it says of the files beside it; any node's where none is named."""
    envelope = read_envelope(read(path, most=MAX_STATEMENT_BYTES))
    statement = authenticate(envelope, trusted=nodes or {envelope.statement.node})
    told = f"statement {statement.sequence} of node {statement.node}, of {statement.records} records"
    if path.name != "statement.json":
        return told
    for name, digest in ((CURRENT, statement.current_sha256), (MANIFEST, statement.files_sha256)):
        beside = path.with_name(name)
        if beside.exists() and (found := file_sha256(beside)) != digest:
            fail(f"{name} beside it hashes to {found}, the statement says {digest}")
    try:
        check_expiry(statement, now=now)
    except RejectedDataError as error:
        # It is its node's word all the same; whether it is fresh is for a peer to mind.
        return f"{told}; {error.message}"
    return told


def check_batch(path: Path, *, nodes: Collection[str], now: int) -> str:
    """Check a batch, packed or not, by its name, its form, its records, their logs, and the signature beside it."""
    name = path.name.partition(".")[0]
    data = read(path, most=batches.MAX_BATCH_BYTES)
    if path.suffix == ".gz":
        data = batches.decompress_batch(data, batch_id=name)
    signature = read(path.with_name(f"{name}.sig"), most=SIGNATURE_BYTES).decode("ascii", "replace").strip()
    node = str(parse_json(data, what="batch", max_bytes=batches.MAX_BATCH_BYTES).get("node"))
    verified = batches.verify_batch(data, signature, batch_id=name, trusted=nodes or {node}, now=now)
    if isinstance(verified, batches.UntrustedBatch):
        fail(f"it is of node {node}")
    return f"batch of {len(verified.records)} records, signed by node {node}"


def check_index(path: Path) -> str:
    """Check the list of snapshots, and that each of them is there with its size and sha256."""
    held = read_document(path)
    check_schema(held, what=path.name, schema="site/schemas/snapshots.schema.json")
    snapshots = [Snapshot.from_json(row) for row in held["snapshots"]]
    for snapshot in snapshots:
        check_listed(path.parent, PublishedFile(path=snapshot.file, size=snapshot.bytes, sha256=snapshot.sha256))
        if zipped := snapshot.gzip:
            check_listed(path.parent, PublishedFile(path=zipped.file, size=zipped.bytes, sha256=zipped.sha256))
    return f"a list of {len(snapshots)} snapshots, each of them there with its size and sha256"
