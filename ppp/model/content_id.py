"""Content identifiers (CIDs) of files, as IPFS writes them."""

from base64 import b32decode, b32encode
from typing import Final

#: CIDv1, raw bytes, sha2-256, 32 bytes of digest: https://github.com/multiformats/cid
_PREFIX: Final = bytes((0x01, 0x55, 0x12, 0x20))
_DIGEST_BYTES: Final = 32


class InvalidContentIdError(ValueError):
    """A text is not a CID that names the sha256 of a file's bytes. The message says why."""


def raw_content_id(sha256: str) -> str:
    """Return the CIDv1 of bytes with this sha256 (hex), taken as one raw block, in base32.

    Above 1 MiB, `ipfs add` splits a file into blocks and gives another CID unless it is told not to.
    """
    return "b" + b32encode(_PREFIX + bytes.fromhex(sha256)).decode("ascii").rstrip("=").lower()


def raw_content_sha256(content_id: str) -> str:
    """Return the sha256 (hex) that a CIDv1 of raw bytes names; raise `InvalidContentIdError` for any other text."""
    text = content_id.removeprefix("b").upper()
    try:
        decoded = b32decode(text + "=" * (-len(text) % 8))
    except ValueError as error:
        raise InvalidContentIdError(f"{content_id[:80]!r} is not a CID in base32: write the sha256") from error
    sha256 = decoded[len(_PREFIX) :].hex()
    # Two texts must not name one digest: bits that are left over have to be zero, and letters small.
    if not (decoded.startswith(_PREFIX) and len(decoded) == len(_PREFIX) + _DIGEST_BYTES) or (
        raw_content_id(sha256) != content_id
    ):
        raise InvalidContentIdError(
            f"{content_id[:80]!r} does not name the sha256 of raw bytes (CIDv1, raw, sha2-256): write the sha256"
        )
    return sha256
