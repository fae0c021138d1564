"""The whole flow on one screen: watch → check → ledger → narrate → publish → mesh. The steps are in `ppp.runner`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ppp.check.cell import Observation
from ppp.ledger.flakiness import Flakiness
from ppp.ledger.lock import writer_lock
from ppp.ledger.quarantines import quarantined
from ppp.ledger.store import Store
from ppp.mesh import local_batches
from ppp.mesh import push as announcing
from ppp.mesh import sync as synchronizing
from ppp.mesh.fetch import Fetcher, Poster
from ppp.mesh.local_batches import BatchFile, ImportReport
from ppp.mesh.node import load_key
from ppp.mesh.peer import find_peer
from ppp.mesh.push import Announcement
from ppp.mesh.sync import LedgerAccess, SyncFailure, SyncReport
from ppp.mesh.trust import shipped_keys, trusted_nodes
from ppp.model.errors import NoEnvironmentError, PeerError, PPPError, RejectedDataError
from ppp.model.matrix import Cell, Environment, Matrix
from ppp.model.period import PeriodKind
from ppp.model.record import Network
from ppp.model.release import Release, RequestedPackage
from ppp.narrate import episode
from ppp.narrate.episode import Episode
from ppp.publish.snapshots.take import TakenSnapshots
from ppp.runner import check as checking
from ppp.runner import check_files as checking_files
from ppp.runner import enqueue
from ppp.runner import publish as publishing
from ppp.runner import reproduce as reproducing
from ppp.runner.check import BudgetReport
from ppp.runner.check_files import FileResult
from ppp.runner.clock import check_clock
from ppp.runner.context import LOCK_WAIT_S, Context, open_ledger, open_node
from ppp.runner.disk_bound import keep_within_bound
from ppp.runner.environments import open_index, prepare_environments
from ppp.runner.follow import follow_configured
from ppp.runner.queue_order import order_queue
from ppp.runner.reproduce import Reproduction
from ppp.runner.request import RunRequest, Sources
from ppp.runner.requested import find_requested
from ppp.runner.shards import check as sharding
from ppp.runner.shards.check import ShardReport, ShardWork
from ppp.runner.shards.collect import CollectedShards, collect
from ppp.runner.shards.plan import ShardId, ShardPlan
from ppp.runner.shards.results import encode_results
from ppp.runner.sharing import leave_to_others, work_share
from ppp.runner.waiting import QueueState
from ppp.state import published
from ppp.state import restore as restoring
from ppp.state import save as saving
from ppp.state.published import Recovered
from ppp.state.restore import RestoredState
from ppp.state.save import SavedState

#: How long, in seconds, a synchronization waits for another command before what it received is lost.
SYNC_WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run did: its releases, cells checked, what its budget left out, what is left in the queue, the front page.

    `asked` are the cells of its releases, in their order, whatever came of them. `unavailable` says of environments why
    nothing could be checked there; `flakiness` is what an A/A test found, where one was requested; `missing` names what
    the index does not have of what was requested.
    """

    asked: tuple[Cell, ...]
    unavailable: Mapping[str, str]
    checked: int
    budget: BudgetReport
    queue: QueueState
    page: Path
    flakiness: Flakiness | None
    missing: PPPError | None = None

    @property
    def releases(self) -> tuple[Release, ...]:
        """The releases that the run was about: those that were requested, or else the watchlist's."""
        return tuple(dict.fromkeys(cell.release for cell in self.asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSummary:
    """What is queued, and what the index does not have of what was requested."""

    queue: QueueState
    missing: PPPError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSummary:
    """What was observed, and what the index does not have of what was requested.

    `unusable` is about environments in which nothing could be checked, or not to its end.
    """

    observations: tuple[Observation, ...]
    missing: PPPError | None = None
    unusable: PPPError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedState:
    """The number of the newest statement that this node has published, None where that is not known.

    `added` counts those that the ledger's chain goes on after, although it has nothing of what they state.
    """

    sequence: int | None
    added: int


def run(context: Context, request: RunRequest) -> RunSummary:
    """Find releases, queue their cells, check them, publish the results: the main job."""
    index = open_index(context.config)
    check_clock(index, clock=context.clock)
    wanted = find_requested(context, index, request.sources, request.environments)
    with open_node(context) as node:
        work_share(context.config, node.key.id)
        with prepare_environments(context, index, request.matrix, request.environments) as ready:
            if request.sources.reads_feed:
                follow_configured(node, request.environments)
            plans = enqueue.enqueue_wanted(node, ready, wanted.releases, request)
            plans.append(enqueue.enqueue_changed_offers(node, index, wanted.packages, request))
            asked = tuple(dict.fromkeys(cell for plan in plans for cell in (*plan.cells, *plan.settled)))
            only = frozenset(cell.release for cell in asked) if request.sources.are_explicit else None
            report = checking.check_queue(node, ready, request, only=only)
        # Nothing uses the caches any more, and publishing needs room.
        keep_within_bound(context)
        page = publishing.publish(node, with_snapshot=request.snapshot)
        unavailable = {**ready.unavailable, **report.unhealthy}
        gatewayed = checking.behind_gateway(ready)
        return RunSummary(
            asked=asked,
            unavailable=unavailable,
            checked=report.checked,
            budget=report.budget,
            queue=checking.queue_state(node, request, gatewayed=gatewayed, unavailable=unavailable),
            page=page,
            flakiness=report.flakiness,
            missing=wanted.missing,
        )


def watch(context: Context, request: RunRequest) -> WatchSummary:
    """Queue the releases of the journal or of requirements files, and return what is queued in all."""
    index = open_index(context.config)
    wanted = find_requested(context, index, request.sources, request.environments)
    with open_node(context) as node:
        work_share(context.config, node.key.id)
        if request.sources.reads_feed:
            follow_configured(node, request.environments, required=True)
        enqueue.enqueue_wanted(node, None, wanted.releases, request)
        enqueue.enqueue_changed_offers(node, index, wanted.packages, request)
        order_queue(node, request.matrix)
        confined = context.config.network is Network.GATEWAY
        gatewayed = [environment.id for environment in request.matrix.environments if confined]
        return WatchSummary(queue=checking.queue_state(node, request, gatewayed=gatewayed), missing=wanted.missing)


def check(
    context: Context, matrix: Matrix, environments: Sequence[Environment], wanted: Sequence[RequestedPackage]
) -> CheckSummary:
    """Check releases in some environments at once, record what is observed, and return it.

    `CheckSummary.unusable` is a `NoEnvironmentError` about those that cannot be had, or whose canary finds them
    unhealthy; where nothing at all could be checked, it is raised.
    """
    index = open_index(context.config)
    check_clock(index, clock=context.clock)
    requested = find_requested(context, index, Sources(named=tuple(wanted)), environments)
    with open_node(context) as node:
        with prepare_environments(context, index, matrix, environments) as ready:
            ids = [environment.id for environment in environments if environment.id in ready.prepared]
            cells = [Cell(release=each.release, environment=id_) for id_ in ids for each in requested.releases]
            report = checking.check_now(node, ready, cells)
            unusable = {**ready.unavailable, **report.unhealthy}
        publishing.seal(node)
    error = _unusable(unusable) if unusable else None
    if error and not report.observations:
        raise error
    return CheckSummary(observations=report.observations, missing=requested.missing, unusable=error)


def _unusable(reasons: Mapping[str, str]) -> NoEnvironmentError:
    each = "; ".join(f"{environment} is unhealthy: {reason}" for environment, reason in reasons.items())
    return NoEnvironmentError(each, hint="`ppp doctor` shows what is wrong with this machine")


def check_files(
    context: Context, matrix: Matrix, environments: Sequence[Environment], paths: Sequence[str]
) -> tuple[FileResult, ...]:
    """Check files of this machine in some environments, with dependencies from the index; nothing is recorded."""
    return checking_files.check_files(context, matrix, environments, paths)


def reproduce(
    context: Context,
    before: Observation,
    matrix: Matrix,
    environment: Environment,
    *,
    as_of: int | str | None,
    store: bool,
) -> Reproduction:
    """Run the cell of a record again and compare; with `store`, add what is observed as a record of this node."""
    done = reproducing.reproduce(context, before, matrix, environment, as_of=as_of, store=store)
    if store:
        with open_node(context) as node:
            publishing.seal(node)
    return done


def plan_shards(context: Context, request: RunRequest, *, shards: int, cells: int) -> ShardPlan:
    """Plan what shards check of the queue, as many cells at most; what it knows of earlier results goes with them."""
    with open_node(context) as node:
        return sharding.plan_queue(node, request, shards=shards, cells=cells)


def check_shard(
    context: Context, matrix: Matrix, environments: Sequence[Environment], plan: ShardPlan, work: ShardWork
) -> ShardReport:
    """Check one shard of a plan in some environments, in a ledger of its own, without the node's key."""
    index = open_index(context.config)
    check_clock(index, clock=context.clock)
    with open_ledger(context) as ledger, prepare_environments(context, index, matrix, environments) as ready:
        return sharding.check_shard(ledger, ready, plan, work)


def export_shard(context: Context, plan: ShardPlan, shards: Sequence[ShardId]) -> list[tuple[str, bytes]]:
    """Return the files, each a name and its bytes, of what some shards of a plan observed here."""
    with open_ledger(context) as ledger:
        return [file for shard in shards for file in encode_results(ledger.store.db, plan, shard)]


def import_shards(context: Context, plan: ShardPlan, files: Iterable[tuple[str, bytes]]) -> CollectedShards:
    """Verify the files of shards, and store what they observed as this node's records."""
    with open_node(context) as node:
        return collect(node, plan, files)


def publish(context: Context, *, snapshot: bool = False, mirror: bool = False) -> Path:
    """Seal, build the public folder, sign what it holds, and return the front page; see `runner.publish`."""
    with open_node(context) as node:
        page = publishing.publish(node, with_snapshot=snapshot, with_mirror=mirror)
    publishing.warn_of_unknown_address(context)
    return page


def snapshot(context: Context) -> TakenSnapshots:
    """Write snapshots of the ledger, and publish them."""
    with open_node(context) as node:
        taken = publishing.snapshot(node)
    publishing.warn_of_unknown_address(context)
    return taken


def narrate(context: Context, *, seed: int, kind: PeriodKind, period: str | None) -> Episode:
    """Narrate the newest night or week, or a given one, verify every sentence, and store the episode."""
    with open_ledger(context) as ledger:
        config = context.config
        return episode.narrate(
            ledger.store, seed=seed, period=period, kind=kind, model=config.model, options=config.model_options
        )


def save_state(context: Context, folder: Path, *, snapshot: Path | None) -> SavedState:
    """Seal, and save into a folder what a machine that keeps nothing needs for the next run; see `ppp.state.save`."""
    with open_node(context) as node:
        publishing.seal(node)
        return saving.save_state(node.store, node.key, folder, ledger=context.config.data, snapshot=snapshot)


def restore_state(context: Context, folder: Path, *, snapshot: Path | None) -> RestoredState:
    """Replace the ledger by the one that a saved state describes; see `ppp.state.restore`."""
    data = context.config.data
    key = load_key(data, context.config.node_seed)
    with writer_lock(data, wait_s=LOCK_WAIT_S):
        return restoring.restore_state(data, key, folder, snapshot=snapshot)


def compare_published(context: Context, fetcher: Fetcher, *, begin_anew: bool) -> PublishedState:
    """Compare the ledger with what this node published at its address; see `ppp.state.published`.

    Raises `StateError` if statements are missing here; if it is to `begin_anew`, its chain goes on after them instead.
    Where nothing is published, or the address does not answer, there is only a warning.
    """
    url = context.config.base_url
    with open_node(context) as node:
        own = node.key.id
    if not url:
        context.reporter.warn("PPP_BASE_URL is not set: what this node has published is not looked at")
        return PublishedState(sequence=None, added=0)
    with fetcher.connect() as connection:
        try:
            newest = published.fetch_published(connection, url, own=own)
        except (PeerError, RejectedDataError) as error:
            context.reporter.warn(f"continuing without a look at what this node has published: {error.message}")
            return PublishedState(sequence=None, added=0)
        with open_node(context) as node:
            if not begin_anew:
                published.check_published(node.store.db, newest, url=url)
            published.refuse_contradiction(node.store.db, newest, url=url)
            chain = published.fetch_chain(connection, node.store.db, newest, url) if begin_anew else []
            published.add_chain(node.store, chain)
    return PublishedState(sequence=newest.sequence, added=len(chain))


def restore_published(context: Context, fetcher: Fetcher, url: str) -> Recovered:
    """Get back what this node published at a URL and its ledger lacks; see `ppp.state.published`."""
    shipped = shipped_keys()
    with open_node(context) as node, fetcher.connect() as connection:
        own = node.key.id
        return published.recover(
            node.store,
            connection,
            url,
            own=own,
            trusted=lambda db: trusted_nodes(db, own, shipped),
            now=context.now,
        )


def sync(context: Context, fetcher: Fetcher) -> list[SyncReport | SyncFailure]:
    """Fetch, verify and merge what all peers publish, and publish again if there is something new.

    The ledger is locked only for moments, while something is read from it or stored; see `ppp.mesh.sync`.
    """
    with open_node(context) as node:
        work_share(context.config, node.key.id)
        ledger = _ledger_access(context, node.key.id)
    outcomes = synchronizing.sync_all(ledger, fetcher, now=context.now)
    _publish_new(context, outcomes)
    return outcomes


def sync_announced(context: Context, fetcher: Fetcher, peer: str) -> SyncReport:
    """Do the same with one peer, given by its key, that announced something; raise its error if that fails."""
    with open_node(context) as node:
        work_share(context.config, node.key.id)
        ledger = _ledger_access(context, node.key.id)
        known = find_peer(node.store, peer)
    outcome = synchronizing.sync(ledger, known, fetcher, now=context.now)
    _publish_new(context, [outcome])
    if isinstance(outcome, SyncFailure):
        raise outcome.error
    return outcome


def import_batches(context: Context, found: Iterable[BatchFile]) -> ImportReport:
    """Verify and merge batches that were fetched by other means; they are published with the next publish."""
    with open_node(context) as node:
        ledger = _ledger_access(context, node.key.id)
    return local_batches.import_batches(ledger, found, now=context.now)


def _ledger_access(context: Context, own: str) -> LedgerAccess:
    return LedgerAccess(open=partial(_open_ledger, context), own=own, shipped=shipped_keys())


@contextmanager
def _open_ledger(context: Context) -> Iterator[Store]:
    with open_node(context, wait_s=SYNC_WAIT_S) as node:
        yield node.store


def _publish_new(context: Context, outcomes: Sequence[SyncReport | SyncFailure]) -> None:
    with open_node(context, wait_s=SYNC_WAIT_S) as node:
        if any(outcome.records for outcome in outcomes):
            leave_to_others(node)
            publishing.publish(node)
        elif quarantined(node.store.db):
            # What proves a fork is passed on at once; what else was seen of peers, by the next build.
            publishing.write_seen_statements(node)


def push(context: Context, poster: Poster) -> list[Announcement]:
    """Announce this node's newest statement to every peer."""
    with open_node(context) as node:
        envelope, peers = announcing.read_announcement(node.store)
        own = node.key.id
    # Without the ledger, because a peer may take its time.
    return [announcing.announce(peer, envelope, poster, own=own) for peer in peers]
