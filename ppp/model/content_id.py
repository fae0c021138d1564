"""Content identifiers (CIDs) of files, as IPFS writes them."""

from base64 import b32encode
from typing import Final

#: CIDv1, raw bytes, sha2-256, 32 bytes of digest: https://github.com/multiformats/cid
_PREFIX: Final = bytes((0x01, 0x55, 0x12, 0x20))


def raw_content_id(sha256: str) -> str:
    """Return the CIDv1 of bytes with this sha256 (hex), taken as one raw block, in base32.

    Above 1 MiB, `ipfs add` splits a file into blocks and gives another CID unless it is told not to.
    """
    return "b" + b32encode(_PREFIX + bytes.fromhex(sha256)).decode("ascii").rstrip("=").lower()
