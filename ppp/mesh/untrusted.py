"""A peer's bytes become JSON here or nothing does: size, depth and doubled keys are judged before anybody looks inside.

Whatever is wrong becomes a `RefusedError` of one printable line, for a peer's words must not steer a terminal.
"""

import json
import re
from collections.abc import Iterator
from typing import Final, NoReturn

from ppp.model.errors import RejectedDataError
from ppp.model.record import Json, canonical_json
from ppp.schemas import schema_errors

#: No document of ours nests deeper than 5: batch, records, record, installed, one distribution.
MAX_DEPTH: Final = 8
#: RFC 8785 knows no integer beyond what a double holds exactly.
MAX_INTEGER_DIGITS: Final = 16
#: How many mistakes a refusal names; a document made of mistakes must not cost more than its first few.
MAX_NAMED_ERRORS: Final = 3
MAX_REASON_LENGTH: Final = 400

# Possessive and with an optional end, so that no text makes it go over its own steps again.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def refuse(what: str, why: str, *, hint: str = "nothing of it was stored; ask the peer's operator") -> NoReturn:
    """Raise the `RefusedError` that says what was refused and why, as plain text."""
    raise RejectedDataError(f"{what} refused: {printable_line(why)}", hint=hint)


def printable_line(text: str) -> str:
    """Give text as one short line that no terminal acts upon."""
    line = "".join(c if c.isprintable() else "?" for c in text[: MAX_REASON_LENGTH + 1])
    return line if len(line) <= MAX_REASON_LENGTH else f"{line[: MAX_REASON_LENGTH - 1]}…"


def parse_document(data: bytes, *, what: str, schema: str, max_bytes: int) -> dict[str, Json]:
    """Give the JSON object that bytes hold, valid by a shipped schema; raise `RefusedError` with the first mistakes."""
    document = parse_json(data, what=what, max_bytes=max_bytes)
    check_schema(document, what=what, schema=schema)
    return document


def parse_json(data: bytes, *, what: str, max_bytes: int) -> dict[str, Json]:
    """Give the JSON object that bytes hold, whatever it says; raise `RefusedError` if they hold none within bounds."""
    if len(data) > max_bytes:
        refuse(what, f"it is larger than {max_bytes:,} bytes")
    if _nests_too_deep(data):
        refuse(what, f"its JSON nests deeper than {MAX_DEPTH}, or does not close what it opens")
    try:
        document = json.loads(
            data.decode(),
            object_pairs_hook=_unique_keys,
            parse_int=_integer,
            parse_float=_reject_number,
            parse_constant=_reject_number,
        )
    except ValueError as error:
        refuse(what, f"it is not JSON of ours: {error}")
    if not isinstance(document, dict):
        refuse(what, "it is not a JSON object")
    return document


def check_schema(document: dict[str, Json], *, what: str, schema: str) -> None:
    """Raise `RefusedError` naming a document's first mistakes against a shipped schema."""
    if mistakes := schema_errors(schema, document, limit=MAX_NAMED_ERRORS):
        refuse(what, f"it breaks {schema.rpartition('/')[2]}: {'; '.join(mistakes)}")


def canonical_bytes(document: dict[str, Json], *, what: str) -> bytes:
    """Give RFC 8785's form of a parsed document; raise `RefusedError` where it has none (half a surrogate pair)."""
    try:
        return canonical_json(document)
    except ValueError as error:
        refuse(what, f"it has no canonical form: {error}")


def control_characters(value: Json, *, place: str = "") -> Iterator[str]:
    """Give the place of each text with a control character in it, keys included."""
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


def _nests_too_deep(data: bytes) -> bool:
    # Without strings only brackets count, and each round takes away the innermost pairs; all of it in C.
    brackets = _STRING.sub(b"", data).translate(_ONE_KIND, delete=_NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _reject_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:MAX_INTEGER_DIGITS]} is not an integer")
