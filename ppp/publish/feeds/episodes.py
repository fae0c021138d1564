"""The feed of all episodes, those without sound among them, as Atom and as JSON Feed."""

from collections.abc import Iterator
from typing import Final

from ppp.episode_audio import MP3, OPUS, EpisodeAudio
from ppp.publish.episodes.content import EPISODES_FOLDER, episode_folder
from ppp.publish.episodes.listing import EpisodeListing, EpisodeSummary
from ppp.publish.feeds.atom import atom
from ppp.publish.feeds.entries import MAX_ENTRIES, SITE_NAME, FeedAttachment, FeedDocument, FeedEntry, urn
from ppp.publish.feeds.jsonfeed import json_feed

EPISODES_ATOM: Final = f"{EPISODES_FOLDER}/atom.xml"
EPISODES_JSON: Final = f"{EPISODES_FOLDER}/feed.json"


def episode_feed_files(listing: EpisodeListing, base_url: str) -> Iterator[tuple[str, bytes]]:
    """Yield `/episodes/atom.xml` and `/episodes/feed.json`."""
    feed = episode_feed(listing)
    yield EPISODES_ATOM, atom(feed, path=EPISODES_ATOM, base_url=base_url)
    yield EPISODES_JSON, json_feed(feed, path=EPISODES_JSON, base_url=base_url)


def episode_feed(listing: EpisodeListing) -> FeedDocument:
    """Return the feed of the newest episodes, each with its first sentences."""
    return FeedDocument(
        title=f"{SITE_NAME}: episodes",
        description="What was checked each night and each week, narrated: every sentence shows its SQL.",
        home_path=f"{EPISODES_FOLDER}/index.html",
        entries=[_entry(episode) for episode in listing.episodes[:MAX_ENTRIES]],
    )


def episode_id(period: str) -> str:
    """Return the permanent id of an episode."""
    return urn(f"episode:{period}")


def _entry(episode: EpisodeSummary) -> FeedEntry:
    more = episode.sentences - len(episode.teaser)
    lines = tuple(f"{speaker}: {sentence}" for speaker, sentence in episode.teaser)
    return FeedEntry(
        id=episode_id(episode.period.id),
        title=episode.title,
        path=episode.path,
        published=episode.dated,
        updated=episode.dated,
        lines=(*lines, f"and {more} more sentence{'s' if more != 1 else ''}") if more else lines,
        attachments=tuple(_attachments(episode.audio)) if episode.audio else (),
    )


def _attachments(audio: EpisodeAudio) -> Iterator[FeedAttachment]:
    for name in (MP3, OPUS):
        file = audio.files[name]
        yield FeedAttachment(
            path=f"{episode_folder(audio.period)}/{name}",
            media_type=file.media_type,
            bytes=file.bytes,
            seconds=round(audio.duration_ms / 1000),
        )
