"""The audio of episodes in a build: which is published, and its files, copied from the data folder.

Audio counts if it speaks the episode as that is stored now. A file that was copied is not read again until it changes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlite_utils import Database

from ppp.episode_audio import AUDIO_FOLDER, DESCRIPTION, EpisodeAudio, audio_folder, audio_periods, read_audio
from ppp.ledger.episodes import read_episode
from ppp.model.canonical import sha256_hex
from ppp.model.errors import PublishError
from ppp.model.site_bound import SiteBound
from ppp.publish.audio_budget import choose_audio
from ppp.publish.builder.writer import OutputWriter
from ppp.publish.cache.build_cache import BuildCache, Owner, OwnerKind, owned_files
from ppp.publish.folder import FileEntry, OutputFolder


def audio_path(period: str, name: str) -> str:
    """Return the path of a file of an episode's audio within the site."""
    return f"{AUDIO_FOLDER}/{period}/{name}"


def read_published_audio(
    db: Database, cache: BuildCache, data: Path | None, bound: SiteBound | None
) -> tuple[EpisodeAudio, ...]:
    """Return the audio in a data folder that a site with this bound publishes, the newest first; None: there is none.

    What differs from its description is left out.
    """
    return choose_audio(_intact(db, cache, data), bound) if data else ()


def _intact(db: Database, cache: BuildCache, data: Path) -> Iterator[EpisodeAudio]:
    for period in audio_periods(data):
        audio, episode = read_audio(data, period), read_episode(db, period)
        if audio and episode and audio.is_of(episode):
            known = cache.files_of(_owner(period)) == _entries(audio)
            if known or all(_content(data, audio, name) is not None for name in audio.files):
                yield audio


def update_audio(
    cache: BuildCache, writer: OutputWriter, folder: OutputFolder, audios: Sequence[EpisodeAudio], data: Path | None
) -> None:
    """Write the files of audio that the cache does not have as they are, and remove those of all other audio."""
    for audio in audios:
        owner = _owner(audio.period)
        if cache.files_of(owner) != _entries(audio):
            files = [(audio_path(audio.period, name), _read(data, audio, name)) for name in audio.files]
            put = [folder.write(path, content) for path, content in files]
            writer.add([owned_files(owner, [entry for entry, _ in put])], [e.path for e, written in put if written])
    for gone in {*cache.owners(OwnerKind.AUDIO)} - {audio.period for audio in audios}:
        writer.add([owned_files(_owner(gone), [])], [])


def _owner(period: str) -> Owner:
    return Owner(OwnerKind.AUDIO, period)


def _entries(audio: EpisodeAudio) -> list[FileEntry]:
    entries = [FileEntry(audio_path(audio.period, name), file.bytes, file.sha256) for name, file in audio.files.items()]
    return sorted(entries)


def _content(data: Path, audio: EpisodeAudio, name: str) -> bytes | None:
    try:
        content = (audio_folder(data, audio.period) / name).read_bytes()
    except OSError:
        return None
    return content if sha256_hex(content) == audio.files[name].sha256 else None


def _read(data: Path | None, audio: EpisodeAudio, name: str) -> bytes:
    content = _content(data, audio, name) if data else None
    if content is None:
        raise PublishError(
            f"{AUDIO_FOLDER}/{audio.period}/{name} is not as {DESCRIPTION} beside it says",
            hint="publish again when `ppp render` has ended, or remove that folder and render it again",
        )
    return content
