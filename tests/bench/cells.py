"""Measures cells per minute against the plain loop, in one run on one machine: `nox -s bench`.

The reference does what a person would: one `docker run` per cell, one after the other, without a cache, and in each
`pip download --no-deps`, `pip install --no-deps`, `pip install` and an import. Ours works through the same releases
from an empty data folder, then again with what it has cached, then once more with the canaries that stand around every
batch. A figure is the ratio to the reference; core-seconds are the whole machine's, so let it rest.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import docker

from ppp import config as settings
from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, Sandbox
from ppp.ledger import queries
from ppp.matrix_files import load_matrix
from ppp.model.matrix import Cell, Environment, Matrix
from ppp.model.record import Record, Result
from ppp.model.release import Release, RequestedPackage
from ppp.progress import LineReporter
from ppp.resources import resource
from ppp.runner import check as checking
from ppp.runner import enqueue
from ppp.runner.context import Context, LocalNode, open_node
from ppp.runner.environments import ReadyEnvironments, open_index, prepare_environments
from ppp.runner.request import RunRequest, Sources
from ppp.runner.requested import find_requested

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
SIX = 'pip install six && python -c "import six"'
SIX_TIMES = 7


def busy_core_seconds() -> float:
    """Return how many core-seconds this machine has been busy since it started."""
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


class Stopwatch:
    """Adds up seconds by name, from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: Counter[str] = Counter()

    def add(self, name: str, seconds: float) -> None:
        """Add some."""
        with self._lock:
            self.seconds[name] += seconds  # type: ignore[assignment]  # a Counter of floats

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add what this takes."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRuntime:
    """A runtime whose sandboxes tell how long each kind of thing took them."""

    runtime: Runtime
    watch: Stopwatch

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        """Let the runtime do it."""
        return self.runtime.prepare(environment)

    @contextmanager
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator[Sandbox]:
        """Lend the runtime's, timed."""
        with ExitStack() as stack:
            with self.watch.timing("container"):
                box = stack.enter_context(self.runtime.sandbox(prepared, file))
            yield TimedSandbox(box, self.watch)
            with self.watch.timing("container"):
                stack.close()

    def close(self) -> None:
        """Let the runtime do it."""
        self.runtime.close()


class TimedSandbox:
    """A sandbox that tells how long each kind of thing took."""

    def __init__(self, box: Sandbox, watch: Stopwatch) -> None:
        self._box = box
        self._watch = watch
        self.python, self.scratch, self.file, self.aliases = box.python, box.scratch, box.file, box.aliases

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        """Let the sandbox do it."""
        with self._watch.timing("looking"):
            return self._box.run(argv, timeout_s=timeout_s, cwd=cwd)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Time it as pip, and apart from that what it waited for the gateway."""
        with self._watch.timing("pip"):
            done = self._box.pip(arguments, timeout_s=timeout_s)
        self._watch.add("network", done.waited_ms / 1000)
        self._watch.add("pip", -done.waited_ms / 1000)
        return done

    def inspect_installation(self, package: str, *, folder: str | None = None, timeout_s: float) -> CommandResult:
        """Time it as looking at what was installed."""
        with self._watch.timing("looking"):
            return self._box.inspect_installation(package, folder=folder, timeout_s=timeout_s)

    def prove_import(
        self, module: str, *, timeout_s: float, watched: Sequence[str] = (), hidden: Sequence[str] = ()
    ) -> CommandResult:
        """Time it as importing."""
        with self._watch.timing("import"):
            return self._box.prove_import(module, timeout_s=timeout_s, watched=watched, hidden=hidden)

    def reset(self) -> None:
        """Time it as part of the container's work."""
        with self._watch.timing("container"):
            self._box.reset()

    def isolate(self) -> None:
        """Time it as part of the container's work."""
        with self._watch.timing("container"):
            self._box.isolate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What a run of ours came to: its records, seconds, busy core-seconds, and where the workers' seconds went."""

    records: list[Record]
    seconds: float
    busy_s: float
    watch: Stopwatch


@contextmanager
def at_work(data: Path) -> Iterator[tuple[LocalNode, ReadyEnvironments, Matrix]]:
    """Open a data folder's node, and a workshop for the bench's environments."""
    config = settings.load(os.environ, data=data)
    matrix = load_matrix(resource("matrices/default.toml"))
    with Path(os.devnull).open("w") as quiet, ExitStack() as stack:
        context = Context(config=config, reporter=LineReporter(quiet), environ=os.environ, stop=threading.Event())
        node = stack.enter_context(open_node(context))
        index = open_index(config)
        shop = stack.enter_context(prepare_environments(context, index, matrix, matrix.select(ENVIRONMENTS)))
        yield node, shop, matrix


def ours(data: Path, releases: Sequence[str], jobs: int | None, *, canary: bool) -> Ours:
    """Check releases in a data folder that may be warm, with or without the canaries around them."""
    watch = Stopwatch()
    with at_work(data) as (node, shop, matrix):
        order = RunRequest(
            matrix=matrix,
            environments=matrix.select(ENVIRONMENTS),
            sources=Sources(named=tuple(map(RequestedPackage.parse, releases))),
            jobs=jobs or node.context.config.jobs,
            recheck=True,
        )
        wanted = find_requested(node.context, shop.index, order.sources, order.environments).releases
        enqueue.enqueue_wanted(node, shop, wanted, order)
        runtimes = {platform: TimedRuntime(runtime=runtime, watch=watch) for platform, runtime in shop.runtimes.items()}
        timed = replace(shop, runtimes=runtimes, canary=shop.canary if canary else lambda _: ())
        held = {record.id for record in queries.read_records(node.store.db)}
        started, busy = time.monotonic(), busy_core_seconds()
        checking.check_queue(node, timed, order, only=None)
        seconds, busy_s = time.monotonic() - started, busy_core_seconds() - busy
        records = [record for record in queries.read_records(node.store.db) if record.id not in held]
    return Ours(records=records, seconds=seconds, busy_s=busy_s, watch=watch)


def six(data: Path) -> tuple[float, float]:
    """Return the median seconds of six in one cell, and of the plain command in the same image, run alternately."""
    environment = ENVIRONMENTS[-1]
    plain: list[float] = []
    cells: list[float] = []
    with at_work(data) as (node, shop, _):
        checker = shop.checkers(node.key.id)[environment]
        prepared = shop.prepared[environment]
        cell = Cell(release=Release(package="six", version="1.17.0"), environment=environment)
        for _ in range(SIX_TIMES):
            started = time.monotonic()
            record = checker.check(cell, prepared).record
            cells.append(time.monotonic() - started)
            assert record.result is Result.PASS, record
            started = time.monotonic()
            subprocess.run(
                ["docker", "run", "--rm", prepared.environment.image, "sh", "-c", SIX], check=True, capture_output=True
            )
            plain.append(time.monotonic() - started)
    return statistics.median(cells), statistics.median(plain)


def images_here() -> dict[str, str]:
    """Return the images of the benchmark's environments; raise docker's error for one that is missing."""
    matrix = load_matrix(resource("matrices/default.toml"))
    images = {e.id: e.image for e in matrix.select(ENVIRONMENTS)}
    client = docker.from_env()
    for image in images.values():
        client.images.get(image)
    return images


def told(name: str, cells: int, seconds: float, busy_s: float, results: object) -> str:
    """Return a line of the table."""
    rates = f"{cells / seconds * 60:6.1f} cells/min  {busy_s / cells:5.2f} core-s/cell"
    return f"{name:26} {seconds:7.1f} s  {rates}  {results}"


def main() -> int:
    """Measure both, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=len(RELEASES), help="only the first so many releases")
    parser.add_argument("--jobs", type=int, help="cells at a time (the number of cores)")
    options = parser.parse_args()
    releases = dict(list(RELEASES.items())[: options.packages])
    images = images_here()
    cells = len(releases) * len(images)
    with tempfile.TemporaryDirectory(prefix="ppp-bench-") as folder:
        runs = {
            "ours, cold": ours(Path(folder), list(releases), options.jobs, canary=False),
            "ours, warm": ours(Path(folder), list(releases), options.jobs, canary=False),
            "ours, warm, with canaries": ours(Path(folder), list(releases), options.jobs, canary=True),
        }
        cell_s, plain_s = six(Path(folder))
    started, busy = time.monotonic(), busy_core_seconds()
    ended = reference(images, releases)
    reference_s, reference_busy = time.monotonic() - started, busy_core_seconds() - busy

    print(f"{len(releases)} releases x {len(images)} environments = {cells} cells, {os.cpu_count()} cores")
    print(told("reference", cells, reference_s, reference_busy, dict(ended)))
    agree = True
    for name, run in runs.items():
        results = Counter(str(record.result) for record in run.records)
        agree = agree and results == ended and len(run.records) == cells
        print(told(name, cells, run.seconds, run.busy_s, dict(results)))
    for name, run in runs.items():
        print(f"ratio, {name}: {reference_s / run.seconds:.2f}")
    shares = runs["ours, warm"].watch.seconds
    total = sum(shares.values())
    print("where the workers' time goes: " + ", ".join(f"{n} {s / total:.0%}" for n, s in shares.most_common()))
    print(f"six in one cell: {cell_s:.2f} s, {cell_s / plain_s:.2f} x the plain command ({plain_s:.2f} s)")
    if not agree:
        print("the two do not agree on the results: the ratio means nothing", file=sys.stderr)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
