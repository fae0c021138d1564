"""A node is an Ed25519 key: the public key is its id, the secret key is in one file that only its owner can read.

The file is created once and never overwritten. An operator who loses it has to start as a new node. A machine that
keeps no files is given the content of that file in `PPP_NODE_KEY`; where there are both, they must be the same key.
"""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, TypeGuard

from nacl.encoding import HexEncoder
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from ppp.model.errors import NodeError
from ppp.model.node_seed import SEED_VARIABLE, NodeSeed
from ppp.storage_errors import translate_storage_errors

KEY_NAME: Final = "node.key"
KEY_MODE: Final = 0o600
#: A key file holds the seed as 64 hex digits, and a line feed.
MAX_KEY_FILE_BYTES: Final = 65

_NODE_ID: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """A node's key pair; `id` is the public key as 64 hex digits."""

    id: str
    _secret: SigningKey = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the key pair of a seed of 32 bytes."""
        secret = SigningKey(seed)
        return cls(id=secret.verify_key.encode(HexEncoder).decode(), _secret=secret)

    def sign(self, message: bytes) -> str:
        """Return the Ed25519 signature of a message as 128 hex digits; it is deterministic."""
        return self._secret.sign(message).signature.hex()


def is_node_id(text: object) -> TypeGuard[str]:
    """Return whether a value has the form of a node's id, 64 hex digits."""
    return isinstance(text, str) and _NODE_ID.fullmatch(text) is not None


def verify_signature(node_id: str, message: bytes, signature: str) -> bool:
    """Return whether a signature (128 hex digits) of a message is that node's; False if it is malformed."""
    if not is_node_id(node_id) or not _SIGNATURE.fullmatch(signature):
        return False
    try:
        VerifyKey(bytes.fromhex(node_id)).verify(message, bytes.fromhex(signature))
    except CryptoError:
        return False
    return True


def create_key(data: Path, given: NodeSeed | None = None) -> NodeKey:
    """Create a data folder's key; raise `NodeError` if it exists, or if the folder cannot be written.

    Also if the node has a key already because the environment gave it one.
    """
    if given is not None:
        raise NodeError(
            f"{SEED_VARIABLE} gives this node a key already",
            hint="a node keeps its key; `ppp node show` shows it. Unset the variable to create another node",
        )
    seed = bytes(SigningKey.generate())
    path = data / KEY_NAME
    try:
        with translate_storage_errors(path):
            data.mkdir(parents=True, exist_ok=True)
            _write_new(path, f"{seed.hex()}\n".encode())
    except OSError as error:
        raise NodeError(f"cannot create {path}: {error.strerror}", hint="choose another folder with --data") from error
    return NodeKey.from_seed(seed)


def _write_new(path: Path, content: bytes) -> None:
    try:
        # O_EXCL fails if the file exists, and the mode is set before anything is written.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_MODE)
    except FileExistsError as error:
        raise NodeError(f"{path} already exists", hint="a node keeps its key; `ppp node show` shows it") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # An incomplete key is useless, and would make the next attempt fail.
        path.unlink()
        raise


def load_key(data: Path, given: NodeSeed | None = None) -> NodeKey:
    """Return the node's key: the `given` one, or that of the data folder.

    Raise `NodeError` if there is neither, if they differ, or if the file is damaged or accessible to other users.
    """
    path = data / KEY_NAME
    if given is None:
        return _read_key(path)
    key = NodeKey.from_seed(given.seed)
    if os.path.lexists(path) and (stored := _read_key(path)).id != key.id:
        raise NodeError(
            f"{SEED_VARIABLE} holds the key of node {key.id}, but {path} that of node {stored.id}",
            hint=f"unset {SEED_VARIABLE} to be the second, or name another folder with --data to be the first",
        )
    return key


def _read_key(path: Path) -> NodeKey:
    try:
        with path.open("rb") as file:
            # Of the open file, which cannot be replaced between this check and the read.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(MAX_KEY_FILE_BYTES + 1).decode("ascii", "replace")
    except FileNotFoundError as error:
        raise NodeError(f"no key at {path}", hint="create one with `ppp node init`") from error
    except OSError as error:
        raise NodeError(
            f"cannot read {path}: {error.strerror}", hint="fix its permissions, or restore it from a copy"
        ) from error
    if mode & 0o077:
        raise NodeError(f"other users can read or write {path} (mode {mode:04o})", hint=f"run `chmod 600 {path}`")
    try:
        return NodeKey.from_seed(NodeSeed.parse(text.removesuffix("\n")).seed)
    except ValueError as error:
        raise NodeError(
            f"{path} {error}", hint="restore it from a copy, or move it away and run `ppp node init`"
        ) from error


def load_or_create_key(data: Path, given: NodeSeed | None = None) -> tuple[NodeKey, bool]:
    """Return the `given` key, or read a data folder's, or create it; also return whether it was created.

    Raises `NodeError`.
    """
    if given is not None or (data / KEY_NAME).exists():
        return load_key(data, given), False
    return create_key(data), True
