"""The steps of the flow, each a plain function that can be run again: what is done is not done twice."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ppp.check import index as packages
from ppp.check.cell import Observation
from ppp.check.choose import newest_claiming
from ppp.context import Context, Node
from ppp.ledger import batches, queries, staging
from ppp.ledger.noise import Noise, sample, tally
from ppp.ledger.regressions import known_of
from ppp.ledger.schema import LEDGER_NAME, MAX_ATTEMPTS
from ppp.ledger.staging import Look
from ppp.ledger.statements import statement_files
from ppp.ledger.store import Reach
from ppp.mesh import statement
from ppp.model.errors import (
    FeedMalformedError,
    FeedTooLargeError,
    FeedUnreachableError,
    UnknownPackageError,
    UnknownVersionError,
)
from ppp.model.matrix import Cell, Environment, Matrix
from ppp.model.record import Network, Result
from ppp.model.release import Release, Wanted
from ppp.publish import build
from ppp.publish import files as publish_files
from ppp.publish.snapshots import Policy, Taken, take
from ppp.rounds import FromList, FromQueue, Hands, Pace, Rounds, Task
from ppp.watch import feeds, watchlist
from ppp.watch.queue import Plan, Source, plan
from ppp.workshop import Workshop

#: What a lease lasts longer than any cell can take.
LEASE_SLACK_S: Final = 600
#: Among how many of the newest verdicts second looks are chosen where a run settled nothing itself.
AA_AMONG: Final = 200
#: Results for which something was run.
RAN: Final = frozenset({Result.PASS, Result.FAIL, Result.TIMEOUT})


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
    """What a run is asked to do: where, on what, with how many workers and minutes, and whether settled cells again.

    `aa` cells are looked at twice to know our own noise; the same `seed` chooses the same among the same.
    """

    matrix: Matrix
    environments: Sequence[Environment]
    sources: Sources
    jobs: int
    minutes: float | None = None
    again: bool = False
    aa: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What working through the queue came to: cells checked, environments that proved unhealthy and why, our noise."""

    checked: int
    unhealthy: Mapping[str, str]
    noise: Noise | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was recorded of cells that were checked at once, and which environments proved unhealthy and why."""

    observations: tuple[Observation, ...]
    unhealthy: Mapping[str, str]


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
        sandboxed=node.context.config.network is Network.GATEWAY,
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


def check_queue(node: Node, shop: Workshop, order: Order, *, only: frozenset[Release] | None) -> Worked:
    """Check what is queued for the environments that stand ready, until it is done, time is over or a stop is wished.

    `only` leaves the rest of the queue alone. What an environment's canary does not stand behind is an `ERROR` of ours,
    or waits for the next run's; an `ERROR` is queued again, for later. `order.aa` cells are looked at once more.
    """
    now, reporter = node.context.now, node.context.reporter
    reach = Reach(environments=tuple(shop.prepared), strangers_in=_gated(shop), only=only)
    # The data folder's lock is ours: whatever another run had in hand, it is over.
    node.store.end_leases()
    due = node.store.due(reach, now=now)
    _tell_strangers(node, reach, due)
    rounds = Rounds(node, _hands(node, shop), shop.prepared, Pace(jobs=order.jobs), told=reporter.checked)
    deadline = None if order.minutes is None else time.monotonic() + order.minutes * 60
    reporter.begin(sum(due.values()) + order.aa)
    try:
        rounds.work(
            FromQueue(node=node, reach=reach, run=f"{now}-{os.getpid()}", lease_s=_lease_s(order.matrix)),
            expected={*due, *staging.waiting(node.store.db)},
            enough=lambda: deadline is not None and time.monotonic() > deadline,
        )
        checked = rounds.settled
        noise = _look_again(node, rounds, order)
    finally:
        reporter.end()
    node.store.end_leases()
    _tell_left(node, noise)
    return Worked(checked=checked, unhealthy=rounds.unhealthy, noise=noise)


def check_now(node: Node, shop: Workshop, cells: Sequence[Cell]) -> Checked:
    """Check some cells at once, queued or not; what was recorded of each stands in their order."""
    environments = {cell.environment for cell in cells}
    tasks = [Task(cell=cell, known=known_of(node.store.db, cell)) for cell in dict.fromkeys(cells)]
    rounds = Rounds(node, _hands(node, shop), environments, Pace(jobs=1), told=lambda _: None)
    rounds.work(FromList(tasks), expected=environments, enough=lambda: False)
    # Of a cell that was looked at twice, what the second look came to.
    kept = {staged.cell: Observation(record=staged.record, log=staged.log) for staged in rounds.kept}
    return Checked(observations=tuple(kept[cell] for cell in cells if cell in kept), unhealthy=rounds.unhealthy)


def _hands(node: Node, shop: Workshop) -> Hands:
    checkers = shop.checkers(node.key.id)
    return Hands(
        check=lambda cell: checkers[cell.environment].check(cell, shop.prepared[cell.environment]),
        canary=lambda environment: shop.canary(shop.prepared[environment]),
        close=shop.close,
    )


def _gated(shop: Workshop) -> tuple[str, ...]:
    return tuple(id_ for id_, prepared in shop.prepared.items() if prepared.network is Network.GATEWAY)


def _lease_s(matrix: Matrix) -> int:
    """Give how long a cell can be in hand at most: each phase to its timeout, and all of them twice."""
    return 2 * sum(matrix.timeouts_s.values()) + LEASE_SLACK_S


def _tell_strangers(node: Node, reach: Reach, due: Mapping[str, int]) -> None:
    asked = node.store.due(replace(reach, strangers_in=None), now=node.context.now)
    if strange := sum(asked.values()) - sum(due.values()):
        node.context.reporter.note(
            f"{strange} cells of the open feed stay queued: what strangers uploaded runs only behind the gateway"
        )


def _look_again(node: Node, rounds: Rounds, order: Order) -> Noise | None:
    """Check some of what this run settled, or else of the newest verdicts, a second time; give how that compares."""
    if not order.aa:
        return None
    healthy = rounds.healthy
    settled = {staged.cell: staged.record for staged in rounds.kept if staged.record.result in RAN}
    records = [record for record in settled.values() if record.environment in healthy]
    records = records or queries.newest_settled(node.store.db, node.key.id, healthy, AA_AMONG)
    firsts = {record.id: record for record in sample(records, order.aa, seed=order.seed)}
    tasks = [
        Task(cell=cell, known=known_of(node.store.db, cell), first=record)
        for record in firsts.values()
        for cell in (Cell.of(record),)
    ]
    # Whoever asks for them gets them, were the minutes over.
    rounds.work(FromList(tasks), expected={task.cell.environment for task in tasks}, enough=lambda: False)
    seconds = [staged for staged in rounds.kept if staged.second and staged.second.look is Look.AA]
    return tally((firsts[staged.second.first], staged.record) for staged in seconds if staged.second)


def _tell_left(node: Node, noise: Noise | None) -> None:
    reporter = node.context.reporter
    if noise:
        reporter.note(f"our own noise: {noise}")
    for environment, count in sorted(staging.waiting(node.store.db).items()):
        reporter.note(f"{count} results of {environment} wait for its canary: the next run there publishes them")
    if given_up := queries.given_up(node.store.db):
        reporter.note(
            f"{len(given_up)} cells came to an error of ours {MAX_ATTEMPTS} times and are left to you, such as"
            f" {given_up[0]}: to name a package tries it anew"
        )


def seal(node: Node) -> tuple[str, ...]:
    """Put this node's records that no batch holds yet into signed batches; give their ids."""
    return batches.seal(node.store, node=node.key.id, sign=node.key.sign)


def publish(node: Node) -> Path:
    """Build the public folder from the ledger, then say in a signed statement what it holds; give the front page."""
    out = node.context.config.public
    config = node.context.config
    published = build.build(node.store.db, out, base_url=config.base_url, memory=config.cache / "publish.db")
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
    node.context.reporter.note(f"published {len(published.written)} files of {published.files}")
    return out / "index.html"


def snapshot(node: Node) -> Taken:
    """Write the snapshots of the ledger into the public folder, and remove those that the settings keep no longer."""
    config = node.context.config
    policy = Policy(
        days=config.snapshot_days, weeks=config.snapshot_weeks, window_bytes=config.window_mib * 1024 * 1024
    )
    return take(config.data / LEDGER_NAME, config.public, policy)
