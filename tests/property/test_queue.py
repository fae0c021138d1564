"""The queue as a state machine: whatever runs, dies, fails or is rejected, no cell is lost or leased twice at once."""

import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from memory_store import store_in_memory
from sample_record import SAMPLE_RECORD

from ppp.ledger import queries, staging
from ppp.ledger.queue import QueuedCell, QueueFilter
from ppp.ledger.schema import MAX_ATTEMPTS, RETRY_DELAYS_S
from ppp.ledger.staging import StagedRecord
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result
from ppp.model.release import Release

ENVIRONMENTS: Final = ("py39-slim", "py312-alpine")
CELLS: Final = [Cell(release=Release(package=p, version="1"), environment=e) for p in "abc" for e in ENVIRONMENTS]
RUNS: Final = ("one", "two")
LEASE_S: Final = 100
BASE: Final = replace(SAMPLE_RECORD, release=CELLS[0].release, environment="py39-slim")


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as a run knows it, and when it ends."""

    queued: QueuedCell
    until: int


class QueueMachine(RuleBasedStateMachine):
    """Two runs on one ledger; each may die or be late."""

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.store = self.open.enter_context(store_in_memory())
        self.now = 1000
        self.named: set[Cell] = set()
        self.hands: dict[str, list[Held]] = {run: [] for run in RUNS}

    @rule(cells=st.sets(st.sampled_from(CELLS)), source=st.sampled_from(["feed", "watchlist", "named"]))
    def name(self, cells: set[Cell], source: str) -> None:
        self.store.queue.enqueue(sorted(cells, key=str), source=source, now=self.now)
        self.named |= cells

    @rule(run=st.sampled_from(RUNS), n=st.integers(1, 4), where=st.sets(st.sampled_from(ENVIRONMENTS)))
    def lease(self, run: str, n: int, where: set[str]) -> None:
        free = self.store.queue.due_counts(QueueFilter(environments=where), now=self.now)
        until = self.now + LEASE_S
        leased = self.store.queue.lease(QueueFilter(environments=where), run=run, limit=n, until=until, now=self.now)
        assert len(leased) == min(n, sum(free.values()))
        in_hand = {lease.queued.cell for run in RUNS for lease in self.hands[run] if lease.until > self.now}
        assert not in_hand & {queued.cell for queued in leased}, "in one run's hands at most"
        assert all(queued.attempts < MAX_ATTEMPTS and queued.cell.environment in where for queued in leased)
        # A run that was late may lease the same cell a second time; then it has one lease of it.
        again = {queued.cell for queued in leased}
        self.hands[run] = [lease for lease in self.hands[run] if lease.queued.cell not in again]
        self.hands[run] += [Held(queued, until) for queued in leased]

    @precondition(lambda self: any(self.hands.values()))
    @rule(choice=st.randoms(use_true_random=False), result=st.sampled_from(Result))
    def finish(self, choice: object, result: Result) -> None:
        run, lease = choice.choice([(run, lease) for run in RUNS for lease in self.hands[run]])  # type: ignore[attr-defined]
        self.hands[run].remove(lease)
        self.now += 1
        cell = lease.queued.cell
        record = replace(BASE, release=cell.release, environment=cell.environment, result=result, observed_at=self.now)
        if result is Result.ERROR:
            self.store.add_record(record, retry=lease.queued)
        else:
            staging.stage(self.store, [StagedRecord(record=record, log=None, queued=lease.queued)], now=self.now)

    @rule(environment=st.sampled_from(ENVIRONMENTS), healthy=st.booleans())
    def run_canary(self, environment: str, *, healthy: bool) -> None:
        if healthy:
            kept = {staged.cell for staged in staging.promote(self.store, environment)}
            assert not kept & self.queued
            # A run that has leased one of them loses it.
            for run in RUNS:
                self.hands[run] = [lease for lease in self.hands[run] if lease.queued.cell not in kept]
        else:
            kept = {s.cell for s in staging.reject(self.store, environment, reason="ill", now=self.now)}
            assert kept <= self.queued
        assert environment not in staging.pending_counts(self.store.db)

    @rule(run=st.sampled_from(RUNS))
    def die(self, run: str) -> None:
        self.hands[run].clear()

    @rule()
    def start_under_the_lock(self) -> None:
        self.store.queue.release_leases()
        for run in RUNS:
            self.hands[run].clear()

    @rule(seconds=st.sampled_from([1, LEASE_S - 1, LEASE_S, max(RETRY_DELAYS_S)]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @property
    def queued(self) -> set[Cell]:
        rows = self.store.db.execute("SELECT package, version, environment FROM queue").fetchall()
        return {Cell(release=Release(package=p, version=v), environment=e) for p, v, e in rows}

    @property
    def settled(self) -> set[Cell]:
        return queries.cells_with_verdict(self.store.db, BASE.node)

    @invariant()
    def nothing_is_lost(self) -> None:
        rows = self.store.db.query("SELECT document FROM pending")
        pending = {Cell.of(Record.from_json(json.loads(row["document"]))) for row in rows}
        assert self.named == self.queued | pending | self.settled

    @invariant()
    def leases_agree_with_the_ledger(self) -> None:
        rows = self.store.db.execute("SELECT package, environment, lease FROM queue WHERE lease IS NOT NULL").fetchall()
        leases = {(p, e): lease for p, e, lease in rows}
        for run in RUNS:
            for each in self.hands[run]:
                if each.until > self.now:
                    cell = each.queued.cell
                    assert leases[cell.release.package, cell.environment] == run

    def teardown(self) -> None:
        """Every cell gets a verdict in the end, or is left to a person."""
        with self.open:
            self.finish_all()

    def finish_all(self) -> None:
        self.start_under_the_lock()
        self.now += 2 * max(RETRY_DELAYS_S)
        reach = QueueFilter(environments=ENVIRONMENTS)
        for queued in self.store.queue.lease(reach, run="last", limit=100, until=self.now + LEASE_S, now=self.now):
            record = replace(
                BASE, release=queued.cell.release, environment=queued.cell.environment, observed_at=self.now
            )
            staging.stage(self.store, [StagedRecord(record=record, log=None, queued=queued)], now=self.now)
        for environment in ENVIRONMENTS:
            staging.promote(self.store, environment)
        left = set(queries.given_up(self.store.db))
        assert self.queued == left
        assert self.named == self.settled | left


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestQueue = QueueMachine.TestCase
