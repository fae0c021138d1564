"""A record as a row of the table `records`: one function of the record's JSON, whoever stores it."""

import json
from collections.abc import Mapping
from typing import Final

from ppp.model.canonical import Json, plain_canonical_json
from ppp.model.record import OPTIONAL_FIELDS, PHASES

_PHASE_NAMES: Final = tuple(map(str, PHASES))
_OPTIONAL: Final = tuple(OPTIONAL_FIELDS)
_PLAIN: Final = ("result", *(f"phase_{p}" for p in _PHASE_NAMES), "observed_at", "node", "arch", "python")
RECORD_COLUMNS: Final = (
    "record", "package", "version", "environment", *_PLAIN, "image_digest", "standin", "network", "pip_version",
    "filename", "file_sha256", "file_size", "imports", "installed",
    *(f"{p}_ms" for p in _PHASE_NAMES), *(f"{p}_bytes" for p in _PHASE_NAMES),
    "grounds", "cause", "blame", "detail", "log_sha256", *_OPTIONAL,
)  # fmt: skip
INSERT_RECORD: Final = (
    f"INSERT INTO records ({', '.join(RECORD_COLUMNS)}) VALUES ({', '.join('?' * len(RECORD_COLUMNS))})"  # noqa: S608 - our own words
    # Only a record that is there already is left out; any other conflict is an error.
    " ON CONFLICT (record) DO NOTHING"
)
_EMPTY: Final[Mapping[type, str]] = {dict: "{}", list: "[]"}
_NO_FILE: Final[Mapping[str, Json]] = {"filename": None, "sha256": None, "size": None}


def record_row(document: Mapping[str, Json], record_id: str) -> tuple[Json, ...]:
    """Return the values of `RECORD_COLUMNS` for a valid record, given as `Record.to_json` returns it, and its id."""
    file = document["file"] or _NO_FILE
    times, sizes = document["duration_ms"], document["bytes"]
    return (
        record_id,
        document["package"],
        document["version"],
        document["environment"],
        *[document[name] for name in _PLAIN],
        document["image_digest"],
        int(document["standin"]),
        document["network"],
        document["pip_version"],
        file["filename"],
        file["sha256"],
        file["size"],
        json.dumps(document["imports"]),
        _text(document["installed"]),
        *[times.get(phase) for phase in _PHASE_NAMES],
        *[sizes.get(phase) for phase in _PHASE_NAMES],
        _text(document["grounds"]),
        document["cause"],
        document["blame"],
        document["detail"],
        document["log_sha256"],
        *[_optional(document.get(name)) for name in _OPTIONAL],
    )


def _optional(value: Json) -> str | None:
    return value if value is None or isinstance(value, str) else _text(value)


def _text(value: Json) -> str:
    # Most have none, and to encode them is half of what a row costs.
    return plain_canonical_json(value).decode() if value else _EMPTY[type(value)]
