"""Measure the cost of builds on a synthetic ledger: `nox -s bench -- publish`.

A full build, one without new records, and one with a few, each in a process of its own. The last must cost in
proportion to what is new, and write the same bytes as a build of everything. Ratios count more than seconds.

With `--preset github-pages` the site has that host's bound: `--packages 900000 --records 5400000 --new 36000` is all of
PyPI and a day of it. Where there is Chromium, packages are then looked up in it. `--ledger FOLDER` takes a ledger that
`scripts/synthetic-ledger` wrote before, and changes it; `--folder` says where all files go, which are 30 GB then;
`--once` leaves out the second build of everything and the comparison of bytes.
"""

import argparse
import gzip
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, suppress
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
SAMPLES_PER_S = 10
MAX_RSS = 1_000_000_000
MAX_SITE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a build took and wrote.

    `memory` is the most memory that all its processes together had of their own, in bytes, and `mapped` the most pages
    of files in it, which the system can drop at any time; both as sampled `SAMPLES_PER_S` times a second.
    """

    seconds: float
    core_s: float
    packages: int
    pages: int
    written: int
    files: int
    bytes: int
    older_batches: int
    memory: int = 0
    mapped: int = 0


def measure(data: Path, out: Path, cache_path: Path | None, preset: SitePreset) -> Build:
    """Build once, in this process and those that it starts."""
    db = read_ledger(data)
    started = time.monotonic()
    done = build(db, out, cache_path=cache_path, bound=PRESETS[preset])
    seconds = time.monotonic() - started
    db.close()
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return Build(
        seconds=seconds,
        core_s=own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime,
        packages=done.packages,
        pages=done.pages,
        written=len(done.written),
        files=done.files,
        bytes=done.bytes,
        older_batches=done.older_batches,
    )


def descendants(process: int) -> Iterator[int]:
    """Yield a process and all that it has started, directly or not."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text("ascii").split():
            yield from descendants(int(child))


def resident(process: int) -> tuple[int, int]:
    """Return how many bytes a process has of its own in memory, and how many of files."""
    status = Path(f"/proc/{process}/status").read_text("ascii", "replace")
    found = {
        name: 1024 * int(size) for name, size in re.findall(r"^Rss(Anon|File|Shmem):\s+(\d+) kB", status, re.MULTILINE)
    }
    return found.get("Anon", 0) + found.get("Shmem", 0), found.get("File", 0)


def sample_memory(process: int, ended: threading.Event) -> tuple[int, int]:
    """Return the most memory of a process and all that it starts, and of files in it, until it has ended."""
    memory = mapped = 0
    while not ended.wait(1 / SAMPLES_PER_S):
        # One that ends meanwhile counts nothing.
        with suppress(OSError):
            sizes = [resident(one) for one in descendants(process)]
            memory, mapped = max(memory, sum(own for own, _ in sizes)), max(mapped, sum(file for _, file in sizes))
    return memory, mapped


def measure_in_new_process(data: Path, out: Path, cache_path: Path | None, preset: SitePreset) -> Build:
    """Build once, in a new process."""
    folders = (str(data), str(out), *([str(cache_path)] if cache_path else []))
    command = [sys.executable, __file__, "--preset", preset, "--build", *folders]
    ended = threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, ThreadPoolExecutor(1) as pool:
        sampled = pool.submit(sample_memory, process.pid, ended)
        answer, _ = process.communicate()
        ended.set()
        memory, mapped = sampled.result()
    if process.returncode:
        raise SystemExit(f"bench: the build ended with {process.returncode}")
    return replace(Build(**json.loads(answer)), memory=memory, mapped=mapped)


def add_records(data: Path, count: int, seed: int) -> None:
    """Add records of cells that the ledger has already, a day later, some with another result."""
    chance = random.Random(seed)
    with Store.open(data) as store, store.db.atomic():
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
        f"  {build_.written:7} files written  {build_.memory / 1e6:5.0f} MB and {build_.mapped / 1e6:5.0f} of files"
    )


def synthesize(data: Path, options: argparse.Namespace) -> None:
    """Write a synthetic ledger, whose time counts nowhere."""
    script = shipped("matrices").parent / "scripts" / "synthetic-ledger"
    sizes = {"packages": options.packages, "records": options.records, "seed": options.seed, "copies": options.copies}
    subprocess.run(
        [sys.executable, str(script), str(data), *(f"--{name}={size}" for name, size in sizes.items())], check=True
    )


def run_builds(data: Path, folder: Path, options: argparse.Namespace) -> tuple[Build, Build, bool]:
    """Build, print a row for each build, and return the first, the one after new records, and whether bytes differ."""
    out, cache, scratch = folder / "public", folder / "cache.db", folder / "from scratch"
    full = measure_in_new_process(data, out, cache, options.preset)
    print(table_row("full build", full), flush=True)
    print(table_row("nothing new", measure_in_new_process(data, out, cache, options.preset)), flush=True)
    add_records(data, options.new, options.seed)
    some = measure_in_new_process(data, out, cache, options.preset)
    print(table_row(f"{options.new} new records", some), flush=True)
    if options.once:
        return full, some, False
    # With a cache of its own: without one, it would be in memory.
    again = measure_in_new_process(data, scratch, folder / "other.db", options.preset)
    print(table_row("full build of that", again), flush=True)
    return full, some, differ(out, scratch)


def describe(full: Build, some: Build, options: argparse.Namespace) -> list[str]:
    """Return the figures of the first build, and of the one after new records."""
    # By what the cores did: other work on the machine changes the time on the clock.
    pace, share, limit = full.packages / full.core_s, some.core_s / full.core_s, MAX_RSS / 1e6
    memory, mapped = max(full.memory, some.memory) / 1e6, max(full.mapped, some.mapped) / 1e6
    new = f"{options.new} new records, of {some.packages / max(full.packages, 1):.1%} of the packages"
    return [
        f"packages a core-second: {pace:,.0f}",
        f"packages with pages a second: {full.pages / full.seconds:,.0f} (wanted: {PAGES_PER_S:,} where all have them)",
        f"after {new}: {share:.1%} of the full build (wanted: under {SHARE:.0%} where few are new)",
        f"memory: {memory:,.0f} MB (wanted: under {limit:,.0f}), and {mapped:,.0f} MB of files",
        f"the site: {full.bytes / 1e6:,.0f} MB in {full.files:,} files (wanted: under {MAX_SITE / 1e6:,.0f})",
        f"pages: of {full.pages:,} of {options.packages:,} packages; {full.older_batches:,} batches have no room",
    ]


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=3_000)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--new", type=int, default=100, help="how many records are added between two builds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", type=SitePreset, choices=[*SitePreset], default=SitePreset.NONE)
    parser.add_argument("--copies", type=int, default=1, help="as in scripts/synthetic-ledger")
    parser.add_argument("--ledger", type=Path, help="the folder of a synthetic ledger of that size; it is changed")
    parser.add_argument("--folder", type=Path, help="where temporary files go (default: TMPDIR)")
    parser.add_argument("--once", action="store_true", help="build everything once, and compare nothing")
    parser.add_argument("--build", nargs="+", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        data, out, *cache_path = options.build
        print(json.dumps(asdict(measure(data, out, cache_path[0] if cache_path else None, options.preset))))
        return 0
    with tempfile.TemporaryDirectory(prefix="ppp-bench-", dir=options.folder) as name:
        folder = Path(name)
        data = options.ledger or folder / "data"
        if options.ledger is None:
            synthesize(data, options)
        full, some, different = run_builds(data, folder, options)
        print(*describe(full, some, options), sep="\n", flush=True)
        print(*describe_lookup(data, folder / "public", options.seed), sep="\n", flush=True)
        bare = bare_writes(folder / "public", folder / "bare")
    files, bare_files = full.files / full.seconds, full.files / bare
    print(f"files a second: {files:,.0f}; {bare_files:,.0f} where files are written and nothing else is done")
    if not options.once:
        same_bytes = "incremental builds and one from scratch wrote the same bytes"
        print("the two folders differ: the figures are not valid" if different else same_bytes)
    return int(different)


if __name__ == "__main__":
    sys.exit(main())
