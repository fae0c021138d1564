"""Decide which episodes' audio a site has: the newest, as many as its share of the bound holds; pure.

The text of an episode always stays. Audio takes megabytes a night, and a bound does not grow: what has no room any more
drops out, the oldest first.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from ppp.episode_audio import EpisodeAudio, keep_newest
from ppp.model.site_bound import SiteBound
from ppp.publish.page_budget import Room

#: The share of a bound that audio may take: a tenth.
AUDIO_SHARE: Final = 10


def audio_room(audios: Iterable[EpisodeAudio]) -> Room:
    """Return the room that the files of some episodes' audio take."""
    sizes = [file.bytes for audio in audios for file in audio.files.values()]
    return Room.of(sum(sizes), len(sizes))


def choose_audio(audios: Iterable[EpisodeAudio], bound: SiteBound | None) -> tuple[EpisodeAudio, ...]:
    """Return which of all audio, newest first, is published: as `keep_newest` says, within the share of a bound."""
    return tuple(_within(keep_newest(audios, lambda audio: audio.period), bound))


def _within(audios: Iterable[EpisodeAudio], bound: SiteBound | None) -> Iterator[EpisodeAudio]:
    share = None if bound is None else Room(bound.max_bytes // AUDIO_SHARE, bound.max_files // AUDIO_SHARE)
    for audio in audios:
        if share is not None:
            share = share.minus(audio_room([audio]))
            if not share.has(Room(0, 0)):
                # None that is older than the first without room: what listeners see ends at one day.
                return
        yield audio
