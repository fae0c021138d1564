"""Programs are bounded in time, memory and output, get nothing of the environment, and fail as one kind of error."""

import os
import wave
from pathlib import Path

import pytest

from ppp.narrate.limited_process import ProcessLimits
from ppp.narrate.sound.espeak import EspeakSynthesizer
from ppp.narrate.sound.mastering import Mastering, write_wave
from ppp.narrate.sound.piper import PiperSynthesizer
from ppp.narrate.sound.programs import MAX_MESSAGES, Programs, RenderFailedError
from ppp.narrate.sound.speech import read_wave

LIMITS = ProcessLimits(seconds=20, memory_bytes=2_000_000_000, output_bytes=10_000_000)


def run(script: str, folder: Path, limits: ProcessLimits = LIMITS) -> str:
    return Programs({**os.environ, "SECRET": "s"}).run(["/bin/sh", "-c", f"cd {folder}\n{script}"], limits)


def program(folder: Path, name: str, script: str) -> Programs:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return Programs({"PATH": f"{folder}:/usr/bin:/bin"})


def test_what_a_program_prints_is_returned_and_it_has_no_input(tmp_path: Path) -> None:
    assert run("echo printed; echo said >&2; cat", tmp_path) == "printed\nsaid\n"


@pytest.mark.attack("credentials")
def test_a_program_gets_no_secret(tmp_path: Path) -> None:
    assert {line.partition("=")[0] for line in run("env", tmp_path).splitlines()} <= {
        "PATH",
        "LC_ALL",
        "OMP_NUM_THREADS",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    }


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo broken; exit 3", "sh ended with 3: broken"),
        ("kill -11 $$", "sh ended with -11"),
        ("printf '\\033[31mred'; exit 1", r"sh ended with 1: \?\[31mred"),
        ("cat /dev/zero > big", "sh ended with"),
        ("cat /dev/zero", "sh ended with"),
    ],
)
def test_a_program_that_fails_is_an_error_that_says_how(tmp_path: Path, script: str, reason: str) -> None:
    with pytest.raises(RenderFailedError, match=reason):
        run(script, tmp_path)


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    limits = ProcessLimits(seconds=0.5, memory_bytes=LIMITS.memory_bytes, output_bytes=LIMITS.output_bytes)
    with pytest.raises(RenderFailedError, match=r"sh did not end within 0\.5 s"):
        run("sleep 300 & echo $! > child; wait", tmp_path, limits)
    child = int((tmp_path / "child").read_text())
    stat = Path(f"/proc/{child}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in {"Z", "X"}


def test_a_program_that_eats_memory_is_stopped(tmp_path: Path) -> None:
    limits = ProcessLimits(seconds=30, memory_bytes=200_000_000, output_bytes=LIMITS.output_bytes)
    with pytest.raises(RenderFailedError, match="ended with"):
        run("sleep 0.2; exec head -c 1000000000 /dev/zero | tail -c 900000000 > /dev/null; exit 9", tmp_path, limits)


def test_what_a_program_prints_is_cut_off(tmp_path: Path) -> None:
    assert len(run(f"head -c {2 * MAX_MESSAGES} /dev/zero | tr '\\0' x", tmp_path)) == MAX_MESSAGES


def test_a_program_that_is_missing_is_not_found(tmp_path: Path) -> None:
    none = Programs({"PATH": str(tmp_path)})
    assert none.find("espeak-ng") is None
    assert EspeakSynthesizer.find(none) is None
    assert Mastering.find(none) is None
    assert PiperSynthesizer.find(none, None) is None
    with pytest.raises(RenderFailedError, match=r"nothing ended with 1: .*No such file"):
        none.run([str(tmp_path / "nothing")], LIMITS)


def test_piper_without_a_voice_is_not_found(tmp_path: Path) -> None:
    programs = program(tmp_path / "bin", "piper", "exit 0")
    assert PiperSynthesizer.find(programs, tmp_path / "none.onnx") is None


def test_piper_gets_the_text_in_a_file_without_noise(tmp_path: Path) -> None:
    write_wave(tmp_path / "made.wav", b"\1\2" * 100)
    script = f'cd {tmp_path}; echo "$@" > arguments; cp made.wav work/sound.wav'
    programs = program(tmp_path / "bin", "piper", script)
    (tmp_path / "voice.onnx").write_bytes(b"voice")
    found = PiperSynthesizer.find(programs, tmp_path / "voice.onnx")
    assert found is not None
    work = tmp_path / "work"
    work.mkdir()
    assert found.speak("three cells.", 1, work) == b"\1\2" * 100
    arguments = (tmp_path / "arguments").read_text()
    assert "--noise-scale 0 --noise-w-scale 0" in arguments
    assert "cells" not in arguments
    assert (work / "text").read_text() == "three cells.\n"
    (tmp_path / "voice.onnx").write_bytes(b"another")
    again = PiperSynthesizer.find(programs, tmp_path / "voice.onnx")
    assert again is not None
    assert again.id != found.id


@pytest.mark.parametrize("script", ["", "echo x > ${12}", "mkdir ${12}"])
def test_a_speech_program_that_writes_no_sound_is_an_error(tmp_path: Path, script: str) -> None:
    programs = program(tmp_path / "bin", "espeak-ng", f"[ $1 = --version ] && exit 0\n{script}\nexit 0")
    found = EspeakSynthesizer.find(programs)
    assert found is not None
    assert "unknown" in found.id
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(RenderFailedError, match="espeak-ng wrote no WAV file"):
        found.speak("three cells.", 0, work)


def test_sound_of_another_form_is_an_error(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(400))
    with pytest.raises(RenderFailedError, match="piper wrote 2 channels of 16 bits at 48000 Hz instead"):
        read_wave(tmp_path / "stereo.wav", "piper")


def test_a_wrong_length_in_a_header_does_not_count(tmp_path: Path) -> None:
    write_wave(tmp_path / "sound.wav", b"\1\2" * 50)
    content = bytearray((tmp_path / "sound.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\x7f"
    (tmp_path / "sound.wav").write_bytes(content)
    assert read_wave(tmp_path / "sound.wav", "espeak-ng") == b"\1\2" * 50


def test_ffmpeg_that_does_not_measure_is_an_error(tmp_path: Path) -> None:
    programs = program(tmp_path / "bin", "ffmpeg", "exit 0")
    found = Mastering.find(programs)
    assert found is not None
    with pytest.raises(RenderFailedError, match="ffmpeg unknown did not say how loud"):
        found.encode([bytes(200), bytes(200)], tmp_path)
