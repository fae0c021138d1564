"""Sentences have their places by counted samples: trimmed, apart from each other, none over another."""

from array import array
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ppp.ledger.episodes import StoredLine
from ppp.narrate.sound.timing import (
    CHAPTER_MS,
    LEAD_MS,
    PAUSE_MS,
    RATE,
    SILENT,
    TAIL_MS,
    TURN_MS,
    count_samples,
    lay_out,
    place_sentences,
    to_ms,
    to_samples,
    trim,
)


def sound(*values: int) -> bytes:
    return array("h", values).tobytes()


def test_silence_at_both_ends_is_cut_off_and_none_within() -> None:
    assert trim(sound(0, 5, -SILENT, 900, 0, 0, -900, SILENT, 0)) == sound(900, 0, 0, -900)
    assert trim(sound(0, 1, 0)) == b""
    assert trim(b"") == b""
    assert trim(sound(900) + b"x") == sound(900)


def test_pauses_tell_turns_and_chapters_apart() -> None:
    lines = [
        StoredLine(speaker="relay", text="", chapter="News"),
        StoredLine(speaker="relay", text=""),
        StoredLine(speaker="static", text=""),
        StoredLine(speaker="static", text="", chapter="Totals"),
    ]
    placed, total = place_sentences(RATE, lines, [RATE] * 4)
    gaps = [to_ms(after.start - before.end) for before, after in pairwise(placed)]
    assert gaps == [PAUSE_MS, TURN_MS, CHAPTER_MS]
    assert placed[0].milliseconds == (1_000 + LEAD_MS, 2_000 + LEAD_MS)
    assert total == placed[-1].end + to_samples(TAIL_MS)


@given(st.lists(st.integers(0, 3 * RATE), max_size=20), st.integers(0, RATE))
def test_no_sentence_lies_over_another(lengths: list[int], ident: int) -> None:
    lines = [StoredLine(speaker="relay", text="") for _ in lengths]
    placed, total = place_sentences(ident, lines, lengths)
    edges = [ident, *(edge for one in placed for edge in (one.start, one.end)), total]
    assert edges == sorted(edges)
    assert [one.end - one.start for one in placed] == lengths


def test_a_track_has_its_sounds_and_silence_around_them() -> None:
    line = StoredLine(speaker="relay", text="")
    placed, total = place_sentences(0, [line, line], [2, 3])
    track = lay_out([(placed[1], sound(7, 8, 9))], total)
    assert count_samples(track) == total
    assert track.strip(b"\0") == sound(7, 8, 9).strip(b"\0")
    assert track[2 * placed[1].start : 2 * placed[1].end] == sound(7, 8, 9)
