"""JSON files: ASCII, so that no text can act on a terminal, keys in one order, and compact, as there are many."""

import json
from collections.abc import Mapping
from typing import Final

from ppp.model.record import Json

#: One for all: to set up another for each value costs more than most values.
compact_json: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


class EncodedJson(str):
    """What is compact JSON already."""

    __slots__ = ()


def document_bytes(document: Mapping[str, Json]) -> bytes:
    """Give a document's one serialisation: each of its own keys on a line, the rest compact."""
    rows = ",\n".join(f'"{key}":{_text(value)}' for key, value in sorted(document.items()))
    return f"{{{rows}}}\n".encode("ascii")


def _text(value: Json) -> str:
    # Numbers as they are: the encoder takes its time to begin.
    return str(value) if type(value) in {int, EncodedJson} else compact_json(value)
