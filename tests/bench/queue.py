"""Measure the queue with a million cells: `nox -s bench -- queue`.

Half of the cells are of an environment that is not available, leased, or not due yet. To take the next 100 must cost
less than 10 ms of processor time, and about as much as with a hundredth of the cells: that ratio counts more. What the
disk takes to store a transaction is shown beside it, and what it takes to store one row.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from ppp.ledger.queue import QueueFilter
from ppp.ledger.queue_order import prepare
from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.queue_policy import QueuePolicy
from ppp.model.release import Release

ENVIRONMENTS = ("py39-slim", "py311-slim", "py312-slim", "py39-alpine", "py311-alpine", "py312-alpine")
AVAILABLE = ENVIRONMENTS[:5]
NOW = 1_800_000_000
TAKE = 100
MAX_TAKE_MS = 10.0
MAX_RATIO = 5.0


def batches(cells: int, seed: int) -> Iterator[tuple[int, list[Cell]]]:
    """Yield cells in batches like pages of the journal, each with its time; a third is of one bulk uploader."""
    chance = random.Random(seed)
    releases = cells // len(ENVIRONMENTS)
    for first in range(0, releases, 300):
        batch: list[Cell] = []
        for number in range(first, min(first + 300, releases)):
            name = f"bulk-{number}" if number % 3 == 0 else f"{chance.randrange(16**8):08x}-lib"
            release = Release(package=name, version=f"{number}.0")
            batch += (Cell(release=release, environment=environment) for environment in ENVIRONMENTS)
        yield NOW + first // 300, batch


def fill(store: Store, cells: int, seed: int) -> float:
    """Queue cells; return the microseconds that each took."""
    started = time.process_time()
    for at, batch in batches(cells, seed):
        with store.db.atomic():
            store.queue.add(batch, source="journal", now=at)
    seconds = time.process_time() - started
    store.queue.enqueue([cell for _, batch in batches(600, seed + 1) for cell in batch], source="named", now=NOW)
    # A third of what is available is leased, a third of the rest waits.
    with store.db.atomic():
        store.db.execute(
            "UPDATE queue SET lease = 'other', leased_until = ? WHERE environment IN ('py39-slim', 'py311-slim')"
            " AND priority % 3 = 0 AND source = 'journal'",
            (NOW * 2,),
        )
        store.db.execute(
            "UPDATE queue SET not_before = ? WHERE environment IN ('py39-slim', 'py311-slim')"
            " AND lease IS NULL AND version % 3 = 1",
            (NOW * 2,),
        )
    return seconds * 1e6 / cells


def take_ms(store: Store) -> tuple[float, float]:
    """Return the milliseconds of processor time that taking the next cells costs, and those on the clock: medians."""
    used, passed = [], []
    queue_filter = QueueFilter(environments=AVAILABLE, untrusted_environments=AVAILABLE[1:])
    for number in range(9):
        began, started = time.process_time(), time.perf_counter()
        taken = store.queue.lease(queue_filter, run=f"run {number}", limit=TAKE, until=NOW * 2, now=NOW + 10**6)
        used.append((time.process_time() - began) * 1000)
        passed.append((time.perf_counter() - started) * 1000)
        assert len(taken) == TAKE
    return median(used), median(passed)


def commit_ms(store: Store) -> float:
    """Return the milliseconds that a transaction of one row takes on this disk, the median of several."""
    passed = []
    for number in range(9):
        started = time.perf_counter()
        with store.db.atomic():
            store.db.execute("INSERT INTO journal_anomalies VALUES ('index', 'bench', ?, 0)", (str(number),))
        passed.append((time.perf_counter() - started) * 1000)
    return median(passed)


def timed(name: str, store: Store, policy: QueuePolicy) -> None:
    """Print how long a run's preparation of the queue takes."""
    started = time.perf_counter()
    done = prepare(store.db, store.path, policy, now=NOW)
    print(f"{name:40} {time.perf_counter() - started:8.2f} s  (ranked anew: {done.is_ranked_anew})")


def main() -> int:
    """Measure, print, and return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ppp-bench-") as folder:
        with Store.open(Path(folder) / "reference") as store:
            few = fill(store, options.cells // 100, options.seed)
            reference, _ = take_ms(store)
        with Store.open(Path(folder) / "large") as store:
            each = fill(store, options.cells, options.seed)
            used, passed = take_ms(store)
            print(f"{f'queue one of {options.cells:,}':40} {each:8.2f} µs")
            print(f"{f'queue one of {options.cells // 100:,}':40} {few:8.2f} µs  (ratio {each / few:.1f})")
            print(f"{f'take {TAKE} of {options.cells:,}':40} {used:8.2f} ms, {passed:.2f} ms on the clock")
            print(f"{'store one row':40} {commit_ms(store):8.2f} ms on the clock")
            timed("first run: every cell ranked", store, QueuePolicy())
            timed("next run", store, QueuePolicy())
            ranked, _ = take_ms(store)
    used = max(used, ranked)
    print(f"{f'take {TAKE} of {options.cells // 100:,}':40} {reference:8.2f} ms  (ratio {used / reference:.1f})")
    return int(used > MAX_TAKE_MS or used / reference > MAX_RATIO or each / few > MAX_RATIO)


if __name__ == "__main__":
    sys.exit(main())
