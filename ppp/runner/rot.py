"""Check again what passed long ago, and find what no longer does; what is observed is recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ppp.check.cell import Observation
from ppp.ledger import queries
from ppp.model.matrix import Environment, Matrix
from ppp.model.record import Result
from ppp.model.trigger import Trigger, TriggerKind
from ppp.runner.check import check_now
from ppp.runner.clock import check_clock
from ppp.runner.context import Context, open_node
from ppp.runner.environments import open_index, prepare_environments
from ppp.runner.publish import seal

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class RotSummary:
    """How many cells were checked again, the observations of those that no longer pass, and environments without any.

    An `ERROR` is no verdict, so its cell is in neither.
    """

    checked: int
    rotten: tuple[Observation, ...]
    unavailable: Mapping[str, str]


def check_old_passes(
    context: Context, matrix: Matrix, environments: Sequence[Environment], *, days: int, limit: int
) -> RotSummary:
    """Check again the oldest cells that passed `days` ago or longer, at most `limit`, and record what is observed."""
    index = open_index(context.config)
    check_clock(index, clock=context.clock)
    with open_node(context) as node:
        before = context.now - days * DAY_S
        ids = [environment.id for environment in environments]
        passes = queries.oldest_passes(node.store.db, node.key.id, ids, before=before, limit=limit)
        if not passes:
            return RotSummary(checked=0, rotten=(), unavailable={})
        needed = [e for e in environments if any(old.cell.environment == e.id for old in passes)]
        with prepare_environments(context, index, matrix, needed) as ready:
            triggers = {old.cell: _trigger(old) for old in passes if old.cell.environment in ready.prepared}
            report = check_now(node, ready, [*triggers], triggers=triggers)
            unavailable = {**ready.unavailable, **report.unhealthy}
        seal(node)
    conclusive = [one for one in report.observations if one.record.result is not Result.ERROR]
    rotten = tuple(one for one in conclusive if one.record.result is not Result.PASS)
    return RotSummary(checked=len(conclusive), rotten=rotten, unavailable=unavailable)


def _trigger(old: queries.OldPass) -> Trigger:
    day = datetime.fromtimestamp(old.observed_at, UTC).date()
    return Trigger(kind=TriggerKind.AGE, name=old.record, version=day.isoformat())
