"""Write the files of episodes, and the pages and feeds about all of them.

An episode's files are written once, and again where it was narrated anew or where an episode beside it is new.
"""

from collections.abc import Iterable
from typing import Final

from sqlite_utils import Database

from ppp.ledger.episodes import read_episode
from ppp.model.canonical import sha256_hex
from ppp.publish.builder.plan import BuildPlan
from ppp.publish.builder.writer import OutputWriter
from ppp.publish.cache.build_cache import BuildCache, Owner, OwnerKind, owned_files
from ppp.publish.episodes.content import read_content
from ppp.publish.episodes.document import episode_document
from ppp.publish.episodes.listing import EpisodeSummary, Neighbours, keep_listing
from ppp.publish.feeds.episodes import episode_feed_files
from ppp.publish.feeds.podcast import PODCAST, podcast
from ppp.publish.folder import OutputFolder
from ppp.publish.packages.pages import ALL_PAGES, LOOKUP_ALL, PackagePages
from ppp.publish.site.addresses import complete
from ppp.publish.site.episodes import archive_pages, episode_page

_PAGES: Final = "episode pages"
_LISTED: Final = "episodes listed"


class EpisodeUpdate:
    """One update of the files of episodes: see the module."""

    def __init__(self, db: Database, cache: BuildCache, folder: OutputFolder, plan: BuildPlan) -> None:
        """Keep what pages depend on. A page is not written again when a package gets or loses its page."""
        self._db = db
        self._cache = cache
        self._folder = folder
        self._plan = plan
        self._pages: PackagePages = LOOKUP_ALL if plan.inputs.partial else ALL_PAGES

    def write(self, writer: OutputWriter) -> None:
        """Write what changed; the digests of what was written are kept in the cache."""
        listing, known = self._plan.episodes, self._cache.fact(_PAGES)
        written = known if isinstance(known, dict) else {}
        neighbours = listing.neighbours()
        digests = {e.period.id: _digest(e, neighbours[e.period.id]) for e in listing.episodes}
        for episode in listing.episodes:
            if written.get(episode.period.id) != digests[episode.period.id]:
                self._write_episode(writer, episode, neighbours[episode.period.id])
        if self._cache.fact(_LISTED) != listing.digest:
            self._write_about_all(writer)
        for gone in {*self._cache.owners(OwnerKind.EPISODES)} - digests.keys() - listing.months.keys():
            writer.add([owned_files(Owner(OwnerKind.EPISODES, gone), [])], [])
        self._cache.set_fact(_PAGES, digests)
        self._cache.set_fact(_LISTED, listing.digest)
        keep_listing(self._cache, listing)

    def _write_episode(self, writer: OutputWriter, episode: EpisodeSummary, neighbours: Neighbours) -> None:
        period = episode.period.id
        stored = read_episode(self._db, period)
        if stored is None:
            raise ValueError(f"there is no episode of {period}")
        content = read_content(stored, episode.audio)
        datasette_url = self._plan.inputs.addresses.datasette_url
        files = [episode_page(content, neighbours, self._pages, datasette_url), episode_document(content)]
        self._put(writer, period, files)

    def _write_about_all(self, writer: OutputWriter) -> None:
        listing, addresses = self._plan.episodes, self._plan.inputs.addresses
        first, *of_months = archive_pages(listing, addresses.base_url)
        writer.put(*complete(first, addresses))
        for month, page in zip(listing.months, of_months, strict=True):
            self._put(writer, month, [page])
        for path, content in episode_feed_files(listing, addresses.base_url):
            writer.put(path, content)
        # Removed where there is no audio, or where nobody has said the address of the site.
        writer.put(PODCAST, podcast(listing, addresses.base_url))

    def _put(self, writer: OutputWriter, owner: str, files: Iterable[tuple[str, bytes]]) -> None:
        put = [self._folder.write(*complete(file, self._plan.inputs.addresses)) for file in files]
        owned = owned_files(Owner(OwnerKind.EPISODES, owner), [entry for entry, _ in put])
        writer.add([owned], [entry.path for entry, is_written in put if is_written])


def _digest(episode: EpisodeSummary, neighbours: Neighbours) -> str:
    return sha256_hex(repr((episode, neighbours)).encode())
