"""`state.json`: what a saved state consists of, signed by the node whose state it is.

The folder lies where others may write, so nothing in it counts but what this list names by size and sha256, and the
list only if this node's own key signed it. What the key signed was verified before: by the node itself when it made
it, or when it merged it. The list has no time in it: a ledger that did not change gives the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Self

from ppp.mesh.node import NodeKey, verify_signature
from ppp.mesh.untrusted import canonical_bytes, parse_json, reject
from ppp.model.canonical import Json, canonical_json, is_sha256
from ppp.model.errors import StateError

STATE_NAME: Final = "state.json"
STATE_SCHEMA: Final = "ppp-state-1"
MAX_STATE_BYTES: Final = 64 * 1024 * 1024
HINT: Final = "nothing was restored; take an older commit of the folder, or delete the folder and start without a state"

_PATH: Final = re.compile(
    r"batches/[0-9a-f]{64}\.(?:json\.gz|sig)|(?:index-files|records|tables)/[a-z][a-z0-9_]*-[0-9]{1,6}-[0-9a-f]{16}\.jsonl\.gz"
)
#: A snapshot's name may become part of an address.
_SNAPSHOT_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFile:
    """A file of the state: its path below the folder, its size in bytes and its sha256 (hex)."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSnapshot:
    """The snapshot that a state starts from: its file, as it is stored, and the batches in it (ids).

    `unpacked` is its size in bytes without compression.
    """

    file: str
    size: int
    sha256: str
    unpacked: int
    batches: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is signed. `sequence` and `digest` are those of the newest statement of the ledger; 0 and None without one.

    `records` and `root` describe all records, those of the snapshot too; `migrations` name the ledger's schema.
    """

    node: str
    sequence: int
    digest: str | None
    records: int
    root: str
    migrations: Sequence[str]
    snapshot: BaseSnapshot | None
    files: Sequence[StateFile]

    @property
    def batches(self) -> list[str]:
        """The ids of the batches in the folder."""
        names = (file.path for file in self.files if file.path.endswith(".json.gz"))
        return [name.removeprefix("batches/").removesuffix(".json.gz") for name in names]

    @property
    def all_batches(self) -> set[str]:
        """The ids of all batches, those of the snapshot too."""
        return {*self.batches, *(self.snapshot.batches if self.snapshot else ())}

    def to_json(self) -> dict[str, Json]:
        """Return the `signed` part of `state.json`."""
        return {"schema": STATE_SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, signed: Mapping[str, Json]) -> Self:
        """Return it from what `to_json` returned; raise `ValueError`, `TypeError` or `KeyError` for anything else."""
        values = {name: value for name, value in signed.items() if name != "schema"}
        values["files"] = tuple(StateFile(**row) for row in signed["files"])
        values["snapshot"] = BaseSnapshot(**signed["snapshot"]) if signed["snapshot"] else None
        return cls(**values)


def sign_manifest(manifest: Manifest, key: NodeKey) -> bytes:
    """Return `state.json`, signed."""
    signed = manifest.to_json()
    return canonical_json({"signed": signed, "signature": key.sign(canonical_json(signed))})


def read_manifest(data: bytes, *, own: str) -> Manifest:
    """Return what a `state.json` says if this node (`own`) signed it.

    Raises `RejectedDataError` if it is no list, or not the one that was signed, and `StateError` if it is of another
    node or of another version of PPP.
    """
    document = parse_json(data, what=STATE_NAME, max_bytes=MAX_STATE_BYTES)
    signed, signature = document.get("signed"), document.get("signature")
    if not isinstance(signed, dict) or not isinstance(signature, str):
        reject(STATE_NAME, "it has no signed part, or no signature", hint=HINT)
    node = signed.get("node")
    if node != own:
        raise StateError(
            f"the state is not of this node, {own}: it says that it is of node {str(node)[:64]!r}",
            hint="a fork starts without a state: delete the folder, or give this node the key that the state is of",
        )
    if not verify_signature(own, canonical_bytes(signed, what=STATE_NAME), signature):
        reject(STATE_NAME, f"its signature is not that of node {own}", hint=HINT)
    if signed.get("schema") != STATE_SCHEMA:
        raise StateError(
            f"the state is in the format {str(signed.get('schema'))[:40]!r}, this PPP reads {STATE_SCHEMA!r}",
            hint="restore it with the PPP that saved it",
        )
    try:
        manifest = Manifest.from_json(signed)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reject(STATE_NAME, f"it is incomplete: {error!r}", hint=HINT)
    _check_names(manifest)
    return manifest


def _check_names(manifest: Manifest) -> None:
    # Signed by this node; still, no path from a file is used before its form is known.
    for file in manifest.files:
        if not _PATH.fullmatch(file.path) or not is_sha256(file.sha256):
            reject(STATE_NAME, f"it names a file {file.path!r}", hint=HINT)
    if manifest.snapshot and not _SNAPSHOT_NAME.fullmatch(manifest.snapshot.file):
        reject(STATE_NAME, f"it names a snapshot {manifest.snapshot.file!r}", hint=HINT)


def is_snapshot_name(name: str) -> bool:
    """Return whether a snapshot may have this name."""
    return _SNAPSHOT_NAME.fullmatch(name) is not None
