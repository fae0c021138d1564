"""Canonical JSON (RFC 8785), and sha256 as PPP writes it."""

import hashlib
import json
import re
from typing import Any, Final, TypeAlias, TypeGuard

import rfc8785

#: What `json.loads` returns. Such values are parsed into types before they are passed on.
Json: TypeAlias = Any


def canonical_json(data: Json) -> bytes:
    """Return the canonical JSON of a value by RFC 8785."""
    return rfc8785.dumps(data)


def plain_canonical_json(data: Json) -> bytes:
    """Return `canonical_json` of plain data, many times faster.

    Plain is what consists of arrays, objects with ASCII keys, text, booleans, nulls, and integers below 2**53: for
    these the encoder of the standard library writes the same bytes.
    """
    return _encode_plain(data).encode()


#: Made once: to set up an encoder takes longer than to encode most values.
_encode_plain: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


_SHA256: Final = re.compile("[0-9a-f]{64}")


def is_sha256(value: object) -> TypeGuard[str]:
    """Return whether a value has the form of a sha256 as PPP writes it: 64 hex digits, in lower case."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def sha256_hex(data: bytes) -> str:
    """Return the sha256 of bytes as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()
