"""Parsing of untrusted JSON: hostile bytes are rejected cheaply, with a harmless reason."""

import time

import pytest

from ppp.mesh.untrusted import (
    canonical_bytes,
    parse_document,
    parse_json,
    reject,
)
from ppp.model.errors import RejectedDataError


def parsed(data: bytes) -> object:
    return parse_json(data, what="it", max_bytes=1_000_000)


def test_json_within_limits_is_returned() -> None:
    assert parsed('{"a": [1, -2, "ü", null, true, {"[[[[[[[[[[[": "]]\\""}]}'.encode()) == {
        "a": [1, -2, "ü", None, True, {"[[[[[[[[[[[": ']]"'}]
    }


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a": 1, "a": 2}', "an object has a duplicate key"),
        (b'{"x": {"a": 1, "a": 1}}', "an object has a duplicate key"),
        (b"[" * 9 + b"]" * 9, "nests deeper than 8"),
        (b"[" * 1_000_000, "nests deeper than 8"),
        (b'{"a":' * 100_000, "nests deeper than 8"),
        (b"[1]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"", "not valid JSON"),
        (b"{", "unbalanced brackets"),
        (b"]" * 100, "unbalanced brackets"),
        (b"[}", "not valid JSON"),
        (b"][", "unbalanced brackets"),
        (b'{"a": 1.0}', "1.0 is not an integer"),
        (b'{"a": 1e400}', "1e400 is not an integer"),
        (b'{"a": NaN}', "NaN is not an integer"),
        (b'{"a": -Infinity}', "-Infinity is not an integer"),
        (b'{"a": %s}' % (b"9" * 5000), "a number of 5000 digits"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"a": "\x1b[2J"}', "not valid JSON"),
        (b'{"' + b"x" * 1_000_000 + b'": 1}', "larger than 1,000,000 bytes"),
    ],
)
def test_invalid_json_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(RejectedDataError, match=reason):
        parsed(data)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("data", [b'"\\"' * 300_000, b'"' * 900_000, b'"' + b"\\" * 900_001, b'\\"' * 450_000])
def test_the_depth_check_is_linear(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(RejectedDataError):
        parsed(data)
    assert time.process_time() - started < 5


def test_a_document_is_validated_and_only_a_few_errors_are_named() -> None:
    rows = ",".join('["../x", -1, "z"]' for _ in range(10_000))
    data = f'{{"schema": "ppp-files-1", "files": [{rows}]}}'.encode()
    with pytest.raises(RejectedDataError, match=r"it is invalid by files.schema.json: files\[0\]\[0\]: ") as error:
        parse_document(data, what="it", schema="site/schemas/files.schema.json", max_bytes=1_000_000)
    assert error.value.message.count("files[0]") == 3
    assert "files[1]" not in error.value.message


@pytest.mark.attack("inert-text")
def test_half_a_surrogate_pair_has_no_canonical_form() -> None:
    for text in (b'{"a": "\\ud800"}', b'{"\\udfff": 1}'):
        with pytest.raises(RejectedDataError, match="no canonical form"):
            canonical_bytes(parse_json(text, what="it", max_bytes=100), what="it")


def test_a_reason_is_printable() -> None:
    with pytest.raises(RejectedDataError, match=r"^it rejected: a\?b \(nothing was stored"):
        reject("it", "a\nb")
