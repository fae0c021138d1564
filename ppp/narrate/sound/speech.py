"""The port to a speech program: what it says of a sentence, as sound. `espeak.py` and `piper.py` are its adapters."""

import io
import wave
from pathlib import Path
from typing import Protocol

from ppp.narrate.sound.programs import RenderFailedError
from ppp.narrate.sound.timing import RATE, WIDTH


class Synthesizer(Protocol):
    """Turns text into speech. The same text and presenter always give the same bytes."""

    @property
    def id(self) -> str:
        """What its sound depends on: the program, its version, its voices."""
        ...

    def speak(self, text: str, presenter: int, folder: Path) -> bytes:
        """Return a spoken form as sound (16-bit mono at `RATE`), by the presenter's number from 0 on.

        `folder` is empty, and for it alone. Raises `RenderFailedError`.
        """
        ...


def read_wave(path: Path, program: str) -> bytes:
    """Return the sound of a WAV file that a program wrote; raise `RenderFailedError` where it is of another form.

    The bytes are counted: a length that a program did not go back to write is wrong.
    """
    try:
        content = path.read_bytes()
        with wave.open(io.BytesIO(content)) as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            sound = bytes(file.readframes(len(content) // WIDTH))
    except (OSError, EOFError, wave.Error) as error:
        raise _not_sound(program, "no WAV file") from error
    if form != (1, WIDTH, RATE):
        raise _not_sound(program, f"{form[0]} channels of {8 * form[1]} bits at {form[2]} Hz")
    return sound


def _not_sound(program: str, what: str) -> RenderFailedError:
    return RenderFailedError(
        f"{program} wrote {what} instead of one channel of 16 bits at {RATE} Hz",
        hint="use another voice (PPP_SPEECH_VOICE), or espeak-ng (PPP_SPEECH=espeak)",
    )
