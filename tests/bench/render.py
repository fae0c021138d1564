"""Measure how long a ten-minute episode takes to render with espeak-ng and ffmpeg: `nox -s bench -- render`.

Beside it, bare espeak-ng speaks the same sentences one after the other, and bare ffmpeg encodes them as MP3 and Opus,
without effects and loudness: the ratio to that hardly depends on the machine. Where the machine does other things, what
counts is processor time: half of it is what two cores would take. With `--engine piper`, piper speaks a
tenth of it.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from recording_reporter import RecordingReporter
from stored_scripts import script_of

from ppp.config import load
from ppp.ledger.episodes import StoredEpisode
from ppp.narrate.limited_process import ProcessLimits
from ppp.narrate.sound.mastering import write_wave
from ppp.narrate.sound.programs import Programs
from ppp.narrate.sound.render import Studio, render_episode
from ppp.narrate.sound.results import EnvironmentResults
from ppp.narrate.sound.spoken import spoken_form
from ppp.runner.context import Context
from ppp.runner.render import NoSound, find_studio

MINUTES = 10.0
#: What rendering `MINUTES` may take on two cores, in seconds.
MAX_SECONDS = 30.0
CORES = 2
LIMITS = ProcessLimits(seconds=600, memory_bytes=4_000_000_000, output_bytes=1_000_000_000)
RESULTS = tuple(
    EnvironmentResults(environment=f"py3{minor}-{platform}", passed=900 - minor, failed=90 + minor, total=1_000)
    for platform in ("slim", "alpine")
    for minor in (9, 11, 12)
)


def long_episode(sentences: int) -> StoredEpisode:
    """Return an episode of so many different sentences, about four seconds each."""
    return script_of(
        *(f"{count:,} of {count + 80:,} cells of package-{count} 1.{count}.0 pass." for count in range(sentences))
    )


def used_seconds() -> float:
    """Return the processor time of this process and of the programs that it ran to their end, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def bare_seconds(episode: StoredEpisode, folder: Path) -> float:
    """Return the processor time that bare programs take for the same sentences, in seconds."""
    programs = Programs(os.environ)
    before = used_seconds()
    sound = b""
    for line in episode.script_lines:
        (folder / "text").write_text(spoken_form(line.text))
        programs.run(["espeak-ng", "-f", str(folder / "text"), "-w", str(folder / "bare.wav")], LIMITS)
        sound += (folder / "bare.wav").read_bytes()[44:]
    write_wave(folder / "all.wav", sound)
    for name, options in (("bare.mp3", ("-ar", "44100", "-b:a", "64k")), ("bare.opus", ("-b:a", "24k"))):
        encode = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(folder / "all.wav"), *options]
        programs.run([*encode, str(folder / name)], LIMITS)
    return used_seconds() - before


def measure(studio: Studio, episode: StoredEpisode) -> tuple[float, float, float]:
    """Return what rendering an episode takes, its processor time, and how long it then lasts, all in seconds."""
    begun, used = time.perf_counter(), used_seconds()
    rendered = render_episode(episode, RESULTS, studio)
    return time.perf_counter() - begun, used_seconds() - used, rendered.audio.duration_ms / 1_000


def main() -> int:
    """Print the figures; return 1 if rendering takes too long, 2 where a program is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["espeak", "piper"], default="espeak")
    parser.add_argument("--voice", type=Path, help="the file of a voice for piper")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ppp-bench-") as name:
        folder = Path(name)
        settings = {"PPP_SPEECH": options.engine, "PPP_JOBS": "2"}
        settings |= {"PPP_SPEECH_VOICE": str(options.voice)} if options.voice else {}
        context = Context(
            config=load(settings, data=folder / "data"),
            reporter=RecordingReporter(),
            environ=os.environ,
            stop=threading.Event(),
        )
        studio = find_studio(context.config, context.environ)
        if isinstance(studio, NoSound):
            print(f"nothing is measured: {studio}")
            return 2
        episode = long_episode(14 if options.engine == "piper" else 96)
        seconds, used, duration = measure(studio, episode)
        print(f"{studio.id}")
        print(f"{duration:.0f} s of sound in {seconds:.1f} s: {duration / seconds:.1f} times as fast as it is heard")
        print(f"processor time: {used:.1f} s")
        if options.engine == "piper":
            return 0
        bare = bare_seconds(episode, folder)
        print(
            f"bare espeak-ng and ffmpeg take {bare:.1f} s of it for the same sentences: {used / bare:.2f} times as much"
        )
        for_ten = min(seconds, used / CORES) * MINUTES * 60 / duration
        print(f"ten minutes take {for_ten:.1f} s on {CORES} cores, of {MAX_SECONDS:.0f} s at most")
        return 1 if for_ten > MAX_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
