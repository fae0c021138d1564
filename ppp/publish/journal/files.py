"""The files of the journal: one for each day, their index, the feed of the newest releases, and the pages of days.

A program that follows them needs no access to the index: `journal/index.json` says which days changed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ppp.ledger.published_journal import JournalNotice, JournalRelease, total_coverage
from ppp.model.canonical import Json, sha256_hex
from ppp.model.release_files import files_until
from ppp.publish import text
from ppp.publish.api.coverage import counts_json, coverage_file, gap_json, interval_json
from ppp.publish.api.encoding import EncodedJson, compact_json, document_bytes
from ppp.publish.feeds.atom import atom
from ppp.publish.feeds.entries import SITE_NAME, FeedDocument, FeedEntry, urn
from ppp.publish.folder import FileEntry
from ppp.publish.journal.content import JournalContent, JournalDay, day_path
from ppp.publish.packages.pages import ALL_PAGES, PackagePages
from ppp.publish.site.coverage import coverage_page
from ppp.publish.site.deferred import Content
from ppp.publish.site.standins import Standins, find_standins
from ppp.publish.site.templates import render

DAY_SCHEMA: Final = "ppp-journal-day-1"
INDEX_SCHEMA: Final = "ppp-journal-1"
INDEX: Final = "journal/index.json"
FEED: Final = "journal/feed.atom"
#: Bytes of HTML for the releases and the notices of a page, so that it stays under 50 kB however long the names are.
RELEASES_BUDGET: Final = 24_000
NOTICES_BUDGET: Final = 6_000
DAYS_BUDGET: Final = 12_000
#: The newest intervals of a day that its page lists.
SHOWN_INTERVALS: Final = 20


def journal_files(
    journal: JournalContent, base_url: str, as_of: int | None, pages: PackagePages = ALL_PAGES
) -> Iterator[tuple[str, Content]]:
    """Yield the files of each day that changed, then those of the whole journal, and `/coverage/`."""
    files = dict(journal.files)
    for day in journal.changed:
        content = document_bytes(day_document(day))
        path = day_path(day.coverage.day)
        files[day.coverage.day] = FileEntry(path, len(content), sha256_hex(content))
        yield path, content
        yield _day_page(day, pages)
    for name in journal.removed:
        yield day_path(name), None
        yield _page_path(name), None
    yield INDEX, document_bytes(_index_document(journal, files))
    yield FEED, atom(journal_feed(journal.newest, pages), path=FEED, base_url=base_url)
    yield _journal_page(journal, pages)
    yield coverage_file(journal.days, journal.adapters, journal.intervals, journal.gaps)
    yield coverage_page(journal.days, journal.adapters, journal.intervals, journal.gaps, as_of=as_of)


def journal_page_paths(journal: JournalContent) -> Iterable[str]:
    """Yield the paths of the pages, for the sitemap."""
    yield from ("journal/index.html", "coverage/index.html")
    yield from (_page_path(day.day) for day in journal.days)


def day_document(day: JournalDay) -> dict[str, Json]:
    """Return the document of a day, as `journal-day.schema.json` describes it."""
    # One line for each release, so that a later version of the file differs in few lines.
    releases = ",\n".join(compact_json(_release_json(release)) for release in day.releases)
    return {
        "schema": DAY_SCHEMA,
        "day": day.coverage.day,
        "counts": counts_json(day.coverage),
        "releases": EncodedJson(f"[\n{releases}\n]" if releases else "[]"),
        "events": [_notice_json(notice) for notice in day.notices],
        "intervals": [interval_json(interval) for interval in day.intervals],
        "gaps": [gap_json(gap) for gap in day.gaps],
    }


def _release_json(release: JournalRelease) -> dict[str, Json]:
    document: dict[str, Json] = {
        "package": release.package,
        "version": release.version,
        "serial": release.serial,
        "announced_at": release.announced_at,
        "files": release.files,
        "state": release.state,
    }
    if release.skip_reason is not None:
        document["reason"] = release.skip_reason
    if release.results:
        document["results"] = {environment: str(result) for environment, result in release.results.items()}
    return document


def _notice_json(notice: JournalNotice) -> Json:
    return {**notice._asdict(), "version": notice.version or None}


def _index_document(journal: JournalContent, files: dict[str, FileEntry]) -> dict[str, Json]:
    days = ",\n".join(
        compact_json(
            {
                "day": day.day,
                "file": f"{day.day}.json",
                "bytes": files[day.day].size,
                "sha256": files[day.day].sha256,
                **counts_json(day),
                "events": day.events,
            }
        )
        for day in journal.days
    )
    return {
        "schema": INDEX_SCHEMA,
        "total": counts_json(total_coverage(journal.days)),
        "days": EncodedJson(f"[\n{days}\n]" if days else "[]"),
    }


def journal_feed(newest: Sequence[JournalRelease], pages: PackagePages = ALL_PAGES) -> FeedDocument:
    """Return the feed of the newest releases; an entry changes when its release gets a result."""
    return FeedDocument(
        title=f"{SITE_NAME}: new releases",
        description="Every release as the index announced it, with what became of it here.",
        home_path="journal/index.html",
        entries=[_feed_entry(release, pages) for release in newest],
    )


def _feed_entry(release: JournalRelease, pages: PackagePages) -> FeedEntry:
    name = f"{release.package}=={release.version}"
    lines = [f"announced {text.moment(release.announced_at)}"]
    if release.serial is not None:
        lines.append(f"serial {release.serial}")
    lines.append(f"{release.state}{f': {release.skip_reason}' if release.skip_reason else ''}")
    lines += [f"{environment}: {result}" for environment, result in release.results.items()]
    return FeedEntry(
        id=urn(f"journal:{name}"),
        title=f"{release.package} {release.version}: {release.state}",
        path=release_page(release, pages),
        published=release.announced_at,
        updated=max(release.announced_at, release.observed_at or 0),
        lines=tuple(lines),
    )


def release_page(release: JournalRelease, pages: PackagePages = ALL_PAGES) -> str:
    """Return the page that shows a release: its package's, or that of its day while it has no result."""
    return pages.path(release.package) if release.results else _page_path(text.day(release.announced_at))


def _page_path(day: str) -> str:
    return f"journal/{day}/index.html"


def _day_page(day: JournalDay, pages: PackagePages) -> tuple[str, bytes]:
    path = _page_path(day.coverage.day)
    newest_first = [*reversed(day.releases)]
    releases = text.fit_budget(newest_first, RELEASES_BUDGET, _release_bytes)
    return path, render(
        "journal-day.html",
        path=path,
        day=day.coverage,
        pages=pages,
        releases=releases,
        standins=_standins(releases),
        notices=text.fit_budget(day.notices, NOTICES_BUDGET, _notice_bytes),
        all_notices=len(day.notices),
        intervals=day.intervals[-SHOWN_INTERVALS:],
        all_intervals=len(day.intervals),
        gaps=day.gaps[-SHOWN_INTERVALS:],
        files_until=files_until(newest_first[0].announced_at) if newest_first else None,
    )


def _journal_page(journal: JournalContent, pages: PackagePages) -> tuple[str, bytes]:
    path = "journal/index.html"
    newest_days = [*reversed(journal.days)]
    days = text.fit_budget(newest_days, DAYS_BUDGET, lambda day: 320 + 4 * len(str(day.named)))
    releases = text.fit_budget(journal.newest, RELEASES_BUDGET, _release_bytes)
    return path, render(
        "journal.html",
        path=path,
        days=days,
        pages=pages,
        older=len(journal.days) - len(days),
        total=total_coverage(journal.days),
        releases=releases,
        standins=_standins(releases),
    )


def _standins(releases: Iterable[JournalRelease]) -> Standins | None:
    return find_standins((place, place in release.standins) for release in releases for place in release.results)


def _release_bytes(release: JournalRelease) -> int:
    cells = sum(50 + len(environment) for environment in release.results)
    return 310 + 2 * len(release.package) + len(release.version) + cells


def _notice_bytes(notice: JournalNotice) -> int:
    return 160 + len(notice.package) + len(notice.version) + len(notice.action)
