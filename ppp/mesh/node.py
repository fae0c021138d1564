"""A node is an Ed25519 key: the public half names it, the secret half stays in one file that only its owner reads.

The file is made once and never written over: who loses it starts as a new node.
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
from ppp.storage_errors import translate_storage_errors

KEY_NAME: Final = "node.key"
KEY_MODE: Final = 0o600
#: A key file holds a seed in hex and a line's end.
MAX_KEY_FILE_BYTES: Final = 65

_SEED: Final = re.compile(r"[0-9a-f]{64}\n?")
_NODE_ID: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """A node's key pair; `id` is the public key as 64 hex digits."""

    id: str
    _secret: SigningKey = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Build the key pair of a seed of 32 bytes."""
        secret = SigningKey(seed)
        return cls(id=secret.verify_key.encode(HexEncoder).decode(), _secret=secret)

    def sign(self, message: bytes) -> str:
        """Give the Ed25519 signature of a message as 128 hex digits; the same each time."""
        return self._secret.sign(message).signature.hex()


def is_node_id(text: object) -> TypeGuard[str]:
    """Say whether a value has the form of a node's id."""
    return isinstance(text, str) and _NODE_ID.fullmatch(text) is not None


def verify_signature(node_id: str, message: bytes, signature: str) -> bool:
    """Say whether a signature (128 hex digits) of a message is a node's; a malformed one is nobody's."""
    if not is_node_id(node_id) or not _SIGNATURE.fullmatch(signature):
        return False
    try:
        VerifyKey(bytes.fromhex(node_id)).verify(message, bytes.fromhex(signature))
    except CryptoError:
        return False
    return True


def create_key(data: Path) -> NodeKey:
    """Make a data folder's key; raise `NodeError` where there is one, or why the folder cannot be written."""
    seed = bytes(SigningKey.generate())
    path = data / KEY_NAME
    try:
        with translate_storage_errors(path):
            data.mkdir(parents=True, exist_ok=True)
            _write_new(path, f"{seed.hex()}\n".encode())
    except OSError as error:
        raise NodeError(f"cannot make {path}: {error.strerror}", hint="name another folder with --data") from error
    return NodeKey.from_seed(seed)


def _write_new(path: Path, content: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_MODE)
    except FileExistsError as error:
        raise NodeError(f"{path} is there already", hint="a node keeps its key; `ppp node show` shows it") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # Half a key is none, and would stand in the way of the next attempt.
        path.unlink()
        raise


def load_key(data: Path) -> NodeKey:
    """Read a data folder's key; raise `NodeError` if it is missing, damaged, or readable by others."""
    path = data / KEY_NAME
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(MAX_KEY_FILE_BYTES + 1).decode("ascii", "replace")
    except FileNotFoundError as error:
        raise NodeError(f"no key at {path}", hint="make one with `ppp node init`") from error
    except OSError as error:
        raise NodeError(f"cannot read {path}: {error.strerror}", hint="mend it, or restore it from a copy") from error
    if mode & 0o077:
        raise NodeError(f"others can read or write {path} (mode {mode:04o})", hint=f"run `chmod 600 {path}`")
    if not _SEED.fullmatch(text):
        raise NodeError(
            f"{path} holds no key of 64 hex digits",
            hint="restore it from a copy, or move it away and run `ppp node init`",
        )
    return NodeKey.from_seed(bytes.fromhex(text.strip()))


def load_or_create_key(data: Path) -> tuple[NodeKey, bool]:
    """Read a data folder's key, or make it; say whether it was made. Raises as `load` and `init` do."""
    if (data / KEY_NAME).exists():
        return load_key(data), False
    return create_key(data), True
