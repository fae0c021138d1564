"""At which time each sentence is spoken, from counted samples; pure.

Sound is 16-bit mono at `RATE`, as bytes. Sentences are cut at their ends where they are silent, and have silence of
ours between them, so that their times are exact, whatever a speech program adds.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ppp.ledger.episodes import StoredLine

RATE: Final = 22_050
#: A sample is this many bytes.
WIDTH: Final = 2
#: Silence before the first sentence and after the last, between sentences of one presenter, before another one's, and
#: before a chapter; in milliseconds.
LEAD_MS: Final = 500
TAIL_MS: Final = 700
PAUSE_MS: Final = 320
TURN_MS: Final = 480
CHAPTER_MS: Final = 1_000
#: What is no louder counts as silence at the ends of a sentence: a fiftieth of a percent of full scale.
SILENT: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a sentence's sound lies, in samples from the beginning."""

    start: int
    end: int

    @property
    def milliseconds(self) -> tuple[int, int]:
        """Return its start and its end in milliseconds."""
        return to_ms(self.start), to_ms(self.end)


def to_ms(samples: int) -> int:
    """Return how many milliseconds some samples take, rounded."""
    return (samples * 1_000 + RATE // 2) // RATE


def to_samples(milliseconds: int) -> int:
    """Return how many samples some milliseconds take."""
    return milliseconds * RATE // 1_000


def count_samples(sound: bytes) -> int:
    """Return how many samples some sound has."""
    return len(sound) // WIDTH


def trim(sound: bytes) -> bytes:
    """Return sound without the silence at both ends; nothing where all of it is silent."""
    samples = array("h", sound[: len(sound) // WIDTH * WIDTH])
    first = next((place for place, value in enumerate(samples) if abs(value) > SILENT), len(samples))
    last = next((place for place in range(len(samples) - 1, first - 1, -1) if abs(samples[place]) > SILENT), first - 1)
    return samples[first : last + 1].tobytes()


def place_sentences(ident: int, lines: Sequence[StoredLine], lengths: Sequence[int]) -> tuple[tuple[Placed, ...], int]:
    """Return where each sentence lies after an ident, and how many samples all of it has; lengths are in samples."""
    place = ident + to_samples(LEAD_MS)
    placed: list[Placed] = []
    for number, (line, length) in enumerate(zip(lines, lengths, strict=True)):
        if number:
            place += to_samples(_pause(lines[number - 1], line))
        placed.append(Placed(start=place, end=place + length))
        place += length
    return tuple(placed), place + to_samples(TAIL_MS)


def _pause(before: StoredLine, line: StoredLine) -> int:
    if line.chapter is not None:
        return CHAPTER_MS
    return PAUSE_MS if before.speaker == line.speaker else TURN_MS


def lay_out(sounds: Sequence[tuple[Placed, bytes]], total: int) -> bytes:
    """Return a track of `total` samples with each sound at its place, silence everywhere else."""
    track = bytearray(total * WIDTH)
    for placed, sound in sounds:
        track[placed.start * WIDTH : placed.end * WIDTH] = sound
    return bytes(track)
