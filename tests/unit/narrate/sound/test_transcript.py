"""The transcript is valid WebVTT of short lines with the written sentences; the chapters are those of the script."""

import json
import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from ppp.ledger.episodes import StoredEpisode
from ppp.model.canonical import canonical_json
from ppp.narrate.sound.transcript import MAX_LINE, chapters, timestamp, transcript


def episode_of(*lines: tuple[str, str, str | None], title: str = "A night") -> StoredEpisode:
    script: list[dict[str, object]] = [
        {"speaker": speaker, "text": text, "pattern": "", "facts": [], "chapter": chapter}
        for speaker, text, chapter in lines
    ]
    return StoredEpisode(
        period="2026-11-28",
        title=title,
        seed=1,
        writer="seeded",
        facts="[]",
        script=canonical_json(script).decode(),
    )


def times_of(episode: StoredEpisode) -> list[tuple[int, int]]:
    return [(3_000 * number, 3_000 * number + 2_500) for number, _ in enumerate(episode.script_lines, start=1)]


def cues(content: bytes) -> list[tuple[str, list[str]]]:
    head, *blocks = content.decode().removesuffix("\n").split("\n\n")
    assert head == "WEBVTT"
    return [(time, lines) for _, time, *lines in (block.split("\n") for block in blocks)]


def test_a_cue_has_the_sentence_and_who_speaks_it() -> None:
    episode = episode_of(("relay", "six 1.17.0 fails in py311-alpine.", None), ("static", "Again.", None))
    assert cues(transcript(episode, times_of(episode))) == [
        ("00:00:03.000 --> 00:00:05.500", ["<v Relay>six 1.17.0 fails in py311-alpine."]),
        ("00:00:06.000 --> 00:00:08.500", ["<v Static>Again."]),
    ]


SPEAKERS = st.sampled_from(["relay", "static", "<x>"])


@given(st.lists(st.tuples(SPEAKERS, st.text(max_size=300), st.none()), min_size=1, max_size=4))
def test_any_sentence_is_written_in_short_lines_and_stays_what_it_is(lines: list[tuple[str, str, None]]) -> None:
    episode = episode_of(*lines)
    found = cues(transcript(episode, times_of(episode)))
    assert len(found) == len(lines)
    for (_, shown), (_, text, _) in zip(found, lines, strict=True):
        assert all(len(line) <= MAX_LINE for line in shown)
        said = re.sub(r"^<v [^<>]*>", "", " ".join(shown))
        assert not {"<", ">"} & {*said}
        assert re.fullmatch("([^&]|&(amp|lt|gt);)*", said)
        kept = "".join(c for c in text if c.isprintable() and not c.isspace())
        assert "".join(unescape(said).replace("\ufffd", "").split()) == kept.replace("\ufffd", "")


def test_a_name_of_200_characters_is_broken() -> None:
    episode = episode_of(("relay", "a" * 200 + " fails, and " + "<" * 200, None))
    ((_, shown),) = cues(transcript(episode, times_of(episode)))
    assert max(map(len, shown)) <= MAX_LINE
    assert "".join(shown).count("a") >= 200


def test_a_time_is_written_with_hours() -> None:
    assert timestamp(3_723_004) == "01:02:03.004"


def test_chapters_begin_with_their_sentences_and_the_first_with_the_ident() -> None:
    episode = episode_of(("relay", "One.", "News"), ("static", "Two.", None), ("relay", "Three.", "Totals"))
    document = json.loads(chapters(episode, times_of(episode)))
    assert document == {
        "version": "1.2.0",
        "title": "A night",
        "chapters": [{"startTime": 0, "title": "News"}, {"startTime": 9.0, "title": "Totals"}],
    }


def test_an_episode_without_a_chapter_at_its_beginning_has_one_of_its_title() -> None:
    episode = episode_of(("relay", "One.", None), ("static", "Two.", "Totals"))
    assert [one["title"] for one in json.loads(chapters(episode, times_of(episode)))["chapters"]] == [
        "A night",
        "Totals",
    ]
