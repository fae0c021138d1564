"""Reading a JSON object with one long list, in parts."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.watch.journal.json_list import MAX_ELEMENT, MAX_MEMBER, InvalidListError, JsonListReader

KEEP = frozenset({"meta", "n"})
ELEMENTS: list[Any] = [{"x": 'é"]},'}, 12, 345, "q", None, [], [[1], {"a": {}}], -1.5e3, True, ""]


def read(document: bytes | str, size: int = 65_536) -> tuple[list[Any], dict[str, Any]]:
    data = document.encode() if isinstance(document, str) else document
    found: list[Any] = []
    reader = JsonListReader("list", found.append, keep=KEEP)
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    reader.close()
    return found, reader.members


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("size", [1, 2, 7, 65_536])
@pytest.mark.parametrize("elements", [[], ELEMENTS, ELEMENTS[:1], list(range(100))])
def test_elements_are_passed_on(elements: list[Any], size: int, indent: int | None) -> None:
    data = {"a": [1, {"list": 2}], "meta": {"z": 1}, "list": elements, "n": 123, "last": "x"}
    document = json.dumps(data, ensure_ascii=False, indent=indent)
    assert read(document, size) == (elements, {"meta": {"z": 1}, "n": 123})


def test_a_byte_order_mark_is_skipped() -> None:
    assert read(b'\xef\xbb\xbf{"list": [1]} \n') == ([1], {})


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("<!DOCTYPE html><html>", "is HTML or XML in place of JSON"),
        ("[1, 2]", "is not JSON, or not an object"),
        ("gateway timeout", "is not JSON"),
        ("{}", "has no list 'list'"),
        ('{"list": {}}', "has no list 'list'"),
        ('{"list": [1, 2', "is cut short"),
        ('{"list": [1, 2]', "is cut short"),
        ('{"list": [1 2]}', "a comma or ] is missing"),
        ('{"list": [1] "n": 2}', "a comma or } is missing"),
        ('{"list": [1], "list": [2]}', "has two lists"),
        ('{"list": [1]} {}', "has something after its end"),
        ('{"list": [NaN]}', "it has NaN"),
        ('{1: 2, "list": []}', "the name of a member is no text"),
        ('{"n" 2}', "a member has no value"),
        ('{"list": ["' + "x" * (2 * MAX_ELEMENT), "more than 65,536 characters|too long"),
        ('{"n": "' + "x" * (MAX_MEMBER + 100_000), "more than 4,194,304 characters|too long"),
        ('{"list": [' + "[" * 50_000 + "]" * 50_000 + "]}", "nests too deep|too long"),
        (json.dumps({f"m{n}": n for n in range(200)}), "has more than 100 members"),
        (b'{"list": ["\xff"]}', "is not UTF-8"),
        ('{"list": [' + "bad" * 50_000, "is not JSON, or has an element that is too long"),
    ],
)
def test_what_is_no_such_object_is_refused(document: bytes | str, reason: str) -> None:
    with pytest.raises(InvalidListError, match=reason) as caught:
        read(document)
    assert str(caught.value).isprintable()


@pytest.mark.attack("bounded-input")
@given(st.binary(max_size=100), st.integers(0, 200), st.integers(1, 50))
def test_any_input_is_read_or_refused(noise: bytes, place: int, size: int) -> None:
    document = json.dumps({"meta": {"a": 1}, "list": ELEMENTS, "n": 3}).encode()
    try:
        read(document[:place] + noise + document[place + len(noise) :], size)
    except InvalidListError as error:
        assert str(error).isprintable()  # noqa: PT017 - either end is right
