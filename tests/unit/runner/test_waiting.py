"""What queued cells wait for: every way in which one cannot be checked is told apart from being queued."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pytest
from cell_environments import ALPINE, SLIM, tiny_matrix

from ppp.ledger.queue import QueuedCell
from ppp.ledger.queue_groups import QueueGroup, read_queue
from ppp.ledger.schema import MAX_ATTEMPTS, RETRY_DELAYS_S
from ppp.ledger.store import Store
from ppp.model.matrix import Cell, Environment, Platform
from ppp.model.record import Record, Result
from ppp.model.release import Release
from ppp.runner.waiting import Possibilities, explain_queue

NOW: Final = 1_714_003_200
HOST: Final = Environment(id="py39-host", python="3.9", platform=Platform.HOST)
MATRIX: Final = tiny_matrix(SLIM, ALPINE, HOST)
EXAMPLE: Final = Cell(release=Release(package="example-lib", version="1.0"), environment=SLIM.id)


def possible(unavailable: Mapping[str, str] | None = None) -> Possibilities:
    return Possibilities(
        matrix=MATRIX,
        shipped=[e.id for e in MATRIX.environments] + ["py313-slim"],
        gatewayed=[SLIM.id],
        unavailable=unavailable or {},
    )


def group(environment: str = SLIM.id, **changes: object) -> QueueGroup:
    plain = QueueGroup(environment=environment, cells=3, example=EXAMPLE)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_what_can_be_checked_is_queued() -> None:
    state = explain_queue([group(), group(ALPINE.id), group(untrusted=True)], possible({HOST.id: "no Python"}))
    assert (state.due, state.waiting) == (9, ())


@pytest.mark.parametrize(
    ("waiting", "why", "remedy"),
    [
        (group(ALPINE.id), "the image is not here", "provide the image python:3.11-alpine; `ppp doctor py311-alpine`"),
        (group(HOST.id), "no working Python 3.9", "provide a Python 3.9 that works here; `ppp doctor py39-host`"),
        (group("py313-slim"), "this matrix does not have that environment", "run with -e py313-slim"),
        (group("py310-alpine"), "no shipped matrix has that environment", "run with the matrix that has it (--matrix)"),
        (
            group(given_up=True, cause="sandbox"),
            "they ended in an infrastructure error, the last time sandbox, and are not tried again",
            "to try one again, name it: -p example-lib==1.0",
        ),
        (group(given_up=True, cause="file-size"), "the last time file-size", "raise file_mb in a matrix of your own"),
        (group(given_up=True), "the last time unknown", "name it"),
        (group("py313-slim", given_up=True), "this matrix does not have", "run with -e py313-slim"),
        (group(HOST.id, given_up=True, cause="sandbox"), "no working Python 3.9", "provide a Python"),
        (group(due_at=NOW), "wait until 2024-04-25 00:00 UTC", "run again then"),
    ],
)
def test_what_cannot_be_checked_has_a_reason_and_a_remedy(waiting: QueueGroup, why: str, remedy: str) -> None:
    unavailable = {ALPINE.id: "the image is not here", HOST.id: "no working Python 3.9"}
    state = explain_queue([waiting, group()], possible(unavailable))
    assert state.due == 3
    (told,) = state.waiting
    assert (told.cells, told.environment) == (3, waiting.environment)
    assert why in told.why
    assert remedy in told.remedy
    assert str(told) == f"3 cells of {waiting.environment} cannot be checked now: {told.why} ({told.remedy})"
    assert state.to_json() == {"due": 3, "waiting": [told.to_json()]}


@pytest.mark.parametrize(
    ("elsewhere", "why", "remedy"),
    [("node", "in the shares of other nodes (PPP_SHARE_NODES)", "`ppp sync`"), ("shard", "other shards", "--shard")],
)
def test_what_is_left_to_others_is_not_due_here_whatever_else_holds(elsewhere: str, why: str, remedy: str) -> None:
    left = group(ALPINE.id, elsewhere=elsewhere, due_at=NOW)
    state = explain_queue([group(), left], possible({ALPINE.id: "the image is not here"}))
    assert state.due == 3
    (told,) = state.waiting
    assert why in told.why
    assert remedy in told.remedy
    assert str(told).startswith(f"3 cells of {ALPINE.id} are left to others: ")


def test_untrusted_releases_wait_for_the_gateway() -> None:
    (told,) = explain_queue([group(ALPINE.id, untrusted=True)], possible()).waiting
    assert (told.why, told.remedy) == (
        "releases of the open feed run only behind the gateway",
        "run with --network gateway",
    )


def test_cells_that_wait_for_the_same_are_counted_together() -> None:
    unavailable = {ALPINE.id: "the image is not here"}
    groups = [group(ALPINE.id), group(ALPINE.id, untrusted=True), group(ALPINE.id, due_at=NOW), group(HOST.id)]
    state = explain_queue(groups, possible(unavailable))
    assert state.due == 3
    assert [(each.cells, each.environment) for each in state.waiting] == [(9, ALPINE.id)]


def test_the_ledger_s_queue_in_groups(store: Store, record: Callable[..., Record]) -> None:
    def cell(package: str, environment: str = SLIM.id) -> Cell:
        return Cell(release=Release(package=package, version="1.0"), environment=environment)

    def fail(package: str, cause: str, attempts: int | None, at: int) -> None:
        error = record(package, "1.0", SLIM.id, result=Result.ERROR, cause=cause, observed_at=at)
        queued = None if attempts is None else QueuedCell(cell=cell(package), source="named", attempts=attempts)
        store.add_record(error, retry=queued, now=at)

    store.queue.enqueue([cell("six"), cell("idna"), cell("six", ALPINE.id)], source="feed", now=1)
    store.queue.enqueue([cell("named", ALPINE.id)], source="named", now=1)
    fail("tried", "network", 0, NOW)
    fail("lost", "network", None, NOW - 9000)
    fail("lost", "sandbox", MAX_ATTEMPTS - 1, NOW - 8000)
    found = read_queue(store.db, node=record("six").node, now=NOW)
    plain = QueueGroup(environment=SLIM.id, cells=1, example=cell("lost"))
    assert found == (
        replace(plain, environment=ALPINE.id, example=cell("named", ALPINE.id)),
        replace(plain, environment=ALPINE.id, example=cell("six", ALPINE.id), untrusted=True),
        replace(plain, cells=2, example=cell("idna"), untrusted=True),
        replace(plain, example=cell("tried"), due_at=NOW + RETRY_DELAYS_S[0]),
        replace(plain, example=cell("lost"), given_up=True, cause="sandbox"),
    )
    assert sum(each.cells for each in found) == store.queue.length()
