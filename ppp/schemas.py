"""Validate documents against the JSON Schemas that PPP ships."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from ppp.resources import resource


def _pattern(_: object, pattern: str, instance: object, _schema: object) -> Iterator[jsonschema.ValidationError]:
    # In JSON Schema, $ matches only the very end; in Python also before a last newline.
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator: Final[type[jsonschema.Draft202012Validator]] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {"pattern": _pattern}
)


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    documents = [json.loads(path.read_text("utf-8")) for path in sorted(resource("site/schemas").glob("*.schema.json"))]
    for document in documents:
        # A referenced schema that names its dialect would be validated by jsonschema's own class instead of ours.
        del document["$schema"]
    registry: Registry[Any] = Registry().with_resources(
        [(document["$id"], DRAFT202012.create_resource(document)) for document in documents]
    )
    return _Validator(json.loads(resource(name).read_text("utf-8")), registry=registry)


def schema_errors(schema: str, data: object, *, limit: int | None = None) -> list[str]:
    """Validate a document against a shipped schema; return each mistake as `place: what`, in the document's order.

    `limit` stops after so many mistakes: an untrusted document may have any number.
    """
    found = islice(_validator(schema).iter_errors(data), limit)
    errors = sorted(found, key=lambda e: [(isinstance(p, str), p) for p in e.absolute_path])
    return [f"{_place(error.absolute_path)}: {_short(error.message)}" for error in errors]


def _place(path: Iterable[str | int]) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
    return text or "the document"


def _short(message: str, limit: int = 160) -> str:
    return message if len(message) <= limit else f"{message[: limit - 1]}…"
