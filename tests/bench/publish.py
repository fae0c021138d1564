"""Measure the cost of builds on a synthetic ledger: `nox -s bench -- publish`.

A full build, one without new records, and one with a few, each in a process of its own. The last must cost in
proportion to what is new, and write the same bytes as a build of everything. Ratios count more than seconds.

With `--preset github-pages` the site has that host's bound: `--packages 900000 --records 5400000 --new 36000` is all of
PyPI and a day of it. Where there is Chromium, packages are then looked up in it.
"""

import argparse
import gzip
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
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from ppp.ledger.queries import record_from_row
from ppp.ledger.schema import read_ledger
from ppp.ledger.store import Store
from ppp.model.record import Result
from ppp.model.site_bound import PRESETS, SitePreset
from ppp.publish.build import build
from ppp.resources import resource as shipped

PAGES_PER_S = 2_000
SHARE = 0.03
MAX_RSS = 1_000_000_000
MAX_SITE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a build took and wrote; `rss` estimates the peak of all its processes in bytes, on the high side."""

    seconds: float
    core_s: float
    packages: int
    pages: int
    written: int
    files: int
    bytes: int
    rss: int


def measure(data: Path, out: Path, cache_path: Path | None, preset: SitePreset) -> Build:
    """Build once, in this process and those that it starts."""
    db = read_ledger(data)
    started = time.monotonic()
    done = build(db, out, cache_path=cache_path, bound=PRESETS[preset])
    seconds = time.monotonic() - started
    db.close()
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = len(os.sched_getaffinity(0)) if others.ru_maxrss else 0
    return Build(
        seconds=seconds,
        core_s=own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime,
        packages=done.packages,
        pages=done.pages,
        written=len(done.written),
        files=done.files,
        bytes=done.bytes,
        rss=1024 * (own.ru_maxrss + workers * others.ru_maxrss),
    )


def measure_in_new_process(data: Path, out: Path, cache_path: Path | None, preset: SitePreset) -> Build:
    """Build once, in a new process."""
    folders = (str(data), str(out), *([str(cache_path)] if cache_path else []))
    command = [sys.executable, __file__, "--preset", preset, "--build", *folders]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Build(**json.loads(done.stdout))


def add_records(data: Path, count: int, seed: int) -> None:
    """Add records of cells that the ledger has already, a day later, some with another result."""
    chance = random.Random(seed)
    with Store.open(data) as store:
        (last,) = store.db.execute("SELECT max(rowid) FROM records").fetchone()
        for rowid in chance.sample(range(1, last + 1), count):
            row: dict[str, Any] = next(store.db.query("SELECT * FROM records WHERE rowid = ?", (rowid,)))
            seen_before = replace(record_from_row(row), log_sha256=None)
            result = chance.choice((seen_before.result, Result.PASS))
            store.add_record(replace(seen_before, observed_at=seen_before.observed_at + 86_400, result=result))


def differ(one: Path, other: Path) -> bool:
    """Return whether two folders differ."""
    return subprocess.run(["diff", "-rq", one, other], check=False, capture_output=True).returncode != 0


def look_up(out: Path, packages: Sequence[str]) -> list[float]:
    """Return the seconds that each package's answer takes in Chromium, from a server on loopback, without a cache."""
    sys.path.append(str(Path(__file__).parents[1] / "support"))
    from browser_tools import CHROMIUM, launch_chromium, serve_folder  # noqa: PLC0415 - only where it is installed

    if not CHROMIUM:
        return []
    took: list[float] = []
    with serve_folder(out) as address, launch_chromium() as browser:
        for package in packages:
            page = browser.new_context().new_page()
            started = time.monotonic()
            page.goto(f"{address}/lookup/index.html?name={package}")
            page.wait_for_selector("#answer h2")
            took.append(time.monotonic() - started)
            page.context.close()
    return took


def describe_lookup(data: Path, out: Path, seed: int) -> list[str]:
    """Return lines about the files that answer for every package; none where each has a page."""
    shards = [path.read_bytes() for path in sorted((out / "api" / "v1" / "lookup").glob("*.json"))]
    if not shards:
        return []
    packed = sum(len(gzip.compress(shard, 6)) for shard in shards)
    size = sum(map(len, shards))
    lines = [
        f"look-up: {len(shards):,} files, {size / 1e6:,.0f} MB, {packed / 1e6:,.0f} MB compressed (wanted: under 400)"
    ]
    with closing(read_ledger(data)) as db:
        names = [name for (name,) in db.execute("SELECT package FROM packages ORDER BY package").fetchall()]
    if took := look_up(out, random.Random(seed).sample(names, 20)):
        lines.append(f"a package is answered in Chromium in {median(took):.2f} s, {max(took):.2f} s at most, of 20")
    return lines


def write_some(files: Sequence[tuple[Path, int]]) -> None:
    """Write files of given sizes."""
    for path, size in files:
        path.write_bytes(bytes(size))


def bare_writes(out: Path, target: Path) -> float:
    """Return the seconds that one process per core takes to write as many files of the same sizes."""
    files = [(target / path.relative_to(out), path.stat().st_size) for path in out.rglob("*") if path.is_file()]
    for folder in {path.parent for path, _ in files}:
        folder.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(write_some, [[]] * cores))
        started = time.monotonic()
        list(pool.map(write_some, [files[n::cores] for n in range(cores)]))
        return time.monotonic() - started


def table_row(name: str, build_: Build) -> str:
    """Return a row of the table."""
    return (
        f"{name:28} {build_.seconds:8.2f} s {build_.core_s:8.1f} core-s  {build_.packages:6} packages"
        f"  {build_.written:7} files written  {build_.rss / 1e6:5.0f} MB"
    )


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=3_000)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--new", type=int, default=100, help="how many records are added between two builds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", type=SitePreset, choices=[*SitePreset], default=SitePreset.NONE)
    parser.add_argument("--build", nargs="+", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        data, out, *cache_path = options.build
        print(json.dumps(asdict(measure(data, out, cache_path[0] if cache_path else None, options.preset))))
        return 0
    with tempfile.TemporaryDirectory(prefix="ppp-bench-") as name:
        folder = Path(name)
        data, out, cache_path = folder / "data", folder / "public", folder / "cache.db"
        script = shipped("matrices").parent / "scripts" / "synthetic-ledger"
        sizes = ("--packages", str(options.packages), "--records", str(options.records), "--seed", str(options.seed))
        subprocess.run([sys.executable, str(script), str(data), *sizes], check=True)
        full = measure_in_new_process(data, out, cache_path, options.preset)
        print(table_row("full build", full))
        print(table_row("nothing new", measure_in_new_process(data, out, cache_path, options.preset)))
        add_records(data, options.new, options.seed)
        some = measure_in_new_process(data, out, cache_path, options.preset)
        print(table_row(f"{options.new} new records", some))
        again = measure_in_new_process(data, folder / "from scratch", None, options.preset)
        print(table_row("full build of that", again))
        same = not differ(out, folder / "from scratch")
        bare = bare_writes(out, folder / "bare")
        lines = describe_lookup(data, out, options.seed)
    pace, share = full.packages / full.seconds, some.seconds / full.seconds
    print(f"package pages a second: {pace:,.0f} (wanted: {PAGES_PER_S:,}), each with its data, badges and feed")
    files, bare_files = full.files / full.seconds, full.files / bare
    print(f"files a second: {files:,.0f}; {bare_files:,.0f} where files are written and nothing else is done")
    print(f"after {options.new} new records: {share:.1%} of the full build (wanted: under {SHARE:.0%})")
    print(f"memory: {max(full.rss, again.rss) / 1e6:,.0f} MB (wanted: under {MAX_RSS / 1e6:,.0f})")
    print(f"the site: {full.bytes / 1e6:,.0f} MB in {full.files:,} files (wanted: under {MAX_SITE / 1e6:,.0f})")
    print(f"pages: of {full.pages:,} of {options.packages:,} packages", *lines, sep="\n")
    same_bytes = "incremental builds and one from scratch wrote the same bytes"
    print(same_bytes if same else "the two folders differ: the figures are not valid")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
