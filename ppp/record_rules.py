"""What makes a record valid: the published schema, and what no schema can express.

Every record goes through `record_mistakes` before it is stored. A peer's batch is held to the same rules
(`ppp.mesh.batch`), so a node never signs what its peers would reject.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ppp.model.canonical import Json, canonical_json
from ppp.model.errors import InvalidRecordError
from ppp.model.printable import printable_reason
from ppp.model.record import Record, to_infrastructure_error
from ppp.model.release import InvalidReleaseError
from ppp.schemas import schema_errors

#: The cause of an `ERROR` that replaces an observation whose record would have been invalid.
INVALID_RECORD_CAUSE: Final = "invalid-record"
RECORD_SCHEMA: Final = "site/schemas/record.schema.json"
#: How many mistakes are named: a record full of them costs no more than that.
MAX_NAMED_MISTAKES: Final = 3
MAX_SUMMARY_CHARS: Final = 250
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def record_mistakes(record: Record) -> list[str]:
    """Return what makes a record invalid, a clause for each mistake; nothing for a valid record.

    Lengths are those of the form in which the record is published.
    """
    document = record.to_json()
    if mistakes := schema_errors(RECORD_SCHEMA, document, limit=MAX_NAMED_MISTAKES):
        return mistakes
    try:
        canonical_json(document)
    except ValueError as error:
        return [f"it has no canonical form: {error}"]
    if places := list(control_characters(document)):
        return [f"there is a control character in {place}" for place in places[:MAX_NAMED_MISTAKES]]
    try:
        return [] if has_normal_form(document, Record.from_json(document)) else ["it is not in normal form"]
    except InvalidReleaseError as error:
        return [error.message]


def has_normal_form(document: Json, record: Record) -> bool:
    """Return whether a record that was parsed from a document is written as the same document, so keeps its id."""
    return bool(record.to_json() == document)


def control_characters(value: Json, *, place: str = "") -> Iterator[str]:
    """Yield the place of each string with a control character in it, keys included."""
    match value:
        case str() if _CONTROL.search(value):
            yield place
        case list():
            for number, item in enumerate(value):
                yield from control_characters(item, place=f"{place}[{number}]")
        case dict():
            for key, item in value.items():
                yield from control_characters(key, place=f"a key of {place or 'the document'}")
                yield from control_characters(item, place=f"{place}.{key}".lstrip("."))


def require_valid(record: Record) -> None:
    """Raise `InvalidRecordError` for a record that is invalid."""
    if mistakes := record_mistakes(record):
        release, environment = record.release, record.environment
        raise InvalidRecordError(
            f"the record of {release} in {environment} is invalid: {_summary(mistakes)}",
            hint="nothing was stored; this is a fault of PPP, please report it",
        )


def valid_or_error(record: Record) -> Record:
    """Return a record of this node if it is valid, else the `ERROR` that takes its place and says what was wrong.

    Raises `InvalidRecordError` if not even an `ERROR` would be valid: then the environment's description or the time
    is wrong, which no observation can tell.
    """
    mistakes = record_mistakes(record)
    if not mistakes:
        return record
    detail = f"what was observed makes no valid record: {_summary(mistakes)}"
    error = to_infrastructure_error(record, cause=INVALID_RECORD_CAUSE, detail=detail)
    if record_mistakes(error):
        error = replace(error, file=None, duration_ms={}, bytes={})
        require_valid(error)
    return error


def _summary(mistakes: Sequence[str]) -> str:
    return printable_reason("; ".join(mistakes), MAX_SUMMARY_CHARS)
