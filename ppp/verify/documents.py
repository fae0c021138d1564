"""Verify published documents: `current.json`, `files.json`, statements, batches, and the list of snapshots.

Each is checked by itself and against the files next to it. Paths in a document are used only after validation by its
JSON schema, so they never lead out of its folder.
"""

import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ppp.locks.pylock import MAX_LOCK_BYTES, read_lock
from ppp.mesh import batch as batches
from ppp.mesh.files import MAX_FILES_BYTES, PublishedFile, read_file_list, read_files
from ppp.mesh.peers_file import MAX_PEERS_BYTES, read_peers_document
from ppp.mesh.statement import MAX_STATEMENT_BYTES, authenticate, check_expiry, read_envelope
from ppp.mesh.untrusted import check_schema, parse_json
from ppp.model.canonical import Json, sha256_hex
from ppp.model.errors import InvalidLockError, RejectedDataError
from ppp.publish.api.current import current_bytes
from ppp.publish.folder import CURRENT, DIGEST, LISTS_FOLDER, MANIFEST
from ppp.publish.snapshots.description import Snapshot, description_bytes, file_sha256, read_description
from ppp.verify.result import fail

#: An upper bound for any document, in bytes.
MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
SIGNATURE_BYTES: Final = 129


def read(path: Path, *, most: int = MAX_DOCUMENT_BYTES) -> bytes:
    """Return a file's bytes; raise `InvalidFileError` if it is missing or has more than `most` bytes."""
    if not path.is_file():
        fail(f"{path.name} is not there")
    with path.open("rb") as file:
        # One byte more than allowed shows that the file is too large, whatever its size was a moment ago.
        data = file.read(most + 1)
    if len(data) > most:
        fail(f"{path.name} is larger than {most:,} bytes")
    return data


def read_document(path: Path) -> dict[str, Json]:
    """Return the JSON object in a file; raise `RejectedDataError` or `InvalidFileError`."""
    return parse_json(read(path), what=path.name, max_bytes=MAX_DOCUMENT_BYTES)


def check_current(path: Path, *, confirmed: bool) -> str:
    """Check a `current.json` and its digest file, which may be missing if the digest was given (`confirmed`)."""
    data = read(path)
    document = parse_json(data, what=CURRENT, max_bytes=MAX_DOCUMENT_BYTES)
    check_schema(document, what=CURRENT, schema="site/schemas/current.schema.json")
    # Nodes that have the same records publish the same bytes: any other form would hash differently.
    if current_bytes(document) != data:
        fail("its bytes are not in the form that PPP writes")
    counts = document["counts"]
    # The schema cannot express sums.
    if sum(day["records"] for day in document["days"]) != counts["records"]:
        fail("the records of its days do not add up to its records")
    if sum(counts["results"].values()) != counts["cells"]:
        fail("its results do not add up to its cells")
    digest = sha256_hex(data)
    if not confirmed and read(path.with_name(DIGEST)) != f"{digest}  {CURRENT}\n".encode():
        fail(f"it hashes to {digest}, but {DIGEST} says otherwise")
    return f"current.json of {counts['records']} records, root {document['root']}"


def check_files(path: Path) -> str:
    """Check `files.json` and all files in its lists, or one list and the files in it."""
    folder = path.parent
    if path.parent.name == LISTS_FOLDER and (path.parent.parent / MANIFEST).is_file():
        folder = path.parent.parent
    only = None if folder == path.parent else f"{LISTS_FOLDER}/{path.name}"
    files = listed_files(folder, only=only)
    for file in files.values():
        check_listed(folder, file)
    return f"a list of {len(files)} files, all present with their size and sha256"


def listed_files(folder: Path, *, only: str | None = None) -> dict[str, PublishedFile]:
    """Return all files that a folder's `files.json` lists, by path: its lists and the files in them.

    `only` is the path of a single list to read.
    """
    data = read(folder / MANIFEST, most=MAX_FILES_BYTES)
    lists = read_files(data, sha256=sha256_hex(data))
    if only is not None and only not in lists:
        fail(f"{MANIFEST} does not list it")
    found: dict[str, PublishedFile] = {}
    for path, listed in lists.items():
        if only in {None, path}:
            found[path] = listed
            if path.startswith(f"{LISTS_FOLDER}/"):
                found |= read_file_list(read(folder / path, most=MAX_FILES_BYTES), listed)
    return found


def check_listed(folder: Path, file: PublishedFile, *, by: str = MANIFEST) -> None:
    """Raise `InvalidFileError` unless a file that a document (`by`) lists exists with its size and sha256."""
    path = folder / file.path
    try:
        found = path.stat()
    except OSError:
        fail(f"{file.path} is listed but missing")
    # Hashing a FIFO or a device would never end.
    if not stat.S_ISREG(found.st_mode):
        fail(f"{file.path} is listed but is not a regular file")
    if found.st_size != file.size:
        fail(f"{file.path} has {found.st_size} bytes, {by} lists {file.size}")
    if (digest := file_sha256(path)) != file.sha256:
        fail(f"{file.path} hashes to {digest}, {by} lists {file.sha256}")


def check_statement(path: Path, *, nodes: Collection[str], now: int) -> str:
    """Check a statement's signature and the digests of the files next to it; without `nodes`, any node may sign."""
    envelope = read_envelope(read(path, most=MAX_STATEMENT_BYTES))
    statement = authenticate(envelope, trusted=nodes or {envelope.statement.node})
    summary = f"statement {statement.sequence} of node {statement.node}, of {statement.records} records"
    if path.name != "statement.json":
        return summary
    for name, digest in ((CURRENT, statement.current_sha256), (MANIFEST, statement.files_sha256)):
        neighbour = path.with_name(name)
        if neighbour.exists() and (found := file_sha256(neighbour)) != digest:
            fail(f"{name} hashes to {found}, the statement says {digest}")
    try:
        check_expiry(statement, now=now)
    except RejectedDataError as error:
        # An expired statement is still authentic; only synchronizing peers must reject it.
        return f"{summary}; {error.message}"
    return summary


def check_peers(path: Path, *, nodes: Collection[str]) -> str:
    """Check that every statement in a `peers.json` is signed by the node that it names, which is one of `nodes`."""
    data = read(path, most=MAX_PEERS_BYTES)
    rows = parse_json(data, what=path.name, max_bytes=MAX_PEERS_BYTES).get("statements")
    rows = rows if isinstance(rows, list) else []
    named = {row["signed"].get("node") for row in rows if isinstance(row, dict) and isinstance(row.get("signed"), dict)}
    found = read_peers_document(data, trusted=nodes or {node for node in named if isinstance(node, str)})
    if len(found) < len(rows):
        accepted = "a node that is accepted here" if nodes else "the node that it names"
        fail(f"{len(rows) - len(found)} of its {len(rows)} statements are not validly signed by {accepted}")
    return f"{len(found)} statements, each signed by the node that it names"


def check_batch(path: Path, *, nodes: Collection[str], now: int) -> str:
    """Check a batch, compressed or not: its name, form, records, logs, and the signature file next to it."""
    name = path.name.partition(".")[0]
    data = read(path, most=batches.MAX_BATCH_BYTES)
    if path.suffix == ".gz":
        data = batches.decompress_batch(data, what=f"batch {name}")
    signature = read(path.with_name(f"{name}.sig"), most=SIGNATURE_BYTES).decode("ascii", "replace").strip()
    # Without `--node` any node may have signed: the batch itself says which key to check it with.
    node = str(parse_json(data, what="batch", max_bytes=batches.MAX_BATCH_BYTES).get("node"))
    verified = batches.verify_batch(data, signature, batch_id=name, trusted=nodes or {node}, now=now)
    if isinstance(verified, batches.UntrustedBatch):
        fail(f"it was signed by node {node}")
    return f"batch of {len(verified.records)} records, signed by node {node}"


def check_lock(path: Path) -> str:
    """Check that a `pylock.toml` is a lock that PPP makes, unchanged."""
    try:
        lock = read_lock(read(path, most=MAX_LOCK_BYTES))
    except InvalidLockError as error:
        fail(error.message)
    return f"a lock of {len(lock.packages)} files for {lock.origin.environment}"


def check_index(path: Path) -> str:
    """Check the list of snapshots: each exists with its size and sha256, and no description beside it says otherwise.

    A snapshot that was taken after the list was published is not in it.
    """
    document = read_document(path)
    check_schema(document, what=path.name, schema="site/schemas/snapshots.schema.json")
    snapshots = [Snapshot.from_json(row) for row in document["snapshots"]]
    for snapshot in snapshots:
        check_listed(path.parent, PublishedFile(path=snapshot.file, size=snapshot.bytes, sha256=snapshot.sha256))
        if zipped := snapshot.gzip:
            check_listed(path.parent, PublishedFile(path=zipped.file, size=zipped.bytes, sha256=zipped.sha256))
    digests, written = {snapshot.sha256 for snapshot in snapshots}, {*map(description_bytes, snapshots)}
    for beside in sorted(path.parent.glob("*.json")):
        described = read_description(beside)
        if beside.name != path.name and described is None:
            fail(f"{beside.name} is not the description of a snapshot")
        if described and described.sha256 in digests and description_bytes(described) not in written:
            fail(f"{beside.name} describes {described.file} otherwise")
    return f"a list of {len(snapshots)} snapshots, all present with their size and sha256"
