"""Queueing and checking: what is queued, checked and retried; on a runtime in memory and a local index."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import ALPINE, SLIM, tiny_matrix
from fake_runtime import CellScript, FakeRuntime, ScriptedCommand
from local_index import LocalIndex, reply
from projects import module_project
from recording_reporter import RecordingReporter
from sample_record import SAMPLE_RECORD

from ppp import config
from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import PreparedEnvironment
from ppp.ledger import queries
from ppp.ledger.flakiness import Flakiness
from ppp.ledger.queue import QueueFilter
from ppp.ledger.schema import MAX_ATTEMPTS, RETRY_DELAYS_S
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model import matrix
from ppp.model.errors import DiskFullError
from ppp.model.matrix import Cell, Environment, Platform
from ppp.model.queue_policy import QueuePolicy
from ppp.model.record import DistributionFile, Installed, Network, Record, Result
from ppp.model.release import Release, RequestedPackage
from ppp.model.trigger import Trigger, TriggerKind
from ppp.runner.check import behind_gateway, check_now, check_queue, queue_state
from ppp.runner.context import Context, LocalNode
from ppp.runner.enqueue import enqueue_changed_offers, enqueue_wanted
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.request import RunRequest, Sources
from ppp.runner.requested import RequestedRelease, find_requested
from ppp.runner.triggers import RecheckQueue, ready_contents

NOW: Final = 1_714_003_200
EXAMPLE: Final = Release(package="example-lib", version="1.0")
OTHER: Final = Release(package="other", version="1.0")
LOST: Final = ScriptedCommand(lost="the engine is gone")
FAILED: Final = ScriptedCommand(output=b"Traceback (most recent call last):\nValueError: no\n", exit_code=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHarness:
    """A node, what it reports, and the index that it uses."""

    node: LocalNode
    reporter: RecordingReporter
    local: LocalIndex
    index: SimpleIndex
    clock: list[int]

    def pass_time(self, seconds: int) -> None:
        self.clock[0] += seconds

    def check(self, ready: ReadyEnvironments, request: RunRequest, *, only: frozenset[Release] | None = None) -> int:
        return check_queue(self.node, ready, request, only=only).checked

    def request(self, *environments: Environment, **changes: Any) -> RunRequest:
        matrix = tiny_matrix(*environments)
        fields: dict[str, Any] = {"environments": matrix.environments, "sources": Sources(), "jobs": 2} | changes
        return RunRequest(**{"matrix": matrix} | fields)

    def ready(self, request: RunRequest, script: Callable[..., ScriptedCommand]) -> ReadyEnvironments:
        runtime = FakeRuntime(request.matrix, script)
        return ReadyEnvironments(
            index=self.index,
            matrix=request.matrix,
            runtimes=dict.fromkeys(Platform, runtime),
            prepared={e.id: runtime.prepare(e) for e in request.environments},
            unavailable={},
        )

    def enqueue(self, request: RunRequest, *wanted: str) -> None:
        named = tuple(RequestedPackage.parse(text) for text in wanted)
        enqueue_wanted(self.node, None, self.find(named), request)

    def find(self, named: Sequence[RequestedPackage]) -> Sequence[RequestedRelease]:
        return find_requested(self.node.context, self.index, Sources(named=tuple(named)), []).releases

    @property
    def queue(self) -> list[tuple[str, str, int]]:
        rows = self.node.store.db.execute(
            "SELECT package || ' ' || version, environment, attempts FROM queue ORDER BY 1, 2"
        )
        return [tuple(row) for row in rows.fetchall()]

    @property
    def results(self) -> list[tuple[str, str]]:
        rows = self.node.store.db.execute("SELECT package || ' ' || version, result FROM records ORDER BY 1, 2")
        return [tuple(row) for row in rows.fetchall()]


@pytest.fixture
def rig(store: Store, tmp_path: Path) -> Iterator[NodeHarness]:
    with LocalIndex() as local:
        local.add(module_project("example-lib", ""), module_project("other", ""))
        settings = {"PPP_INDEX_URL": local.url, "PPP_FEED_URL": local.url_of("/feed")}
        reporter, clock = RecordingReporter(), [NOW]

        def tick() -> int:
            clock[0] += 1
            return clock[0]

        context = Context(
            config=config.load(settings, data=tmp_path / "data"),
            reporter=reporter,
            environ={},
            stop=threading.Event(),
            clock=tick,
        )
        node = LocalNode(context=context, store=store, key=NodeKey.from_seed(b"\1" * 32))
        index = SimpleIndex(local.url, cache=tmp_path / "files", user_agent="the-pypi-rig/tests")
        yield NodeHarness(node=node, reporter=reporter, local=local, index=index, clock=clock)


# ---------------------------------------------------------------- sources


def test_named_packages_replace_feed_and_watchlist(tmp_path: Path) -> None:
    named = Sources(named=(RequestedPackage.parse("six"),), watchlist=tmp_path / "not read.txt")
    assert (named.are_explicit, named.reads_feed) == (True, False)
    assert Sources(requirements=(tmp_path / "r.txt",)).reads_feed is False
    assert Sources().reads_feed is True
    assert Sources(feed=False).reads_feed is False


def test_the_release_that_pip_would_install_is_queued_beside_the_newest(rig: NodeHarness) -> None:
    rig.local.add(module_project("example-lib", "", version="2.0", requires_python=">=3.99"))
    request = rig.request(SLIM, ALPINE)
    enqueue_wanted(
        rig.node, rig.ready(request, CellScript()), rig.find([RequestedPackage.parse("example-lib")]), request
    )
    everywhere = [ALPINE.id, SLIM.id]
    assert [(r, e) for r, e, _ in rig.queue] == [(f"example-lib {v}", e) for v in ("1.0", "2.0") for e in everywhere]


def test_without_ready_environments_only_the_newest_release_is_queued(rig: NodeHarness) -> None:
    rig.local.add(module_project("example-lib", "", version="2.0", requires_python=">=3.99"))
    rig.enqueue(rig.request(SLIM), "example-lib")
    assert rig.queue == [("example-lib 2.0", SLIM.id, 0)]


# ---------------------------------------------------------------- what the index withdraws


def look_again(rig: NodeHarness, request: RunRequest, *requested: str) -> list[str]:
    """Look for what has changed, with the pages as they are now; return the cells that are queued for that."""
    index = SimpleIndex(rig.local.url, cache=rig.index.cache, user_agent="the-pypi-rig/tests")
    plan = enqueue_changed_offers(rig.node, index, requested, request)
    return [str(cell) for cell in plan.cells]


def check_again(rig: NodeHarness, request: RunRequest) -> Record:
    """Check what is queued, with the pages as they are now; return the newest record."""
    # Records are put in order by whole seconds.
    time.sleep(1.0 if rig.results else 0)
    rig.pass_time(1)
    index = SimpleIndex(rig.local.url, cache=rig.index.cache, user_agent="the-pypi-rig/tests")
    assert rig.check(replace(rig.ready(request, CellScript()), index=index), request)
    (record,) = queries.current_by_environment(rig.node.store.db, EXAMPLE).values()
    return record


def test_a_release_that_was_checked_and_is_gone_is_withdrawn_and_comes_back(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib")
    assert check_again(rig, request).result is Result.PASS
    assert look_again(rig, request, "example-lib") == [], "it is still there"

    rig.local.remove("example-lib")
    assert look_again(rig, request, "other") == [], "nobody asked for it"
    assert look_again(rig, request, "example-lib") == [f"example-lib==1.0 in {SLIM.id}"]
    assert rig.reporter.notes[-1] == "the index has withdrawn example-lib==1.0, of which there is a result"
    record = check_again(rig, request)
    assert (record.result, record.cause) == (Result.NA, "withdrawn")
    assert rig.queue == []
    assert look_again(rig, request, "example-lib") == [], "its record says so"
    assert rig.results == [("example-lib 1.0", "NA"), ("example-lib 1.0", "PASS")], "nothing is discarded"

    rig.local.add(module_project("example-lib", ""))
    assert look_again(rig, request, "example-lib") == [f"example-lib==1.0 in {SLIM.id}"]
    assert check_again(rig, request).result is Result.PASS


def test_a_package_of_the_watchlist_that_is_gone_is_looked_at_too(rig: NodeHarness, tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("example-lib\nother\n")
    request = rig.request(SLIM)
    for status, wanted in (("", {"example-lib", "other"}), ("quarantined", {"example-lib", "other"})):
        if status:
            rig.local.remove("example-lib")
            rig.local.set_status("example-lib", status)
            rig.local.remove("other")
        index = SimpleIndex(rig.local.url, cache=rig.index.cache, user_agent="the-pypi-rig/tests")
        found = find_requested(rig.node.context, index, Sources(watchlist=tmp_path / "w.txt"), request.environments)
        assert found.packages == wanted
        assert len(found.releases) == (0 if status else 2)


def test_names_that_cannot_be_read_are_counted_once_a_run(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.local.add_file("example-lib", "example_lib-1.0-py3-none-any-x86_64_v3.whl", b"")
    rig.enqueue(request, "example-lib")
    check_again(rig, request)
    assert [note for note in rig.reporter.notes if "skipped" in note] == [
        "1 file was skipped: pip cannot read its name, example_lib-1.0-py3-none-any-x86_64_v3.whl"
    ]


@pytest.mark.parametrize("status", ["archived", "quarantined"])
def test_only_a_quarantine_withdraws_a_release(rig: NodeHarness, status: str) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib")
    check_again(rig, request)
    rig.local.set_status("example-lib", status)
    assert bool(look_again(rig, request, "example-lib")) is (status == "quarantined")


def test_an_index_that_does_not_answer_withdraws_nothing(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib")
    check_again(rig, request)
    rig.local.set_response("/simple/example-lib/", reply(status=503))
    assert look_again(rig, request, "example-lib") == []


def test_an_announced_release_has_until_the_last_attempt_to_appear(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.local.remove("example-lib")
    rig.node.store.queue.enqueue([Cell(release=EXAMPLE, environment=SLIM.id)], source="watchlist", now=NOW)
    for delay in RETRY_DELAYS_S:
        record = check_again(rig, request)
        assert (record.result, record.cause) == (Result.ERROR, "missing-file")
        assert rig.queue
        rig.pass_time(delay)
    record = check_again(rig, request)
    assert (record.result, record.cause) == (Result.NA, "withdrawn")
    assert rig.queue == [], "a cell that can never be had is not queued still"


def test_a_release_that_appears_in_time_is_checked(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.local.remove("example-lib")
    rig.node.store.queue.enqueue([Cell(release=EXAMPLE, environment=SLIM.id)], source="watchlist", now=NOW)
    assert check_again(rig, request).result is Result.ERROR
    rig.local.add(module_project("example-lib", ""))
    rig.pass_time(RETRY_DELAYS_S[0])
    assert check_again(rig, request).result is Result.PASS


# ---------------------------------------------------------------- the queue


def test_a_cell_with_a_result_leaves_the_queue_and_is_not_queued_again(rig: NodeHarness) -> None:
    request = rig.request(SLIM, ALPINE)
    rig.enqueue(request, "example-lib", "other")
    ready = rig.ready(request, CellScript(importing=FAILED))
    assert rig.check(ready, request) == 4
    assert rig.results == [(f"{name} 1.0", "FAIL") for name in ("example-lib", "example-lib", "other", "other")]
    assert (rig.reporter.totals, len(rig.reporter.records), rig.reporter.ended) == ([4], 4, 1)
    rig.enqueue(request, "example-lib")
    assert rig.queue == []
    rig.enqueue(replace(request, recheck=True), "example-lib")
    assert [(release, attempts) for release, _, attempts in rig.queue] == [("example-lib 1.0", 0)] * 2


def test_an_infrastructure_error_is_retried_a_few_times(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert rig.check(rig.ready(request, CellScript(importing=LOST)), request) == 1
        assert rig.queue == [("example-lib 1.0", SLIM.id, attempt)]
        assert rig.check(rig.ready(request, CellScript()), request) == 0, "not before its time"
        assert bool(queries.given_up(rig.node.store.db)) == (attempt == MAX_ATTEMPTS)
        rig.pass_time(max(RETRY_DELAYS_S))
    assert rig.check(rig.ready(request, CellScript()), request) == 0
    # Records of the same second are one, but each was reported.
    assert set(rig.results) == {("example-lib 1.0", "ERROR")}
    assert len(rig.reporter.records) == MAX_ATTEMPTS
    state = queue_state(rig.node, request, gatewayed=[SLIM.id])
    assert (state.due, [(each.cells, each.environment) for each in state.waiting]) == (0, [(1, SLIM.id)])
    assert "the last time sandbox, and are not tried again" in state.waiting[0].why
    assert state.waiting[0].remedy == "to try one again, name it: -p example-lib==1.0"
    rig.enqueue(request, "example-lib")
    assert rig.check(rig.ready(request, CellScript()), request) == 1, "a package that is named is tried again"
    assert rig.queue == []


def test_a_full_disk_ends_the_run_and_costs_no_attempt(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib", "other")

    def check_room() -> None:
        raise DiskFullError("no space left for /here", hint="")

    full = replace(rig.ready(request, CellScript(importing=LOST)), check_room=check_room)
    with pytest.raises(DiskFullError):
        rig.check(full, request)
    assert rig.results == []
    assert rig.queue == [("example-lib 1.0", SLIM.id, 0), ("other 1.0", SLIM.id, 0)]
    passing = replace(rig.ready(request, CellScript()), check_room=check_room)
    assert rig.check(passing, request) == 2, "it is asked only where something ended in an error"


def test_a_result_after_an_error_takes_the_cell_off_the_queue(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib")
    rig.check(rig.ready(request, CellScript(importing=LOST)), request)
    rig.pass_time(RETRY_DELAYS_S[0])
    rig.check(rig.ready(request, CellScript()), request)
    assert rig.results == [("example-lib 1.0", "ERROR"), ("example-lib 1.0", "PASS")]
    assert rig.queue == []


def test_releases_that_are_not_requested_stay_queued(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib", "other")
    assert rig.check(rig.ready(request, CellScript()), request, only=frozenset({OTHER})) == 1
    assert rig.results == [("other 1.0", "PASS")]
    assert rig.queue == [("example-lib 1.0", SLIM.id, 0)]


def test_cells_of_environments_that_are_not_ready_stay_queued(rig: NodeHarness) -> None:
    request = rig.request(SLIM, ALPINE)
    rig.enqueue(request, "other")
    ready = rig.ready(rig.request(SLIM), CellScript())
    assert rig.check(ready, request) == 1
    assert rig.queue == [("other 1.0", ALPINE.id, 0)]


@pytest.mark.parametrize(("network", "checked"), [(Network.OPEN, 0), (Network.GATEWAY, 1)])
def test_untrusted_releases_run_only_behind_the_gateway(rig: NodeHarness, network: Network, checked: int) -> None:
    request = rig.request(SLIM)
    cell = matrix.Cell(release=OTHER, environment=SLIM.id)
    rig.node.store.queue.enqueue([cell], source="feed", now=NOW)
    ready = rig.ready(request, CellScript())
    ready = replace(ready, prepared={SLIM.id: replace(ready.prepared[SLIM.id], network=network)})
    assert rig.check(ready, request) == checked
    assert len(rig.queue) == 1 - checked
    state = queue_state(rig.node, request, gatewayed=behind_gateway(ready))
    assert (state.due, len(state.waiting)) == (0, 1 - checked)


def test_no_cell_is_begun_when_time_is_over(rig: NodeHarness) -> None:
    request = rig.request(SLIM, minutes=0.0)
    rig.enqueue(request, "example-lib", "other")
    ready = rig.ready(request, CellScript())
    assert rig.check(ready, request) == 0
    assert (len(rig.queue), rig.results, rig.reporter.ended) == (2, [], 1)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"cells": 1}, "the budget (--cells 1) left out 3 cells"),
        ({"cells": 3}, "the budget (--cells 3) left out 1 cell"),
        ({"cells": 4}, ""),
        ({"minutes": 0.0, "cells": 9}, "the budget (--minutes 0) left out 4 cells"),
    ],
)
def test_what_the_budget_leaves_out_is_counted_and_stays_queued(
    rig: NodeHarness, limits: dict[str, Any], words: str
) -> None:
    request = rig.request(SLIM, ALPINE, jobs=1, **limits)
    rig.enqueue(request, "example-lib", "other")
    ready = rig.ready(request, CellScript())
    budget = check_queue(rig.node, ready, request, only=None).budget
    assert (str(budget), budget.left_out) == (words, len(rig.queue))
    assert budget.to_json()["left_out"] == len(rig.queue)


def test_a_stop_keeps_finished_results_and_leaves_the_rest_queued(rig: NodeHarness) -> None:
    request = rig.request(SLIM, jobs=1)
    rig.enqueue(request, "example-lib", "other")
    stop, passing = rig.node.context.stop, CellScript()

    def script(argv: Any, files: Any) -> ScriptedCommand:
        # A stop is requested when the second cell begins, which would take long.
        if rig.reporter.records:
            stop.set()
            return ScriptedCommand(takes_s=30)
        return passing(argv, files)

    ready = rig.ready(request, script)
    assert rig.check(ready, request) == 1
    assert [record.result for record in rig.reporter.records] == [Result.PASS]
    assert rig.results == [], "no canary has confirmed it yet"
    assert rig.reporter.notes == [f"1 results of {SLIM.id} wait for its canary: the next run there publishes them"]
    assert rig.queue == [("other 1.0", SLIM.id, 0)]
    assert rig.reporter.ended == 1
    stop.clear()
    rig.check(rig.ready(request, CellScript()), request)
    assert rig.results == [("example-lib 1.0", "PASS"), ("other 1.0", "PASS")]


def test_leases_of_a_run_that_has_ended_are_taken_over_at_once(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib", "other")
    dead = rig.node.store.queue.lease(QueueFilter(environments=[SLIM.id]), run="dead", limit=1, until=NOW * 2, now=NOW)
    assert len(dead) == 1
    assert rig.check(rig.ready(request, CellScript()), request) == 2
    assert rig.queue == []


def test_no_lease_is_left_after_an_error(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib", "other")

    def script(*_: Any) -> ScriptedCommand:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rig.check(rig.ready(request, script), request)
    assert rig.check(rig.ready(request, CellScript()), request) == 2


# ---------------------------------------------------------------- the canary


def test_an_unhealthy_environment_is_reported_and_its_cells_stay_queued(rig: NodeHarness) -> None:
    request = rig.request(SLIM, ALPINE)
    rig.enqueue(request, "other")
    reporter = []

    def canary(prepared: PreparedEnvironment) -> Sequence[str]:
        reporter.append(prepared.environment.id)
        return ["its import crashed"] if prepared.environment.id == ALPINE.id else ()

    report = check_queue(rig.node, replace(rig.ready(request, CellScript()), canary=canary), request, only=None)
    assert (report.checked, report.unhealthy) == (1, {ALPINE.id: "the canary says: its import crashed"})
    assert rig.queue == [("other 1.0", ALPINE.id, 0)]
    assert sorted(reporter) == [ALPINE.id, SLIM.id, SLIM.id]


def test_cells_that_are_checked_directly_need_the_canary_too(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    ready = rig.ready(request, CellScript(importing=FAILED))
    cells = [matrix.Cell(release=release, environment=SLIM.id) for release in (OTHER, EXAMPLE, OTHER)]
    checked = check_now(rig.node, ready, cells)
    assert [o.record.release for o in checked.observations] == [OTHER, EXAMPLE, OTHER]
    assert all(o.log and "ValueError: no" in o.log for o in checked.observations)
    assert rig.results == [("example-lib 1.0", "FAIL"), ("other 1.0", "FAIL")]
    assert rig.reporter.records == []

    turns: list[Sequence[str]] = [(), ["its import crashed"], ["and again"]]
    unhealthy = replace(ready, canary=lambda _: turns.pop(0))
    (error,) = check_now(rig.node, unhealthy, cells[:1]).observations
    assert (error.record.result, error.record.cause, error.log) == (Result.ERROR, "unhealthy-environment", None)
    assert check_now(rig.node, unhealthy, cells[:1]).observations == ()
    assert rig.queue == []


def test_a_cell_that_is_checked_directly_leaves_the_queue(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "other")
    check_now(
        rig.node,
        rig.ready(request, CellScript(importing=LOST)),
        [matrix.Cell(release=OTHER, environment=SLIM.id)],
    )
    assert rig.queue == [("other 1.0", SLIM.id, 0)], "after an error the cell stays queued"
    check_now(rig.node, rig.ready(request, CellScript()), [matrix.Cell(release=OTHER, environment=SLIM.id)])
    assert rig.queue == []


# ---------------------------------------------------------------- flakiness (A/A tests)


def test_some_cells_of_the_run_are_checked_again(rig: NodeHarness) -> None:
    request = rig.request(SLIM, ALPINE, aa_cells=3, minutes=60.0)
    rig.enqueue(request, "example-lib", "other")
    report = check_queue(rig.node, rig.ready(request, CellScript(importing=FAILED)), request, only=None)
    assert report.flakiness == Flakiness(pairs=3)
    assert (report.checked, len(rig.results)) == (4, 7)
    assert rig.reporter.totals == [7]
    assert "flakiness (A/A test): 3 cells checked twice, 0 disagree" in rig.reporter.notes


def test_if_the_run_checked_nothing_the_newest_results_are_checked_again(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "example-lib", "other")
    assert check_queue(rig.node, rig.ready(request, CellScript()), request, only=None).flakiness is None
    again = replace(request, aa_cells=5, minutes=0.0)
    report = check_queue(rig.node, rig.ready(request, CellScript(importing=FAILED)), again, only=None)
    assert report.flakiness == Flakiness(pairs=2, results={"PASS → FAIL": 2})
    assert report.checked == 0
    # A result that changed is a new regression, and confirmed.
    assert rig.results == [(f"{name} 1.0", r) for name in ("example-lib", "other") for r in ("FAIL", "FAIL", "PASS")]


def test_a_recheck_that_ends_in_an_error_is_not_compared(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    rig.enqueue(request, "other")
    rig.check(rig.ready(request, CellScript()), request)
    report = check_queue(
        rig.node, rig.ready(request, CellScript(importing=LOST)), replace(request, aa_cells=1), only=None
    )
    assert report.flakiness == Flakiness()
    assert rig.queue == []


# ---------------------------------------------------------------- what a release breaks


def installs(rig: NodeHarness, package: str, dependency: str, version: str, **changes: Any) -> Record:
    """Store a verdict of this node on a package that has installed a dependency."""
    installed = (Installed(name=dependency, version=version, sha256=None),)
    release = Release(package=package, version="1.0")
    made = replace(SAMPLE_RECORD, release=release, node=rig.node.key.id, installed=installed, **changes)
    rig.node.store.add_record(made)
    return made


def triggers(rig: NodeHarness) -> list[tuple[str, str, Trigger | None]]:
    records = sorted(queries.read_records(rig.node.store.db), key=lambda one: one.observed_at)
    return [(str(one.release), str(one.result), one.triggered_by) for one in records]


def confined(ready: ReadyEnvironments) -> ReadyEnvironments:
    prepared = {id_: replace(one, network=Network.GATEWAY) for id_, one in ready.prepared.items()}
    return replace(ready, prepared=prepared)


def test_a_release_that_lands_makes_its_dependents_be_checked_again(rig: NodeHarness) -> None:
    installs(rig, "example-lib", "other", "0.9")
    request = rig.request(SLIM)
    trigger = Trigger(kind=TriggerKind.DEPENDENCY, name="other", version="1.0")
    rig.enqueue(request, "other")
    # A run about named packages checks nothing else.
    failing = confined(rig.ready(request, CellScript(importing=FAILED)))
    assert rig.check(failing, request, only=frozenset({OTHER})) == 1
    assert rig.results[-1] == ("other 1.0", "FAIL")
    assert rig.queue == []
    # The next one finds the landing, although the release that landed fails itself; and only once.
    ready = confined(rig.ready(request, CellScript()))
    assert [rig.check(ready, request) for _ in range(3)] == [1, 0, 0]
    assert [one for one in triggers(rig) if one[2]] == [("example-lib==1.0", "PASS", trigger)]
    assert "dependency other 1.0 is new: 1 cell of py312-slim again" in rig.reporter.notes


def test_dependents_are_checked_again_in_the_run_that_checks_the_release(rig: NodeHarness) -> None:
    installs(rig, "example-lib", "other", "0.9")
    request = rig.request(SLIM)
    rig.enqueue(request, "other")
    assert rig.check(confined(rig.ready(request, CellScript())), request) == 2
    assert sorted((release, bool(trigger)) for release, _, trigger in triggers(rig)) == [
        ("example-lib==1.0", False),
        ("example-lib==1.0", True),
        ("other==1.0", False),
    ]


def test_a_recheck_stays_one_after_an_error_and_an_unhealthy_environment(rig: NodeHarness) -> None:
    installs(rig, "example-lib", "other", "0.9")
    request = rig.request(SLIM)
    rig.enqueue(request, "other")
    rig.check(confined(rig.ready(request, CellScript())), request, only=frozenset({OTHER}))
    assert rig.check(confined(rig.ready(request, CellScript(importing=LOST))), request) == 1
    assert rig.queue == [("example-lib 1.0", "py312-slim", 1)]
    rig.pass_time(RETRY_DELAYS_S[0] + 1)
    assert rig.check(confined(rig.ready(request, CellScript())), request) == 1
    assert sorted((release, result, bool(trigger)) for release, result, trigger in triggers(rig)) == [
        ("example-lib==1.0", "ERROR", True),
        ("example-lib==1.0", "PASS", False),
        ("example-lib==1.0", "PASS", True),
        ("other==1.0", "PASS", False),
    ]


def test_without_a_gateway_nothing_is_checked_again(rig: NodeHarness) -> None:
    installs(rig, "example-lib", "other", "0.9")
    request = rig.request(SLIM)
    rig.enqueue(request, "other")
    assert rig.check(rig.ready(request, CellScript()), request) == 1
    assert rig.queue == []
    # What landed is not forgotten.
    assert rig.check(confined(rig.ready(request, CellScript())), request) == 1


def test_a_new_image_and_a_new_pip_check_once_again_what_failed(rig: NodeHarness) -> None:
    request = rig.request(SLIM)
    digest = f"sha256:{'5a' * 32}"
    installs(rig, "example-lib", "x", "1", result=Result.FAIL, image_digest=f"sha256:{'11' * 32}", cause="crash")
    installs(rig, "other", "x", "1", result=Result.FAIL, image_digest=digest, pip_version="25.0", cause="crash")
    ready = confined(rig.ready(request, CellScript()))
    assert [rig.check(ready, request) for _ in range(2)] == [2, 0]
    assert {(release, str(trigger.kind), trigger.version) for release, _, trigger in triggers(rig) if trigger} == {
        ("example-lib==1.0", "image", digest),
        ("other==1.0", "pip", "26.0.1"),
    }


def test_a_run_queues_no_more_rechecks_than_its_budget_and_the_next_one_goes_on(rig: NodeHarness) -> None:
    for package, dependency in (("a", "example-lib"), ("b", "example-lib"), ("c", "example-lib"), ("d", "other")):
        installs(rig, package, dependency, "0.9")
    request = rig.request(SLIM)
    ready = confined(rig.ready(request, CellScript()))
    for release in (OTHER, EXAMPLE):
        file = DistributionFile(filename=f"{release.package}.zip", sha256="12" * 32, size=1)
        rig.node.store.add_record(replace(SAMPLE_RECORD, release=release, node=rig.node.key.id, file=file))
    policy = QueuePolicy(dependents=2, recheck_budget=2)
    queued = [RecheckQueue(rig.node, ready_contents(ready), policy).queue_dependents() for _ in range(3)]
    assert queued == [2, 1, 0]
    rows = rig.node.store.db.execute("SELECT name, affected, queued FROM triggers ORDER BY name").fetchall()
    assert rows == [("example-lib", 3, 2), ("other", 1, 1)]
    assert rig.reporter.notes[0].endswith("2 cells of py312-slim again; 1 more are beyond the budget")
