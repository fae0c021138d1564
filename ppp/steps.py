"""The steps of the flow, each a plain function that can be run again: what is done is not done twice."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.check import index as packages
from ppp.check import pool
from ppp.check.cell import Observation
from ppp.check.choose import newest_claiming
from ppp.context import Context, Node
from ppp.ledger import batches, queries
from ppp.ledger.statements import statement_files
from ppp.ledger.store import Queued
from ppp.mesh import statement
from ppp.model.errors import (
    FeedMalformedError,
    FeedTooLargeError,
    FeedUnreachableError,
    UnknownPackageError,
    UnknownVersionError,
)
from ppp.model.matrix import Environment, Matrix
from ppp.model.record import Network, Result
from ppp.model.release import Release, Wanted
from ppp.publish import build
from ppp.publish import files as publish_files
from ppp.watch import feeds, watchlist
from ppp.watch.queue import Plan, Source, plan
from ppp.workshop import Workshop

#: How often a cell that came to `ERROR` is tried before it is left to a person.
MAX_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a run's releases come from. What somebody named stands alone; else it is the feed and the watchlist."""

    named: tuple[Wanted, ...] = ()
    requirements: Path | None = None
    feed: bool = True
    watchlist: Path | None = None

    @property
    def are_named(self) -> bool:
        """Somebody named what it is about."""
        return bool(self.named or self.requirements)

    @property
    def reads_feed(self) -> bool:
        """The feed is read."""
        return self.feed and not self.are_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a run is asked to do: where, on what, with how many workers and minutes, and whether settled cells again."""

    matrix: Matrix
    environments: Sequence[Environment]
    sources: Sources
    jobs: int
    minutes: float | None = None
    again: bool = False


def resolve(context: Context, index: packages.Index, sources: Sources) -> list[tuple[Source, Wanted, Release]]:
    """Find the newest release of everything wanted, before anything is written.

    What somebody named must be there: raises `UnknownPackageError` or `UnknownVersionError`. An unknown entry of a
    watchlist is told and left out.
    """
    wanted = [(Source.NAMED, item) for item in sources.named]
    if sources.requirements:
        wanted += [(Source.REQUIREMENTS, item) for item in _listed(context, sources.requirements)]
    if not wanted and sources.watchlist:
        wanted += [(Source.WATCHLIST, item) for item in _listed(context, sources.watchlist)]
    resolved = []
    for source, item in wanted:
        try:
            resolved.append((source, item, packages.resolve(index, item)))
        except (UnknownPackageError, UnknownVersionError) as error:
            if source is not Source.WATCHLIST:
                raise
            context.reporter.warn(f"{sources.watchlist}: {error}")
    return resolved


def _listed(context: Context, path: Path) -> tuple[Wanted, ...]:
    read = watchlist.read(path)
    for note in read.notes:
        context.reporter.note(f"{path}: {note}")
    return read.wanted


def watch_feed(node: Node, order: Order) -> list[Plan]:
    """Queue what the release feed names; a feed that cannot be had is told in a line, and the run goes on."""
    try:
        return [read_feed(node, order)]
    except (FeedUnreachableError, FeedMalformedError, FeedTooLargeError) as error:
        node.context.reporter.warn(f"going on without the feed: {error}")
        return []


def read_feed(node: Node, order: Order) -> Plan:
    """Queue what the release feed names; raise what `feeds.fetch` raises, and then the ledger is as it was."""
    url = node.context.config.feed_url
    etag, last_modified = node.store.source(url)
    feed = feeds.fetch(
        url,
        getter=feeds.RequestsGetter(),
        user_agent=node.context.config.user_agent,
        etag=etag,
        last_modified=last_modified,
    )
    if isinstance(feed, feeds.NotModified):
        node.context.reporter.note("the feed holds nothing new")
        return Plan(cells=(), settled=(), skipped=())
    for line in feed.rejected:
        node.context.reporter.warn(f"left out of the feed: {line}")
    made = plan(
        feed.releases,
        order.environments,
        settled=queries.settled_cells(node.store.db, node.key.id),
        again=False,
        source=Source.FEED,
        sandboxed=False,
    )
    record_plan(node, made, Source.FEED)
    node.store.remember_source(
        url, etag=feed.etag, last_modified=feed.last_modified, releases=len(feed.releases), now=node.context.now
    )
    return made


def enqueue_wanted(
    node: Node, shop: Workshop | None, resolved: Iterable[tuple[Source, Wanted, Release]], order: Order
) -> list[Plan]:
    """Queue what was asked for: its newest release everywhere; where that claims no support, what pip would take.

    The second needs to know what the environments are: without a workshop it is left to the run that has one.
    """
    settled = queries.settled_cells(node.store.db, node.key.id)
    plans = []
    for source, wanted, release in resolved:
        targets = {release: list(order.environments)} | _fallbacks(shop, wanted, release)
        for target, where in targets.items():
            made = plan([target], where, settled=settled, again=order.again, source=source, sandboxed=False)
            record_plan(node, made, source)
            plans.append(made)
    return plans


def _fallbacks(shop: Workshop | None, wanted: Wanted, newest: Release) -> dict[Release, list[Environment]]:
    found: dict[Release, list[Environment]] = {}
    if shop is None:
        return found
    files = shop.index.files(newest.package)
    for prepared in shop.prepared.values():
        version = newest_claiming(newest.package, files, wanted.specifier, prepared)
        if version is not None and str(version) != newest.version:
            older = Release(package=newest.package, version=str(version))
            found.setdefault(older, []).append(prepared.environment)
    return found


def record_plan(node: Node, made: Plan, source: Source) -> None:
    """Queue a plan's cells, and keep what it refuses with the reason."""
    node.store.enqueue(made.cells, source=source, now=node.context.now)
    for skip in made.skipped:
        node.store.skip(skip.release, skip.environment, reason=skip.reason, now=node.context.now)
    for reason in dict.fromkeys(skip.reason for skip in made.skipped):
        count = len({skip.release for skip in made.skipped if skip.reason == reason})
        node.context.reporter.note(f"{count} releases skipped: {reason}")


def check_queue(node: Node, shop: Workshop, order: Order, *, only: frozenset[Release] | None) -> int:
    """Check what is queued for the environments that stand ready, until it is done, time is over or a stop is wished.

    `only` leaves the rest of the queue alone. Each record is in the ledger when its cell leaves the queue; an `ERROR`
    of ours is queued again. Gives how many cells came to a record.
    """
    asked = [
        queued
        for queued in node.store.queued(tuple(shop.prepared))
        if queued.attempts < MAX_ATTEMPTS and (only is None or queued.cell.release in only)
    ]
    queue = [queued for queued in asked if _may_run(queued, shop)]
    if strange := len(asked) - len(queue):
        node.context.reporter.note(
            f"{strange} cells of the open feed stay queued: what strangers uploaded runs only behind the gateway"
        )
    checkers = shop.checkers(node.key.id)
    deadline = None if order.minutes is None else time.monotonic() + order.minutes * 60
    records = 0

    def work(queued: Queued) -> Observation:
        return checkers[queued.cell.environment].check(queued.cell, shop.prepared[queued.cell.environment])

    def settle(queued: Queued, observation: Observation) -> None:
        nonlocal records
        retry = queued if observation.record.result is Result.ERROR else None
        node.store.add_record(observation.record, observation.log, retry=retry)
        records += 1
        node.context.reporter.checked(observation.record)

    node.context.reporter.begin(len(queue))
    try:
        pool.drain(
            queue,
            work,
            jobs=order.jobs,
            settle=settle,
            enough=lambda: deadline is not None and time.monotonic() > deadline,
            stop=node.context.stop,
            close=shop.close,
        )
    finally:
        node.context.reporter.end()
    return records


def _may_run(queued: Queued, shop: Workshop) -> bool:
    return queued.source != Source.FEED or shop.prepared[queued.cell.environment].network is Network.GATEWAY


def seal(node: Node) -> tuple[str, ...]:
    """Put this node's records that no batch holds yet into signed batches; give their ids."""
    return batches.seal(node.store, node=node.key.id, sign=node.key.sign)


def publish(node: Node) -> Path:
    """Build the public folder from the ledger, then say in a signed statement what it holds; give the front page."""
    out = node.context.config.public
    published = build.build(node.store.db, out, base_url=node.context.config.base_url)
    statement.issue(
        node.store,
        node.key,
        current_sha256=published.current_sha256,
        files_sha256=published.files_sha256,
        root=published.root,
        records=published.records,
        images=queries.image_digests(node.store.db, node.key.id),
        pip_version=queries.newest_pip(node.store.db, node.key.id) or "",
        now=node.context.now,
    )
    publish_files.put_beside(out, statement_files(node.store.db))
    node.context.reporter.note(f"published {len(published.written)} files, {len(published.unchanged)} unchanged")
    return out / "index.html"
