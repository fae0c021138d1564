"""`/episodes/feed.xml`: the episodes with audio, as a podcast (RSS 2.0, Podcasting 2.0).

1. All addresses are absolute: without the site's URL there is no podcast.
2. An enclosure has the exact length of its file; the id of an episode depends on its period alone and never changes.
3. No clock is read: the feed changes only with what it lists. There are no seasons and no numbers: a night has a date.
"""

from typing import Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

from ppp.episode_audio import CHAPTERS, COVER, MP3, TRANSCRIPT, EpisodeAudio
from ppp.publish import text
from ppp.publish.episodes.content import EPISODES_FOLDER, episode_folder
from ppp.publish.episodes.listing import EpisodeListing, EpisodeSummary
from ppp.publish.feeds.entries import MAX_ENTRIES, SITE_NAME
from ppp.publish.feeds.episodes import episode_id

PODCAST: Final = f"{EPISODES_FOLDER}/feed.xml"
#: The namespace of `podcast:guid`, as its specification has it.
GUID_NAMESPACE: Final = UUID("ead4c236-bf58-58c6-a2c6-a6b28d128cb6")
_NAMESPACES: Final = {
    "xmlns:atom": "http://www.w3.org/2005/Atom",
    "xmlns:itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
    "xmlns:podcast": "https://podcastindex.org/namespace/1.0",
}
_ABOUT: Final = (
    "A watchdog on PyPI, narrated: what installed and imported, what did not, and why. Two presenters, and every"
    " sentence shows the SQL that it comes from. The voices are synthetic."
)


def podcast(listing: EpisodeListing, base_url: str) -> bytes | None:
    """Return the podcast; None where no episode has audio, or where the site's URL is not known (`""`)."""
    audible = listing.audible[:MAX_ENTRIES]
    if not (audible and base_url):
        return None
    root = ET.Element("rss", {"version": "2.0", **_NAMESPACES})
    channel = ET.SubElement(root, "channel")
    home, own = f"{base_url}{EPISODES_FOLDER}/index.html", f"{base_url}{PODCAST}"
    _add(channel, "title", f"{SITE_NAME}: episodes")
    _add(channel, "link", home)
    _add(channel, "description", _ABOUT)
    _add(channel, "language", "en")
    _add(channel, "atom:link", href=own, rel="self", type="application/rss+xml")
    _add(channel, "lastBuildDate", text.rfc2822(audible[0].dated))
    _add(channel, "podcast:guid", str(podcast_guid(own)))
    _add(channel, "podcast:medium", "podcast")
    _add(channel, "itunes:author", SITE_NAME)
    _add(channel, "itunes:type", "episodic")
    _add(channel, "itunes:explicit", "false")
    _add(channel, "itunes:category", text="Technology")
    # Art is drawn from data, for each episode: that of the newest one is the podcast's.
    _add(channel, "itunes:image", href=f"{base_url}{episode_folder(audible[0].period.id)}/{COVER}")
    for episode in audible:
        if episode.audio:
            _add_item(channel, episode, episode.audio, base_url)
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def podcast_guid(feed_url: str) -> UUID:
    """Return the permanent id of a podcast: of its address without the scheme and without slashes at its end."""
    parts = urlsplit(feed_url)
    return uuid5(GUID_NAMESPACE, f"{parts.netloc}{parts.path}".rstrip("/"))


def _add_item(channel: ET.Element, episode: EpisodeSummary, audio: EpisodeAudio, base_url: str) -> None:
    item, folder = ET.SubElement(channel, "item"), f"{base_url}{episode_folder(audio.period)}"
    mp3 = audio.files[MP3]
    _add(item, "title", episode.title)
    _add(item, "link", f"{base_url}{episode.path}")
    _add(item, "description", "\n".join(f"{speaker}: {sentence}" for speaker, sentence in episode.teaser))
    _add(item, "guid", episode_id(audio.period), isPermaLink="false")
    _add(item, "pubDate", text.rfc2822(episode.dated))
    _add(item, "enclosure", url=f"{folder}/{MP3}", length=str(mp3.bytes), type=mp3.media_type)
    _add(item, "itunes:duration", str(max(1, round(audio.duration_ms / 1000))))
    _add(item, "itunes:explicit", "false")
    _add(item, "itunes:episodeType", "full")
    _add(item, "itunes:image", href=f"{folder}/{COVER}")
    for name, element in ((TRANSCRIPT, "podcast:transcript"), (CHAPTERS, "podcast:chapters")):
        _add(item, element, url=f"{folder}/{name}", type=audio.files[name].media_type)


def _add(parent: ET.Element, name: str, value: str | None = None, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = value
