"""`ppp render` with real programs: the same bytes again, times and loudness as they are measured, or no sound."""

import json
import re
import shutil
import subprocess
from array import array
from itertools import groupby
from pathlib import Path

import pytest
from memory_store import open_store
from program import Program
from stored_scripts import DECEIVING, script_of

from ppp.episode_audio import AUDIO_FILES, MP3, OPUS, read_audio
from ppp.ledger.episodes import StoredEpisode, store_episode
from ppp.model.canonical import sha256_hex

pytestmark = pytest.mark.speech

SPOKEN = script_of(
    "This is the log of 2024-04-25: 1,204 observations, from 2 nodes.",
    "In all, that is 49 packages.",
    "numpy 2.0.1 fails in py311-alpine.",
    "Same release, same Python, different platform: six 1.17.0 passes.",
)
#: How loud a sample is that is no silence, and the length of the windows in which it is looked for, in ms.
QUIET, WINDOW_MS, RATE = 250, 5, 8_000
FFMPEG = ("ffmpeg", "-nostdin", "-hide_banner")


def store_script(program: Program, *episodes: StoredEpisode) -> None:
    with open_store(program.data) as store:
        for episode in episodes:
            store_episode(store, episode)


def rendered_files(program: Program, period: str = "2024-04-25") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (program.data / "episodes" / period).iterdir()}


def sounds_of(path: Path) -> list[tuple[int, int]]:
    """Return where a file has sound, in ms, as (start, end): what is apart by 200 ms of silence."""
    decode = [*FFMPEG, "-v", "error", "-i", str(path), "-ar", str(RATE), "-ac", "1", "-f", "s16le", "-"]
    samples = array("h", subprocess.run(decode, check=True, capture_output=True).stdout)
    step = RATE * WINDOW_MS // 1_000
    loud = [max(map(abs, samples[at : at + step])) > QUIET for at in range(0, len(samples), step)]
    runs = [(key, len([*group])) for key, group in groupby(loud)]
    found: list[tuple[int, int]] = []
    place = 0
    for is_loud, length in runs:
        if is_loud:
            if found and place - found[-1][1] < 200 // WINDOW_MS:
                found[-1] = (found[-1][0], place + length)
            else:
                found.append((place, place + length))
        place += length
    return [(start * WINDOW_MS, end * WINDOW_MS) for start, end in found]


def loudness_of(path: Path) -> float:
    measure = [*FFMPEG, "-i", str(path), "-af", "ebur128=framelog=verbose", "-f", "null", "-"]
    said = subprocess.run(measure, check=True, capture_output=True, text=True).stderr
    return float(re.findall(r"I:\s+(-?[0-9.]+) LUFS", said)[-1])


def test_an_episode_is_rendered_as_it_is_described(program: Program) -> None:
    store_script(program, SPOKEN)
    (report,) = json.loads(program.run_in_process_ok("render", "--json"))["rendered"]
    files, audio = rendered_files(program), read_audio(program.data, SPOKEN.period)
    assert audio is not None
    assert audio.to_json() == report
    assert {*files} == {*AUDIO_FILES, "audio.json"}
    for name, file in audio.files.items():
        assert (file.bytes, file.sha256) == (len(files[name]), sha256_hex(files[name]))
    # Each sentence begins and ends in both files when the description and the transcript say so, within 50 ms.
    cues = re.findall(r"(\d\d):(\d\d):(\d\d)\.(\d{3})", files["transcript.vtt"].decode())
    stamps = [((int(h) * 60 + int(m)) * 60 + int(s)) * 1_000 + int(ms) for h, m, s, ms in cues]
    assert stamps == [edge for time in audio.times for edge in time]
    for name in (MP3, OPUS):
        path = program.data / "episodes" / SPOKEN.period / name
        sounds = sounds_of(path)
        for start, end in audio.times:
            assert min(abs(begin - start) for begin, _ in sounds) <= 50
            assert min(abs(finish - end) for _, finish in sounds) <= 50
        assert abs(loudness_of(path) + 16) <= 1
    # What is there is not rendered again; removed and rendered again, it has the same bytes.
    assert "unchanged: 2024-04-25" in program.run_in_process_ok("render", "--night", "2024-04-25")
    shutil.rmtree(program.data / "episodes")
    program.run_in_process_ok("render", "--night")
    assert rendered_files(program) == files
    assert [*(program.data / "cache" / "speech").glob("*.pcm")] == []


def test_published_audio_has_the_lengths_that_its_description_names(program: Program) -> None:
    store_script(program, script_of("Three cells."))
    program.run_in_process_ok("render")
    program.run_in_process_ok("publish")
    audio = read_audio(program.data, "2024-04-25")
    assert audio is not None
    public = program.public_files()
    for name, file in audio.files.items():
        assert len(public[f"episodes/2024-04-25/{name}"]) == file.bytes
    program.run_in_process_ok("verify", str(program.data / "public"))


@pytest.mark.attack("inert-text")
def test_names_made_to_deceive_are_spoken_harmlessly(program: Program) -> None:
    store_script(program, script_of(*DECEIVING))
    program.run_in_process_ok("render")
    audio = read_audio(program.data, "2024-04-25")
    assert audio is not None
    # No pause of a minute, no word but those of the sentences, nothing else that was done.
    assert audio.duration_ms < 60_000
    assert not [*program.data.rglob("touched")]
    assert b"\x1b" not in rendered_files(program)["transcript.vtt"]


def test_without_a_program_episodes_are_text_and_it_says_so(program: Program, tmp_path: Path) -> None:
    store_script(program, script_of("Three cells."))
    tools = tmp_path / "tools"
    tools.mkdir()
    program.settings["PATH"] = str(tools)
    assert program.run_in_process_ok("render") == (
        "no sound: espeak-ng is not installed (Debian's package espeak-ng); episodes are published as text\n"
    )
    (tools / "espeak-ng").symlink_to(shutil.which("espeak-ng") or "")
    assert "no sound: ffmpeg is not installed" in program.run_in_process_ok("render")
    program.settings["PPP_SPEECH"] = "piper"
    assert "no sound: piper or a voice for it" in program.run_in_process_ok("render")
    assert not (program.data / "episodes").exists()
    program.run_in_process_ok("publish")


def test_a_program_that_crashes_leaves_what_was_there_and_the_next_render_goes_on(
    program: Program, tmp_path: Path
) -> None:
    store_script(program, script_of("Three cells."))
    program.run_in_process_ok("render")
    before = rendered_files(program)
    store_script(program, script_of("Four cells."))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "espeak-ng").write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\nkill -11 $$\n")
    (tools / "espeak-ng").chmod(0o755)
    path = program.settings.pop("PATH", None) or "/usr/local/bin:/usr/bin:/bin"
    program.settings["PATH"] = f"{tools}:{path}"
    failed = program.run_in_process("render")
    assert failed.code == 85
    assert "espeak-ng ended with -11" in failed.err
    assert rendered_files(program) == before
    program.settings["PATH"] = path
    assert "rendered 2024-04-25" in program.run_in_process_ok("render")


def test_periods_are_chosen_and_old_audio_drops_out(program: Program) -> None:
    assert program.run_in_process("render").code != 0
    week = script_of("A week.", period="2024-W17")
    nights = [script_of("A night.", period=f"2024-04-{day}") for day in (24, 25)]
    store_script(program, week, *nights)
    assert [line.split()[1] for line in program.run_in_process_ok("render").splitlines()] == [
        "2024-04-25:",
        "2024-W17:",
    ]
    assert "rendered 2024-04-24" in program.run_in_process_ok("render", "--recent", "3")
    assert program.run_in_process_ok("render", "--week", "2024-W17").startswith("unchanged")
    missing = program.run_in_process("render", "--night", "2024-04-23")
    assert missing.code == 86
    assert "the ledger holds no episode of 2024-04-23" in missing.err
    for day in range(1, 31):
        (program.data / "episodes" / f"2024-05-{day:02}").mkdir()
    assert "removed the audio of 2024-04-24" in program.run_in_process_ok("render", "--week")
