"""Where cell jobs come from: the queue in the ledger, by lease, or a list."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ppp.ledger import queries
from ppp.ledger.queue import QueueFilter
from ppp.ledger.regressions import prior_results
from ppp.runner.context import LocalNode
from ppp.runner.jobs import CellJob


class JobSource(Protocol):
    """Where cell jobs come from."""

    def take(self, environments: Collection[str], limit: int) -> list[CellJob]:
        """Take up to `limit` jobs in some environments; none where there is nothing to do there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSource:
    """Takes cells from the queue by lease, a few at a time. A lease ends by itself after `lease_s` seconds."""

    node: LocalNode
    queue_filter: QueueFilter
    run: str
    lease_s: int

    def take(self, environments: Collection[str], limit: int) -> list[CellJob]:
        """See `JobSource`."""
        store, now = self.node.store, self.node.context.now
        queue_filter = replace(self.queue_filter, environments=environments)
        # A lease, not a removal: what a killed run had taken comes back by itself.
        leased = store.queue.lease(queue_filter, run=self.run, limit=limit, until=now + self.lease_s, now=now)
        return [
            CellJob(
                cell=queued.cell,
                queued=queued,
                prior=prior_results(store.db, queued.cell, own=self.node.key.id),
                was_fetched=queries.was_fetched(store.db, queued.cell.release),
            )
            for queued in leased
        ]


class ListSource:
    """Takes given jobs, in their order."""

    def __init__(self, jobs: Sequence[CellJob]) -> None:
        """Keep the jobs that are to be taken."""
        self._jobs = list(jobs)

    def take(self, environments: Collection[str], limit: int) -> list[CellJob]:
        """See `JobSource`."""
        taken: list[CellJob] = []
        left: list[CellJob] = []
        # The others keep their order; their environment may be busy with its canary.
        for job in self._jobs:
            (taken if job.cell.environment in environments and len(taken) < limit else left).append(job)
        self._jobs = left
        return taken
