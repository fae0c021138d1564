"""Text of others in messages."""

import pytest

from ppp.model.printable import MAX_REASON_LENGTH, first_of, printable_reason

pytestmark = pytest.mark.attack("inert-text")


def test_a_reason_is_one_plain_line() -> None:
    assert printable_reason("a\x1b[31m\n\u202eb\ud800") == "a?[31m??b?"


@pytest.mark.parametrize("length", [0, 1, 7, 8])
def test_a_short_reason_is_whole(length: int) -> None:
    assert printable_reason("x" * length, 8) == "x" * length


def test_a_long_reason_is_cut() -> None:
    assert printable_reason("x" * 9, 8) == "x" * 7 + "…"
    assert len(printable_reason("x" * 10_000)) == MAX_REASON_LENGTH


@pytest.mark.parametrize(
    ("texts", "separator", "expected"),
    [
        ([], ", ", ""),
        (["a", "b"], ", ", "a, b"),
        (["a", "b", "c", "d"], ", ", "a, b and 2 more"),
        (["a", "b", "c"], "; ", "a; b; and 1 more"),
    ],
)
def test_the_first_are_named_and_the_rest_counted(texts: list[str], separator: str, expected: str) -> None:
    assert first_of(texts, 2, separator=separator) == expected
