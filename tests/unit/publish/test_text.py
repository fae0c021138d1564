"""Untrusted text, made safe to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.publish import text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain", "plain"),
        ("naïve ✓ 日本", "naïve ✓ 日本"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x1b(Bafter", "after"),
        ("\x1bc", "\\x1bc"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\U000e0001", "\\U000e0001"),
        ("\ufffe", "\\ufffe"),
        ("\ud800", "\\ud800"),
        ("line\u2028break", "line\\u2028break"),
    ],
)
def test_characters_that_act_are_replaced_by_their_escapes(given_text: str, shown: str) -> None:
    assert text.escape_invisible(given_text) == shown


@given(st.text())
def test_no_character_that_acts_is_left(anything: str) -> None:
    shown = text.escape_invisible(anything)
    assert text.escape_invisible(shown) == shown
    assert all(c.isprintable() or c.isspace() for c in shown)
    assert not set(shown) & set("\x00\x07\x08\x1b\x7f\x9b\u061c\u200e\u200f\u202a\u202e\u2066\u2069\n\r")


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_single_line_is_one_line_within_its_limit(anything: str, limit: int) -> None:
    shown = text.single_line(anything, limit)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1


def test_a_cut_text_ends_in_an_ellipsis() -> None:
    assert text.single_line("abcdef", 4) == "abc…"
    assert text.single_line("abcd", 4) == "abcd"
    assert text.single_line("x" * 10_000_000, 4) == "xxx…"
    assert text.single_line(" " * 100 + "late", 4) == "…"


def test_a_log_tail_has_the_last_lines_in_their_last_state() -> None:
    assert text.log_tail("1\n2\n3\n", lines=2, limit=100) == "2\n3"
    assert text.log_tail("  10%\r  50%\r 100%\r\ndone\r\n", lines=5, limit=100) == " 100%\ndone"
    assert text.log_tail("a\tb\x00", lines=5, limit=100) == "a\tb\\x00"
    assert len(text.log_tail("x" * 10_000_000, lines=5, limit=100)) == 100


@pytest.mark.parametrize(
    ("ms", "expected"), [(0, "0 ms"), (999, "999 ms"), (1_200, "1.2 s"), (59_999, "60.0 s"), (125_000, "2 min 5 s")]
)
def test_durations(ms: int, expected: str) -> None:
    assert text.duration(ms) == expected


@pytest.mark.parametrize(("count", "expected"), [(812, "812 B"), (1_234, "1.2 kB"), (43_000_000, "43.0 MB")])
def test_sizes(count: int, expected: str) -> None:
    assert text.size(count) == expected


def test_times() -> None:
    assert text.moment(1_714_003_260) == "2024-04-25 00:01 UTC"
    assert text.iso(1_714_003_260) == "2024-04-25T00:01:00Z"
    assert text.rfc2822(1_714_003_260) == "Thu, 25 Apr 2024 00:01:00 GMT"


def test_fit_budget_stops_at_the_budget() -> None:
    assert text.fit_budget("abcdef", 3, lambda _: 1) == ["a", "b", "c"]
    assert text.fit_budget("ab", 100, lambda _: 1) == ["a", "b"]
