"""Check queued cells, or cells that were named."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ppp.check.cell import Observation
from ppp.ledger import queries, staging
from ppp.ledger.noise import Noise, sample, tally
from ppp.ledger.regressions import known_of
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.ledger.staging import Look
from ppp.ledger.store import Reach
from ppp.model.matrix import Cell, Matrix
from ppp.model.record import Network, Result
from ppp.model.release import Release
from ppp.runner.context import Node
from ppp.runner.environments import Workshop
from ppp.runner.request import Order
from ppp.runner.rounds import FromList, FromQueue, Hands, Pace, Rounds, Task

#: What a lease lasts longer than any cell can take.
LEASE_SLACK_S: Final = 600
#: Among how many of the newest verdicts second looks are chosen where a run settled nothing itself.
AA_AMONG: Final = 200
#: Results for which something was run.
RAN: Final = frozenset({Result.PASS, Result.FAIL, Result.TIMEOUT})


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
