"""Rounds: a canary before, cells, a canary after; what it does not stand behind is ours; regressions twice."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest

from ppp import config
from ppp.check.cell import Observation
from ppp.ledger import queries, staging
from ppp.ledger.flakiness import read_flakiness
from ppp.ledger.regressions import PriorResults, prior_results
from ppp.ledger.staging import RecheckReason, StagedRecord
from ppp.ledger.store import QueueFilter, Store
from ppp.mesh.node import NodeKey
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result, sha256_hex
from ppp.model.release import Release
from ppp.runner.context import Context, LocalNode
from ppp.runner.rounds import Hands, RoundLimits, Rounds, Task, TaskList, TaskQueue

RecordBuilder = Callable[..., Record]
SLIM, ALPINE = "py312-slim", "py312-alpine"
NOW: Final = 1_714_003_200
#: A long time ahead, when every delay is over.
LATE: Final = NOW + 1_000_000


def cells(*packages: str, environment: str = SLIM) -> list[Cell]:
    return [Cell(release=Release(package=package, version="2.1.0"), environment=environment) for package in packages]


@dataclass(slots=True)
class RoundsHarness:
    """A node whose cells and canaries come to what a test says, in turn; the last goes on for ever."""

    store: Store
    record: RecordBuilder
    context: Context
    heard: list[str]
    results: dict[str, list[Result]] = field(default_factory=dict)
    faults: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    told: list[Record] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    now: int = NOW
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def node(self) -> LocalNode:
        return LocalNode(context=self.context, store=self.store, key=NodeKey.from_seed(b"\1" * 32))

    def check(self, cell: Cell) -> Observation:
        with self.lock:
            self.order.append(cell.release.package)
            turns = self.results.get(cell.release.package, [Result.PASS])
            result = turns.pop(0) if len(turns) > 1 else turns[0]
            log = f"the log of {cell}" if result is not Result.PASS else None
            changes = {"result": result, "observed_at": self.now, "log_sha256": log and sha256_hex(log.encode())}
            return Observation(record=self.record(cell.release.package, "2.1.0", cell.environment, **changes), log=log)

    def canary(self, environment: str) -> Sequence[str]:
        with self.lock:
            self.order.append(f"canary of {environment}")
            turns = self.faults.get(environment, [()])
            return turns.pop(0) if len(turns) > 1 else turns[0]

    def close(self) -> None:
        self.closed.set()

    def rounds(self, *environments: str, jobs: int = 1, **pace: object) -> Rounds:
        hands = Hands(check=self.check, canary=self.canary, close=self.close)
        made = RoundLimits(jobs=jobs, **pace)  # type: ignore[arg-type]
        return Rounds(self.node, hands, environments or (SLIM,), made, told=self.told.append)

    def work(self, rounds: Rounds, *, enough: Callable[[], bool] = lambda: False) -> None:
        reach = QueueFilter(environments=(SLIM, ALPINE))
        supply = TaskQueue(node=self.node, reach=reach, run="run", lease_s=100)
        rounds.work(supply, expected=(SLIM, ALPINE), enough=enough)

    @property
    def recorded(self) -> list[tuple[str, str]]:
        rows = self.store.db.execute("SELECT package, result FROM records ORDER BY package, observed_at, result")
        return [tuple(row) for row in rows.fetchall()]

    @property
    def queued(self) -> list[tuple[str, int]]:
        return [tuple(r) for r in self.store.db.execute("SELECT package, attempts FROM queue ORDER BY 1").fetchall()]


@pytest.fixture
def yard(store: Store, record: RecordBuilder, tmp_path: Path) -> RoundsHarness:
    heard: list[str] = []

    class Listener:
        def note(self, text: str) -> None:
            heard.append(text)

        def warn(self, text: str) -> None:
            heard.append(f"warning: {text}")

        def begin(self, total: int) -> None: ...
        def checked(self, record: Record) -> None: ...
        def end(self) -> None: ...

    context = Context(
        config=config.load({}, data=tmp_path / "data"),
        reporter=Listener(),
        environ={},
        stop=threading.Event(),
        clock=lambda: made.now,
    )
    made = RoundsHarness(store=store, record=record, context=context, heard=heard)
    return made


# ---------------------------------------------------------------- canaries


def test_a_canary_is_heard_before_and_after(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a", "b"), source="feed", now=1)
    yard.work(yard.rounds())
    assert yard.order == [f"canary of {SLIM}", "a", "b", f"canary of {SLIM}"]
    assert yard.recorded == [("a", "PASS"), ("b", "PASS")]
    assert yard.queued == []
    assert staging.pending_counts(yard.store.db) == {}


def test_until_the_canary_agrees_nothing_is_in_the_records(yard: RoundsHarness) -> None:
    seen: list[object] = []
    yard.store.enqueue(cells("a"), source="feed", now=1)
    canary = yard.canary

    def listening(environment: str) -> Sequence[str]:
        seen.append((len(yard.told), yard.store.db.table("records").count, staging.pending_counts(yard.store.db)))
        return canary(environment)

    hands = Hands(check=yard.check, canary=listening, close=yard.close)
    yard.work(Rounds(yard.node, hands, [SLIM], RoundLimits(jobs=1), told=yard.told.append))
    assert seen == [(0, 0, {}), (1, 0, {SLIM: 1})]


def test_an_environment_that_is_unhealthy_before_is_left_alone(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a") + cells("a", environment=ALPINE), source="feed", now=1)
    yard.faults[ALPINE] = [["its import crashed", "six is gone"]]
    rounds = yard.rounds(SLIM, ALPINE)
    yard.work(rounds)
    assert rounds.unhealthy == {ALPINE: "the canary says: its import crashed; six is gone"}
    assert rounds.healthy == [SLIM]
    assert yard.heard == [f"warning: {ALPINE} is unhealthy: the canary says: its import crashed; six is gone"]
    assert (yard.recorded, yard.queued) == ([("a", "PASS")], [("a", 0)])
    assert yard.order.count(f"canary of {ALPINE}") == 1


def test_what_an_unhealthy_environment_said_is_overturned(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a", "b"), source="feed", now=1)
    yard.results["b"] = [Result.FAIL]
    yard.faults[SLIM] = [(), ["its import crashed"]]
    rounds = yard.rounds()
    yard.work(rounds)
    assert [record.result for record in yard.told] == [Result.PASS, Result.FAIL], "told at once"
    assert yard.heard[-1].endswith("the canary says: its import crashed; 2 results there are overturned")
    assert yard.recorded == [("a", "ERROR"), ("b", "ERROR")]
    assert {record.cause for record in queries.read_records(yard.store.db)} == {"unhealthy-environment"}
    assert yard.queued == [("a", 1), ("b", 1)]
    assert yard.store.db.table("logs").count == 0
    yard.now = LATE
    yard.results, yard.faults = {}, {}
    yard.work(yard.rounds())
    assert yard.recorded == [("a", "ERROR"), ("a", "PASS"), ("b", "ERROR"), ("b", "PASS")]
    assert yard.queued == []


def test_a_fault_of_many_words_fits_a_record(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a"), source="feed", now=1)
    yard.faults[SLIM] = [(), ["x" * 400, "line\nbreak\x1b[31m", "y" * 400]]
    yard.work(yard.rounds())
    (error,) = queries.read_records(yard.store.db)
    assert error.detail
    assert len(error.detail) <= 500
    assert error.detail.isprintable()


def test_a_round_is_over_after_so_many_cells(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells(*"abcde"), source="feed", now=1)
    yard.work(yard.rounds(cells=2))
    song = f"canary of {SLIM}"
    assert yard.order == [song, "a", "b", song, "c", "d", song, "e", song]


def test_a_round_is_over_after_so_many_seconds(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells(*"abcd"), source="feed", now=1)
    yard.work(yard.rounds(seconds=20, clock=lambda: 10 * len(yard.told)))
    song = f"canary of {SLIM}"
    assert yard.order == [song, "a", "b", song, "c", "d", song]


def test_a_round_that_is_overturned_spares_the_one_before(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells(*"abcde"), source="feed", now=1)
    yard.faults[SLIM] = [(), (), ["it is ill"]]
    yard.work(yard.rounds(cells=2))
    assert yard.recorded == [("a", "PASS"), ("b", "PASS"), ("c", "ERROR"), ("d", "ERROR")]
    assert yard.queued == [("c", 1), ("d", 1), ("e", 0)]


@pytest.mark.parametrize("jobs", [1, 3, 8])
def test_each_environment_has_rounds_of_its_own(yard: RoundsHarness, jobs: int) -> None:
    packages = [f"package-{n}" for n in range(12)]
    for package in packages:
        yard.store.enqueue(cells(package) + cells(package, environment=ALPINE), source="feed", now=1)
    yard.faults[ALPINE] = [(), (), ["it is ill"]]
    yard.work(yard.rounds(SLIM, ALPINE, jobs=jobs, cells=5))
    by_environment = {
        environment: [r.result for r in queries.read_records(yard.store.db) if r.environment == environment]
        for environment in (SLIM, ALPINE)
    }
    assert by_environment[SLIM] == [Result.PASS] * 12
    assert 5 <= by_environment[ALPINE].count(Result.PASS) < 12
    assert Result.ERROR in by_environment[ALPINE]
    assert len(yard.queued) == 12 - by_environment[ALPINE].count(Result.PASS)
    assert staging.pending_counts(yard.store.db) == {}


def test_nothing_is_asked_of_an_environment_that_has_nothing_to_do(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a"), source="feed", now=1)
    supply = TaskQueue(node=yard.node, reach=QueueFilter(environments=(SLIM, ALPINE)), run="run", lease_s=100)
    yard.rounds(SLIM, ALPINE).work(supply, expected=[SLIM], enough=lambda: False)
    assert f"canary of {ALPINE}" not in yard.order


def test_enough_begins_nothing_and_ends_its_round(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells(*"abcd"), source="feed", now=1)
    yard.work(yard.rounds(), enough=lambda: True)
    assert yard.order == []
    yard.work(yard.rounds(), enough=lambda: len(yard.told) >= 2)
    assert yard.recorded == [("a", "PASS"), ("b", "PASS")]
    assert [package for package, _ in yard.queued] == ["c", "d"]


# ---------------------------------------------------------------- what another run left


def test_what_a_dead_run_left_is_believed_if_the_canary_sings(yard: RoundsHarness) -> None:
    staging.stage(yard.store, [StagedRecord(record=yard.record("left"), log=None)], now=1)
    yard.work(yard.rounds())
    assert yard.recorded == [("left", "PASS")]


def test_what_a_dead_run_left_is_overturned_if_it_does_not(yard: RoundsHarness) -> None:
    staging.stage(yard.store, [StagedRecord(record=yard.record("left"), log=None)], now=1)
    yard.faults[SLIM] = [["it is ill"]]
    rounds = yard.rounds()
    yard.work(rounds)
    assert yard.recorded == [("left", "ERROR")]
    assert [staged.record.cause for staged in rounds.kept] == ["unhealthy-environment"]


# ---------------------------------------------------------------- errors and stops


def test_an_error_is_recorded_at_once_and_tried_again_when_its_time_comes(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a", "b"), source="feed", now=1)
    yard.results["a"] = [Result.ERROR, Result.PASS]
    check = yard.check

    def passing_time(cell: Cell) -> Observation:
        observation = check(cell)
        if cell.release.package == "b":
            yard.now = LATE
        return observation

    hands = Hands(check=passing_time, canary=yard.canary, close=yard.close)
    yard.work(Rounds(yard.node, hands, [SLIM], RoundLimits(jobs=1), told=yard.told.append))
    assert yard.order == [f"canary of {SLIM}", "a", "b", "a", f"canary of {SLIM}"]
    assert yard.recorded == [("a", "ERROR"), ("a", "PASS"), ("b", "PASS")]


def test_an_error_whose_time_does_not_come_waits_for_another_run(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a"), source="feed", now=1)
    yard.results["a"] = [Result.ERROR]
    yard.work(yard.rounds())
    assert (yard.recorded, yard.queued) == ([("a", "ERROR")], [("a", 1)])
    assert yard.order == [f"canary of {SLIM}", "a"], "there is nothing to stand behind"


def test_a_stop_leaves_what_no_canary_stands_behind_pending(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a", "b"), source="feed", now=1)
    told = yard.told.append

    def stopping(record: Record) -> None:
        told(record)
        yard.context.stop.set()

    hands = Hands(check=yard.check, canary=yard.canary, close=yard.close)
    yard.work(Rounds(yard.node, hands, [SLIM], RoundLimits(jobs=1), told=stopping))
    assert (yard.recorded, staging.pending_counts(yard.store.db)) == ([], {SLIM: 1})
    assert yard.closed.is_set()
    yard.context.stop.clear()
    yard.store.release_leases()
    yard.work(yard.rounds())
    assert yard.recorded == [("a", "PASS"), ("b", "PASS")]
    assert yard.order.count("a") == yard.order.count("b") == 1


def test_a_canary_that_is_cut_short_says_nothing(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a"), source="feed", now=1)

    def canary(_environment: str) -> Sequence[str]:
        if not yard.told:
            return ()
        yard.context.stop.set()
        assert yard.closed.wait(10)
        return ["the sandbox is gone"]

    hands = Hands(check=yard.check, canary=canary, close=yard.close)
    rounds = Rounds(yard.node, hands, [SLIM], RoundLimits(jobs=1), told=yard.told.append)
    yard.work(rounds)
    assert (staging.pending_counts(yard.store.db), yard.recorded, rounds.unhealthy) == ({SLIM: 1}, [], {})


# ---------------------------------------------------------------- regressions


def test_a_fresh_regression_is_looked_at_twice(yard: RoundsHarness) -> None:
    yard.store.add_record(yard.record("a", "2.0.0"))
    yard.store.enqueue(cells("a"), source="feed", now=1)
    yard.results["a"] = [Result.FAIL]
    yard.work(yard.rounds())
    assert yard.order.count("a") == 2
    first, second = [r for r in queries.read_records(yard.store.db) if r.release.version == "2.1.0"]
    assert {first.observed_at, second.observed_at} == {NOW, NOW + 1}, "each stands, one behind the other"
    assert read_flakiness(yard.store.db, RecheckReason.CONFIRMATION).pairs == 1
    assert read_flakiness(yard.store.db, RecheckReason.CONFIRMATION).disagreements == 0
    assert len(yard.told) == 1


def test_a_regression_that_the_second_look_does_not_see_is_noise(yard: RoundsHarness) -> None:
    yard.store.add_record(yard.record("a", observed_at=NOW - 60))
    yard.store.enqueue(cells("a"), source="named", now=1)
    yard.results["a"] = [Result.TIMEOUT, Result.PASS]
    yard.work(yard.rounds())
    assert yard.recorded == [("a", "PASS"), ("a", "TIMEOUT"), ("a", "PASS")]
    (current,) = queries.current_by_environment(yard.store.db, cells("a")[0].release).values()
    assert (current.result, current.observed_at) == (Result.PASS, NOW + 1)
    assert read_flakiness(yard.store.db, RecheckReason.CONFIRMATION).results == {"TIMEOUT → PASS": 1}
    assert yard.heard == [f"a==2.1.0 in {SLIM}: TIMEOUT at first, PASS when looked at again"]


def test_a_failure_that_is_no_news_is_looked_at_once(yard: RoundsHarness) -> None:
    yard.store.add_record(yard.record("a", "2.0.0", result="FAIL"))
    yard.store.enqueue(cells("a", "b"), source="feed", now=1)
    yard.results = {"a": [Result.FAIL], "b": [Result.FAIL]}
    yard.work(yard.rounds())
    assert (yard.order.count("a"), yard.order.count("b")) == (1, 1)


def test_a_regression_that_cannot_be_confirmed_is_not_told(yard: RoundsHarness) -> None:
    yard.store.add_record(yard.record("a", "2.0.0"))
    yard.store.enqueue(cells("a"), source="feed", now=1)
    yard.results["a"] = [Result.FAIL, Result.ERROR]
    yard.work(yard.rounds())
    held = [r for r in queries.read_records(yard.store.db) if r.release.version == "2.1.0"]
    assert {r.result for r in held} == {Result.ERROR}
    assert {r.detail for r in held} == {
        "a regression that could not be confirmed: it did not work",
        "it did not work",
    }
    assert yard.queued == [("a", 1)]


# ---------------------------------------------------------------- given cells, second looks


def test_given_cells_are_checked_in_their_order_and_not_queued(yard: RoundsHarness) -> None:
    tasks = [Task(cell=cell) for cell in cells("b", "a")]
    yard.results["a"] = [Result.ERROR]
    rounds = yard.rounds(jobs=1)
    rounds.work(TaskList(tasks), expected=[SLIM], enough=lambda: False)
    assert yard.order == [f"canary of {SLIM}", "b", "a", f"canary of {SLIM}"]
    assert yard.queued == []
    # An error needs nobody to stand behind it: it is kept at once.
    assert [(staged.record.release.package, staged.log) for staged in rounds.kept] == [
        ("a", f"the log of a==2.1.0 in {SLIM}"),
        ("b", None),
    ]


def test_given_cells_of_an_unhealthy_environment_are_left(yard: RoundsHarness) -> None:
    yard.faults[SLIM] = [["it is ill"]]
    rounds = yard.rounds()
    rounds.work(TaskList([Task(cell=cell) for cell in cells("a")]), expected=[SLIM], enough=lambda: False)
    assert (rounds.kept, list(rounds.unhealthy)) == ([], [SLIM])


def test_a_second_look_by_chance_is_a_pair_and_may_bring_a_third(yard: RoundsHarness) -> None:
    firsts = [yard.record(package) for package in ("same", "other")]
    for first in firsts:
        yard.store.add_record(first)
    yard.results["other"] = [Result.FAIL]
    tasks = [Task(cell=Cell.of(f), first=f, known=prior_results(yard.store.db, Cell.of(f))) for f in firsts]
    yard.rounds().work(TaskList(tasks), expected=[SLIM], enough=lambda: False)
    assert yard.recorded == [
        ("other", "PASS"),
        ("other", "FAIL"),
        ("other", "FAIL"),
        ("same", "PASS"),
        ("same", "PASS"),
    ]
    found = read_flakiness(yard.store.db, RecheckReason.AA)
    assert (found.pairs, found.results) == (2, {"PASS → FAIL": 1})
    assert read_flakiness(yard.store.db, RecheckReason.CONFIRMATION).pairs == 1
    times = sorted(r.observed_at for r in queries.read_records(yard.store.db) if r.release.package == "other")
    assert times == [NOW, NOW + 1, NOW + 2]


def test_a_list_gives_what_can_be_taken_now_and_each_once() -> None:
    one, two, three = (
        Task(cell=c, known=PriorResults()) for c in (*cells("a"), *cells("a", environment=ALPINE), *cells("a"))
    )
    supply = TaskList([one, two, three])
    assert supply.take([SLIM], 1) == [one]
    assert supply.take([SLIM], 5) == [three]
    assert supply.take([SLIM], 5) == []
    assert supply.take([SLIM, ALPINE], 5) == [two]


def test_leases_last_as_long_as_they_are_said_to(yard: RoundsHarness) -> None:
    yard.store.enqueue(cells("a"), source="feed", now=1)
    supply = TaskQueue(node=yard.node, reach=QueueFilter(environments=(SLIM,)), run="run", lease_s=100)
    (task,) = supply.take([SLIM], 5)
    assert task.queued
    assert supply.take([SLIM], 5) == []
    yard.now += 100
    assert supply.take([SLIM], 5) == [replace(task)]
