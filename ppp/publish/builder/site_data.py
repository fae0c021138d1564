"""The read phase of a build: everything that the pages of many packages show, as values that need no database.

Where a listing is long, its pages are iterators: they are read one after the other as they are rendered, so that
memory does not grow with the ledger. All of it is read in the one transaction of the build.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sqlite_utils import Database

from ppp.check.cause_rules import cause_help as known_causes
from ppp.ledger import published
from ppp.ledger.digests import DayDigest
from ppp.ledger.downloads import PeriodSource, packages_by_downloads
from ppp.ledger.episodes import newest_episode
from ppp.ledger.queued_cells import queued_cells
from ppp.model.matrix import Environment
from ppp.model.site_address import SiteAddresses
from ppp.publish.api.current import NEWEST_RESULTS
from ppp.publish.builder.plan import BuildPlan
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.cache.day_digests import update_days
from ppp.publish.episodes.content import EpisodeContent, read_content
from ppp.publish.episodes.listing import EpisodeListing
from ppp.publish.feeds.entries import MAX_ENTRIES
from ppp.publish.journal.content import JournalContent, read_journal
from ppp.publish.listings.content import ListingContent, read_listing
from ppp.publish.listings.prefix_pages import PrefixPage, split_into_pages
from ppp.publish.listings.store import ListingStore
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.pages import ALL_PAGES, PackagePages
from ppp.publish.packages.totals import cells_by_cause, ledger_counts, packages_by_cause, top_causes
from ppp.publish.site.causes import CauseOverview, cause_listing, explain_causes, newest_records
from ppp.publish.site.changed import week_before
from ppp.publish.site.dependency_chains import CHAINS_LISTING, DependencyChain, chains_from
from ppp.publish.site.directory import LIST_BUDGET, PACKAGES_LISTING, SEARCH_PREFIX, SHARD_LIMIT
from ppp.publish.site.environments import environment_folder
from ppp.publish.site.findings import finding_folder
from ppp.publish.site.front import MATRIX_BUDGET, MatrixRow, matrix_row
from ppp.publish.site.listing import MAX_CELLS, ROWS_BUDGET
from ppp.publish.site.lookup import LOOKUP_PREFIX, LookupContent
from ppp.publish.site.sitemap import MAX_ADDRESSES
from ppp.publish.snapshots.description import Snapshot
from ppp.publish.verified_index.store import IndexSummary

TOP_CAUSES: Final = 8
#: How many packages of a kind the list of feeds has.
MAX_LISTED_FEEDS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteData:
    """What the site shows of all packages; each iterator is read once, while its pages are rendered.

    `newest` are the newest current results, `changes` the newest changes of a verdict, `week_changes` those of the last
    week on cells that had another verdict before, all newest first; `rows` are packages, the most downloaded first or,
    where no downloads are known, those whose verdicts changed last.
    `directory`, `search` and `sitemap` are the pages of names that changed, `sitemap_shards` the prefixes of the
    sitemap's files after the last build. `journal` is None where none is followed, `downloads` (whose numbers they
    are) None where none are known.
    `pages` says which packages have pages, and `lookup` how the others are found; None: there are no others.
    `older_batches` says whether there are batches without room, `locks` whether locks may be published. `indexes` is
    what the simple indexes of each environment list.
    """

    addresses: SiteAddresses
    environments: Sequence[Environment]
    queued: Sequence[Environment]
    counts: published.Counts
    days: Sequence[DayDigest]
    newest: Sequence[published.Verdict]
    changes: Sequence[published.VerdictChange]
    week_changes: Sequence[published.VerdictChange]
    rows: Sequence[MatrixRow]
    causes: CauseOverview
    top_causes: Sequence[published.CauseCount]
    episode: EpisodeContent | None
    episodes: EpisodeListing
    snapshots: Sequence[Snapshot]
    images: Mapping[str, Sequence[published.ImageContent]]
    findings: Mapping[FindingKind, ListingContent]
    failing: Iterable[tuple[Environment, ListingContent]]
    chains: Sequence[DependencyChain]
    directory: Iterable[PrefixPage]
    search_prefixes: Sequence[str]
    search: Iterable[PrefixPage]
    sitemap_shards: Sequence[str]
    sitemap: Iterable[PrefixPage]
    journal: JournalContent | None
    downloads: PeriodSource | None
    pages: PackagePages = ALL_PAGES
    lookup: LookupContent | None = None
    older_batches: bool = False
    locks: bool = False
    failing_packages: Sequence[str] = ()
    downloaded_packages: Sequence[str] = ()
    indexes: Sequence[IndexSummary] = ()


def read_site_data(
    db: Database, cache: BuildCache, plan: BuildPlan, *, addresses: SiteAddresses, chosen: frozenset[str] | None = None
) -> SiteData:
    """Read what the site shows; the cache holds the contributions of all packages, those of this build included.

    `chosen` are the packages that have pages; None: all of them.
    """
    store, environments = cache.listings, plan.environments
    days = update_days(db, cache, plan.changes.after_row)
    counts = ledger_counts(store.totals, records=sum(day.records for day in days), as_of=published.as_of(db))
    # A sitemap shows names only, so it has a tree of its own: that of the directory changes with every result.
    sitemap = store.name_tree("sitemaps", PACKAGES_LISTING)
    newest, episode = published.newest_verdicts(db, NEWEST_RESULTS), newest_episode(db)
    return SiteData(
        addresses=addresses,
        environments=environments,
        queued=plan.queued,
        counts=counts,
        days=days,
        newest=newest,
        changes=published.with_current_blame(db, published.newest_changes(db, MAX_ENTRIES)),
        week_changes=[*published.changes_after(db, week_before(counts.as_of))],
        rows=_read_rows(db, store, environments, by_downloads=plan.downloads is not None),
        causes=_read_causes(db, store, counts),
        top_causes=top_causes(store.totals, TOP_CAUSES),
        episode=read_content(episode, plan.episodes.audio_of(episode.period)) if episode else None,
        episodes=plan.episodes,
        snapshots=plan.snapshots,
        # As the newest results have them: a look at all records would take time in proportion to the ledger.
        images=published.image_contents(db, [verdict.record for verdict in newest]),
        findings={kind: _read_listing(store, finding_folder(kind)) for kind in FindingKind},
        # Peers may publish records of any number of environments: their listings are read one at a time.
        failing=((e, _read_listing(store, environment_folder(e.id))) for e in environments),
        chains=chains_from(store.by_key(CHAINS_LISTING)),
        directory=split_into_pages(store.entry_tree(PACKAGES_LISTING), LIST_BUDGET),
        search_prefixes=search_prefixes(store),
        search=read_search_pages(store),
        sitemap_shards=[prefix for prefix, entries in sitemap.pages() if entries],
        sitemap=split_into_pages(sitemap, MAX_ADDRESSES),
        journal=read_journal(db, cache, plan.journal) if plan.journal else None,
        downloads=plan.downloads,
        pages=PackagePages(chosen),
        lookup=None if chosen is None else _read_lookup(store, counts.packages, len(chosen)),
        older_batches=bool(plan.older_batches),
        locks=plan.has_locks,
        failing_packages=_first_with_pages(store.by_severity(), chosen),
        downloaded_packages=_first_with_pages(filter(store.has_package, packages_by_downloads(db)), chosen),
    )


def _first_with_pages(packages: Iterable[str], chosen: frozenset[str] | None) -> list[str]:
    return [*islice((package for package in packages if chosen is None or package in chosen), MAX_LISTED_FEEDS)]


def _read_listing(store: ListingStore, name: str) -> ListingContent:
    return read_listing(store, name, page_budget=ROWS_BUDGET, min_entries=MAX_ENTRIES, max_cells=MAX_CELLS)


def search_prefixes(store: ListingStore) -> list[str]:
    """Return the prefixes that have a search shard, sorted."""
    return [name.removeprefix(SEARCH_PREFIX) for name in store.listing_names(SEARCH_PREFIX)]


def read_search_pages(store: ListingStore) -> Iterator[PrefixPage]:
    """Return the search shards that changed, as pages of the entries that each has."""
    for name in store.listing_names(SEARCH_PREFIX):
        if store.has_changed(name):
            yield from split_into_pages(store.entry_tree(name), SHARD_LIMIT, name.removeprefix(SEARCH_PREFIX))


def _read_lookup(store: ListingStore, packages: int, pages: int) -> LookupContent:
    names = store.listing_names(LOOKUP_PREFIX)
    shards = ((name.removeprefix(LOOKUP_PREFIX), store.lookup_rows(name)) for name in names if store.has_changed(name))
    return LookupContent(packages=packages, pages=pages, shards=shards)


def _read_causes(db: Database, store: ListingStore, counts: published.Counts) -> CauseOverview:
    newest = {cause: newest_records(store.by_rank(cause_listing(cause))) for cause in known_causes()}
    # One query for the cells of all causes.
    verdicts = published.read_verdicts(db, {record for records in newest.values() for record in records})
    by_record = {verdict.record: verdict for verdict in verdicts}
    return explain_causes(
        cells_by_cause(store.totals),
        packages_by_cause(store.totals),
        {cause: [by_record[record] for record in records] for cause, records in newest.items()},
        counts.by_result,
    )


def _read_rows(
    db: Database, store: ListingStore, environments: Sequence[Environment], *, by_downloads: bool
) -> list[MatrixRow]:
    # As many as the front page has room for; the last may be one too many.
    rows: list[MatrixRow] = []
    remaining_bytes = MATRIX_BUDGET
    for package, downloads in _in_order(store, by_downloads=by_downloads):
        verdicts = published.newest_release_verdicts(db, package)
        queued = queued_cells(db, [package]).get(package, {}).get(verdicts[0].release.version, ())
        rows.append(matrix_row(verdicts, environments, downloads=downloads, queued=queued))
        remaining_bytes -= rows[-1].estimated_bytes
        if remaining_bytes < 0:
            break
    return rows


def _in_order(store: ListingStore, *, by_downloads: bool) -> Iterator[tuple[str, int | None]]:
    if by_downloads:
        return ((entry.package, entry.downloads) for entry in store.most_downloaded(PACKAGES_LISTING))
    return ((package, None) for package in store.by_change())
