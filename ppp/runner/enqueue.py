"""Find the releases that a run is about, and queue their cells."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ppp.check.index import client as packages
from ppp.check.index.choose import newest_installable, other_files, release_files
from ppp.check.index.page import Status
from ppp.ledger import queries
from ppp.model.errors import (
    FeedMalformedError,
    FeedTooLargeError,
    FeedUnreachableError,
    IndexUnreachableError,
    UnknownPackageError,
    UnknownVersionError,
)
from ppp.model.matrix import Cell, Environment
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
    """Return the newest release of each requested package, with the source that named it; write nothing.

    Raises `UnknownPackageError` or `UnknownVersionError` for what was named on the command line or in a requirements
    file. An unknown entry of the watchlist is left out with a warning.
    """
    wanted = [(ReleaseSource.NAMED, item) for item in sources.named]
    if sources.requirements:
        wanted += [(ReleaseSource.REQUIREMENTS, item) for item in _read_requirements(context, sources.requirements)]
    # The watchlist is only the default: who names packages wants these and nothing else.
    if not wanted and sources.watchlist:
        wanted += [(ReleaseSource.WATCHLIST, item) for item in _read_requirements(context, sources.watchlist)]
    resolved = []
    for source, item in wanted:
        try:
            resolved.append((source, item, packages.resolve(index, item)))
        except (UnknownPackageError, UnknownVersionError) as error:
            # A person can fix a mistyped name; that a project of the watchlist was deleted must not stop a run.
            if source is not ReleaseSource.WATCHLIST:
                raise
            context.reporter.warn(f"{sources.watchlist}: {error}")
    return resolved


def _read_requirements(context: Context, path: Path) -> tuple[RequestedPackage, ...]:
    read = watchlist.read(path)
    for note in read.notes:
        context.reporter.note(f"{path}: {note}")
    return read.wanted


def try_enqueue_feed(node: LocalNode, request: RunRequest) -> list[QueuePlan]:
    """Queue the releases of the feed; if it cannot be read, warn and return no plan."""
    try:
        return [enqueue_feed(node, request)]
    except (FeedUnreachableError, FeedMalformedError, FeedTooLargeError) as error:
        node.context.reporter.warn(f"continuing without the feed: {error}")
        return []


def enqueue_feed(node: LocalNode, request: RunRequest) -> QueuePlan:
    """Queue the releases of the feed; raise what `feeds.fetch` raises, and then the ledger is unchanged."""
    url = node.context.config.feed_url
    # A conditional request: an unchanged feed costs the index one line.
    etag, last_modified = node.store.source_validators(url)
    feed = feeds.fetch(
        url,
        getter=feeds.HttpGetter(credentials=node.context.config.feed_credentials),
        user_agent=node.context.config.user_agent,
        etag=etag,
        last_modified=last_modified,
    )
    if isinstance(feed, feeds.NotModified):
        node.context.reporter.note("the feed has nothing new")
        return QueuePlan(cells=(), settled=(), skipped=())
    for line in feed.rejected:
        node.context.reporter.warn(f"left out of the feed: {line}")
    queue_plan = plan_cells(
        feed.releases,
        request.environments,
        settled=queries.cells_with_verdict(node.store.db, node.key.id),
        recheck=False,
        source=ReleaseSource.FEED,
        sandboxed=node.context.config.network is Network.GATEWAY,
    )
    # Queued before the validators are saved: after a kill in between, the feed is read again and nothing is lost.
    apply_plan(node, queue_plan, ReleaseSource.FEED)
    node.store.save_source(
        url, etag=feed.etag, last_modified=feed.last_modified, releases=len(feed.releases), now=node.context.now
    )
    return queue_plan


def enqueue_wanted(
    node: LocalNode,
    ready: ReadyEnvironments | None,
    resolved: Iterable[tuple[ReleaseSource, RequestedPackage, Release]],
    request: RunRequest,
) -> list[QueuePlan]:
    """Queue the newest release of each requested package in all environments.

    Where that release does not claim an environment, queue also the older one that pip would install there. To know
    that takes environments that are ready: without them, this is left to the run that has them.
    """
    settled = queries.cells_with_verdict(node.store.db, node.key.id)
    plans = []
    for source, wanted, release in resolved:
        # Where the newest release does not claim an environment, pip installs an older one: that is what users get.
        targets = {release: list(request.environments)} | _fallbacks(ready, wanted, release)
        for target, where in targets.items():
            queue_plan = plan_cells(
                [target], where, settled=settled, recheck=request.recheck, source=source, sandboxed=False
            )
            apply_plan(node, queue_plan, source)
            plans.append(queue_plan)
    return plans


def enqueue_changed_offers(
    node: LocalNode, index: packages.Index, requested: Iterable[str], request: RunRequest
) -> QueuePlan:
    """Queue the cells of requested packages whose release the index has withdrawn since their verdict, or offers again.

    What was found then was right, but whoever reads it wants to know whether the release can be had. A package whose
    page cannot be read is left as it is.
    """
    withdrawn = queries.withdrawn_cells(node.store.db, node.key.id)
    environments = {environment.id for environment in request.environments}
    verdicts: dict[str, list[Cell]] = {}
    for cell in queries.cells_with_verdict(node.store.db, node.key.id):
        if cell.environment in environments:
            verdicts.setdefault(cell.release.package, []).append(cell)
    changed: list[Cell] = []
    for package in sorted({*requested} & verdicts.keys()):
        is_offered = offered_releases(index, package)
        if is_offered is not None:
            changed += (cell for cell in verdicts[package] if is_offered(cell.release) is (cell in withdrawn))
    changed.sort(key=lambda cell: (cell.release, cell.environment))
    queue_plan = QueuePlan(cells=tuple(changed), settled=(), skipped=())
    apply_plan(node, queue_plan, ReleaseSource.WATCHLIST)
    if gone := {cell.release for cell in changed if cell not in withdrawn}:
        node.context.reporter.note(f"{len(gone)} releases with a result are withdrawn by now, such as {min(gone)}")
    return queue_plan


def offered_releases(index: packages.Index, package: str) -> Callable[[Release], bool] | None:
    """Return a function that says whether an index offers a release of a package; None if the page cannot be read."""
    try:
        files, status = index.files(package), index.status(package)
    except UnknownPackageError:
        return lambda _: False
    except IndexUnreachableError:
        return None
    if status is not None and status.status is Status.QUARANTINED:
        return lambda _: False
    return lambda release: bool(release_files(release, files) or other_files(release, files))


def _fallbacks(
    ready: ReadyEnvironments | None, wanted: RequestedPackage, newest: Release
) -> dict[Release, list[Environment]]:
    found: dict[Release, list[Environment]] = {}
    if ready is None:
        return found
    files = ready.index.files(newest.package)
    for prepared in ready.prepared.values():
        version = newest_installable(newest.package, files, wanted.specifier, prepared)
        if version is not None and str(version) != newest.version:
            older = Release(package=newest.package, version=str(version))
            found.setdefault(older, []).append(prepared.environment)
    return found


def apply_plan(node: LocalNode, queue_plan: QueuePlan, source: ReleaseSource) -> None:
    """Queue a plan's cells, and record what it skips with the reason."""
    node.store.enqueue(queue_plan.cells, source=source, now=node.context.now)
    for skip in queue_plan.skipped:
        node.store.skip(skip.release, skip.environment, reason=skip.reason, now=node.context.now)
    # One line a reason: a feed may skip dozens of releases for the same one.
    for reason in dict.fromkeys(skip.reason for skip in queue_plan.skipped):
        count = len({skip.release for skip in queue_plan.skipped if skip.reason == reason})
        node.context.reporter.note(f"{count} releases skipped: {reason}")
