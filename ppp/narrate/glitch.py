"""A sentence as it appears on a terminal: letter by letter out of noise, at reading speed. Pure, and repeatable."""

from collections.abc import Iterator
from random import Random
from typing import Final

#: How fast a person reads aloud, in characters a second; and the pause after a sentence, in seconds.
CHARACTERS_PER_S: Final = 18.0
PAUSE_S: Final = 0.6
#: How many letters appear with each frame, and how many places before them are noise.
STEP: Final = 3
NOISY: Final = 6
#: Narrow characters that every monospaced font of a terminal has.
NOISE: Final = "#%&/\\|<>=+*:.-_~^"


def reading_s(sentence: str) -> float:
    """Return how long it takes to read a sentence, in seconds."""
    return PAUSE_S + len(sentence) / CHARACTERS_PER_S


def glitch_frames(sentence: str, seed: str) -> Iterator[str]:
    """Yield how a sentence appears, as longer and longer texts: the last one is the sentence.

    A frame is the beginning of the sentence followed by at most `NOISY` places of noise; spaces stay spaces, so that
    lines are broken at the same places in each frame.
    """
    random = Random(seed)  # noqa: S311 - must be repeatable, not secret
    for end in range(STEP, len(sentence) + NOISY, STEP):
        clear = max(0, end - NOISY)
        ahead = sentence[clear:end]
        noise = "".join(c if c == " " else NOISE[int(random.random() * len(NOISE))] for c in ahead)
        yield sentence[:clear] + noise
    yield sentence
