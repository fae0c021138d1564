"""Parse JSON from a peer: size, nesting and duplicate keys are checked before anything in it is used.

Every error becomes a `RejectedDataError` of one printable line, because a peer's text must not control a terminal.
"""

import json
import re
from collections.abc import Callable
from typing import Final, NoReturn

from ppp.model.canonical import Json, canonical_json
from ppp.model.errors import RejectedDataError
from ppp.model.printable import printable_reason
from ppp.schemas import schema_errors

#: The deepest valid document has depth 5: batch, records, record, installed, distribution.
MAX_DEPTH: Final = 8
#: The largest number of values in a document, keys included: a batch that a node seals has at most a quarter of that,
#: and each value takes up to 100 bytes of memory, however few it has in the document.
MAX_VALUES: Final = 4_000_000
#: RFC 8785 allows only integers that a double represents exactly.
MAX_INTEGER_DIGITS: Final = 16
#: How many errors a message names; validation stops there, so that a document full of errors costs no more.
MAX_NAMED_ERRORS: Final = 3

# Possessive and with an optional end, so that no text makes it backtrack.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def reject(what: str, why: str, *, hint: str = "nothing was stored; ask the peer's operator") -> NoReturn:
    """Raise a `RejectedDataError` that says what was rejected and why, in printable text."""
    raise RejectedDataError(f"{what} rejected: {printable_reason(why)}", hint=hint)


def parse_document(data: bytes, *, what: str, schema: str, max_bytes: int) -> dict[str, Json]:
    """Return a JSON object that is valid by a shipped schema; raise `RejectedDataError` with the first errors."""
    document = parse_json(data, what=what, max_bytes=max_bytes)
    check_schema(document, what=what, schema=schema)
    return document


def parse_json(data: bytes, *, what: str, max_bytes: int) -> dict[str, Json]:
    """Return a JSON object of any content; raise `RejectedDataError` if it is not one, or exceeds a limit."""
    if len(data) > max_bytes:
        reject(what, f"it is larger than {max_bytes:,} bytes")
    _check_structure(data, what=what)
    try:
        document = json.loads(
            data.decode(),
            object_pairs_hook=_unique_keys,
            parse_int=_integer,
            parse_float=_reject_number,
            parse_constant=_reject_number,
        )
    except ValueError as error:
        reject(what, f"it is not valid JSON: {error}")
    if not isinstance(document, dict):
        reject(what, "it is not a JSON object")
    return document


def check_schema(document: dict[str, Json], *, what: str, schema: str) -> None:
    """Raise `RejectedDataError` with a document's first errors against a shipped schema."""
    if mistakes := schema_errors(schema, document, limit=MAX_NAMED_ERRORS):
        reject(what, f"it is invalid by {schema.rpartition('/')[2]}: {'; '.join(mistakes)}")


def parse_rows(
    data: bytes, *, what: str, key: str, schema: str, max_bytes: int, max_rows: int, is_row: Callable[[Json], bool]
) -> dict[str, Json]:
    """Return a JSON object whose list `key` may be long; raise `RejectedDataError` as `parse_document` does.

    jsonschema takes 17 seconds for a list of 200,000 files, which a peer may send at every synchronization. So rows are
    checked by `is_row`, and only one that is invalid, or the first, by the schema: the message is the schema's.
    """
    document = parse_json(data, what=what, max_bytes=max_bytes)
    match document.get(key):
        case [first, *_] as rows if len(rows) <= max_rows:
            invalid = next(([row] for row in rows if not is_row(row)), None)
            check_schema({**document, key: invalid or [first]}, what=what, schema=schema)
            if invalid is not None:
                reject(what, "a row of it is malformed")
        case list() as rows if rows:
            reject(what, f"it lists {len(rows):,} {key}, more than {max_rows:,}")
        case _:
            check_schema(document, what=what, schema=schema)
    return document


def canonical_bytes(document: dict[str, Json], *, what: str) -> bytes:
    """Return a document as canonical JSON (RFC 8785); raise `RejectedDataError` if it holds half a surrogate pair."""
    try:
        return canonical_json(document)
    except ValueError as error:
        reject(what, f"it has no canonical form: {error}")


def _check_structure(data: bytes, *, what: str) -> None:
    # All of it runs in C, so that hostile input is cheap. Quotes are counted first, because each string costs memory
    # when it is removed, too; those inside logs are escaped.
    if data.count(b'"') - data.count(b'\\"') > 2 * MAX_VALUES:
        reject(what, f"it has more than {MAX_VALUES:,} values")
    bare = _STRING.sub(b"", data)
    # Every value but the first follows one of these.
    if sum(map(bare.count, (b",", b":", b"[", b"{"))) > MAX_VALUES:
        reject(what, f"it has more than {MAX_VALUES:,} values")
    # Of all this only brackets remain; each round removes the innermost pairs.
    brackets = bare.translate(_ONE_KIND, delete=_NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        reject(what, f"its JSON nests deeper than {MAX_DEPTH}, or has unbalanced brackets")


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("an object has a duplicate key")
    return document


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _reject_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:MAX_INTEGER_DIGITS]} is not an integer")
