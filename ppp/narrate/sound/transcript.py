"""What is written about an episode's sound: its transcript (WebVTT) and its chapters (JSON chapters 1.2.0); pure.

The transcript has the sentences as they are written, not as they are said.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ppp.ledger.episodes import StoredEpisode, StoredLine
from ppp.model.printable import printable_line

#: The most characters of a line of a transcript.
MAX_LINE: Final = 65
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MAX_NAME: Final = 30


def transcript(episode: StoredEpisode, times: Sequence[tuple[int, int]]) -> bytes:
    """Return the WebVTT file of an episode whose sentences are spoken at these times, in milliseconds."""
    names = {one.speaker: one.name for one in episode.cast}
    cues = zip(episode.script_lines, times, strict=True)
    blocks = [["WEBVTT"], *(_cue(number, line, time, names) for number, (line, time) in enumerate(cues, start=1))]
    return ("\n\n".join("\n".join(block) for block in blocks) + "\n").encode()


def _cue(number: int, line: StoredLine, time: tuple[int, int], names: Mapping[str, str]) -> list[str]:
    voice = _plain(names.get(line.speaker, line.speaker))[:_MAX_NAME]
    begin, end = map(timestamp, time)
    return [str(number), f"{begin} --> {end}", *_wrapped(f"<v {_escaped(voice)}>", _plain(line.text))]


def _wrapped(tag: str, text: str) -> Iterator[str]:
    # What is escaped takes more characters, so it is escaped before lines are broken, and no escape is broken.
    words = [_escaped(piece) for word in text.split() for piece in _pieces(word)]
    lines = textwrap.wrap(" ".join(words), MAX_LINE, initial_indent=tag, break_long_words=False, break_on_hyphens=False)
    yield from lines or [tag]


def _pieces(word: str) -> Iterator[str]:
    # A word that no line has room for, such as a name of 200 characters, is broken: escaped, it is five times as long.
    if len(_escaped(word)) <= MAX_LINE // 2:
        yield word
        return
    step = MAX_LINE // 2 if _escaped(word) == word else MAX_LINE // 10
    yield from (word[at : at + step] for at in range(0, len(word), step))


def _plain(text: str) -> str:
    return " ".join(printable_line(text).split())


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def timestamp(milliseconds: int) -> str:
    """Return a time as WebVTT has it: `00:01:02.345`."""
    seconds, rest = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{rest:03}"


def chapters(episode: StoredEpisode, times: Sequence[tuple[int, int]]) -> bytes:
    """Return the chapters of an episode: the first begins with the ident, each other one with its first sentence."""
    begins = [
        (start / 1_000, line.chapter)
        for line, (start, _) in zip(episode.script_lines, times, strict=True)
        if line.chapter is not None
    ]
    first = begins.pop(0)[1] if begins and episode.script_lines[0].chapter is not None else episode.title
    entries = [{"startTime": start, "title": _plain(title)} for start, title in [(0, first), *begins]]
    document = {"version": "1.2.0", "title": _plain(episode.title), "chapters": entries}
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()
