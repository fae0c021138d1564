"""espeak-ng as a speech program: text goes to it in a file, without SSML mode."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ppp.narrate.limited_process import ProcessLimits
from ppp.narrate.sound.programs import Programs
from ppp.narrate.sound.speech import read_wave

PROGRAM: Final = "espeak-ng"
#: Its library for sound output makes a file of 64 MB in memory, whatever it is asked for.
_LIMITS: Final = ProcessLimits(seconds=30, memory_bytes=1_000_000_000, output_bytes=150_000_000)
#: A voice with a variant, a pitch (0 to 99) and a speed in words a minute for each presenter: the first is level and
#: brisk, the second lower, slower, and of another accent.
_VOICES: Final = (("en-us+m3", 44, 163), ("en-gb+f4", 34, 148))


@dataclass(frozen=True, slots=True, kw_only=True)
class EspeakSynthesizer:
    """espeak-ng, of a version."""

    programs: Programs
    program: str
    version: str

    @classmethod
    def find(cls, programs: Programs) -> Self | None:
        """Return this machine's espeak-ng; None where it has none."""
        program = programs.find(PROGRAM)
        if program is None:
            return None
        said = programs.run([program, "--version"], _LIMITS)
        words = said.partition("text-to-speech: ")[2].split()
        return cls(programs=programs, program=program, version=words[0] if words else "unknown")

    @property
    def id(self) -> str:
        """The program, its version and its voices."""
        voices = ", ".join(f"{voice} {pitch} {speed}" for voice, pitch, speed in _VOICES)
        return f"{PROGRAM} {self.version} ({voices})"

    def speak(self, text: str, presenter: int, folder: Path) -> bytes:
        """Return a spoken form as sound."""
        voice, pitch, speed = _VOICES[presenter % len(_VOICES)]
        written, sound = folder / "text", folder / "sound.wav"
        written.write_text(text, "ascii")
        options = ["-b", "1", "-v", voice, "-p", str(pitch), "-s", str(speed)]
        self.programs.run([self.program, *options, "-f", str(written), "-w", str(sound)], _LIMITS)
        return read_wave(sound, PROGRAM)
