"""Measures cells per minute against the plain loop, in one run on one machine: `nox -s bench`.

The reference does what a person would: one `docker run` per cell, one after the other, without a cache, and in each
`pip download --no-deps`, `pip install --no-deps`, `pip install` and an import. Ours is `ppp run` on the same releases
from an empty data folder. A figure is the ratio of the two; core-seconds are the whole machine's, so let it rest.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import docker

from ppp import config as settings
from ppp import pipeline
from ppp.console import LineReporter
from ppp.context import Context
from ppp.ledger import queries
from ppp.ledger.schema import read_ledger
from ppp.model.record import PHASES, Record
from ppp.model.release import Wanted
from ppp.steps import Order, Sources

#: Releases that support all three Pythons: pure and compiled, alone and with a dozen dependencies.
RELEASES = {
    "six==1.17.0": "six",
    "idna==3.10": "idna",
    "attrs==25.3.0": "attrs",
    "click==8.1.8": "click",
    "pyyaml==6.0.2": "yaml",
    "jinja2==3.1.6": "jinja2",
    "requests==2.32.4": "requests",
    "rich==14.0.0": "rich",
    "numpy==2.0.2": "numpy",
    "cryptography==45.0.4": "cryptography",
    "flask==3.1.1": "flask",
    "fastapi==0.115.12": "fastapi",
}
ENVIRONMENTS = ("py39-slim", "py311-slim", "py312-slim")
LOOP = """
set -e
pip download -q --no-cache-dir --no-deps -d /tmp/file "$1"
pip install -q --no-cache-dir --no-deps --target /tmp/nodeps /tmp/file/*
pip install -q --no-cache-dir /tmp/file/*
cd /; python -c "import $2"
"""


def busy_core_seconds() -> float:
    """Give how many core-seconds this machine has been busy since it started."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def reference(images: dict[str, str], releases: dict[str, str]) -> Counter[str]:
    """Run the plain loop; give how its cells ended."""
    ended: Counter[str] = Counter()
    for release, module in releases.items():
        for image in images.values():
            done = subprocess.run(
                ["docker", "run", "--rm", image, "sh", "-c", LOOP, "-", release, module],
                capture_output=True,
                check=False,
            )
            ended["PASS" if done.returncode == 0 else "FAIL"] += 1
    return ended


def ours(data: Path, releases: dict[str, str], jobs: int | None) -> list[Record]:
    """Run PPP from an empty data folder; give its records."""
    config = settings.load(os.environ, data=data)
    matrix = settings.load_matrix(settings.resource("matrices/default.toml"))
    order = Order(
        matrix=matrix,
        environments=matrix.select(ENVIRONMENTS),
        sources=Sources(named=tuple(map(Wanted.parse, releases))),
        jobs=jobs or config.jobs,
    )
    with Path(os.devnull).open("w") as quiet:
        context = Context(config=config, reporter=LineReporter(quiet), environ=os.environ, stop=threading.Event())
        pipeline.run(context, order)
    db = read_ledger(data)
    try:
        return list(queries.records(db))
    finally:
        db.close()


def main() -> int:
    """Measure both, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=len(RELEASES), help="only the first so many releases")
    parser.add_argument("--jobs", type=int, help="cells at a time (the number of cores)")
    options = parser.parse_args()
    releases = dict(list(RELEASES.items())[: options.packages])
    images = {
        e.id: e.image for e in settings.load_matrix(settings.resource("matrices/default.toml")).select(ENVIRONMENTS)
    }
    client = docker.from_env()
    for image in images.values():
        client.images.get(image)
    cells = len(releases) * len(images)

    with tempfile.TemporaryDirectory(prefix="ppp-bench-") as folder:
        started, busy = time.monotonic(), busy_core_seconds()
        records = ours(Path(folder), releases, options.jobs)
        ours_s, ours_busy = time.monotonic() - started, busy_core_seconds() - busy
    started, busy = time.monotonic(), busy_core_seconds()
    ended = reference(images, releases)
    reference_s, reference_busy = time.monotonic() - started, busy_core_seconds() - busy

    results = Counter(str(record.result) for record in records)
    print(f"{len(releases)} releases x {len(images)} environments = {cells} cells, {os.cpu_count()} cores")
    for name, took_s, busy_s, came_to in (
        ("reference", reference_s, reference_busy, ended),
        ("ours", ours_s, ours_busy, results),
    ):
        rates = f"{cells / took_s * 60:6.1f} cells/min  {busy_s / cells:5.2f} core-s/cell"
        print(f"{name:9} {took_s:7.1f} s  {rates}  {dict(came_to)}")
    shares = {phase: sum(record.duration_ms.get(phase, 0) for record in records) / 1000 for phase in PHASES}
    print("ours, seconds by phase over all workers: " + ", ".join(f"{phase} {s:.1f}" for phase, s in shares.items()))
    print(f"ratio {reference_s / ours_s:.2f}")
    agree = results == ended and len(records) == cells
    if not agree:
        print("the two do not agree on the results: the ratio means nothing", file=sys.stderr)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
