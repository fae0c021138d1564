"""Where cell jobs come from: the queue in the ledger, by lease, or a list."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from ppp.ledger import queries
from ppp.ledger.queue import QueuedCell, QueueFilter
from ppp.ledger.regressions import prior_results
from ppp.runner.context import LocalNode
from ppp.runner.jobs import CellJob

#: How many cells of a share are leased at once.
SHARE_AHEAD: Final = 200


class JobSource(Protocol):
    """Where cell jobs come from."""

    def take(self, environments: Collection[str], limit: int) -> list[CellJob]:
        """Take up to `limit` jobs in some environments; none where there is nothing to do there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSource:
    """Takes cells from the queue by lease, a few at a time. A lease ends by itself after `lease_s` seconds.

    Where the filter has a share, cells of other nodes come before many of this node's, and stay queued: each time they
    are passed over, as many as `SHARE_AHEAD` cells are leased; where fewer are found, an environment has no more.
    """

    node: LocalNode
    queue_filter: QueueFilter
    run: str
    lease_s: int
    _ahead: list[QueuedCell] = field(default_factory=list, init=False)
    _exhausted: set[str] = field(default_factory=set, init=False)

    def take(self, environments: Collection[str], limit: int) -> list[CellJob]:
        """See `JobSource`."""
        store, take = self.node.store, self._lease if self.queue_filter.share is None else self._take_of_share
        return [
            CellJob(
                cell=queued.cell,
                queued=queued,
                prior=prior_results(store.db, queued.cell, own=self.node.key.id),
                was_fetched=queries.was_fetched(store.db, queued.cell.release),
            )
            for queued in take(environments, limit)
        ]

    def _lease(self, environments: Collection[str], limit: int) -> list[QueuedCell]:
        now = self.node.context.now
        queue_filter = replace(self.queue_filter, environments=environments)
        # A lease, not a removal: what a killed run had taken comes back by itself.
        return self.node.store.queue.lease(queue_filter, run=self.run, limit=limit, until=now + self.lease_s, now=now)

    def _take_of_share(self, environments: Collection[str], limit: int) -> list[QueuedCell]:
        open_ones = [environment for environment in environments if environment not in self._exhausted]
        if open_ones and sum(queued.cell.environment in environments for queued in self._ahead) < limit:
            leased = self._lease(open_ones, SHARE_AHEAD)
            # One that waited here until its lease was over is leased once more.
            known = {queued.cell for queued in self._ahead}
            self._ahead.extend(queued for queued in leased if queued.cell not in known)
            if len(leased) < SHARE_AHEAD:
                self._exhausted.update(open_ones)
        taken = [*islice((queued for queued in self._ahead if queued.cell.environment in environments), limit)]
        for queued in taken:
            self._ahead.remove(queued)
        return taken


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
