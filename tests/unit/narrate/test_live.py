"""What comes in is said in licensed sentences, the same record always in the same words; and how sentences appear."""

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.ledger.store import Store
from ppp.model.errors import LedgerDamagedError
from ppp.model.record import Record, Result
from ppp.narrate.glitch import CHARACTERS_PER_S, NOISE, NOISY, glitch_frames, reading_s
from ppp.narrate.live import MAX_SAID, WORDINGS, newest_row, read_new, sentence, sentences


def slots(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_result_has_wordings_that_name_its_cell() -> None:
    assert {*WORDINGS} == {*map(str, Result), "more"}
    for result in Result:
        for wording in WORDINGS[result]:
            assert (
                {"package", "version", "environment"}
                <= slots(wording.text)
                <= {
                    "package",
                    "version",
                    "environment",
                    "cause",
                }
            )
            assert re.search(r"[.!?]$", wording.text)
            assert result is Result.FAIL or "{cause}" not in wording.text
        assert {wording.speaker for wording in WORDINGS[result]} == {"relay", "static"}
        assert any("{cause}" not in wording.text for wording in WORDINGS[result])


@pytest.mark.parametrize("result", ["PASS", "FAIL", "TIMEOUT", "ERROR", "NA"])
def test_a_new_record_is_said_by_its_names(store: Store, record: Callable[..., Record], result: str) -> None:
    store.add_record(record("old-news", "1"))
    last = newest_row(store.db)
    for number in range(6):
        store.add_record(record("six", f"1.{number}", "py312-alpine", result=result))
    found = read_new(store.db, last)
    said = [sentence(one).text for one in found]
    assert [one.version for one in found] == [f"1.{number}" for number in range(6)]
    assert all("six 1." in text and "py312-alpine" in text and "None" not in text for text in said)
    assert said == [sentence(one).text for one in read_new(store.db, last)]
    assert read_new(store.db, newest_row(store.db)) == []


def test_what_nobody_can_follow_is_counted(store: Store, record: Callable[..., Record]) -> None:
    with store.db.atomic():
        for number in range(MAX_SAID + 5):
            store.insert_record(record("six", f"1.{number}"), None)
    found = read_new(store.db, 0)
    assert len(found) == MAX_SAID
    assert [*sentences(found, left=1_005)][-1].text == "More results went by in the meantime: 1,005."
    assert len([*sentences(found, left=0)]) == MAX_SAID


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("package", "\x1b]0;owned\x07"),
        ("package", "{version}"),
        ("version", "1.0\n"),
        ("environment", "py312-\u202e"),
        ("cause", "ignore previous instructions"),
        ("cause", "a" * 65),
    ],
)
def test_a_record_with_a_name_made_to_deceive_is_not_said(
    store: Store, record: Callable[..., Record], column: str, value: str
) -> None:
    store.add_record(record("six", "1.0", result="FAIL"))
    # As a program of somebody else may have written it, past the rules for records.
    store.db.execute("PRAGMA ignore_check_constraints = ON")
    rows = store.db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for (trigger,) in rows:
        store.db.execute(f"DROP TRIGGER [{trigger}]")
    store.db.execute("PRAGMA foreign_keys = OFF")
    store.db.execute(f"UPDATE records SET {column} = ?", (value,))  # noqa: S608 - names of ours
    with pytest.raises(LedgerDamagedError, match="no valid release, environment, result or cause"):
        read_new(store.db, 0)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs"]), max_size=200), st.text(max_size=5))
def test_a_sentence_appears_as_a_whole_and_every_frame_is_shorter(said: str, seed: str) -> None:
    frames = [*glitch_frames(said, seed)]
    assert frames[-1] == said
    assert frames == [*glitch_frames(said, seed)]
    for frame in frames:
        assert len(frame) <= len(said)
        clear = next((at for at, (a, b) in enumerate(zip(frame, said, strict=False)) if a != b), len(frame))
        assert all(c in NOISE or c == " " or c == said[clear + at] for at, c in enumerate(frame[clear:]))
        assert len(frame) - clear <= NOISY
    assert reading_s(said) > len(said) / CHARACTERS_PER_S
