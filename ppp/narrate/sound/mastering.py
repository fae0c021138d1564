"""ffmpeg: each presenter's track through a chain of effects, mixed at a loudness, encoded as MP3 and Opus.

Tracks go in as WAV files, and no filter moves a sound by more than a few milliseconds. The bytes of the results depend
on the version of ffmpeg and of its encoders, and on nothing else.
"""

import re
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ppp.episode_audio import MP3, OPUS
from ppp.narrate.limited_process import ProcessLimits
from ppp.narrate.sound.programs import Programs, RenderFailedError
from ppp.narrate.sound.timing import RATE, WIDTH

PROGRAM: Final = "ffmpeg"
#: What an episode's loudness is to be, in LUFS, and what no sample may exceed, as a share of full scale.
TARGET_LUFS: Final = -16.0
_PEAK: Final = 0.79
#: How close to it a track has to be, in LU, and how often it is corrected at most.
CLOSE_LU: Final = 0.1
MAX_PASSES: Final = 5
#: What is limited gets louder by less than its gain.
LIMITED_GAIN: Final = 1.8
#: The rate at which loudness is measured as players have it: at a lower one, high frequencies count less.
LEVEL_RATE: Final = 48_000
_LIMITS: Final = ProcessLimits(seconds=600, memory_bytes=4_000_000_000, output_bytes=1_000_000_000)
_EVEN: Final = "acompressor=threshold=0.06:ratio=4:attack=3:release=120"
#: The effects of each presenter: the first sounds as on the telephone of a good studio, the second as on a bad line.
CHAINS: Final = (
    f"highpass=f=110,lowpass=f=8000,{_EVEN}",
    f"highpass=f=280,lowpass=f=3400,acrusher=bits=6:mix=0.35,tremolo=f=5:d=0.15,aecho=0.8:0.5:24:0.12,{_EVEN}",
)
_LIMITER: Final = f"alimiter=limit={_PEAK}:level=false:attack=1:release=60"
_EXACT: Final = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact")
#: How each file is encoded. The MP3 has the rate that every player expects.
_ENCODERS: Final = {
    MP3: ("-ar", "44100", "-c:a", "libmp3lame", "-b:a", "64k"),
    OPUS: ("-c:a", "libopus", "-b:a", "24k", "-application", "voip", "-f", "ogg"),
}
_INTEGRATED: Final = re.compile(r"Integrated loudness:\s+I:\s+(-?[0-9]{1,3}\.[0-9]) LUFS")
#: What ebur128 says of silence.
_SILENT_LUFS: Final = -70.0
#: No track is made louder by more than this, in dB: what is nearly silent stays so.
_MAX_GAIN: Final = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mastering:
    """ffmpeg, of a version."""

    programs: Programs
    program: str
    version: str

    @classmethod
    def find(cls, programs: Programs) -> Self | None:
        """Return this machine's ffmpeg; None where it has none."""
        program = programs.find(PROGRAM)
        if program is None:
            return None
        said = programs.run([program, "-version"], _LIMITS).partition("ffmpeg version ")[2]
        return cls(programs=programs, program=program, version=(said.split() or ["unknown"])[0])

    @property
    def id(self) -> str:
        """The program and its version."""
        return f"{PROGRAM} {self.version}"

    def encode(self, tracks: Sequence[bytes], folder: Path) -> dict[str, bytes]:
        """Return the MP3 and the Opus file of tracks of one length, one for each of `CHAINS`, by their names.

        `folder` is an existing one for what lies between. Raises `RenderFailedError`.
        """
        for number, track in enumerate(tracks):
            write_wave(folder / f"track-{number}.wav", track)
        with ThreadPoolExecutor(len(tracks)) as pool:
            loudness = [*pool.map(lambda number: self._colour(number, folder), range(len(tracks)))]
            self._mix([_gain(one) for one in loudness], len(tracks[0]) // WIDTH, folder)
            self._level(folder)
            return dict(pool.map(lambda name: self._encode_one(name, folder), _ENCODERS))

    def _colour(self, number: int, folder: Path) -> float:
        filters = f"{CHAINS[number]},ebur128=framelog=verbose"
        return self._measured(["-i", f"track-{number}.wav", "-af", filters, *_wav(f"coloured-{number}.wav")], folder)

    def _mix(self, gains: Sequence[float], samples: int, folder: Path) -> None:
        # An echo lasts longer than what it is of.
        inputs = [word for number in range(len(gains)) for word in ("-i", f"coloured-{number}.wav")]
        louder = [f"[{number}:a]volume={gain:.2f}dB,{_LIMITER}[t{number}]" for number, gain in enumerate(gains)]
        names = "".join(f"[t{number}]" for number in range(len(gains)))
        mix = f"{names}amix=inputs={len(gains)}:duration=longest:normalize=0,atrim=end_sample={samples}"
        graph = ";".join([*louder, mix])
        self._run([*inputs, "-filter_complex", graph, *_wav("mix.wav")], folder)

    def _level(self, folder: Path) -> None:
        # What is cut off above makes it quieter again, so it is measured and corrected a few times.
        gain = 0.0
        for _ in range(MAX_PASSES):
            filters = f"volume={gain:.2f}dB,{_LIMITER},aresample={LEVEL_RATE},ebur128=framelog=verbose"
            loudness = self._measured(["-i", "mix.wav", "-af", filters, *_wav("level.wav", LEVEL_RATE)], folder)
            if loudness <= _SILENT_LUFS or abs(loudness - TARGET_LUFS) <= CLOSE_LU:
                return
            gain = min(_MAX_GAIN, gain + LIMITED_GAIN * (TARGET_LUFS - loudness))

    def _encode_one(self, name: str, folder: Path) -> tuple[str, bytes]:
        self._run(["-i", "level.wav", *_EXACT, *_ENCODERS[name], name], folder)
        return name, (folder / name).read_bytes()

    def _measured(self, arguments: Sequence[str], folder: Path) -> float:
        found = _INTEGRATED.search(self._run(arguments, folder))
        if found is None:
            raise RenderFailedError(
                f"{PROGRAM} {self.version} did not say how loud its output is",
                hint="install another version of ffmpeg, of at least 4.4",
            )
        return float(found[1])

    def _run(self, arguments: Sequence[str], folder: Path) -> str:
        placed = [str(folder / word) if word.endswith((".wav", MP3, OPUS)) else word for word in arguments]
        return self.programs.run([self.program, "-nostdin", "-hide_banner", "-nostats", "-y", *placed], _LIMITS)


def write_wave(path: Path, sound: bytes) -> None:
    """Write sound as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(WIDTH)
        file.setframerate(RATE)
        file.writeframes(sound)


def _wav(name: str, rate: int = RATE) -> tuple[str, ...]:
    return ("-ar", str(rate), "-c:a", "pcm_s16le", *_EXACT, name)


def _gain(loudness: float) -> float:
    return 0.0 if loudness <= _SILENT_LUFS else min(_MAX_GAIN, TARGET_LUFS - loudness)
