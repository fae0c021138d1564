"""Queue the cells of a run: those of the feed, and those of packages that were requested where they are wanted."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum

from ppp.check.index import client as packages
from ppp.check.index.choose import newest_installable, other_files, release_files
from ppp.check.index.page import Status
from ppp.ledger import queries
from ppp.model.errors import (
    IndexUnreachableError,
    RequirementsError,
    UnknownPackageError,
)
from ppp.model.matrix import Cell, Environment
from ppp.model.release import Release
from ppp.runner.context import LocalNode
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.request import RunRequest
from ppp.runner.requested import RequestedRelease
from ppp.watch.markers import applies_in
from ppp.watch.queue import QueuePlan, ReleaseSource, SkippedRelease, SkipReason, plan_cells


def enqueue_wanted(
    node: LocalNode,
    ready: ReadyEnvironments | None,
    requested: Sequence[RequestedRelease],
    request: RunRequest,
) -> list[QueuePlan]:
    """Queue the newest release of each requested package in the environments in which its marker applies.

    Where that release does not claim an environment, queue also the older one that pip would install there. To know
    that takes environments that are ready: without them, this is left to the run that has them. A cell that a marker
    excludes is skipped. Raise `RequirementsError` if nothing that was requested explicitly applies anywhere.
    """
    db, own = node.store.db, node.key.id
    # What was requested is offered now, if only to a pin: a verdict that it is withdrawn settles nothing.
    settled = queries.cells_with_verdict(db, own) - queries.withdrawn_cells(db, own)
    plans = []
    chosen = [(wish, _where_it_applies(wish, ready, request.environments)) for wish in requested]
    for wish, where in chosen:
        # Where the newest release does not claim an environment, pip installs an older one: that is what users get.
        targets = {wish.release: list(where)} | _fallbacks(ready, wish, {environment.id for environment in where})
        for target, environments in targets.items():
            queue_plan = plan_cells(
                [target],
                environments,
                settled=settled,
                recheck=request.recheck,
                source=wish.source,
                sandboxed=False,
            )
            apply_plan(node, queue_plan, wish.source)
            plans.append(queue_plan)
    _skip_excluded(node, chosen, request.environments, settled)
    if chosen and request.sources.are_explicit and not any(where for _, where in chosen):
        raise RequirementsError(
            f"nothing that was requested applies in {', '.join(e.id for e in request.environments)}",
            hint="choose other environments with -e, or change the markers",
        )
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
        offer_of = release_offers(index, package)
        if offer_of is not None:
            changed += (
                cell
                for cell in verdicts[package]
                if offer_of(cell.release) is (Offer.TO_ALL if cell in withdrawn else Offer.NONE)
            )
    changed.sort(key=lambda cell: (cell.release, cell.environment))
    queue_plan = QueuePlan(cells=tuple(changed), settled=(), skipped=())
    apply_plan(node, queue_plan, ReleaseSource.WATCHLIST)
    if gone := {cell.release for cell in changed if cell not in withdrawn}:
        others = f" and {len(gone) - 1} others" if len(gone) > 1 else ""
        node.context.reporter.note(f"the index has withdrawn {min(gone)}{others}, of which there is a result")
    return queue_plan


class Offer(StrEnum):
    """To whom an index offers a release; of one that is yanked, pip takes notice only for a pin (PEP 592)."""

    NONE = "none"
    TO_PINS = "to-pins"
    TO_ALL = "to-all"


def release_offers(index: packages.Index, package: str) -> Callable[[Release], Offer] | None:
    """Return a function that says to whom an index offers a release of a package; None if its page cannot be read."""
    try:
        files, status = index.files(package), index.status(package)
    except UnknownPackageError:
        return lambda _: Offer.NONE
    except IndexUnreachableError:
        return None
    if status is not None and status.status is Status.QUARANTINED:
        return lambda _: Offer.NONE

    def offer_of(release: Release) -> Offer:
        its = release_files(release, files)
        if its and all(file.yanked for file in its):
            return Offer.TO_PINS
        return Offer.TO_ALL if its or other_files(release, files) else Offer.NONE

    return offer_of


def _where_it_applies(
    wish: RequestedRelease, ready: ReadyEnvironments | None, environments: Iterable[Environment]
) -> list[Environment]:
    """Return the environments in which a request's marker applies, or may apply where they are not ready."""
    facts = {id_: prepared.markers for id_, prepared in ready.prepared.items()} if ready else {}
    return [e for e in environments if applies_in(wish.marker, e, facts.get(e.id, {})) is not False]


def _skip_excluded(
    node: LocalNode,
    chosen: Sequence[tuple[RequestedRelease, Sequence[Environment]]],
    environments: Sequence[Environment],
    settled: AbstractSet[Cell],
) -> None:
    """Record and report where each package was not requested, although a line of a requirements file names it."""
    applies: defaultdict[str, set[str]] = defaultdict(set)
    for wish, where in chosen:
        # A package may have several lines, each for other environments.
        applies[wish.release.package] |= {environment.id for environment in where}
    for wish, _ in chosen:
        excluded = [e.id for e in environments if e.id not in applies[wish.release.package]]
        if wish.marker is None or not excluded:
            continue
        detail = f"requested only where {wish.marker}"
        for environment in excluded:
            if Cell(release=wish.release, environment=environment) not in settled:
                skipped = SkippedRelease(
                    release=wish.release, environment=environment, reason=SkipReason.MARKER, detail=detail
                )
                _skip(node, skipped)
        node.context.reporter.note(f"{wish.place}: {wish.wanted} is {detail}: skipped in {', '.join(excluded)}")


def _fallbacks(
    ready: ReadyEnvironments | None, wish: RequestedRelease, where: AbstractSet[str]
) -> dict[Release, list[Environment]]:
    found: dict[Release, list[Environment]] = {}
    if ready is None:
        return found
    package = wish.release.package
    files = ready.index.files(package)
    for id_, prepared in ready.prepared.items():
        version = newest_installable(package, files, wish.wanted.specifier, prepared) if id_ in where else None
        if version is not None and str(version) != wish.release.version:
            older = Release(package=package, version=str(version))
            found.setdefault(older, []).append(prepared.environment)
    return found


def apply_plan(node: LocalNode, queue_plan: QueuePlan, source: ReleaseSource) -> None:
    """Queue a plan's cells, and record what it skips with the reason."""
    node.store.queue.enqueue(queue_plan.cells, source=source, now=node.context.now)
    for skip in queue_plan.skipped:
        _skip(node, skip)
    # One line a reason: a feed may skip dozens of releases for the same one.
    for detail in dict.fromkeys(skip.detail for skip in queue_plan.skipped):
        count = len({skip.release for skip in queue_plan.skipped if skip.detail == detail})
        node.context.reporter.note(f"{count} releases skipped: {detail}")


def _skip(node: LocalNode, skip: SkippedRelease) -> None:
    node.store.skip(skip.release, skip.environment, reason=skip.reason, detail=skip.detail, now=node.context.now)
