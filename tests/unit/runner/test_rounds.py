"""Rounds: a canary before the cells and after them, what becomes of the results, and regressions that are confirmed."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from ledger_reads import read_flakiness
from recording_reporter import RecordingReporter

from ppp import config
from ppp.check.cell import Observation
from ppp.ledger import queries, staging
from ppp.ledger.queue import QueueFilter
from ppp.ledger.regressions import prior_results
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.ledger.staging import RecheckReason, StagedRecord
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result
from ppp.model.release import Release
from ppp.runner.context import Context, LocalNode
from ppp.runner.job_sources import ListSource, QueueSource
from ppp.runner.jobs import CanaryJob, CanaryJobResult, CellJob, Job, JobResult, check_cell
from ppp.runner.rounds import NO_BUDGET, Budget, BudgetLimit, RoundLimits, Rounds

RecordBuilder = Callable[..., Record]
SLIM, ALPINE = "py312-slim", "py312-alpine"
NOW: Final = 1_714_003_200
#: A time when every delay is over.
LATE: Final = NOW + 1_000_000


def cells(*packages: str, environment: str = SLIM) -> list[Cell]:
    return [Cell(release=Release(package=package, version="2.1.0"), environment=environment) for package in packages]


@dataclass(slots=True)
class RoundsHarness:
    """A node, and an executor whose cells and canaries give the results that a test lists; the last one repeats."""

    store: Store
    record: RecordBuilder
    context: Context
    messages: list[str]
    results: dict[str, list[Result]] = field(default_factory=dict)
    faults: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    causes: dict[Result, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    reported: list[Record] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    now: int = NOW
    #: Called before a cell is checked, before a canary runs, and with each result.
    before_check: Callable[[Cell], None] = lambda _: None
    before_canary: Callable[[str], None] = lambda _: None
    after_result: Callable[[Record], None] = lambda _: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def node(self) -> LocalNode:
        return LocalNode(context=self.context, store=self.store, key=NodeKey.from_seed(b"\1" * 32))

    def check(self, cell: Cell) -> Observation:
        self.before_check(cell)
        with self.lock:
            self.order.append(cell.release.package)
            turns = self.results.get(cell.release.package, [Result.PASS])
            result = turns.pop(0) if len(turns) > 1 else turns[0]
            log = f"the log of {cell}" if result is not Result.PASS else None
            changes: dict[str, Any] = {"cause": self.causes[result]} if result in self.causes else {}
            changes |= {"result": result, "observed_at": self.now, "log_sha256": log and sha256_hex(log.encode())}
            return Observation(record=self.record(cell.release.package, "2.1.0", cell.environment, **changes), log=log)

    def canary(self, environment: str) -> Sequence[str]:
        self.before_canary(environment)
        with self.lock:
            self.order.append(f"canary of {environment}")
            turns = self.faults.get(environment, [()])
            return turns.pop(0) if len(turns) > 1 else turns[0]

    def execute(self, job: Job) -> JobResult:
        match job:
            case CellJob():
                return check_cell(job, self.check)
            case CanaryJob():
                return CanaryJobResult(job=job, faults=tuple(self.canary(job.environment)))

    def close(self) -> None:
        self.closed.set()

    def rounds(self, *environments: str, jobs: int = 1, **limits: object) -> Rounds:
        made = RoundLimits(jobs=jobs, **limits)  # type: ignore[arg-type]
        return Rounds(self.node, self, environments or (SLIM,), made, on_result=self.on_result)

    def on_result(self, record: Record) -> None:
        self.reported.append(record)
        self.after_result(record)

    def run(self, rounds: Rounds, *, budget: Budget = NO_BUDGET) -> None:
        queue_filter = QueueFilter(environments=(SLIM, ALPINE))
        source = QueueSource(node=self.node, queue_filter=queue_filter, run="run", lease_s=100)
        rounds.run(source, expected=(SLIM, ALPINE), budget=budget)

    @property
    def recorded(self) -> list[tuple[str, str]]:
        rows = self.store.db.execute("SELECT package, result FROM records ORDER BY package, observed_at, result")
        return [tuple(row) for row in rows.fetchall()]

    @property
    def queued(self) -> list[tuple[str, int]]:
        return [tuple(r) for r in self.store.db.execute("SELECT package, attempts FROM queue ORDER BY 1").fetchall()]


@pytest.fixture
def rig(store: Store, record: RecordBuilder, tmp_path: Path) -> RoundsHarness:
    reporter = RecordingReporter()
    context = Context(
        config=config.load({}, data=tmp_path / "data"),
        reporter=reporter,
        environ={},
        stop=threading.Event(),
        clock=lambda: made.now,
    )
    made = RoundsHarness(store=store, record=record, context=context, messages=reporter.messages)
    return made


# ---------------------------------------------------------------- canaries


def test_the_reporter_is_told_what_is_running(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("one", "two"), source="feed", now=1)
    rig.run(rig.rounds(jobs=2))
    reporter = rig.context.reporter
    assert isinstance(reporter, RecordingReporter)
    one, two = (f"{name}==2.1.0 in {SLIM}" for name in ("one", "two"))
    canary = f"canary of {SLIM}"
    assert reporter.jobs[0] == (canary,)
    assert (one, two) in reporter.jobs
    assert reporter.jobs[-2:] == [(canary,), ()]
    assert all(set(jobs) <= {canary, one, two} for jobs in reporter.jobs)


def test_the_canary_runs_before_and_after_the_cells(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a", "b"), source="feed", now=1)
    rig.run(rig.rounds())
    assert rig.order == [f"canary of {SLIM}", "a", "b", f"canary of {SLIM}"]
    assert rig.recorded == [("a", "PASS"), ("b", "PASS")]
    assert rig.queued == []
    assert staging.pending_counts(rig.store.db) == {}


def test_results_become_records_only_after_the_second_canary(rig: RoundsHarness) -> None:
    seen: list[object] = []
    rig.store.queue.enqueue(cells("a"), source="feed", now=1)

    def before_canary(_environment: str) -> None:
        seen.append((len(rig.reported), rig.store.db.table("records").count, staging.pending_counts(rig.store.db)))

    rig.before_canary = before_canary
    rig.run(rig.rounds())
    assert seen == [(0, 0, {}), (1, 0, {SLIM: 1})]


def test_no_cell_is_checked_in_an_environment_that_is_unhealthy_at_first(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a") + cells("a", environment=ALPINE), source="feed", now=1)
    rig.faults[ALPINE] = [["its import crashed", "six is gone"]]
    rounds = rig.rounds(SLIM, ALPINE)
    rig.run(rounds)
    assert rounds.unhealthy == {ALPINE: "the canary says: its import crashed; six is gone"}
    assert rounds.healthy == [SLIM]
    assert rig.messages == [f"warning: {ALPINE} is unhealthy: the canary says: its import crashed; six is gone"]
    assert (rig.recorded, rig.queued) == ([("a", "PASS")], [("a", 0)])
    assert rig.order.count(f"canary of {ALPINE}") == 1


def test_results_of_an_environment_that_becomes_unhealthy_are_rejected(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a", "b"), source="feed", now=1)
    rig.results["b"] = [Result.FAIL]
    rig.faults[SLIM] = [(), ["its import crashed"]]
    rounds = rig.rounds()
    rig.run(rounds)
    assert [record.result for record in rig.reported] == [Result.PASS, Result.FAIL], "reported at once"
    assert rig.messages[-1].endswith("the canary says: its import crashed; 2 results there are rejected")
    assert rig.recorded == [("a", "ERROR"), ("b", "ERROR")]
    assert {record.cause for record in queries.read_records(rig.store.db)} == {"unhealthy-environment"}
    assert rig.queued == [("a", 1), ("b", 1)]
    assert rig.store.db.table("logs").count == 0
    rig.now = LATE
    rig.results, rig.faults = {}, {}
    rig.run(rig.rounds())
    assert rig.recorded == [("a", "ERROR"), ("a", "PASS"), ("b", "ERROR"), ("b", "PASS")]
    assert rig.queued == []


def test_a_long_fault_is_shortened_to_fit_a_record(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a"), source="feed", now=1)
    rig.faults[SLIM] = [(), ["x" * 400, "line\nbreak\x1b[31m", "y" * 400]]
    rig.run(rig.rounds())
    (error,) = queries.read_records(rig.store.db)
    assert error.detail
    assert len(error.detail) <= 500
    assert error.detail.isprintable()


def test_a_round_ends_after_a_number_of_cells(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells(*"abcde"), source="feed", now=1)
    rig.run(rig.rounds(cells=2))
    canary = f"canary of {SLIM}"
    assert rig.order == [canary, "a", "b", canary, "c", "d", canary, "e", canary]


def test_a_round_ends_after_a_number_of_seconds(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells(*"abcd"), source="feed", now=1)
    rig.run(rig.rounds(seconds=20, clock=lambda: 10 * len(rig.reported)))
    canary = f"canary of {SLIM}"
    assert rig.order == [canary, "a", "b", canary, "c", "d", canary]


def test_a_rejected_round_leaves_the_round_before_it(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells(*"abcde"), source="feed", now=1)
    rig.faults[SLIM] = [(), (), ["its import crashed"]]
    rig.run(rig.rounds(cells=2))
    assert rig.recorded == [("a", "PASS"), ("b", "PASS"), ("c", "ERROR"), ("d", "ERROR")]
    assert rig.queued == [("c", 1), ("d", 1), ("e", 0)]


@pytest.mark.parametrize("jobs", [1, 3, 8])
def test_each_environment_has_rounds_of_its_own(rig: RoundsHarness, jobs: int) -> None:
    packages = [f"package-{n}" for n in range(12)]
    for package in packages:
        rig.store.queue.enqueue(cells(package) + cells(package, environment=ALPINE), source="feed", now=1)
    rig.faults[ALPINE] = [(), (), ["its import crashed"]]
    rig.run(rig.rounds(SLIM, ALPINE, jobs=jobs, cells=5))
    by_environment = {
        environment: [r.result for r in queries.read_records(rig.store.db) if r.environment == environment]
        for environment in (SLIM, ALPINE)
    }
    assert by_environment[SLIM] == [Result.PASS] * 12
    assert 5 <= by_environment[ALPINE].count(Result.PASS) < 12
    assert Result.ERROR in by_environment[ALPINE]
    assert len(rig.queued) == 12 - by_environment[ALPINE].count(Result.PASS)
    assert staging.pending_counts(rig.store.db) == {}


def test_no_canary_runs_in_an_environment_without_jobs(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a"), source="feed", now=1)
    queue_filter = QueueFilter(environments=(SLIM, ALPINE))
    source = QueueSource(node=rig.node, queue_filter=queue_filter, run="run", lease_s=100)
    rig.rounds(SLIM, ALPINE).run(source, expected=[SLIM])
    assert f"canary of {ALPINE}" not in rig.order


def test_after_the_deadline_no_cell_is_begun_and_the_round_is_completed(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells(*"abcd"), source="feed", now=1)
    rig.run(rig.rounds(clock=lambda: 0), budget=Budget(deadline=-1))
    assert rig.order == []
    rig.run(rig.rounds(clock=lambda: len(rig.reported)), budget=Budget(deadline=1))
    assert rig.recorded == [("a", "PASS"), ("b", "PASS")]
    assert [package for package, _ in rig.queued] == ["c", "d"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_after_so_many_cells_no_other_is_begun_and_the_round_is_completed(rig: RoundsHarness, jobs: int) -> None:
    rig.store.queue.enqueue(cells(*"abcde"), source="feed", now=1)
    rounds = rig.rounds(jobs=jobs)
    rig.run(rounds, budget=Budget(cells=2))
    assert rig.recorded == [("a", "PASS"), ("b", "PASS")]
    assert [package for package, _ in rig.queued] == ["c", "d", "e"]
    assert (rounds.ended_by, rounds.checked) == (BudgetLimit.CELLS, 2)
    rig.run(rounds, budget=Budget(cells=100))
    assert (rounds.ended_by, rig.queued) == (None, [])


# ---------------------------------------------------------------- pending results of another run


def test_pending_results_of_a_killed_run_are_recorded_if_the_canary_passes(rig: RoundsHarness) -> None:
    staging.stage(rig.store, [StagedRecord(record=rig.record("left"), log=None)], now=1)
    rig.run(rig.rounds())
    assert rig.recorded == [("left", "PASS")]


def test_pending_results_of_a_killed_run_are_rejected_if_it_fails(rig: RoundsHarness) -> None:
    staging.stage(rig.store, [StagedRecord(record=rig.record("left"), log=None)], now=1)
    rig.faults[SLIM] = [["its import crashed"]]
    rounds = rig.rounds()
    rig.run(rounds)
    assert rig.recorded == [("left", "ERROR")]
    assert [staged.record.cause for staged in rounds.recorded] == ["unhealthy-environment"]


# ---------------------------------------------------------------- errors and stops


def test_an_error_is_recorded_at_once_and_retried_after_its_delay(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a", "b"), source="feed", now=1)
    rig.results["a"] = [Result.ERROR, Result.PASS]

    def pass_time(cell: Cell) -> None:
        if cell.release.package == "b":
            rig.now = LATE

    rig.before_check = pass_time
    rig.run(rig.rounds())
    assert rig.order == [f"canary of {SLIM}", "a", "b", "a", f"canary of {SLIM}"]
    assert rig.recorded == [("a", "ERROR"), ("a", "PASS"), ("b", "PASS")]


def test_an_error_whose_delay_is_not_over_waits_for_another_run(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a"), source="feed", now=1)
    rig.results["a"] = [Result.ERROR]
    rig.run(rig.rounds())
    assert (rig.recorded, rig.queued) == ([("a", "ERROR")], [("a", 1)])
    assert rig.order == [f"canary of {SLIM}", "a"], "there is no result to confirm"


def test_an_error_that_no_attempt_changes_is_not_tried_again(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a"), source="feed", now=1)
    rig.results["a"], rig.causes[Result.ERROR] = [Result.ERROR], "file-size"
    rig.run(rig.rounds())
    assert (rig.recorded, rig.queued) == ([("a", "ERROR")], [("a", MAX_ATTEMPTS)])


def test_a_stop_leaves_results_pending_that_no_canary_has_confirmed(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a", "b"), source="feed", now=1)
    rig.after_result = lambda _: rig.context.stop.set()
    rig.run(rig.rounds())
    rig.after_result = lambda _: None
    assert (rig.recorded, staging.pending_counts(rig.store.db)) == ([], {SLIM: 1})
    assert rig.closed.is_set()
    rig.context.stop.clear()
    rig.store.queue.release_leases()
    rig.run(rig.rounds())
    assert rig.recorded == [("a", "PASS"), ("b", "PASS")]
    assert rig.order.count("a") == rig.order.count("b") == 1


def test_faults_of_a_canary_that_is_cut_short_are_ignored(rig: RoundsHarness) -> None:
    rig.store.queue.enqueue(cells("a"), source="feed", now=1)

    def stop_at_the_second(_environment: str) -> None:
        if rig.reported:
            rig.context.stop.set()
            assert rig.closed.wait(10)

    rig.before_canary = stop_at_the_second
    rig.faults[SLIM] = [(), ["the sandbox is gone"]]
    rounds = rig.rounds()
    rig.run(rounds)
    assert (staging.pending_counts(rig.store.db), rig.recorded, rounds.unhealthy) == ({SLIM: 1}, [], {})


# ---------------------------------------------------------------- regressions


def test_a_new_regression_is_checked_twice(rig: RoundsHarness) -> None:
    rig.store.add_record(rig.record("a", "2.0.0"))
    rig.store.queue.enqueue(cells("a"), source="feed", now=1)
    rig.results["a"] = [Result.FAIL]
    rig.run(rig.rounds())
    assert rig.order.count("a") == 2
    first, second = [r for r in queries.read_records(rig.store.db) if r.release.version == "2.1.0"]
    assert {first.observed_at, second.observed_at} == {NOW, NOW + 1}, "both are kept, in order"
    assert read_flakiness(rig.store.db, RecheckReason.CONFIRMATION).pairs == 1
    assert read_flakiness(rig.store.db, RecheckReason.CONFIRMATION).disagreements == 0
    assert len(rig.reported) == 1


def test_a_regression_that_is_not_confirmed_counts_as_flakiness(rig: RoundsHarness) -> None:
    rig.store.add_record(rig.record("a", observed_at=NOW - 60))
    rig.store.queue.enqueue(cells("a"), source="named", now=1)
    rig.results["a"] = [Result.TIMEOUT, Result.PASS]
    rig.run(rig.rounds())
    assert rig.recorded == [("a", "PASS"), ("a", "TIMEOUT"), ("a", "PASS")]
    (current,) = queries.current_by_environment(rig.store.db, cells("a")[0].release).values()
    assert (current.result, current.observed_at) == (Result.PASS, NOW + 1)
    assert read_flakiness(rig.store.db, RecheckReason.CONFIRMATION).results == {"TIMEOUT → PASS": 1}
    assert rig.messages == [f"a==2.1.0 in {SLIM}: TIMEOUT at first, PASS when checked again"]


def test_a_failure_that_is_not_new_is_checked_once(rig: RoundsHarness) -> None:
    rig.store.add_record(rig.record("a", "2.0.0", result="FAIL"))
    rig.store.queue.enqueue(cells("a", "b"), source="feed", now=1)
    rig.results = {"a": [Result.FAIL], "b": [Result.FAIL]}
    rig.run(rig.rounds())
    assert (rig.order.count("a"), rig.order.count("b")) == (1, 1)


def test_a_regression_whose_confirmation_ends_in_an_error_is_not_recorded(rig: RoundsHarness) -> None:
    rig.store.add_record(rig.record("a", "2.0.0"))
    rig.store.queue.enqueue(cells("a"), source="feed", now=1)
    rig.results["a"] = [Result.FAIL, Result.ERROR]
    rig.run(rig.rounds())
    held = [r for r in queries.read_records(rig.store.db) if r.release.version == "2.1.0"]
    assert {r.result for r in held} == {Result.ERROR}
    assert {r.detail for r in held} == {
        "a regression that could not be confirmed: it did not work",
        "it did not work",
    }
    assert rig.queued == [("a", 1)]


# ---------------------------------------------------------------- listed cells, A/A rechecks


def test_listed_cells_are_checked_in_their_order_and_not_queued(rig: RoundsHarness) -> None:
    jobs = [CellJob(cell=cell) for cell in cells("b", "a")]
    rig.results["a"] = [Result.ERROR]
    rounds = rig.rounds(jobs=1)
    rounds.run(ListSource(jobs), expected=[SLIM])
    assert rig.order == [f"canary of {SLIM}", "b", "a", f"canary of {SLIM}"]
    assert rig.queued == []
    # An error needs no canary: it is recorded at once.
    assert [(staged.record.release.package, staged.log) for staged in rounds.recorded] == [
        ("a", f"the log of a==2.1.0 in {SLIM}"),
        ("b", None),
    ]


def test_listed_cells_of_an_unhealthy_environment_are_not_checked(rig: RoundsHarness) -> None:
    rig.faults[SLIM] = [["its import crashed"]]
    rounds = rig.rounds()
    rounds.run(ListSource([CellJob(cell=cell) for cell in cells("a")]), expected=[SLIM])
    assert (rounds.recorded, list(rounds.unhealthy)) == ([], [SLIM])


def test_an_aa_recheck_is_paired_and_may_need_a_confirmation(rig: RoundsHarness) -> None:
    firsts = [rig.record(package) for package in ("same", "other")]
    for first in firsts:
        rig.store.add_record(first)
    rig.results["other"] = [Result.FAIL]
    jobs = [CellJob(cell=Cell.of(f), recheck_of=f, prior=prior_results(rig.store.db, Cell.of(f))) for f in firsts]
    rig.rounds().run(ListSource(jobs), expected=[SLIM])
    assert rig.recorded == [
        ("other", "PASS"),
        ("other", "FAIL"),
        ("other", "FAIL"),
        ("same", "PASS"),
        ("same", "PASS"),
    ]
    found = read_flakiness(rig.store.db, RecheckReason.AA)
    assert (found.pairs, found.results) == (2, {"PASS → FAIL": 1})
    assert read_flakiness(rig.store.db, RecheckReason.CONFIRMATION).pairs == 1
    times = sorted(r.observed_at for r in queries.read_records(rig.store.db) if r.release.package == "other")
    assert times == [NOW, NOW + 1, NOW + 2]
