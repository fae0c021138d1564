"""Staged observations: promoted unchanged or rejected into errors, and never lost."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ppp.ledger import queries, staging
from ppp.ledger.queue import QueuedCell, QueueFilter
from ppp.ledger.schema import RETRY_DELAYS_S
from ppp.ledger.staging import Recheck, RecheckReason, StagedRecord
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Cell
from ppp.model.record import Blame, Outcome, Phase, Record, Result, to_infrastructure_error
from ppp.schemas import schema_errors

Builder = Callable[..., Record]
SLIM, ALPINE = "py312-slim", "py312-alpine"
WRONG = "the canary says: its import crashed"


def leased(store: Store, record: Record, *, source: str = "feed") -> QueuedCell:
    store.queue.enqueue([Cell.of(record)], source=source, now=1)
    (queued,) = store.queue.lease(QueueFilter(environments=[record.environment]), run="run", limit=1, until=100, now=2)
    return queued


def count(store: Store, table: str) -> int:
    return store.db.table(table).count


def test_staged_records_are_in_no_published_table(store: Store, record: Builder) -> None:
    log = "a log"
    made = record(log_sha256=sha256_hex(log.encode()), result="FAIL")
    staging.stage(store, [StagedRecord(record=made, log=log, queued=leased(store, made))], now=3)
    assert staging.pending_counts(store.db) == {SLIM: 1}
    assert [count(store, t) for t in ("queue", "records", "results", "logs", "releases", "packages")] == [0] * 6


def test_promote_stores_the_observed_record(store: Store, record: Builder) -> None:
    log = "a log"
    made = record(
        log_sha256=sha256_hex(log.encode()), result="FAIL", grounds={Phase.FULL: "same"}, bytes={Phase.FULL: 1}
    )
    elsewhere = record(environment=ALPINE)
    staged = StagedRecord(record=made, log=log, queued=leased(store, made))
    staging.stage(store, [staged, StagedRecord(record=elsewhere, log=None)], now=3)
    (kept,) = staging.promote(store, SLIM)
    assert (kept.record, kept.log) == (made, log)
    assert list(queries.read_records(store.db)) == [made]
    assert queries.read_log(store.db, made.log_sha256 or "") == log
    assert staging.pending_counts(store.db) == {ALPINE: 1}
    assert staging.promote(store, SLIM) == []
    assert store.queue.length() == 0


def test_reject_stores_an_error_and_queues_the_cell_again(store: Store, record: Builder) -> None:
    log = "a log"
    made = record(log_sha256=sha256_hex(log.encode()), result="FAIL")
    staging.stage(store, [StagedRecord(record=made, log=log, queued=leased(store, made))], now=3)
    (kept,) = staging.reject(store, SLIM, reason=WRONG, now=1000)
    (error,) = queries.read_records(store.db)
    assert kept.record == error
    assert (error.result, error.cause, error.blame, error.detail) == (
        Result.ERROR, staging.UNHEALTHY_CAUSE, Blame.INFRASTRUCTURE, WRONG,
    )  # fmt: skip
    assert error.outcomes == (Outcome.PASS, Outcome.ERROR, Outcome.SKIP, Outcome.SKIP)
    assert (error.log_sha256, error.installed, error.imports, kept.log) == (None, (), (), None)
    assert (error.release, error.observed_at, error.file) == (made.release, made.observed_at, made.file)
    assert schema_errors("site/schemas/record.schema.json", error.to_json()) == []
    row = store.db.execute("SELECT source, attempts, not_before, lease FROM queue").fetchone()
    assert row == ("feed", 1, 1000 + RETRY_DELAYS_S[0], None)
    assert count(store, "logs") == count(store, "pending") == 0


@pytest.mark.parametrize("result", [Result.NA, Result.PASS, Result.TIMEOUT])
def test_any_result_can_be_rejected(record: Builder, result: Result) -> None:
    made = record(result=result, duration_ms={Phase.DOWNLOAD: 1, Phase.FULL: 2}, bytes={Phase.FULL: 3})
    error = to_infrastructure_error(made, cause="unhealthy-environment", detail=WRONG)
    assert error.failed_phase is (Phase.DOWNLOAD if result is Result.NA else Phase.NODEPS)
    assert (error.duration_ms, error.bytes) == ({Phase.DOWNLOAD: 1}, {})
    assert schema_errors("site/schemas/record.schema.json", error.to_json()) == []


def test_reject_does_not_queue_a_cell_that_was_not_queued(store: Store, record: Builder) -> None:
    staging.stage(store, [StagedRecord(record=record(), log=None)], now=3)
    assert len(staging.reject(store, SLIM, reason=WRONG, now=4)) == 1
    assert store.queue.length() == 0


def test_a_recheck_is_promoted_as_a_pair(store: Store, record: Builder) -> None:
    first, second = record(result="FAIL"), record(observed_at=record().observed_at + 1)
    queued = leased(store, first)
    again = Recheck(first=first.id, reason=RecheckReason.CONFIRMATION)
    both = [
        StagedRecord(record=first, log=None, queued=queued),
        StagedRecord(record=second, log=None, queued=queued, recheck=again),
    ]
    staging.stage(store, both, now=3)
    assert count(store, "rechecks") == 0
    assert [staged.recheck for staged in staging.promote(store, SLIM)] == [None, again]
    assert store.db.execute("SELECT first, second, reason FROM rechecks").fetchall() == [
        (first.id, second.id, "confirmation")
    ]
    assert queries.current_by_environment(store.db, first.release) == {SLIM: second}


def test_a_rejected_recheck_is_queued_once(store: Store, record: Builder) -> None:
    first, second = record(result="FAIL"), record(observed_at=record().observed_at + 1)
    queued = leased(store, first)
    staging.stage(
        store,
        [
            StagedRecord(record=first, log=None, queued=queued),
            StagedRecord(
                record=second,
                log=None,
                queued=queued,
                recheck=Recheck(first=first.id, reason=RecheckReason.CONFIRMATION),
            ),
        ],
        now=3,
    )
    staging.reject(store, SLIM, reason=WRONG, now=4)
    assert [r.result for r in queries.read_records(store.db)] == [Result.ERROR, Result.ERROR]
    assert store.db.execute("SELECT attempts FROM queue").fetchall() == [(1,)]
    assert count(store, "rechecks") == 0


def test_a_cell_that_was_queued_again_keeps_its_place(store: Store, record: Builder) -> None:
    made = record()
    staging.stage(store, [StagedRecord(record=made, log=None, queued=leased(store, made))], now=3)
    store.queue.enqueue([Cell.of(made)], source="named", now=4)
    staging.reject(store, SLIM, reason=WRONG, now=5)
    assert store.db.execute("SELECT source, attempts, not_before FROM queue").fetchall() == [("named", 0, 0)]


def test_promote_removes_a_cell_that_was_queued_again(store: Store, record: Builder) -> None:
    made = record()
    staging.stage(store, [StagedRecord(record=made, log=None, queued=leased(store, made))], now=3)
    store.queue.enqueue([Cell.of(made)], source="named", now=4)
    staging.promote(store, SLIM)
    assert store.queue.length() == 0


@pytest.mark.heavy
def test_many_observations_are_promoted_in_order(store: Store, record: Builder) -> None:
    made = [record(f"package-{n}") for n in range(2 * staging.CHUNK_RECORDS + 1)]
    staging.stage(store, [StagedRecord(record=r, log=None) for r in made], now=3)
    assert [staged.record for staged in staging.promote(store, SLIM)] == made
    assert count(store, "records") == len(made)


def test_a_failed_chunk_is_left_unchanged(store: Store, record: Builder) -> None:
    good = [record(f"package-{n}") for n in range(staging.CHUNK_RECORDS + 5)]
    bad = record("bad", log_sha256="0" * 64)
    staging.stage(store, [StagedRecord(record=r, log=None) for r in good], now=3)
    staging.stage(store, [StagedRecord(record=bad, log="another log")], now=3)
    with pytest.raises(ValueError, match="the log is not the one"):
        staging.promote(store, SLIM)
    assert staging.pending_counts(store.db) == {SLIM: 6}
    assert count(store, "records") == staging.CHUNK_RECORDS


def test_staging_the_same_twice_changes_nothing(store: Store, record: Builder) -> None:
    for _ in range(2):
        staging.stage(store, [StagedRecord(record=record(), log=None)], now=3)
    assert staging.pending_counts(store.db) == {SLIM: 1}
    assert len(staging.promote(store, SLIM)) == 1
    staging.stage(store, [StagedRecord(record=record(), log=None)], now=4)
    assert len(staging.promote(store, SLIM)) == 1
    assert count(store, "records") == 1


def test_a_rejected_record_never_hides_an_earlier_verdict(store: Store, record: Builder) -> None:
    passed = record()
    store.add_record(passed)
    failed = replace(record(result="FAIL"), observed_at=passed.observed_at + 60)
    staging.stage(store, [StagedRecord(record=failed, log=None)], now=3)
    staging.reject(store, SLIM, reason=WRONG, now=4)
    assert queries.current_by_environment(store.db, passed.release) == {SLIM: passed}
