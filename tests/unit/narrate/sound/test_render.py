"""Rendering: each different sentence is said once, none twice after an interruption, and files are what they say."""

import fcntl
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from stored_scripts import DECEIVING, script_of

from ppp.episode_audio import AUDIO_FILES, MP3, OPUS, parse_audio
from ppp.ledger.episodes import StoredEpisode
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.narrate.sound.programs import RenderFailedError
from ppp.narrate.sound.render import MAX_SENTENCE, SPEECH_FOLDER, Studio, forget_sentences, render_episode
from ppp.narrate.sound.spoken import spoken_form
from ppp.narrate.sound.timing import RATE

THREE = script_of("Three cells.", "All passed.", "One more.")


@dataclass(slots=True)
class CountingSynthesizer:
    """Turns a sentence into a tone of 10 ms a character, and fails at one of them."""

    said: list[tuple[str, int]] = field(default_factory=list)
    fails_at: str = ""
    id: str = "counting"
    samples_a_character: int = RATE // 100

    def speak(self, text: str, presenter: int, folder: Path) -> bytes:
        assert [*folder.iterdir()] == []
        if text == self.fails_at:
            raise RenderFailedError("it failed", hint="try again")
        self.said.append((text, presenter))
        return array("h", [0, 900, 0] * (len(text) * self.samples_a_character // 3)).tobytes()


@dataclass(slots=True)
class PlainEncoder:
    """Keeps the tracks as they are."""

    id: str = "plain"

    def encode(self, tracks: Sequence[bytes], folder: Path) -> dict[str, bytes]:
        assert folder.is_dir()
        return {MP3: tracks[0], OPUS: tracks[1]}


def studio_in(folder: Path, synthesizer: CountingSynthesizer) -> Studio:
    return Studio(synthesizer=synthesizer, encoder=PlainEncoder(), cache=folder, jobs=2)


def kept_sentences(folder: Path) -> list[Path]:
    return [*(folder / SPEECH_FOLDER).glob("*.pcm")]


def test_each_different_sentence_is_said_once_by_its_presenter(tmp_path: Path) -> None:
    synthesizer = CountingSynthesizer()
    episode = script_of("Again.", "Again.", "Again.", "Over.")
    rendered = render_episode(episode, (), studio_in(tmp_path, synthesizer))
    assert sorted(synthesizer.said) == [("again.", 0), ("again.", 1), ("over.", 1)]
    assert len(rendered.audio.times) == 4


def test_a_render_that_was_interrupted_says_nothing_again(tmp_path: Path) -> None:
    failing = CountingSynthesizer(fails_at="one more.")
    with pytest.raises(RenderFailedError, match="it failed"):
        render_episode(THREE, (), studio_in(tmp_path, failing))
    assert len(kept_sentences(tmp_path)) == len(failing.said)
    resumed = CountingSynthesizer()
    render_episode(THREE, (), studio_in(tmp_path, resumed))
    assert {*failing.said} & {*resumed.said} == set()
    assert sorted(failing.said + resumed.said) == [("all passed.", 1), ("one more.", 0), ("three cells.", 0)]


def test_the_cache_is_of_a_voice_and_is_empty_when_the_audio_is_written(tmp_path: Path) -> None:
    one, other = CountingSynthesizer(), CountingSynthesizer(id="another")
    render_episode(THREE, (), studio_in(tmp_path, one))
    render_episode(THREE, (), studio_in(tmp_path, other))
    assert len(one.said) == len(other.said) == 3
    for synthesizer in (one, other):
        forget_sentences(THREE, studio_in(tmp_path, synthesizer))
    assert kept_sentences(tmp_path) == []


def test_what_was_left_of_a_killed_render_is_removed(tmp_path: Path) -> None:
    left = tmp_path / SPEECH_FOLDER / "scratch-x"
    left.mkdir(parents=True)
    (left / "track-0.wav").write_bytes(b"x")
    render_episode(THREE, (), studio_in(tmp_path, CountingSynthesizer()))
    assert {path.suffix or path.name for path in (tmp_path / SPEECH_FOLDER).iterdir()} == {"lock", ".pcm"}


def test_one_render_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / SPEECH_FOLDER
    folder.mkdir()
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RenderFailedError, match="another process renders"):
            render_episode(THREE, (), studio_in(tmp_path, CountingSynthesizer()))
    assert render_episode(THREE, (), studio_in(tmp_path, CountingSynthesizer())).audio.is_of(THREE)


@pytest.mark.parametrize("episode", [THREE, script_of(*DECEIVING), script_of()])
def test_files_are_what_the_description_says(tmp_path: Path, episode: StoredEpisode) -> None:
    rendered = render_episode(episode, (), studio_in(tmp_path, CountingSynthesizer()))
    assert {*rendered.contents} == {*AUDIO_FILES}
    for name, file in rendered.audio.files.items():
        assert (file.bytes, file.sha256) == (len(rendered.contents[name]), sha256_hex(rendered.contents[name]))
    assert parse_audio(canonical_json(rendered.audio.to_json())) == rendered.audio
    assert rendered.audio.is_of(episode)
    assert rendered == render_episode(episode, (), studio_in(tmp_path, CountingSynthesizer()))


def test_times_are_where_the_sound_is(tmp_path: Path) -> None:
    rendered = render_episode(THREE, (), studio_in(tmp_path, CountingSynthesizer()))
    tracks = [array("h", rendered.contents[name]) for name in (MP3, OPUS)]
    for number, (start, end) in enumerate(rendered.audio.times):
        track, other = tracks[number % 2], tracks[1 - number % 2]
        first, last = start * RATE // 1_000, end * RATE // 1_000
        assert any(track[first : first + 30])
        assert any(track[last - 30 : last])
        assert not any(track[first - RATE // 5 : first - 30])
        assert not any(other[first:last])


@pytest.mark.attack("inert-text")
def test_only_spoken_forms_reach_the_synthesizer(tmp_path: Path) -> None:
    synthesizer = CountingSynthesizer()
    render_episode(script_of(*DECEIVING), (), studio_in(tmp_path, synthesizer))
    assert sorted(text for text, _ in synthesizer.said) == sorted(map(spoken_form, DECEIVING))


def test_a_sentence_without_end_is_an_error(tmp_path: Path) -> None:
    endless = CountingSynthesizer(samples_a_character=MAX_SENTENCE)
    with pytest.raises(RenderFailedError, match="of 300 s at most"):
        render_episode(script_of("Yes."), (), studio_in(tmp_path, endless))
