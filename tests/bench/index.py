"""Measure the simple indexes of a synthetic ledger: `nox -s bench -- index`.

Only their part of a build is measured, each time in a process of its own: of everything, then of a few new records,
then of one in the package that most others need. Each must cost in proportion to what is new. Ratios count more than
seconds. Files and blocks on disk show what two pages for each package, environment and cooldown mean for a site of that
size; the last lines say for how many of the packages the share of a host's bound has room.
"""

import argparse
import json
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ppp.index_files.file import IndexedFile
from ppp.index_files.store import open_index_files, read_index_files
from ppp.ledger.queries import record_from_row
from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import DistributionFile, Result
from ppp.model.release import Release
from ppp.model.site_address import SiteAddresses
from ppp.model.site_bound import PRESETS
from ppp.publish.builder.plan import PlanInputs, read_plan
from ppp.publish.builder.site_room import read_batch_choice
from ppp.publish.builder.verified_index import index_share, update_indexes
from ppp.publish.builder.verified_inputs import verified_inputs
from ppp.publish.builder.workers import BuildParameters, WorkerContext, start_workers
from ppp.publish.builder.writer import OutputWriter
from ppp.publish.cache.build_cache import BuildCache, OwnerKind
from ppp.publish.folder import OutputFolder
from ppp.publish.page_budget import Room
from ppp.resources import resource as shipped

#: What an update after the new records may cost, in parts of one of everything.
SHARE: Final = 0.03
_CHUNK: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexBuild:
    """What an update of the indexes took; how many packages changed; the files it wrote, and those that are there."""

    seconds: float
    core_s: float
    packages: int
    written: int
    files: int
    bytes: int


def core_seconds() -> float:
    """Return the processor time of this process and of those that it has ended."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def measure(data: Path, out: Path, cache_path: Path, only: Sequence[str]) -> IndexBuild:
    """Update the indexes once, after changes of some packages, or of all where none are named."""
    with ExitStack() as stack:
        db = stack.enter_context(closing(read_ledger(data)))
        stack.enter_context(db.atomic())
        cache = stack.enter_context(BuildCache.open(cache_path))
        index_files = stack.enter_context(read_index_files(data))
        folder = OutputFolder(out)
        inputs = PlanInputs(
            addresses=SiteAddresses(base_url="", repository_url="", datasette_url=""),
            bound=None,
            partial=False,
            batches=read_batch_choice(db, None),
            older_url=None,
            verified=verified_inputs(out, index_files, days=7),
        )
        plan = read_plan(db, cache, folder, out, inputs, rebuild=True)
        plan = replace(plan, packages=only) if only else plan
        started, used = time.monotonic(), core_seconds()
        writer = OutputWriter(folder, cache, from_scratch=not only)
        parameters = BuildParameters(
            ledger=data / LEDGER_NAME, out=out, environments=plan.environments, addresses=inputs.addresses
        )
        with start_workers(WorkerContext(db, folder, parameters, None), len(plan.packages)) as workers:
            update_indexes(db, cache, writer, workers, plan, bound=None)
        committed = writer.commit(b"{}")
        cache.commit()
        _, files, size = cache.file_totals(OwnerKind.SIMPLE)
        return IndexBuild(
            seconds=time.monotonic() - started,
            core_s=core_seconds() - used,
            packages=len(plan.packages),
            written=sum(path.startswith("simple/") for path in committed.written),
            files=files,
            bytes=size,
        )


def measure_in_new_process(folder: Path, only: Sequence[str]) -> IndexBuild:
    """Update once, in a new process."""
    command = [sys.executable, __file__, "--folder", str(folder), "--update"]
    done = subprocess.run(command, input=json.dumps([*only]), stdout=subprocess.PIPE, check=True, text=True)
    return IndexBuild(**json.loads(done.stdout))


def know_files(data: Path) -> None:
    """Store what an index would say of each file that passed."""
    rows = "SELECT DISTINCT package, version, filename, file_sha256, file_size, observed_at FROM records"
    with closing(read_ledger(data)) as db, open_index_files(data) as index_files:
        found = db.execute(f"{rows} WHERE result = 'PASS' AND filename IS NOT NULL GROUP BY file_sha256")
        while some := found.fetchmany(_CHUNK):
            files = (
                IndexedFile.checked(
                    sha256=sha256,
                    project=package,
                    version=version,
                    filename=filename,
                    url=f"https://files.example/packages/{sha256[:2]}/{sha256[2:4]}/{sha256[4:]}/{filename}",
                    seen_at=at,
                    size=size,
                    upload_time=datetime.fromtimestamp(at - 3_600, UTC),
                    requires_python=">=3.9",
                    metadata_sha256=sha256[::-1],
                )
                for package, version, filename, sha256, size, at in some
            )
            index_files.add(file for file in files if file is not None)


def add_records(data: Path, rowids: Sequence[int]) -> list[str]:
    """Add records of cells that the ledger has, a day later, with the other verdict; return their packages."""
    packages: dict[str, None] = {}
    with Store.open(data) as store, store.db.atomic():
        for rowid in rowids:
            row: dict[str, Any] = next(store.db.query("SELECT * FROM records WHERE rowid = ?", (rowid,)))
            before = replace(record_from_row(row), log_sha256=None)
            after = replace(before, observed_at=before.observed_at + 86_400)
            if before.result is Result.PASS:
                after = replace(after, result=Result.FAIL, cause="no-compiler")
            store.add_record(after)
            packages[row["package"]] = None
    return list(packages)


def chosen_rows(data: Path, count: int, seed: int) -> list[int]:
    """Return the rows of some records, chosen at random."""
    with closing(read_ledger(data)) as db:
        (last,) = db.execute("SELECT max(rowid) FROM records").fetchone()
    return random.Random(seed).sample(range(1, last + 1), count)


def add_needed(data: Path, package: str, version: str) -> None:
    """Add a PASS of a package that many others installed, made of another record, and its file."""
    filename = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
    file = DistributionFile(filename=filename, sha256=sha256_hex(filename.encode()), size=1_000)
    with Store.open(data) as store, open_index_files(data) as index_files:
        row: dict[str, Any] = next(store.db.query("SELECT * FROM records WHERE result = 'PASS' LIMIT 1"))
        other = replace(record_from_row(row), log_sha256=None)
        store.add_record(replace(other, release=Release.parse(package, version), file=file, installed=()))
        seen = IndexedFile.checked(
            sha256=file.sha256,
            project=package,
            version=version,
            filename=filename,
            url=f"https://files.example/{filename}",
            seen_at=other.observed_at,
        )
        index_files.add([seen] if seen else [])


def most_needed(folder: Path) -> tuple[str, int]:
    """Return the project that most packages need, and how many these are."""
    with closing(sqlite3.connect(folder / "cache.db")) as db:
        row: tuple[str, int] = db.execute(
            "SELECT need, count(DISTINCT package) FROM verified_needs GROUP BY need ORDER BY 2 DESC, 1 LIMIT 1"
        ).fetchone()
    return row


def table_row(name: str, build: IndexBuild) -> str:
    """Return a row of the table."""
    return (
        f"{name:34} {build.seconds:8.2f} s {build.core_s:8.2f} core-s  {build.packages:7,} packages changed"
        f"  {build.written:9,} files written"
    )


def describe_room(folder: Path) -> list[str]:
    """Return lines on the files of the indexes, and for how many packages the share of each preset has room."""
    lines = []
    blocks = subprocess.run(
        ["du", "-s", "--block-size=1", folder / "public" / "simple"], stdout=subprocess.PIPE, check=True, text=True
    )
    lines.append(f"on this disk the indexes take {int(blocks.stdout.split()[0]) / 1e6:,.0f} MB")
    with BuildCache.open(folder / "cache.db") as cache:
        size, files = cache.verified.whole_room()
        packages = cache.verified.packages_with_pages()
    whole = Room.of(size, files)
    for preset, bound in PRESETS.items():
        if bound is not None:
            share = index_share(bound)
            part = min(share.bytes / whole.bytes, share.files / whole.files, 1.0)
            lines.append(
                f"{preset}: the indexes' share is {share.bytes / 1e6:,.0f} MB and {share.files:,} files;"
                f" about {part * packages:,.0f} of {packages:,} packages have room in it"
            )
    return lines


def main() -> int:
    """Measure, print, and return 1 if an update costs more than its share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--packages", type=int, default=60_000)
    parser.add_argument("--new", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where all files go")
    parser.add_argument("--ledger", type=Path, help="a folder in whose data/ a synthetic ledger is; it is changed")
    parser.add_argument("--update", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.update:
        folder = options.folder
        done = measure(folder / "data", folder / "public", folder / "cache.db", json.load(sys.stdin))
        print(json.dumps(asdict(done)))
        return 0
    if options.ledger:
        return compare(options.ledger, options)
    with tempfile.TemporaryDirectory(prefix="ppp-bench-", dir=options.folder) as name:
        return compare(Path(name), options)


def compare(folder: Path, options: argparse.Namespace) -> int:
    """Measure in a folder, and print; return 1 if an update costs more than its share."""
    data = folder / "data"
    if not options.ledger:
        script = shipped("matrices").parent / "scripts" / "synthetic-ledger"
        sizes = (f"--{name}={getattr(options, name)}" for name in ("packages", "records", "seed"))
        subprocess.run([sys.executable, str(script), str(data), *sizes], check=True, stdout=subprocess.DEVNULL)
    know_files(data)
    whole = measure_in_new_process(folder, [])
    print(table_row(f"everything, {options.records:,} records", whole))
    print(f"{whole.files:,} files of {whole.bytes / 1e6:,.0f} MB: {whole.bytes / whole.files:,.0f} bytes each")
    few = measure_in_new_process(folder, add_records(data, chosen_rows(data, options.new, options.seed)))
    print(f"{table_row(f'{options.new} new records', few)}  ({few.core_s / whole.core_s:.4f} of everything)")
    package, dependents = most_needed(folder)
    add_needed(data, package, "999.0")
    one = measure_in_new_process(folder, [package])
    name = f"1 record, {dependents:,} need the package"
    print(f"{table_row(name, one)}  ({one.core_s / whole.core_s:.4f} of everything)")
    print("\n".join(describe_room(folder)))
    return int(few.core_s > SHARE * whole.core_s)


if __name__ == "__main__":
    sys.exit(main())
