"""Render an episode: each sentence is said by itself, placed by counted samples, and all of it is mixed and encoded.

Sentences are kept in a cache by what they depend on until the episode is whole, so a render that was interrupted says
none of them again. The same script, results, programs and voices give the same bytes.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ppp.durability import replace_file
from ppp.episode_audio import CHAPTERS, COVER, TRANSCRIPT, EpisodeAudio, describe_files, script_digest
from ppp.ledger.episodes import StoredEpisode
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.period import Period
from ppp.narrate.sound.cover import cover
from ppp.narrate.sound.ident import ident
from ppp.narrate.sound.mastering import CHAINS
from ppp.narrate.sound.programs import RenderFailedError
from ppp.narrate.sound.results import EnvironmentResults
from ppp.narrate.sound.speech import Synthesizer
from ppp.narrate.sound.spoken import spoken_form
from ppp.narrate.sound.timing import RATE, Placed, count_samples, lay_out, place_sentences, to_ms, trim
from ppp.narrate.sound.transcript import chapters, transcript
from ppp.storage_errors import translate_storage_errors

#: The folder of sentences that were said, in the folder of caches.
SPEECH_FOLDER: Final = "speech"
#: To be increased when the same script is to sound otherwise: other spoken forms, pauses or effects.
RULES: Final = 1
#: The most samples of one sentence, and of an episode: five minutes, and an hour.
MAX_SENTENCE: Final = 300 * RATE
MAX_EPISODE: Final = 3_600 * RATE
_SCRATCH: Final = "scratch-"
_LOCK: Final = "lock"


class Encoder(Protocol):
    """Makes audio files of tracks: `Mastering` does it by ffmpeg."""

    @property
    def id(self) -> str:
        """What its bytes depend on beside the tracks."""
        ...

    def encode(self, tracks: Sequence[bytes], folder: Path) -> dict[str, bytes]:
        """Return the audio files of an episode, by name, of one track for each presenter."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """What renders: a speech program, an encoder, the folder of caches, and how many sentences are said at once."""

    synthesizer: Synthesizer
    encoder: Encoder
    cache: Path
    jobs: int

    @property
    def id(self) -> str:
        """What the sound of a script depends on beside the script and the results."""
        return f"{self.synthesizer.id}; {self.encoder.id}; rules {RULES}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedEpisode:
    """An episode's audio, and the bytes of its files by name."""

    audio: EpisodeAudio
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sentence:
    # What is said, and the number of who says it.
    text: str
    presenter: int


def render_episode(episode: StoredEpisode, results: Sequence[EnvironmentResults], studio: Studio) -> RenderedEpisode:
    """Return the audio of an episode whose period has these results; raise `RenderFailedError`."""
    sentences = _sentences(episode)
    with _speech_folder(studio.cache) as folder:
        sounds = _say_all(sentences, studio, folder)
        opening = ident(results)
        placed, total = place_sentences(count_samples(opening), episode.script_lines, [*map(count_samples, sounds)])
        if total > MAX_EPISODE:
            raise _too_long(total, MAX_EPISODE)
        tracks = _tracks(opening, [*zip(sentences, placed, sounds, strict=True)], total)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
            encoded = studio.encoder.encode(tracks, Path(scratch))
    times = tuple(place.milliseconds for place in placed)
    contents = {
        **encoded,
        TRANSCRIPT: transcript(episode, times),
        CHAPTERS: chapters(episode, times),
        COVER: cover(Period.parse(episode.period), results),
    }
    audio = EpisodeAudio(
        period=episode.period,
        script_sha256=script_digest(episode),
        voices=studio.id,
        duration_ms=to_ms(total),
        times=times,
        files=describe_files(contents),
    )
    return RenderedEpisode(audio=audio, contents=contents)


def forget_sentences(episode: StoredEpisode, studio: Studio) -> None:
    """Remove an episode's sentences from the cache, once its audio is written."""
    for sentence in _sentences(episode):
        (studio.cache / SPEECH_FOLDER / _cache_name(sentence, studio)).unlink(missing_ok=True)


def _sentences(episode: StoredEpisode) -> list[_Sentence]:
    speakers = [presenter.speaker for presenter in episode.cast]
    numbers = {speaker: min(place, len(CHAINS) - 1) for place, speaker in enumerate(speakers)}
    return [
        _Sentence(text=spoken_form(line.text), presenter=numbers.get(line.speaker, 0)) for line in episode.script_lines
    ]


def _tracks(opening: bytes, said: Sequence[tuple[_Sentence, Placed, bytes]], total: int) -> list[bytes]:
    # One track for each presenter; the ident is on the first.
    tracks: list[list[tuple[Placed, bytes]]] = [[] for _ in CHAINS]
    tracks[0].append((Placed(start=0, end=count_samples(opening)), opening))
    for sentence, placed, sound in said:
        tracks[sentence.presenter].append((placed, sound))
    return [lay_out(track, total) for track in tracks]


def _say_all(sentences: Sequence[_Sentence], studio: Studio, folder: Path) -> list[bytes]:
    # A sentence that stands in a script twice is said once.
    different = [*dict.fromkeys(sentences)]
    with ThreadPoolExecutor(max(1, studio.jobs)) as pool:
        futures = [pool.submit(_say, sentence, studio, folder) for sentence in different]
        try:
            said = dict(zip(different, (future.result() for future in futures), strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [said[sentence] for sentence in sentences]


def _say(sentence: _Sentence, studio: Studio, folder: Path) -> bytes:
    kept = folder / _cache_name(sentence, studio)
    if kept.exists():
        return kept.read_bytes()
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
        sound = trim(studio.synthesizer.speak(sentence.text, sentence.presenter, Path(scratch)))
    if count_samples(sound) > MAX_SENTENCE:
        raise _too_long(count_samples(sound), MAX_SENTENCE)
    replace_file(kept, sound)
    return sound


def _cache_name(sentence: _Sentence, studio: Studio) -> str:
    key = [studio.synthesizer.id, sentence.presenter, sentence.text]
    return f"{sha256_hex(canonical_json(key))}.pcm"


@contextmanager
def _speech_folder(cache: Path) -> Iterator[Path]:
    # One render at a time: what an earlier one left of its scratch folders is removed.
    folder = cache / SPEECH_FOLDER
    with translate_storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(handle, folder)
            for left in folder.glob(f"{_SCRATCH}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield folder
        finally:
            os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RenderFailedError(
            f"another process renders with {folder}", hint="wait until it ends, then run `ppp render` again"
        ) from error


def _too_long(samples: int, most: int) -> RenderFailedError:
    return RenderFailedError(
        f"the sound would take {samples // RATE} s, of {most // RATE} s at most",
        hint="narrate the period again; if that does not help, report it",
    )
