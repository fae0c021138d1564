"""The audio of episodes: its files in the data folder, which `ppp render` writes and a build publishes.

Each period has a folder, `episodes/2026-11-28/`, with the files of `AUDIO_FILES` and `audio.json`, which describes
them. `audio.json` is removed before any other file changes and written after all of them: what it describes is there as
a whole, or there is no audio. Audio is of one script: narrated again in other words, a period has none any more.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from ppp.durability import replace_file, sync_to_disk
from ppp.ledger.episodes import StoredEpisode
from ppp.model.canonical import canonical_json, is_sha256, sha256_hex
from ppp.model.errors import ConfigError
from ppp.model.period import Period, PeriodKind
from ppp.storage_errors import translate_storage_errors

AUDIO_FOLDER: Final = "episodes"
DESCRIPTION: Final = "audio.json"
MP3: Final = "episode.mp3"
OPUS: Final = "episode.opus"
TRANSCRIPT: Final = "transcript.vtt"
CHAPTERS: Final = "chapters.json"
COVER: Final = "cover.png"
#: The files of an episode's audio, with their media types. A feed encloses the MP3.
AUDIO_FILES: Final = {
    MP3: "audio/mpeg",
    OPUS: "audio/ogg",
    TRANSCRIPT: "text/vtt",
    CHAPTERS: "application/json+chapters",
    COVER: "image/png",
}
#: Of a description in bytes, of one file, and of an episode in milliseconds: what is more was not written here.
MAX_DESCRIPTION: Final = 1_000_000
MAX_FILE_BYTES: Final = 500_000_000
MAX_DURATION_MS: Final = 6 * 3_600_000
#: Of how many of the newest nights and weeks the audio is kept; their text stays for ever.
KEPT: Final = {PeriodKind.NIGHT: 30, PeriodKind.WEEK: 26}
_SCHEMA: Final = 1
_MAX_VOICES: Final = 400
_FOLDER_NAME: Final = re.compile(r"[0-9]{4}-([0-9]{2}-[0-9]{2}|W[0-9]{2})", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFile:
    """A file of an episode's audio: its name, its size in bytes, its sha256 (hex)."""

    name: str
    bytes: int
    sha256: str

    @property
    def media_type(self) -> str:
        """Return its media type, such as `audio/mpeg`."""
        return AUDIO_FILES[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeAudio:
    """The audio of an episode.

    `script_sha256` is the `script_digest` of what is spoken, `voices` says by which programs and voices. `times` has
    the start and the end of each sentence in milliseconds, in the order of the script. `files` are those of
    `AUDIO_FILES`, by name.
    """

    period: str
    script_sha256: str
    voices: str
    duration_ms: int
    times: tuple[tuple[int, int], ...]
    files: Mapping[str, AudioFile]

    def is_of(self, episode: StoredEpisode) -> bool:
        """Return whether it speaks the script of an episode as that is stored now."""
        return self.period == episode.period and self.script_sha256 == script_digest(episode)

    def to_json(self) -> dict[str, object]:
        """Return the JSON object of `audio.json`."""
        return {
            "schema": _SCHEMA,
            "period": self.period,
            "script_sha256": self.script_sha256,
            "voices": self.voices,
            "duration_ms": self.duration_ms,
            "times": [[start, end] for start, end in self.times],
            "files": {
                name: {"bytes": file.bytes, "sha256": file.sha256, "type": file.media_type}
                for name, file in self.files.items()
            },
        }


def script_digest(episode: StoredEpisode) -> str:
    """Return the sha256 (hex) of all of a stored episode that its audio depends on."""
    lines = [[line.speaker, line.text, line.chapter] for line in episode.script_lines]
    cast = [[one.speaker, one.name] for one in episode.cast]
    return sha256_hex(canonical_json([episode.period, episode.title, cast, lines]))


def audio_folder(data: Path, period: str) -> Path:
    """Return the folder of a period's audio in the data folder; raise `ConfigError` where it is no period's name."""
    return data / AUDIO_FOLDER / Period.parse(period).id


def read_audio(data: Path, period: str) -> EpisodeAudio | None:
    """Return the audio of a period; None where there is none, or where it is not complete.

    Files are held to their sizes; who reads one compares its sha256.
    """
    folder = audio_folder(data, period)
    with translate_storage_errors(folder):
        try:
            with (folder / DESCRIPTION).open("rb") as file:
                audio = parse_audio(file.read(MAX_DESCRIPTION + 1))
            sizes = {name: (folder / name).lstat().st_size for name in AUDIO_FILES}
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
    if audio is None or audio.period != period or any(audio.files[name].bytes != sizes[name] for name in sizes):
        return None
    return audio


def audio_periods(data: Path) -> Iterator[str]:
    """Yield the periods that have a folder of audio, the newest first; a week counts as newer than its last night."""
    folder = data / AUDIO_FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    periods: list[Period] = []
    for name in names:
        if _FOLDER_NAME.fullmatch(name):
            try:
                periods.append(Period.parse(name))
            except ConfigError:  # such as 2026-02-30: nobody's audio
                continue
    yield from (one.id for one in sorted(periods, key=lambda one: (one.end, one.kind), reverse=True))


def keep_newest(items: Iterable[T], period_of: Callable[[T], str]) -> Iterator[T]:
    """Yield those of some items, newest first, whose audio is kept: `KEPT` of each kind of period."""
    left = dict(KEPT)
    for item in items:
        kind = Period.parse(period_of(item)).kind
        left[kind] -= 1
        if left[kind] >= 0:
            yield item


def remove_audio(data: Path, period: str) -> None:
    """Remove the audio of a period; raise `DiskFullError` or `DataReadOnlyError`."""
    folder = audio_folder(data, period)
    with translate_storage_errors(folder):
        # First what says that there is audio.
        (folder / DESCRIPTION).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def write_audio(data: Path, audio: EpisodeAudio, contents: Mapping[str, bytes]) -> None:
    """Write the audio of a period, `contents` by the names of `AUDIO_FILES`, in the place of what was there.

    Raises `DiskFullError` or `DataReadOnlyError`; then there may be no audio of the period.
    """
    folder = audio_folder(data, audio.period)
    with translate_storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)
        sync_to_disk(folder)
        for name in AUDIO_FILES:
            replace_file(folder / name, contents[name])
        replace_file(folder / DESCRIPTION, canonical_json(audio.to_json()) + b"\n")


def describe_files(contents: Mapping[str, bytes]) -> dict[str, AudioFile]:
    """Return the entries of an episode's files, of their bytes by name."""
    return {
        name: AudioFile(name=name, bytes=len(contents[name]), sha256=sha256_hex(contents[name])) for name in AUDIO_FILES
    }


def parse_audio(content: bytes) -> EpisodeAudio | None:
    """Return the audio that the bytes of an `audio.json` describe; None where they are not of its form."""
    if len(content) > MAX_DESCRIPTION:
        return None
    try:
        return _checked(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _checked(found: dict[str, Any]) -> EpisodeAudio:
    if found["schema"] != _SCHEMA or not is_sha256(found["script_sha256"]):
        raise ValueError("another schema")
    duration = _number(found["duration_ms"], MAX_DURATION_MS)
    times = tuple((_number(start, duration), _number(end, duration)) for start, end in found["times"])
    edges = [edge for time in times for edge in time]
    files = {name: _file(name, found["files"][name]) for name in AUDIO_FILES}
    if edges != sorted(edges) or not isinstance(found["voices"], str) or len(found["voices"]) > _MAX_VOICES:
        raise ValueError("out of order")
    return EpisodeAudio(
        period=str(found["period"]),
        script_sha256=found["script_sha256"],
        voices=found["voices"],
        duration_ms=duration,
        times=times,
        files=files,
    )


def _file(name: str, found: dict[str, Any]) -> AudioFile:
    if not is_sha256(found["sha256"]):
        raise ValueError("no sha256")
    return AudioFile(name=name, bytes=_number(found["bytes"], MAX_FILE_BYTES), sha256=found["sha256"])


def _number(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no number up to {most}")
    return value
