"""Find the releases that a run is about, and queue their cells."""

from collections.abc import Iterable
from pathlib import Path

from ppp.check.index import client as packages
from ppp.check.index.choose import newest_installable
from ppp.ledger import queries
from ppp.model.errors import (
    FeedMalformedError,
    FeedTooLargeError,
    FeedUnreachableError,
    UnknownPackageError,
    UnknownVersionError,
)
from ppp.model.matrix import Environment
from ppp.model.record import Network
from ppp.model.release import Release, RequestedPackage
from ppp.runner.context import Context, LocalNode
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.request import RunRequest, Sources
from ppp.watch import feeds, watchlist
from ppp.watch.queue import QueuePlan, ReleaseSource, plan_cells


def resolve_sources(
    context: Context, index: packages.Index, sources: Sources
) -> list[tuple[ReleaseSource, RequestedPackage, Release]]:
    """Find the newest release of everything wanted, before anything is written.

    What somebody named must be there: raises `UnknownPackageError` or `UnknownVersionError`. An unknown entry of a
    watchlist is told and left out.
    """
    wanted = [(ReleaseSource.NAMED, item) for item in sources.named]
    if sources.requirements:
        wanted += [(ReleaseSource.REQUIREMENTS, item) for item in _read_requirements(context, sources.requirements)]
    if not wanted and sources.watchlist:
        wanted += [(ReleaseSource.WATCHLIST, item) for item in _read_requirements(context, sources.watchlist)]
    resolved = []
    for source, item in wanted:
        try:
            resolved.append((source, item, packages.resolve(index, item)))
        except (UnknownPackageError, UnknownVersionError) as error:
            if source is not ReleaseSource.WATCHLIST:
                raise
            context.reporter.warn(f"{sources.watchlist}: {error}")
    return resolved


def _read_requirements(context: Context, path: Path) -> tuple[RequestedPackage, ...]:
    read = watchlist.read(path)
    for note in read.notes:
        context.reporter.note(f"{path}: {note}")
    return read.wanted


def try_enqueue_feed(node: LocalNode, order: RunRequest) -> list[QueuePlan]:
    """Queue what the release feed names; a feed that cannot be had is told in a line, and the run goes on."""
    try:
        return [enqueue_feed(node, order)]
    except (FeedUnreachableError, FeedMalformedError, FeedTooLargeError) as error:
        node.context.reporter.warn(f"going on without the feed: {error}")
        return []


def enqueue_feed(node: LocalNode, order: RunRequest) -> QueuePlan:
    """Queue what the release feed names; raise what `feeds.fetch` raises, and then the ledger is as it was."""
    url = node.context.config.feed_url
    etag, last_modified = node.store.source_validators(url)
    feed = feeds.fetch(
        url,
        getter=feeds.RequestsGetter(),
        user_agent=node.context.config.user_agent,
        etag=etag,
        last_modified=last_modified,
    )
    if isinstance(feed, feeds.NotModified):
        node.context.reporter.note("the feed holds nothing new")
        return QueuePlan(cells=(), settled=(), skipped=())
    for line in feed.rejected:
        node.context.reporter.warn(f"left out of the feed: {line}")
    made = plan_cells(
        feed.releases,
        order.environments,
        settled=queries.cells_with_verdict(node.store.db, node.key.id),
        recheck=False,
        source=ReleaseSource.FEED,
        sandboxed=node.context.config.network is Network.GATEWAY,
    )
    apply_plan(node, made, ReleaseSource.FEED)
    node.store.save_source(
        url, etag=feed.etag, last_modified=feed.last_modified, releases=len(feed.releases), now=node.context.now
    )
    return made


def enqueue_wanted(
    node: LocalNode,
    ready: ReadyEnvironments | None,
    resolved: Iterable[tuple[ReleaseSource, RequestedPackage, Release]],
    request: RunRequest,
) -> list[QueuePlan]:
    """Queue what was asked for: its newest release everywhere; where that claims no support, what pip would take.

    The second needs to know what the environments are: without a workshop it is left to the run that has one.
    """
    settled = queries.cells_with_verdict(node.store.db, node.key.id)
    plans = []
    for source, wanted, release in resolved:
        targets = {release: list(request.environments)} | _fallbacks(ready, wanted, release)
        for target, where in targets.items():
            made = plan_cells([target], where, settled=settled, recheck=request.recheck, source=source, sandboxed=False)
            apply_plan(node, made, source)
            plans.append(made)
    return plans


def _fallbacks(
    shop: ReadyEnvironments | None, wanted: RequestedPackage, newest: Release
) -> dict[Release, list[Environment]]:
    found: dict[Release, list[Environment]] = {}
    if shop is None:
        return found
    files = shop.index.files(newest.package)
    for prepared in shop.prepared.values():
        version = newest_installable(newest.package, files, wanted.specifier, prepared)
        if version is not None and str(version) != newest.version:
            older = Release(package=newest.package, version=str(version))
            found.setdefault(older, []).append(prepared.environment)
    return found


def apply_plan(node: LocalNode, made: QueuePlan, source: ReleaseSource) -> None:
    """Queue a plan's cells, and keep what it refuses with the reason."""
    node.store.enqueue(made.cells, source=source, now=node.context.now)
    for skip in made.skipped:
        node.store.skip(skip.release, skip.environment, reason=skip.reason, now=node.context.now)
    for reason in dict.fromkeys(skip.reason for skip in made.skipped):
        count = len({skip.release for skip in made.skipped if skip.reason == reason})
        node.context.reporter.note(f"{count} releases skipped: {reason}")
