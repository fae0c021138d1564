"""The whole flow on one screen: watch → check → ledger → narrate → publish → mesh. Each step stands in `steps`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ppp.check.cell import Observation
from ppp.check.index import client as packages
from ppp.ledger.flakiness import Flakiness
from ppp.mesh.fetch import Fetcher, Poster
from ppp.mesh.peer import find_peer
from ppp.mesh.push import Announcement
from ppp.mesh.push import push as announce_to_all
from ppp.mesh.sync import SyncFailure, SyncReport, sync_all
from ppp.mesh.sync import sync as sync_one
from ppp.model.errors import NoEnvironmentError
from ppp.model.matrix import Cell, Environment, Matrix
from ppp.model.release import Release, RequestedPackage
from ppp.narrate.episode import Episode
from ppp.narrate.episode import narrate as tell
from ppp.publish.snapshots.take import TakenSnapshots
from ppp.runner import check as checking
from ppp.runner import enqueue
from ppp.runner import publish as publishing
from ppp.runner.context import Context, open_node
from ppp.runner.environments import open_index, prepare_environments
from ppp.runner.request import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run came to: the releases it was about, what was unavailable and why, cells checked and still queued.

    `noise` says how second looks compared, where they were asked for.
    """

    releases: tuple[Release, ...]
    unavailable: Mapping[str, str]
    checked: int
    queued: int
    page: Path
    noise: Flakiness | None


def run(context: Context, request: RunRequest) -> RunSummary:
    """Watch, check, record, publish: the main job."""
    index = open_index(context.config)
    wanted = enqueue.resolve_sources(context, index, request.sources)
    with open_node(context) as node:
        with prepare_environments(context, index, request.matrix, request.environments) as shop:
            plans = enqueue.try_enqueue_feed(node, request) if request.sources.reads_feed else []
            plans += enqueue.enqueue_wanted(node, shop, wanted, request)
            releases = tuple(dict.fromkeys(cell.release for made in plans for cell in (*made.cells, *made.settled)))
            only = frozenset(releases) if request.sources.are_explicit else None
            worked = checking.check_queue(node, shop, request, only=only)
        publishing.seal(node)
        page = publishing.publish(node)
        return RunSummary(
            releases=releases,
            unavailable={**shop.unavailable, **worked.unhealthy},
            checked=worked.checked,
            queued=node.store.queue_length(),
            page=page,
            noise=worked.noise,
        )


def watch(context: Context, request: RunRequest) -> int:
    """Queue what the feed or a requirements file names, and check nothing; give how many cells are queued."""
    index = open_index(context.config)
    wanted = enqueue.resolve_sources(context, index, request.sources)
    with open_node(context) as node:
        if request.sources.reads_feed:
            enqueue.enqueue_feed(node, request)
        enqueue.enqueue_wanted(node, None, wanted, request)
        return node.store.queue_length()


def check(
    context: Context, matrix: Matrix, environment: Environment, wanted: Sequence[RequestedPackage]
) -> list[Observation]:
    """Check some releases in one environment here and now, and record what is observed.

    Raises `NoEnvironmentError` where the environment's canary says that nothing can be believed there.
    """
    index = open_index(context.config)
    releases = [packages.resolve(index, item) for item in wanted]
    with open_node(context) as node:
        with prepare_environments(context, index, matrix, [environment]) as shop:
            cells = [Cell(release=release, environment=environment.id) for release in releases]
            checked = checking.check_now(node, shop, cells)
        publishing.seal(node)
    if checked.unhealthy and not checked.observations:
        raise NoEnvironmentError(
            f"{environment.id} is unhealthy: {checked.unhealthy[environment.id]}",
            hint="`ppp doctor` says what is wrong with this machine",
        )
    return list(checked.observations)


def publish(context: Context) -> Path:
    """Seal, build the public folder, sign what it holds; give the front page."""
    with open_node(context) as node:
        publishing.seal(node)
        return publishing.publish(node)


def snapshot(context: Context) -> TakenSnapshots:
    """Write the snapshots, then publish and sign what the public folder holds with them."""
    with open_node(context) as node:
        publishing.seal(node)
        taken = publishing.snapshot(node)
        publishing.publish(node)
        return taken


def narrate(context: Context, *, seed: int, day: str | None) -> Episode:
    """Tell the newest day, or one that is named, verify it and store it."""
    with open_node(context) as node:
        return tell(node.store, seed=seed, day=day, model=context.config.model)


def sync(context: Context, fetcher: Fetcher) -> list[SyncReport | SyncFailure]:
    """Fetch, verify and merge what all peers have, and publish what is new."""
    with open_node(context) as node:
        publishing.seal(node)
        outcomes = sync_all(node.store, node.key, fetcher, now=context.now)
        if any(isinstance(outcome, SyncReport) and outcome.records for outcome in outcomes):
            publishing.publish(node)
        return outcomes


def sync_announced(context: Context, fetcher: Fetcher, peer: str) -> SyncReport:
    """Do the same with the one peer, named by its key, that announced something; raise what `sync` raises."""
    with open_node(context) as node:
        report = sync_one(node.store, node.key, find_peer(node.store, peer), fetcher, now=context.now)
        if report.records:
            publishing.publish(node)
        return report


def push(context: Context, poster: Poster) -> list[Announcement]:
    """Tell every peer that listens what this node last stated."""
    with open_node(context) as node:
        return announce_to_all(node.store, poster)
