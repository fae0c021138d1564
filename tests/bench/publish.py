"""Measures what publishing costs, on a ledger that nobody observed: `nox -s bench -- publish`.

A full build, one after nothing came, and one after a few new records, each in a process of its own. The last must cost
in proportion to what is new, and come to the very bytes that a build of everything comes to. What counts are ratios.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ppp.ledger.queries import record_from_row
from ppp.ledger.schema import read_ledger
from ppp.ledger.store import Store
from ppp.model.record import Result
from ppp.publish.build import build
from ppp.resources import resource as shipped

PAGES_PER_S = 2_000
SHARE = 0.03
MAX_RSS = 1_000_000_000
MAX_SITE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a build came to; `rss` is the peak of all its processes together in bytes, rather too high."""

    seconds: float
    core_s: float
    packages: int
    written: int
    files: int
    bytes: int
    rss: int


def measured(data: Path, out: Path, memory: Path | None) -> Build:
    """Publish once, in this process and those that it starts."""
    db = read_ledger(data)
    started = time.monotonic()
    done = build(db, out, cache_path=memory)
    seconds = time.monotonic() - started
    db.close()
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = len(os.sched_getaffinity(0)) if others.ru_maxrss else 0
    return Build(
        seconds=seconds,
        core_s=own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime,
        packages=done.packages,
        written=len(done.written),
        files=done.files,
        bytes=done.bytes,
        rss=1024 * (own.ru_maxrss + workers * others.ru_maxrss),
    )


def apart(data: Path, out: Path, memory: Path | None) -> Build:
    """Publish in a process of its own."""
    command = [sys.executable, __file__, "--build", str(data), str(out), *([str(memory)] if memory else [])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Build(**json.loads(done.stdout))


def add_records(data: Path, count: int, seed: int) -> None:
    """Add observations of cells that are there, a day later, some with another result."""
    chance = random.Random(seed)
    with Store.open(data) as store:
        (last,) = store.db.execute("SELECT max(rowid) FROM records").fetchone()
        for rowid in chance.sample(range(1, last + 1), count):
            row: dict[str, Any] = next(store.db.query("SELECT * FROM records WHERE rowid = ?", (rowid,)))
            held = replace(record_from_row(row), log_sha256=None)
            result = chance.choice((held.result, Result.PASS))
            store.add_record(replace(held, observed_at=held.observed_at + 86_400, result=result))


def differ(one: Path, other: Path) -> bool:
    """Say whether two folders differ."""
    return subprocess.run(["diff", "-rq", one, other], check=False, capture_output=True).returncode != 0


def write_some(files: Sequence[tuple[Path, int]]) -> None:
    """Write files of some sizes, and nothing else."""
    for path, size in files:
        path.write_bytes(bytes(size))


def bare_writes(out: Path, target: Path) -> float:
    """Give the seconds that as many processes as there are cores take to write as many files of the same sizes."""
    files = [(target / path.relative_to(out), path.stat().st_size) for path in out.rglob("*") if path.is_file()]
    for folder in {path.parent for path, _ in files}:
        folder.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(write_some, [[]] * cores))
        started = time.monotonic()
        list(pool.map(write_some, [files[n::cores] for n in range(cores)]))
        return time.monotonic() - started


def told(name: str, build_: Build) -> str:
    """Give a line of the table."""
    return (
        f"{name:28} {build_.seconds:8.2f} s {build_.core_s:8.1f} core-s  {build_.packages:6} packages"
        f"  {build_.written:7} files written  {build_.rss / 1e6:5.0f} MB"
    )


def main() -> int:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=3_000)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--new", type=int, default=100, help="how many records come between two publishes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", nargs="+", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        data, out, *memory = options.build
        print(json.dumps(asdict(measured(data, out, memory[0] if memory else None))))
        return 0
    with tempfile.TemporaryDirectory(prefix="ppp-bench-") as name:
        folder = Path(name)
        data, out, memory = folder / "data", folder / "public", folder / "memory.db"
        script = shipped("matrices").parent / "scripts" / "synthetic-ledger"
        sizes = ("--packages", str(options.packages), "--records", str(options.records), "--seed", str(options.seed))
        subprocess.run([sys.executable, str(script), str(data), *sizes], check=True)
        full = apart(data, out, memory)
        print(told("full build", full))
        print(told("nothing new", apart(data, out, memory)))
        add_records(data, options.new, options.seed)
        some = apart(data, out, memory)
        print(told(f"{options.new} new records", some))
        again = apart(data, folder / "at once", None)
        print(told("full build of that", again))
        same = not differ(out, folder / "at once")
        bare = bare_writes(out, folder / "bare")
    pace, share = full.packages / full.seconds, some.seconds / full.seconds
    print(f"package pages a second: {pace:,.0f} (wanted: {PAGES_PER_S:,}), each with its data, badges and feed")
    files, bare_files = full.files / full.seconds, full.files / bare
    print(f"files a second: {files:,.0f}; {bare_files:,.0f} where files are written and nothing else is done")
    print(f"after {options.new} new records: {share:.1%} of the full build (wanted: under {SHARE:.0%})")
    print(f"memory: {max(full.rss, again.rss) / 1e6:,.0f} MB (wanted: under {MAX_RSS / 1e6:,.0f})")
    print(f"the site: {full.bytes / 1e6:,.0f} MB in {full.files:,} files (wanted: under {MAX_SITE / 1e6:,.0f})")
    alike = "the folder that grew is as one built at once"
    print(alike if same else "the two folders differ: the figures mean nothing")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
