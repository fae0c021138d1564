"""The serialization of JSON files: compact, sorted keys, and ASCII only, so that no text can control a terminal."""

import json
from collections.abc import Mapping
from typing import Final

from ppp.model.canonical import Json

#: Shared, because creating an encoder costs more than encoding most values.
compact_json: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


class EncodedJson(str):
    """Text that is already compact JSON, and is inserted unchanged."""

    __slots__ = ()


def document_bytes(document: Mapping[str, Json]) -> bytes:
    """Return a document as JSON bytes: each top-level key on its own line, the rest compact."""
    rows = ",\n".join(f'"{key}":{_text(value)}' for key, value in sorted(document.items()))
    return f"{{{rows}}}\n".encode("ascii")


def indented_bytes(document: Mapping[str, Json]) -> bytes:
    """Return a document as indented JSON bytes, for the files that people read."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")


def _text(value: Json) -> str:
    # Integers need no encoder, whose start-up dominates for small values.
    return str(value) if type(value) in {int, EncodedJson} else compact_json(value)
