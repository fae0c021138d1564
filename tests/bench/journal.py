"""Measure following a changelog of 100,000 events: `nox -s bench -- journal`.

The index runs in this process and each follower in one of its own, so that only the follower's processor time counts:
reading the pages over HTTP, parsing them, deciding, and writing releases, events, the cursor and the queue. The
reference parses the same pages with `xmlrpc.client` and inserts their rows into SQLite; the ratio to it counts more
than the events per second, which depend on the machine.
"""

import argparse
import itertools
import sqlite3
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from recording_reporter import RecordingReporter
from warehouse import AT, MAX_ROWS, Warehouse, served

from ppp import config
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.matrix import Environment, Platform
from ppp.runner.context import Context, LocalNode
from ppp.runner.follow import follow
from ppp.watch.journal.changelog import Changelog
from ppp.watch.journal.throttling import Pace, Throttle

ENVIRONMENTS = tuple(
    Environment(id=f"py{python}-{platform}", python=f"3.{python[1:]}", platform=platform, image=f"python:{platform}")
    for python, platform in itertools.product(("39", "311", "312"), (Platform.SLIM, Platform.ALPINE))
)
MIN_EVENTS_PER_S = 20_000


def follow_s(folder: Path, url: str, environments: int) -> float:
    """Follow a changelog from the cursor in a data folder on; return the seconds of processor time that it took."""
    context = Context(
        config=config.load({"PPP_INDEX_URL": "https://index.example/simple/"}, data=folder),
        reporter=RecordingReporter(),
        environ={},
        stop=threading.Event(),
        clock=lambda: AT,
    )
    journal = Changelog(url=url, user_agent="bench", throttle=Throttle(pace=Pace(between_s=0.0)))
    with Store.open(folder) as store:
        node = LocalNode(context=context, store=store, key=NodeKey.from_seed(b"\1" * 32))
        started = time.process_time()
        report = follow(node, [journal], ENVIRONMENTS[:environments])
        used = time.process_time() - started
        if report.error is not None:
            raise report.error
    return used


def reference_s(folder: Path, pages: Sequence[str]) -> float:
    """Parse pages and insert their rows into a database; return the seconds of processor time that it took."""
    with closing(sqlite3.connect(folder / "reference.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE events (name TEXT, version TEXT, at INTEGER, action TEXT, serial INTEGER)")
        started = time.process_time()
        for page in pages:
            rows: Any = xmlrpc.client.loads(page)[0][0]
            with db:
                db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
        return time.process_time() - started


def events_stored(folder: Path) -> tuple[int, int]:
    """Return the serial up to which a data folder's journal is read, and the length of its queue."""
    with Store.open(folder) as store:
        (serial,) = store.db.execute("SELECT serial FROM journal_cursors").fetchone()
        return int(serial), store.queue.length()


def pages_of(warehouse: Warehouse, after: int) -> list[str]:
    """Return the pages of a changelog after a serial, as the index sends them."""
    events = [event for event in warehouse.events if event[4] > after]
    return [
        xmlrpc.client.dumps((events[first : first + MAX_ROWS],), methodresponse=True, allow_none=True)
        for first in range(0, len(events), MAX_ROWS)
    ]


def main() -> int:
    """Measure, print, and return 1 if following in one environment is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warehouse = Warehouse()
    warehouse.release("old", "1.0", at=AT - 60)
    began, counts = warehouse.serial, (1, len(ENVIRONMENTS))
    with (
        tempfile.TemporaryDirectory(prefix="ppp-bench-") as folder,
        served(warehouse),
        # A process for each measurement: none begins with what another one has loaded or cached.
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes,
    ):
        url, folders = f"{warehouse.url}/pypi", {count: Path(folder) / str(count) for count in counts}
        for count, data in folders.items():
            processes.submit(follow_s, data, url, count).result()
        warehouse.generate(options.events, seed=options.seed)
        reference = processes.submit(reference_s, Path(folder), pages_of(warehouse, began)).result()
        print(f"{'reference: parse and insert':40} {options.events / reference:10,.0f} events/s")
        rates = {}
        for count, data in folders.items():
            used = processes.submit(follow_s, data, url, count).result()
            wanted = warehouse.serial, count * len(set(warehouse.releases[1:]))
            if (stored := events_stored(data)) != wanted:
                raise AssertionError(f"serial and queued cells are {stored}, not {wanted}")
            rates[count] = options.events / used
            name = f"follow, {count} environment{'s' * (count > 1)}"
            print(f"{name:40} {rates[count]:10,.0f} events/s  (time ratio {used / reference:.1f})")
    return int(rates[1] < MIN_EVENTS_PER_S)


if __name__ == "__main__":
    sys.exit(main())
