"""The render phase of a build: functions of what was read to paths with their bytes; nothing here reads or writes.

A package's files and its contribution depend on its own records and downloads alone. Pages of which there may be
thousands are deferred: worker processes render them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ppp.ledger.digests import root_digest
from ppp.model.matrix import Environment
from ppp.model.site_address import SiteAddresses
from ppp.publish.api.badges import badge_files, package_badge
from ppp.publish.api.package import api_index, package_file
from ppp.publish.builder.contribution import contribution_of
from ppp.publish.builder.site_data import SiteData
from ppp.publish.feeds.atom import atom
from ppp.publish.feeds.entries import SITE_NAME, group_changes, overall_feed, package_feed
from ppp.publish.feeds.episodes import EPISODES_ATOM
from ppp.publish.feeds.jsonfeed import feed_files
from ppp.publish.feeds.opml import OPML_NAME, FeedGroup, ListedFeed, opml, package_group
from ppp.publish.journal.files import FEED as JOURNAL_FEED
from ppp.publish.journal.files import journal_files, journal_page_paths
from ppp.publish.listings.entries import Contribution
from ppp.publish.packages.breaks import flips_by_release
from ppp.publish.packages.finding_kinds import FINDING_TEXTS
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.locks import lock_files
from ppp.publish.packages.pages import ALL_PAGES, LOOKUP_ALL, LOOKUP_PAGE, PackagePages
from ppp.publish.packages.summary import PackageSummary, summarize
from ppp.publish.site.addresses import complete, complete_content
from ppp.publish.site.ask import ASK_PAGE, COMPARE_PAGE, ask_page, compare_files
from ppp.publish.site.breaks import breaks_pages
from ppp.publish.site.causes import cause_pages
from ppp.publish.site.changed import CHANGED_PAGE, ChangedWeek, changed_page, changed_week
from ppp.publish.site.deferred import Content
from ppp.publish.site.directory import directory_pages, search_files
from ppp.publish.site.documentation import documentation_pages, documentation_paths
from ppp.publish.site.environments import environment_pages
from ppp.publish.site.episodes import EPISODES_PAGE, episode_page_paths
from ppp.publish.site.findings import finding_listings, finding_pages
from ppp.publish.site.front import STRIP_RESULTS, FrontPage, about_page, front_page
from ppp.publish.site.logs import log_files
from ppp.publish.site.lookup import lookup_files
from ppp.publish.site.missing import missing_page
from ppp.publish.site.package import PageLinks, package_page
from ppp.publish.site.preview import SITE_PREVIEW, package_preview, package_preview_file, site_preview_file
from ppp.publish.site.simple_indexes import SIMPLE_PAGE, simple_indexes_page
from ppp.publish.site.sitemap import crawler_files, sitemap_files
from ppp.publish.site.snapshots import data_files
from ppp.publish.site.sql import sql_files
from ppp.publish.site.trends import trends_file
from ppp.resources import resource


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPackage:
    """A package's files, and what it contributes to the pages of many packages."""

    files: Sequence[tuple[str, bytes]]
    contribution: Contribution


def render_package(
    history: PackageHistory, environments: Sequence[Environment], addresses: SiteAddresses
) -> RenderedPackage:
    """Render a package's files, and what it contributes."""
    summary = summarize(history)
    files = package_files(history, summary, environments, addresses)
    return RenderedPackage(files=files, contribution=contribution_of(history, summary))


def package_files(
    history: PackageHistory,
    summary: PackageSummary,
    environments: Sequence[Environment],
    addresses: SiteAddresses,
    *,
    partial_site: bool = False,
) -> list[tuple[str, bytes]]:
    """Render a package's page, data, badges and feed; where the site is partial, links to others lead to the lookup."""
    feed_path = f"p/{history.package}/atom.xml"
    releases = flips_by_release(history.flips)
    pages = PackagePages(frozenset({history.package})) if partial_site else ALL_PAGES
    base_url = addresses.base_url
    # Where not every package has a page, there is no room for whole logs either.
    logs = {} if partial_site else log_files(history.logs)
    links = PageLinks(badge=package_badge(summary, base_url), addresses=addresses, logs=logs, pages=pages)
    folder = f"p/{history.package}"
    # Nor for previews.
    preview = SITE_PREVIEW if partial_site else package_preview(history.package)
    return [
        complete(package_page(history, summary, environments, releases, links), addresses, preview),
        *([] if partial_site else [package_preview_file(history, summary)]),
        package_file(history, summary, releases, {digest: f"{folder}/{log.name}" for digest, log in logs.items()}),
        *{f"{folder}/{log.name}": log.content for log in logs.values()}.items(),
        *(complete(file, addresses) for file in breaks_pages(history.package, releases, pages)),
        *badge_files(summary),
        *lock_files(history.package, history.version, history.locks),
        (feed_path, atom(package_feed(history.package, history.changes), path=feed_path, base_url=base_url)),
    ]


def render_site(data: SiteData) -> Iterator[tuple[str, Content]]:
    """Render the files that show many packages, those that may have changed."""
    return ((path, complete_content(path, content, data.addresses)) for path, content in _site_contents(data))


def _site_contents(data: SiteData) -> Iterator[tuple[str, Content]]:
    # Each function says which paths it renders; pages without `as_of` change only with what they show.
    counts, base_url, as_of, pages = data.counts, data.addresses.base_url, data.counts.as_of, data.pages
    week = changed_week(finding_listings(data.findings), data.week_changes, as_of)
    yield _front_page(data, week)
    yield changed_page(week, pages)
    yield site_preview_file(counts)
    yield trends_file(data.days, as_of)
    yield ask_page(data.environments, base_url)
    yield from directory_pages(data.directory, as_of, data.lookup)
    yield from search_files(data.search_prefixes, data.search, lookup=data.lookup is not None)
    findings = finding_listings(data.findings)
    yield from finding_pages(findings, data.chains, pages, as_of=as_of, addresses=data.addresses)
    yield from environment_pages(data.failing, data.environments, counts, data.causes, data.images, pages=pages)
    yield from cause_pages(data.causes, data.environments, as_of, pages)
    yield api_index(
        counts,
        data.environments,
        journal=data.journal is not None,
        lookup=data.lookup is not None,
        older_batches=data.older_batches,
        locks=data.locks,
        simple=any(index.listed.projects for index in data.indexes),
    )
    yield from sitemap_files(data.sitemap_shards, data.sitemap, _page_paths(data), base_url)
    yield from feed_files(overall_feed(group_changes(data.changes), pages), "", base_url)
    if base_url:
        yield opml_file(data)
    yield simple_indexes_page(data.indexes, data.addresses.base_url)
    yield from data_files(data.snapshots, as_of, data.downloads)
    if data.lookup:
        yield from lookup_files(data.lookup)
    if data.journal:
        # A day's page is not written again when a package gets or loses its page.
        yield from journal_files(data.journal, base_url, as_of, LOOKUP_ALL if data.lookup else ALL_PAGES)


def render_static(addresses: SiteAddresses) -> Iterator[tuple[str, bytes]]:
    """Render the files that no record changes: our prose, the SQL page, and what pages and crawlers load."""
    return (complete(file, addresses) for file in _static_files(addresses))


def _static_files(addresses: SiteAddresses) -> Iterator[tuple[str, bytes]]:
    base_url = addresses.base_url
    yield about_page(addresses.repository_url)
    yield missing_page(base_url)
    yield from documentation_pages()
    yield from sql_files(addresses.datasette_url)
    yield from compare_files(base_url)
    yield from crawler_files(addresses)
    for folder, target in (("site/style", ""), ("site/script", ""), ("site/schemas", "schemas/")):
        for source in sorted(resource(folder).iterdir()):
            yield f"{target}{source.name}", source.read_bytes()


def _front_page(data: SiteData, week: ChangedWeek) -> tuple[str, bytes]:
    listings = finding_listings(data.findings)
    return front_page(
        FrontPage(
            counts=data.counts,
            root=root_digest(data.days),
            days=data.days,
            environments=data.environments,
            queued=data.queued,
            week=week,
            rows=data.rows,
            newest_results=data.newest[:STRIP_RESULTS],
            causes=data.top_causes,
            unclassified=data.causes.unclassified,
            findings={kind: listing.packages for kind, listing in listings.items()},
            episode=data.episode,
            coverage=data.journal.days if data.journal else None,
            downloads=data.downloads,
            pages=data.pages,
            opml=OPML_NAME if data.addresses.base_url else None,
        )
    )


def opml_file(data: SiteData) -> tuple[str, bytes]:
    """Return the list of the site's feeds that are followed most: of everything, of findings, of some packages."""
    whole = [ListedFeed(title="changed results", path="atom.xml", home_path="index.html")]
    whole.append(ListedFeed(title="episodes", path=EPISODES_ATOM, home_path=EPISODES_PAGE))
    if data.journal:
        whole.append(ListedFeed(title="new releases", path=JOURNAL_FEED, home_path="journal/index.html"))
    for kind in data.findings:
        folder = f"findings/{kind}"
        title = FINDING_TEXTS[kind][0].lower()
        whole.append(ListedFeed(title=title, path=f"{folder}/atom.xml", home_path=f"{folder}/index.html"))
    groups = [
        FeedGroup(title="All packages", feeds=whole),
        package_group("Packages that fail most", data.failing_packages),
        package_group("Packages that are downloaded most", data.downloaded_packages),
    ]
    return OPML_NAME, opml(SITE_NAME, groups, data.addresses.base_url)


def _page_paths(data: SiteData) -> Iterable[str]:
    yield from ("index.html", "about/index.html", "packages/index.html", "causes/index.html", "sql/index.html")
    yield from ("data/index.html", "findings/index.html", "env/index.html", ASK_PAGE, COMPARE_PAGE, CHANGED_PAGE)
    yield SIMPLE_PAGE
    yield from documentation_paths()
    yield from episode_page_paths(data.episodes)
    yield from (f"findings/{kind}/index.html" for kind in data.findings)
    yield from (f"env/{environment.id}/index.html" for environment in data.environments)
    yield from (f"causes/{cause}/index.html" for cause in sorted(each.cause for each in data.causes.causes))
    if data.journal:
        yield from journal_page_paths(data.journal)
    if data.lookup:
        yield LOOKUP_PAGE
