"""The ident: the period's results as a few seconds of sound; pure, of whole numbers, the same on every machine.

Each environment has a note, the lowest the first. It sounds for as long as its share of passes; then, as long as its
share of failures, the note a half tone below it comes in, with a rough edge. A chord of all notes ends it.
"""

import math
from array import array
from collections.abc import Sequence
from typing import Final

from ppp.narrate.sound.results import EnvironmentResults
from ppp.narrate.sound.timing import RATE, to_samples

#: How long an environment's turn and the chord take, in milliseconds; environments beyond the last note have none.
TURN_MS: Final = 280
CHORD_MS: Final = 1_400
MAX_NOTES: Final = 10
#: A scale of five notes over two octaves, in Hz.
_SCALE: Final = (147, 175, 196, 220, 262, 294, 349, 392, 440, 523)
#: 2 ** (-1 / 12), a half tone lower, as a fraction.
_LOWER: Final = (1_000, 1_059)
_TABLE_BITS: Final = 10
_PHASE_BITS: Final = 24
_AMPLITUDE: Final = 7_000
#: How long a note takes to come and to go, in samples.
_EDGE: Final = RATE // 100
_SINE: Final = [round(1_000 * math.sin(2 * math.pi * step / 2**_TABLE_BITS)) for step in range(2**_TABLE_BITS)]


def ident(results: Sequence[EnvironmentResults]) -> bytes:
    """Return the ident of a period's results; of none, it is a low hum."""
    shown = [one for one in results if one.total][:MAX_NOTES]
    notes = [*zip(_SCALE, shown, strict=False)]
    turns = [_turn(frequency, one) for frequency, one in notes]
    chord = _mixed([_tone(frequency, to_samples(CHORD_MS), fading=True) for frequency in _chord(notes)])
    sound = array("h")
    for turn in (*turns, chord):
        sound.extend(turn)
    return sound.tobytes()


def _chord(notes: Sequence[tuple[int, EnvironmentResults]]) -> list[int]:
    # A failure anywhere leaves a half tone in it.
    failing = [_half_tone_below(frequency) for frequency, one in notes if one.failed]
    return [*(frequency for frequency, _ in notes), *failing[:1]] or [_SCALE[0] // 2]


def _half_tone_below(frequency: int) -> int:
    return frequency * _LOWER[0] // _LOWER[1]


def _turn(frequency: int, results: EnvironmentResults) -> "array[int]":
    length = to_samples(TURN_MS)
    passes = length * results.passed // results.total
    fails = length * results.failed // results.total
    sound = array("h")
    sound.extend(_tone(frequency, passes))
    sound.extend(_tone(_half_tone_below(frequency), fails, rough=True))
    sound.extend(array("h", bytes(2 * (length - len(sound)))))
    return sound


def _tone(frequency: int, length: int, *, rough: bool = False, fading: bool = False) -> "array[int]":
    step = (frequency << _PHASE_BITS) // RATE
    mask, shift = (1 << _PHASE_BITS) - 1, _PHASE_BITS - _TABLE_BITS
    edge = max(1, min(_EDGE, length // 2))
    sound = array("h")
    for place in range(length):
        value = _SINE[(place * step & mask) >> shift]
        if rough:
            # In steps, as what has few bits.
            value = value // 400 * 400
        loudness = min(place, length - 1 - place, edge) * _AMPLITUDE // edge
        if fading:
            loudness = loudness * (length - place) // length
        sound.append(value * loudness // 1_000)
    return sound


def _mixed(tones: Sequence["array[int]"]) -> "array[int]":
    # As loud together as one of them.
    return array("h", (sum(values) // len(tones) for values in zip(*tones, strict=True)))
