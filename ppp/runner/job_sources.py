"""Where cell jobs come from: the queue in the ledger, by lease, or a list."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from sqlite_utils import Database

from ppp.ledger import journal, queries
from ppp.ledger.queue import QueuedCell, QueueFilter
from ppp.ledger.regressions import prior_results
from ppp.model.release import Release
from ppp.runner.context import LocalNode
from ppp.runner.jobs import CellJob
from ppp.watch.journal.plan import AVAILABILITY, GONE_BECAUSE, files_may_come, withdrawn_by
from ppp.watch.journal.port import Action, JournalEvent

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
        take = self._lease if self.queue_filter.share is None else self._take_of_share
        return [queued_job(self.node, queued) for queued in take(environments, limit)]

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


def queued_job(node: LocalNode, queued: QueuedCell) -> CellJob:
    """Return the job of a queued cell, with what the ledger knows of its release."""
    db, release = node.store.db, queued.cell.release
    return CellJob(
        cell=queued.cell,
        queued=queued,
        prior=prior_results(db, queued.cell, own=node.key.id),
        was_fetched=queries.was_fetched(db, release),
        files_may_come=files_may_come(journal.announced_at(db, release), node.context.now),
        withdrawn=withdrawn_because(db, release),
    )


def withdrawn_because(db: Database, release: Release) -> str:
    """Return a clause that says what the journal last did to a release that is gone; `""` if it is not, or unknown."""
    of_release, of_project = (_last_event(db, release.package, version) for version in (release.version, ""))
    action = withdrawn_by(of_release, of_project)
    return GONE_BECAUSE[action] if action else ""


def _last_event(db: Database, package: str, version: str) -> JournalEvent | None:
    found = journal.last_event(db, package, version, AVAILABILITY)
    if found is None:
        return None
    action, serial, at = found
    return JournalEvent(serial=serial, package=package, version=version, action=Action(action), at=at)


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
