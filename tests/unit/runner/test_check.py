"""The steps of a run: what is queued, what is checked, what comes again; on a runtime in memory and a local index."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import ALPINE, SLIM, host_environment, tiny_matrix
from fake_runtime import CellScript, FakeRuntime, ScriptedCommand
from local_index import LocalIndex, reply
from projects import module_project

from ppp import config
from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import PreparedEnvironment
from ppp.ledger import queries
from ppp.ledger.flakiness import Flakiness
from ppp.ledger.schema import MAX_ATTEMPTS, RETRY_DELAYS_S
from ppp.ledger.store import QueueFilter, Store
from ppp.mesh.node import NodeKey
from ppp.model import matrix
from ppp.model.errors import FeedMalformedError, RequirementsError, UnknownPackageError, UnknownVersionError
from ppp.model.matrix import Environment, Platform
from ppp.model.record import Network, Record, Result
from ppp.model.release import Release, RequestedPackage
from ppp.runner.check import check_now, check_queue
from ppp.runner.context import Context, LocalNode
from ppp.runner.enqueue import enqueue_feed, enqueue_wanted, resolve_sources, try_enqueue_feed
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.request import RunRequest, Sources
from ppp.watch.queue import ReleaseSource

NOW: Final = 1_714_003_200
EXAMPLE: Final = Release(package="example-lib", version="1.0")
OTHER: Final = Release(package="other", version="1.0")
LOST: Final = ScriptedCommand(lost="the engine is gone")
FAILED: Final = ScriptedCommand(output=b"Traceback (most recent call last):\nValueError: no\n", exit_code=1)


@dataclass(slots=True)
class RecordingReporter:
    """A reporter that keeps what it is told."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    ended: int = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def begin(self, total: int) -> None:
        self.totals.append(total)

    def checked(self, record: Record) -> None:
        self.records.append(record)

    def end(self) -> None:
        self.ended += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHarness:
    """A node, what it tells, and the index that it asks."""

    node: LocalNode
    heard: RecordingReporter
    local: LocalIndex
    index: SimpleIndex
    clock: list[int]

    def pass_time(self, seconds: int) -> None:
        self.clock[0] += seconds

    def check(self, shop: ReadyEnvironments, order: RunRequest, *, only: frozenset[Release] | None = None) -> int:
        return check_queue(self.node, shop, order, only=only).checked

    def order(self, *environments: Environment, **changes: Any) -> RunRequest:
        matrix = tiny_matrix(*environments)
        fields: dict[str, Any] = {"environments": matrix.environments, "sources": Sources(), "jobs": 2} | changes
        return RunRequest(**{"matrix": matrix} | fields)

    def shop(self, order: RunRequest, script: Callable[..., ScriptedCommand]) -> ReadyEnvironments:
        runtime = FakeRuntime(order.matrix, script)
        return ReadyEnvironments(
            index=self.index,
            matrix=order.matrix,
            runtimes=dict.fromkeys(Platform, runtime),
            prepared={e.id: runtime.prepare(e) for e in order.environments},
            unavailable={},
        )

    def enqueue(self, order: RunRequest, *wanted: str) -> None:
        named = tuple(RequestedPackage.parse(text) for text in wanted)
        enqueue_wanted(self.node, None, resolve_sources(self.node.context, self.index, Sources(named=named)), order)

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
def place(store: Store, tmp_path: Path) -> Iterator[NodeHarness]:
    with LocalIndex() as local:
        local.add(module_project("example-lib", ""), module_project("other", ""))
        settings = {"PPP_INDEX_URL": local.url, "PPP_FEED_URL": local.url_of("/feed")}
        heard, clock = RecordingReporter(), [NOW]

        def tick() -> int:
            clock[0] += 1
            return clock[0]

        context = Context(
            config=config.load(settings, data=tmp_path / "data"),
            reporter=heard,
            environ={},
            stop=threading.Event(),
            clock=tick,
        )
        node = LocalNode(context=context, store=store, key=NodeKey.from_seed(b"\1" * 32))
        index = SimpleIndex(local.url, cache=tmp_path / "files", user_agent="the-pypi-place/tests")
        yield NodeHarness(node=node, heard=heard, local=local, index=index, clock=clock)


def feed(*titles: str) -> bytes:
    items = "".join(
        f"<item><title>{title}</title><link>https://index.example/project/{title.replace(' ', '/')}/</link></item>"
        for title in titles
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode()


# ---------------------------------------------------------------- what is wanted


def test_what_somebody_named_stands_alone(tmp_path: Path) -> None:
    named = Sources(named=(RequestedPackage.parse("six"),), watchlist=tmp_path / "not read.txt")
    assert (named.are_explicit, named.reads_feed) == (True, False)
    assert Sources(requirements=tmp_path / "r.txt").reads_feed is False
    assert Sources().reads_feed is True
    assert Sources(feed=False).reads_feed is False


def test_named_packages_and_a_file_are_resolved_together(place: NodeHarness, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("other[extra]>=0.5\n")
    (tmp_path / "w.txt").write_text("unheard-of\n")
    sources = Sources(
        named=(RequestedPackage.parse("Example_Lib"),), requirements=tmp_path / "r.txt", watchlist=tmp_path / "w.txt"
    )
    found = resolve_sources(place.node.context, place.index, sources)
    assert [(source, release) for source, _, release in found] == [
        (ReleaseSource.NAMED, EXAMPLE),
        (ReleaseSource.REQUIREMENTS, OTHER),
    ]
    assert len(place.heard.notes) == 1
    assert "extras of other" in place.heard.notes[0]


def test_what_is_named_must_be_there(place: NodeHarness, tmp_path: Path) -> None:
    for text, error in (("unheard-of", UnknownPackageError), ("other>=2", UnknownVersionError)):
        with pytest.raises(error):
            resolve_sources(place.node.context, place.index, Sources(named=(RequestedPackage.parse(text),)))
        (tmp_path / "r.txt").write_text(text)
        with pytest.raises(error):
            resolve_sources(place.node.context, place.index, Sources(requirements=tmp_path / "r.txt"))
    with pytest.raises(RequirementsError):
        resolve_sources(place.node.context, place.index, Sources(watchlist=tmp_path / "none.txt"))


def test_an_unknown_entry_of_a_watchlist_is_told_and_left_out(place: NodeHarness, tmp_path: Path) -> None:
    watchlist = tmp_path / "w.txt"
    watchlist.write_text("unheard-of\nother>=2\nexample-lib\n")
    found = resolve_sources(place.node.context, place.index, Sources(watchlist=watchlist))
    assert [release for _, _, release in found] == [EXAMPLE]
    assert [warning.startswith(f"{watchlist}: the index has no ") for warning in place.heard.warnings] == [True, True]


def test_what_pip_would_take_is_queued_beside_the_newest(place: NodeHarness) -> None:
    place.local.add(module_project("example-lib", "", version="2.0", requires_python=">=3.99"))
    order = place.order(SLIM, ALPINE)
    wanted = resolve_sources(place.node.context, place.index, Sources(named=(RequestedPackage.parse("example-lib"),)))
    enqueue_wanted(place.node, place.shop(order, CellScript()), wanted, order)
    everywhere = [ALPINE.id, SLIM.id]
    assert [(r, e) for r, e, _ in place.queue] == [(f"example-lib {v}", e) for v in ("1.0", "2.0") for e in everywhere]


def test_without_a_workshop_only_the_newest_is_queued(place: NodeHarness) -> None:
    place.local.add(module_project("example-lib", "", version="2.0", requires_python=">=3.99"))
    place.enqueue(place.order(SLIM), "example-lib")
    assert place.queue == [("example-lib 2.0", SLIM.id, 0)]


# ---------------------------------------------------------------- the feed


def test_a_feed_is_queued_once(place: NodeHarness) -> None:
    conditions = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        conditions.append(request.headers.get("If-None-Match"))
        if conditions[-1]:
            return reply(status=304)(request)
        return reply(feed("six 1.17.0"), headers={"ETag": '"one"'})(request)

    place.local.set_response("/feed", answer)
    order = place.order(SLIM)
    (made,) = try_enqueue_feed(place.node, order)
    assert [cell.release for cell in made.cells] == [Release(package="six", version="1.17.0")]
    (again,) = try_enqueue_feed(place.node, order)
    assert (again.cells, again.settled, again.skipped) == ((), (), ())
    assert conditions == [None, '"one"']
    assert place.heard.notes == ["the feed holds nothing new"]
    assert place.queue == [("six 1.17.0", SLIM.id, 0)]


def test_a_feed_that_fails_is_told_and_the_run_goes_on(place: NodeHarness) -> None:
    place.local.set_response("/feed", reply(b"<rss>"))
    assert try_enqueue_feed(place.node, place.order(SLIM)) == []
    (warning,) = place.heard.warnings
    assert warning.startswith("going on without the feed: ")
    assert place.node.store.source_validators(place.local.url_of("/feed")) == (None, None)
    with pytest.raises(FeedMalformedError):
        enqueue_feed(place.node, place.order(SLIM))


def test_what_a_feed_holds_of_no_use_is_told(place: NodeHarness) -> None:
    place.local.set_response("/feed", reply(feed("six 1.17.0", "no-version")))
    try_enqueue_feed(place.node, place.order(SLIM))
    (warning,) = place.heard.warnings
    assert "'no-version'" in warning
    assert len(place.queue) == 1


def test_the_feed_is_for_a_host_that_shuts_cells_in(place: NodeHarness) -> None:
    place.local.set_response("/feed", reply(feed("six 1.17.0")))
    (made,) = try_enqueue_feed(place.node, place.order(host_environment()))
    assert (len(made.cells), made.skipped) == (1, ())


def test_the_feed_is_not_run_on_a_host_without_a_sandbox(place: NodeHarness) -> None:
    place.local.set_response("/feed", reply(feed("six 1.17.0", "six 1.16.0")))
    context = replace(place.node.context, config=replace(place.node.context.config, network=Network.OPEN))
    (made,) = try_enqueue_feed(replace(place.node, context=context), place.order(host_environment()))
    assert (made.cells, len(made.skipped)) == ((), 2)
    (note,) = place.heard.notes
    assert note.startswith("2 releases skipped: releases of the open feed")
    assert place.queue == []
    assert place.node.store.db.execute("SELECT count(*) FROM skips").fetchone() == (2,)


# ---------------------------------------------------------------- the queue


def test_what_came_to_a_verdict_leaves_the_queue_and_does_not_come_back(place: NodeHarness) -> None:
    order = place.order(SLIM, ALPINE)
    place.enqueue(order, "example-lib", "other")
    shop = place.shop(order, CellScript(importing=FAILED))
    assert place.check(shop, order) == 4
    assert place.results == [(f"{name} 1.0", "FAIL") for name in ("example-lib", "example-lib", "other", "other")]
    assert (place.heard.totals, len(place.heard.records), place.heard.ended) == ([4], 4, 1)
    place.enqueue(order, "example-lib")
    assert place.queue == []
    place.enqueue(replace(order, recheck=True), "example-lib")
    assert [(release, attempts) for release, _, attempts in place.queue] == [("example-lib 1.0", 0)] * 2


def test_an_error_of_ours_is_tried_again_and_given_up_at_last(place: NodeHarness) -> None:
    order = place.order(SLIM)
    place.enqueue(order, "example-lib")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert place.check(place.shop(order, CellScript(importing=LOST)), order) == 1
        assert place.queue == [("example-lib 1.0", SLIM.id, attempt)]
        assert place.check(place.shop(order, CellScript()), order) == 0, "not before its time"
        assert bool(queries.given_up(place.node.store.db)) == (attempt == MAX_ATTEMPTS)
        place.pass_time(max(RETRY_DELAYS_S))
    assert place.check(place.shop(order, CellScript()), order) == 0
    # Within one second they are one record, but each was told.
    assert set(place.results) == {("example-lib 1.0", "ERROR")}
    assert len(place.heard.records) == MAX_ATTEMPTS
    assert (
        f"1 cells came to an error of ours 3 times and are left to you, such as example-lib==1.0 in {SLIM.id}"
        in (place.heard.notes[-1])
    )
    place.enqueue(order, "example-lib")
    assert place.check(place.shop(order, CellScript()), order) == 1, "whoever names it tries it anew"
    assert place.queue == []


def test_a_verdict_after_an_error_settles(place: NodeHarness) -> None:
    order = place.order(SLIM)
    place.enqueue(order, "example-lib")
    place.check(place.shop(order, CellScript(importing=LOST)), order)
    place.pass_time(RETRY_DELAYS_S[0])
    place.check(place.shop(order, CellScript()), order)
    assert place.results == [("example-lib 1.0", "ERROR"), ("example-lib 1.0", "PASS")]
    assert place.queue == []


def test_what_is_not_asked_for_stays_queued(place: NodeHarness) -> None:
    order = place.order(SLIM)
    place.enqueue(order, "example-lib", "other")
    assert place.check(place.shop(order, CellScript()), order, only=frozenset({OTHER})) == 1
    assert place.results == [("other 1.0", "PASS")]
    assert place.queue == [("example-lib 1.0", SLIM.id, 0)]


def test_environments_that_do_not_stand_ready_stay_queued(place: NodeHarness) -> None:
    order = place.order(SLIM, ALPINE)
    place.enqueue(order, "other")
    shop = place.shop(place.order(SLIM), CellScript())
    assert place.check(shop, order) == 1
    assert place.queue == [("other 1.0", ALPINE.id, 0)]


@pytest.mark.parametrize(("network", "checked"), [(Network.OPEN, 0), (Network.GATEWAY, 1)])
def test_what_strangers_uploaded_runs_only_behind_the_gateway(
    place: NodeHarness, network: Network, checked: int
) -> None:
    order = place.order(SLIM)
    cell = matrix.Cell(release=OTHER, environment=SLIM.id)
    place.node.store.enqueue([cell], source="feed", now=NOW)
    shop = place.shop(order, CellScript())
    shop = replace(shop, prepared={SLIM.id: replace(shop.prepared[SLIM.id], network=network)})
    assert place.check(shop, order) == checked
    assert len(place.queue) == 1 - checked
    assert len([note for note in place.heard.notes if "stay queued" in note]) == 1 - checked


def test_nothing_is_begun_when_time_is_over(place: NodeHarness) -> None:
    order = place.order(SLIM, minutes=0.0)
    place.enqueue(order, "example-lib", "other")
    shop = place.shop(order, CellScript())
    assert place.check(shop, order) == 0
    assert (len(place.queue), place.results, place.heard.ended) == (2, [], 1)


def test_a_stop_keeps_what_is_finished_and_the_rest_queued(place: NodeHarness) -> None:
    order = place.order(SLIM, jobs=1)
    place.enqueue(order, "example-lib", "other")
    stop, passing = place.node.context.stop, CellScript()

    def script(argv: Any, files: Any) -> ScriptedCommand:
        # Where the second cell begins, somebody wishes to stop, and it would take long.
        if place.heard.records:
            stop.set()
            return ScriptedCommand(takes_s=30)
        return passing(argv, files)

    shop = place.shop(order, script)
    assert place.check(shop, order) == 1
    assert [record.result for record in place.heard.records] == [Result.PASS]
    assert place.results == [], "no canary stands behind it yet"
    assert place.heard.notes == [f"1 results of {SLIM.id} wait for its canary: the next run there publishes them"]
    assert place.queue == [("other 1.0", SLIM.id, 0)]
    assert place.heard.ended == 1
    stop.clear()
    place.check(place.shop(order, CellScript()), order)
    assert place.results == [("example-lib 1.0", "PASS"), ("other 1.0", "PASS")]


def test_what_another_run_had_in_hand_is_taken_over_at_once(place: NodeHarness) -> None:
    order = place.order(SLIM)
    place.enqueue(order, "example-lib", "other")
    dead = place.node.store.lease(QueueFilter(environments=[SLIM.id]), run="dead", limit=1, until=NOW * 2, now=NOW)
    assert len(dead) == 1
    assert place.check(place.shop(order, CellScript()), order) == 2
    assert place.queue == []


def test_nothing_is_left_in_hand(place: NodeHarness) -> None:
    order = place.order(SLIM)
    place.enqueue(order, "example-lib", "other")

    def script(*_: Any) -> ScriptedCommand:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        place.check(place.shop(order, script), order)
    assert place.check(place.shop(order, CellScript()), order) == 2


# ---------------------------------------------------------------- the canary


def test_an_unhealthy_environment_is_reported_and_its_cells_stay_queued(place: NodeHarness) -> None:
    order = place.order(SLIM, ALPINE)
    place.enqueue(order, "other")
    heard = []

    def canary(prepared: PreparedEnvironment) -> Sequence[str]:
        heard.append(prepared.environment.id)
        return ["its import crashed"] if prepared.environment.id == ALPINE.id else ()

    worked = check_queue(place.node, replace(place.shop(order, CellScript()), canary=canary), order, only=None)
    assert (worked.checked, worked.unhealthy) == (1, {ALPINE.id: "the canary says: its import crashed"})
    assert place.queue == [("other 1.0", ALPINE.id, 0)]
    assert sorted(heard) == [ALPINE.id, SLIM.id, SLIM.id]


def test_cells_that_are_checked_at_once_pass_by_the_canary_too(place: NodeHarness) -> None:
    order = place.order(SLIM)
    shop = place.shop(order, CellScript(importing=FAILED))
    cells = [matrix.Cell(release=release, environment=SLIM.id) for release in (OTHER, EXAMPLE, OTHER)]
    checked = check_now(place.node, shop, cells)
    assert [o.record.release for o in checked.observations] == [OTHER, EXAMPLE, OTHER]
    assert all(o.log and "ValueError: no" in o.log for o in checked.observations)
    assert place.results == [("example-lib 1.0", "FAIL"), ("other 1.0", "FAIL")]
    assert place.heard.records == []

    turns: list[Sequence[str]] = [(), ["its import crashed"], ["and again"]]
    ill = replace(shop, canary=lambda _: turns.pop(0))
    (error,) = check_now(place.node, ill, cells[:1]).observations
    assert (error.record.result, error.record.cause, error.log) == (Result.ERROR, "unhealthy-environment", None)
    assert check_now(place.node, ill, cells[:1]).observations == ()
    assert place.queue == []


def test_a_cell_that_is_checked_at_once_leaves_the_queue(place: NodeHarness) -> None:
    order = place.order(SLIM)
    place.enqueue(order, "other")
    check_now(
        place.node, place.shop(order, CellScript(importing=LOST)), [matrix.Cell(release=OTHER, environment=SLIM.id)]
    )
    assert place.queue == [("other 1.0", SLIM.id, 0)], "an error settles nothing"
    check_now(place.node, place.shop(order, CellScript()), [matrix.Cell(release=OTHER, environment=SLIM.id)])
    assert place.queue == []


# ---------------------------------------------------------------- second looks


def test_some_of_what_a_run_settled_is_looked_at_again(place: NodeHarness) -> None:
    order = place.order(SLIM, ALPINE, aa=3, minutes=60.0)
    place.enqueue(order, "example-lib", "other")
    worked = check_queue(place.node, place.shop(order, CellScript(importing=FAILED)), order, only=None)
    assert worked.noise == Flakiness(pairs=3)
    assert (worked.checked, len(place.results)) == (4, 7)
    assert place.heard.totals == [7]
    assert "our own noise: 3 cells looked at twice, 0 disagree" in place.heard.notes


def test_with_nothing_settled_the_newest_are_looked_at_again(place: NodeHarness) -> None:
    order = place.order(SLIM)
    place.enqueue(order, "example-lib", "other")
    assert check_queue(place.node, place.shop(order, CellScript()), order, only=None).noise is None
    again = replace(order, aa_cells=5, minutes=0.0)
    worked = check_queue(place.node, place.shop(order, CellScript(importing=FAILED)), again, only=None)
    assert worked.noise == Flakiness(pairs=2, results={"PASS → FAIL": 2})
    assert worked.checked == 0
    # A verdict that turned is news, and confirmed.
    assert place.results == [(f"{name} 1.0", r) for name in ("example-lib", "other") for r in ("FAIL", "FAIL", "PASS")]


def test_what_came_to_an_error_is_no_second_look(place: NodeHarness) -> None:
    order = place.order(SLIM)
    place.enqueue(order, "other")
    place.check(place.shop(order, CellScript()), order)
    worked = check_queue(
        place.node, place.shop(order, CellScript(importing=LOST)), replace(order, aa_cells=1), only=None
    )
    assert worked.noise == Flakiness()
    assert place.queue == []
