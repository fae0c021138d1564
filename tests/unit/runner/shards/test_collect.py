"""What shards hand over is taken as the node's own, of cells that it gave them; everything else changes nothing."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from memory_store import store_in_memory
from recording_reporter import RecordingReporter
from sample_record import SAMPLE_RECORD

from ppp import config
from ppp.ledger import journal
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.mesh.node import NodeKey
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import RejectedDataError
from ppp.model.matrix import Cell
from ppp.model.record import Outcome, Record, Result, outcomes_in_order, to_infrastructure_error
from ppp.model.release import Release
from ppp.model.trigger import Trigger, TriggerKind
from ppp.runner.context import Context, LocalNode
from ppp.runner.environments import NO_NODE
from ppp.runner.shards.check import make_plan
from ppp.runner.shards.collect import CollectedShards, collect
from ppp.runner.shards.plan import MAX_SHARD_CELLS, ShardId, ShardPlan
from ppp.runner.shards.results import encode_results, file_name

NOW: Final = 1_714_003_200
SLIM, ALPINE = "py312-slim", "py312-alpine"
KEY: Final = NodeKey.from_seed(b"\1" * 32)
LOG: Final = "it broke\n"
PACKAGES: Final = [f"pkg-{letter}" for letter in "abcdefgh"]


def cell(package: str, environment: str = SLIM) -> Cell:
    return Cell(release=Release(package=package, version="1.0"), environment=environment)


def observed(one: Cell, result: Result = Result.PASS, *, after_s: int = 5, **fields: Any) -> Record:
    outcomes = {Result.PASS: [Outcome.PASS] * 4, Result.FAIL: [Outcome.PASS, Outcome.PASS, Outcome.PASS, Outcome.FAIL]}
    record = replace(
        SAMPLE_RECORD,
        release=one.release,
        environment=one.environment,
        node=NO_NODE,
        result=result,
        outcomes=tuple(outcomes.get(result, outcomes[Result.PASS])),  # type: ignore[arg-type]
        observed_at=NOW + after_s,
        **fields,
    )
    if result is Result.ERROR:
        record = to_infrastructure_error(replace(record, outcomes=outcomes_in_order({})), cause="sandbox", detail="x")
        return replace(record, **fields)
    return record


@dataclass(slots=True)
class QueueHarness:
    """A node in memory whose queue holds eight releases in two environments, and its clock."""

    node: LocalNode
    clock: list[int]

    def plan(self, shards: int = 2, cells: int = 100) -> ShardPlan:
        return make_plan(self.node, [SLIM, ALPINE], shards=shards, cells=cells)

    def take(self, plan: ShardPlan, *files: tuple[str, bytes]) -> CollectedShards:
        self.clock[0] = NOW + 60
        return collect(self.node, plan, files)

    @property
    def queue(self) -> dict[str, int]:
        rows = self.node.store.db.execute("SELECT package || ' ' || environment, attempts FROM queue")
        return dict(rows.fetchall())

    @property
    def dump(self) -> str:
        return "\n".join(self.node.store.db.conn.iterdump())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[QueueHarness]:
    clock = [NOW]
    context = Context(
        config=config.load({}, data=tmp_path / "data"),
        reporter=RecordingReporter(),
        environ={},
        stop=threading.Event(),
        clock=lambda: clock[0],
    )
    with store_in_memory() as store:
        store.queue.enqueue([cell(p, e) for p in PACKAGES for e in (SLIM, ALPINE)], source="feed", now=NOW - 100)
        yield QueueHarness(node=LocalNode(context=context, store=store, key=KEY), clock=clock)


def files_of(plan: ShardPlan, shard: ShardId, *records: Record, logs: bool = False) -> list[tuple[str, bytes]]:
    """Return the files of a shard that observed these records."""
    with store_in_memory() as ledger:
        for record in records:
            ledger.add_record(record, LOG if logs and record.log_sha256 else None)
        return [*encode_results(ledger.db, plan, shard)]


def shards_of(plan: ShardPlan) -> list[tuple[ShardId, list[Cell]]]:
    return [(shard, [*cells]) for shard, cells in plan.by_shard().items()]


def forged(file: tuple[str, bytes], change: Callable[[Any], None], *, name: str | None = None) -> tuple[str, bytes]:
    """Return a file whose document was changed, under the name of its new content."""
    document = json.loads(gzip.decompress(file[1]))
    change(document)
    data = canonical_json(document)
    return name or file_name(data), gzip.compress(data, mtime=0)


# ---------------------------------------------------------------- plans


def test_a_plan_gives_each_cell_to_one_shard_and_leaves_the_queue_as_it_is(rig: QueueHarness) -> None:
    before = rig.dump
    plan = rig.plan(shards=3)
    given = [one for _, cells in shards_of(plan) for one in cells]
    assert sorted(map(str, given)) == sorted(str(cell(p, e)) for p in PACKAGES for e in (SLIM, ALPINE))
    for shard, cells in shards_of(plan):
        other = replace(shard, environment=ALPINE if shard.environment == SLIM else SLIM)
        releases = {one.release for one in plan.by_shard()[other]}
        assert {one.release for one in cells} == releases, "a release's files are fetched by one shard"
    assert rig.dump == before


def test_a_plan_takes_what_is_next_and_no_more(rig: QueueHarness) -> None:
    store = rig.node.store
    store.queue.enqueue([cell("asked")], source="named", now=NOW)
    plan = rig.plan(cells=3)
    assert [str(one.cell.release) for one in plan.cells][:1] == ["asked==1.0"]
    assert len(plan.cells) == 3
    many = tuple(replace(plan.cells[0], queued=replace(plan.cells[0].queued, cell=cell(f"p{n}"))) for n in range(2_600))
    limited = ShardPlan(created_at=NOW, shards=1, cells=many).limited()
    assert limited.cells == many[:MAX_SHARD_CELLS], "the rest stays queued"


def test_a_plan_survives_its_file(rig: QueueHarness) -> None:
    store = rig.node.store
    trigger = Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version="2.0.0")
    store.add_record(replace(observed(cell("pkg-a")), node=KEY.id, observed_at=NOW - 200))
    store.queue.enqueue([cell("pkg-a")], source="dependency", now=NOW, triggered_by=trigger)
    gone = {Release(package="pkg-b", version="1.0"): "release-quarantined"}
    journal.add_events(store.db, "index", [(7, r.package, r.version, action, NOW) for r, action in gone.items()])
    plan = rig.plan()
    assert {one.cell.release for one in plan.cells if one.withdrawn} == gone.keys()
    (again,) = (one for one in plan.cells if one.cell == cell("pkg-a"))
    assert (again.queued.triggered_by, again.prior.current) == (trigger, Result.PASS)
    assert ShardPlan.decode(plan.encode()).encode() == plan.encode()
    assert ShardPlan.decode(plan.encode()).by_shard() == {
        shard: {one: replace(p, queued=replace(p.queued, lease=None)) for one, p in cells.items()}
        for shard, cells in plan.by_shard().items()
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema="other"), "schema: "),
        (lambda d: d.update(shards=0), "shards: 0 is less"),
        (lambda d: d["cells"][0].update(package="../x"), "../x"),
        (lambda d: d["cells"][0].update(environment="py312-slim\n"), "environment"),
        (lambda d: d["cells"][0].update(package="Pkg_A"), "not in canonical form"),
    ],
)
def test_a_plan_that_is_invalid_is_rejected(rig: QueueHarness, change: Callable[[Any], None], words: str) -> None:
    document = json.loads(rig.plan().encode())
    change(document)
    with pytest.raises(RejectedDataError, match=words.replace(".", r"\.")):
        ShardPlan.decode(canonical_json(document))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_plan_is_rejected(data: bytes) -> None:
    with pytest.raises(RejectedDataError, match="the plan is invalid"):
        ShardPlan.decode(data)


# ---------------------------------------------------------------- what is taken


def test_records_of_shards_become_the_nodes_own_once(rig: QueueHarness) -> None:
    plan = rig.plan()
    files = [
        file
        for shard, cells in shards_of(plan)
        for file in files_of(
            plan, shard, *(observed(one, Result.FAIL, log_sha256=sha256_hex(LOG.encode())) for one in cells), logs=True
        )
    ]
    taken = rig.take(plan, *files)
    assert rig.queue == {}
    assert [(one.given, one.finished, one.new, one.missing) for one in taken.shards] == [
        (len(cells), len(cells), len(cells), None) for _, cells in shards_of(plan)
    ]
    rows = rig.node.store.db.execute("SELECT DISTINCT node, log_sha256 FROM records").fetchall()
    assert rows == [(KEY.id, sha256_hex(LOG.encode()))]
    once = rig.dump
    assert sum(one.new for one in rig.take(plan, *files, *files).shards) == 0
    assert rig.dump == once, "taken twice changes nothing"


def test_what_a_shard_did_not_report_is_named_and_stays_queued(rig: QueueHarness) -> None:
    plan = rig.plan()
    (first, cells), *others = shards_of(plan)
    taken = rig.take(plan, *files_of(plan, first, observed(cells[0])))
    assert [one.missing for one in taken.shards] == [None] + ["it did not report"] * len(others)
    assert [one.finished for one in taken.shards] == [1] + [0] * len(others)
    assert len(rig.queue) == 2 * len(PACKAGES) - 1
    assert rig.plan().cells, "they are planned again"


def test_a_shard_that_finished_nothing_reports_that(rig: QueueHarness) -> None:
    plan, before = rig.plan(), rig.dump
    taken = rig.take(plan, *(file for shard, _ in shards_of(plan) for file in files_of(plan, shard)))
    assert {(one.finished, one.missing) for one in taken.shards} == {(0, None)}
    assert rig.dump == before


def test_an_error_delays_its_cell_and_is_given_up_in_the_end(rig: QueueHarness) -> None:
    plan = rig.plan()
    (shard, (one, lasting, *_)), *_ = shards_of(plan)
    file = files_of(plan, shard, observed(one, Result.ERROR), observed(lasting, Result.ERROR, cause="file-size"))
    rig.take(plan, *file)
    names = [f"{c.release.package} {c.environment}" for c in (one, lasting)]
    assert [rig.queue[name] for name in names] == [1, MAX_ATTEMPTS]
    rig.take(plan, *file)
    assert [rig.queue[name] for name in names] == [1, MAX_ATTEMPTS], "not delayed again by the same error"
    assert one not in {planned.cell for planned in rig.plan().cells}, "a minute has not passed"


def test_a_regression_and_its_confirmation_are_a_pair(rig: QueueHarness) -> None:
    plan = rig.plan()
    (shard, (one, *_)), *_ = shards_of(plan)
    records = [observed(one, Result.FAIL), observed(one, Result.FAIL, after_s=6)]
    rig.take(plan, *files_of(plan, shard, *records))
    first, second = (replace(record, node=KEY.id).id for record in records)
    assert rig.node.store.db.execute("SELECT * FROM rechecks").fetchall() == [(first, second, "confirmation")]


# ---------------------------------------------------------------- what is not

FOREIGN: Final = cell("somebody-elses")


def _set_record(**fields: Any) -> Callable[[Any], None]:
    return lambda document: document["batch"]["records"][0].update(fields)


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(plan="0" * 64), "answers another plan"),
        (lambda d: d.update(shard=9), "has no shard 9/2"),
        (lambda d: d.update(environment="py311-slim"), "has no shard"),
        (lambda d: d.update(environment=ALPINE), "which the plan did not give"),
        (lambda d: d.update(shard=3 - d["shard"]), "which the plan did not give|it was given"),
        (lambda d: d.update(given=99), "it was given 99"),
        (lambda d: d.update(finished=99), "has finished 99"),
        (lambda d: d.update(part=2), "part 2 of 1"),
        (lambda d: d.update(extra=1), "results.schema.json"),
        (lambda d: d.update(batch={}), "does not belong"),
        (_set_record(package="somebody-elses"), "which the plan did not give"),
        (_set_record(version="6.6.6"), "which the plan did not give"),
        (_set_record(environment="py39-slim"), "which the plan did not give"),
        (_set_record(node="ab" * 32), "belongs to another node"),
        (_set_record(result="GREAT"), "batch.schema.json"),
        (_set_record(detail="\x1b[2J"), "control character"),
        (_set_record(version="1.0.0-0"), "batch.schema.json|normal form"),
        (_set_record(observed_at=NOW - 86_400), "before the plan was made"),
        (_set_record(observed_at=NOW + 86_400), "in the future"),
        (_set_record(triggered_by={"kind": "pip", "name": "pip", "version": "1"}), "another trigger"),
        (_set_record(log_sha256="0" * 64), "is missing"),
        (lambda d: d["batch"]["logs"].update({"0" * 64: "x"}), "no record names the log"),
        (lambda d: d["batch"]["records"].append(d["batch"]["records"][0]), "not in order, or one is repeated"),
        (lambda d: d["batch"].update(node=KEY.id), "does not belong"),
    ],
)
def test_a_poisoned_file_is_rejected_and_changes_nothing(
    rig: QueueHarness, change: Callable[[Any], None], words: str
) -> None:
    plan, before = rig.plan(), rig.dump
    (shard, (one, *_)), *_ = [each for each in shards_of(plan) if each[0].environment == SLIM]
    (file,) = files_of(plan, shard, observed(one))
    name, content = forged(file, change)
    taken = rig.take(plan, (name, content))
    assert [*taken.rejected] == [name]
    assert any(word in taken.rejected[name] for word in words.split("|")), taken.rejected
    assert rig.dump == before
    (other, others), *_ = [each for each in shards_of(plan) if each[0].environment == ALPINE]
    good = files_of(plan, other, *map(observed, others))
    assert sum(each.new for each in rig.take(plan, (name, content), *good).shards) == len(others), "the others count"


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"", "cut short"),
        (b"PK\3\4", "not gzip"),
        (gzip.compress(b"{}", mtime=0) + b"x", "something follows it"),
        (gzip.compress(b"[" * 50_000, mtime=0), "hashes to"),
        (gzip.compress(b"\0" * (65 * 1024 * 1024), 1, mtime=0), "unpacks to more than"),
    ],
    ids=["empty", "zip", "trailing", "other-hash", "bomb"],
)
def test_what_is_no_results_at_all_is_rejected(rig: QueueHarness, packed: bytes, words: str) -> None:
    plan = rig.plan()
    taken = rig.take(plan, ("shard-\x1b.json.gz", packed))
    (reason,) = taken.rejected.values()
    assert words in reason
    assert reason.isprintable()


@pytest.mark.attack("valid-records")
def test_nested_or_shuffled_json_under_its_right_name_is_rejected(rig: QueueHarness) -> None:
    plan = rig.plan()
    (shard, (one, *_)), *_ = shards_of(plan)
    (file,) = files_of(plan, shard, observed(one))
    document = json.loads(gzip.decompress(file[1]))
    for data in (b"[" * 50_000, json.dumps(document, indent=1).encode(), b'{"a":1,"a":2}'):
        taken = rig.take(plan, (file_name(data), gzip.compress(data, mtime=0)))
        assert len(taken.rejected) == 1


@pytest.mark.attack("valid-records")
def test_two_files_that_claim_one_part_count_for_nothing(rig: QueueHarness) -> None:
    plan, before = rig.plan(), rig.dump
    (shard, (one, *_)), *_ = shards_of(plan)
    files = [*files_of(plan, shard, observed(one)), *files_of(plan, shard, observed(one, Result.FAIL))]
    taken = rig.take(plan, *files)
    assert sorted(taken.rejected) == sorted(name for name, _ in files)
    assert "two different files" in next(
        reason for s in taken.shards if s.shard == shard for reason in [s.missing or ""]
    )
    assert rig.dump == before


@pytest.mark.attack("valid-records")
def test_a_cell_has_two_records_at_most(rig: QueueHarness) -> None:
    plan, before = rig.plan(), rig.dump
    (shard, (one, *_)), *_ = shards_of(plan)
    taken = rig.take(plan, *files_of(plan, shard, *(observed(one, after_s=n) for n in range(3))))
    assert ["3 records" in reason for reason in taken.rejected.values()] == [True]
    assert rig.dump == before


def test_large_results_are_several_files_and_a_missing_one_is_named(rig: QueueHarness) -> None:
    plan = rig.plan(shards=1)
    (shard, cells), *_ = [each for each in shards_of(plan) if each[0].environment == SLIM]
    log = "x" * 4_900_000
    with store_in_memory() as ledger:
        for number, one in enumerate(cells):
            text = f"{number}{log}"
            ledger.add_record(observed(one, Result.FAIL, log_sha256=sha256_hex(text.encode())), text)
        files = [*encode_results(ledger.db, plan, shard)]
    assert len(files) > 1
    partial = next(s for s in rig.take(plan, files[0]).shards if s.shard == shard)
    assert partial.missing == f"{len(files) - 1} of its {len(files)} files are missing"
    assert 0 < partial.finished < len(cells)
    whole = next(s for s in rig.take(plan, *files).shards if s.shard == shard)
    assert (whole.missing, whole.finished) == (None, len(cells))
    assert not [name for name in rig.queue if name.endswith(SLIM)]
