"""Find out whether one of the accepted nodes signed a published file: `ppp verify --node`.

A statement and a batch carry a signature. A node's statement also signs `current.json` and `files.json`, by their
hashes; `files.json` all files that it lists; and one of these, `snapshots/index.json`, the snapshots. Nothing else
counts as signed: not a file that merely lies in the folder of a signed statement.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from ppp.mesh.statement import MAX_STATEMENT_BYTES, Statement, open_envelope
from ppp.mesh.untrusted import check_schema
from ppp.model.canonical import Json, sha256_hex
from ppp.publish.folder import CURRENT, DIGEST, MANIFEST
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER, file_sha256
from ppp.verify.documents import MAX_DOCUMENT_BYTES, check_listed, listed_files, read, read_document
from ppp.verify.result import fail

_STATEMENT: Final = "statement.json"
_SNAPSHOT_INDEX: Final = f"{SNAPSHOTS_FOLDER}/index.json"


def check_signed(path: Path, *, nodes: Collection[str]) -> str:
    """Return what signs a published file; raise `InvalidFileError` or `RejectedDataError` unless one of `nodes` did."""
    place = path.absolute()
    folder = next((parent for parent in place.parents if (parent / _STATEMENT).is_file()), None)
    if folder is None:
        fail(f"no {_STATEMENT} beside it shows that an accepted node signed it")
    statement = open_envelope(read(folder / _STATEMENT, most=MAX_STATEMENT_BYTES), trusted=nodes)
    _check_covered(folder, place.relative_to(folder).as_posix(), statement)
    return f"signed by statement {statement.sequence} of node {statement.node}"


def _check_covered(folder: Path, name: str, statement: Statement) -> None:
    if name in {CURRENT, DIGEST}:
        # The digest file holds nothing but the hash of the other one.
        _check_hash(folder / CURRENT, statement.current_sha256)
        return
    _check_hash(folder / MANIFEST, statement.files_sha256)
    if name == MANIFEST:
        return
    files = listed_files(folder)
    if name in files:
        check_listed(folder, files[name])
    elif name.startswith(f"{SNAPSHOTS_FOLDER}/") and _SNAPSHOT_INDEX in files:
        check_listed(folder, files[_SNAPSHOT_INDEX])
        document = read_document(folder / _SNAPSHOT_INDEX)
        check_schema(document, what=_SNAPSHOT_INDEX, schema="site/schemas/snapshots.schema.json")
        _check_snapshot(folder / name, document["snapshots"])
    else:
        fail(f"node {statement.node} has not signed it: {MANIFEST} does not list it")


def _check_hash(path: Path, digest: str) -> None:
    if (found := sha256_hex(read(path, most=MAX_DOCUMENT_BYTES))) != digest:
        fail(f"{path.name} hashes to {found}, the statement says {digest}")


def _check_snapshot(path: Path, signed: list[dict[str, Json]]) -> None:
    if path.suffix == ".json":
        if read_document(path) not in signed:
            fail(f"{_SNAPSHOT_INDEX} has another description of it")
        return
    digests = {row["sha256"] for row in signed} | {row["gzip"]["sha256"] for row in signed if row["gzip"]}
    if (found := file_sha256(path)) not in digests:
        fail(f"it hashes to {found}, which {_SNAPSHOT_INDEX} does not list")
