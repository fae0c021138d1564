"""Measure `ppp env sync` against the tool that it drives: `nox -s bench -- env --packages 30`.

The same lock is installed into a new environment by `uv pip sync` and `pip install` alone and by `ppp env sync`, from
the same server on loopback, which sends each file at a fixed rate, as a network does. Each begins with empty caches,
and making the environment counts. The fastest of several turns counts, and the turns alternate: other work on this
machine slows all of them. PPP may take 1.1 times as long as the tool.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from my_lib import WheelServer, wheel_server
from projects import Project

from ppp.project_env.tools import PIP, UV, find_pip, find_uv

MAX_RATIO = 1.1
PROJECT = '[project]\nname = "bench"\nversion = "1"\ndependencies = []\n'


def bench_wheels(packages: int, heavy_bytes: int) -> list[Project]:
    """Return small wheels of twenty modules each, and one that is heavy."""
    small = [
        Project(
            name=f"bench-{number:03}",
            files={f"bench_{number:03}/m{each:02}.py": b"VALUE = 1\n" * 200 for each in range(20)},
        )
        for number in range(packages)
    ]
    return [*small, Project(name="bench-heavy", files={"bench_heavy.bin": os.urandom(heavy_bytes)})]


def seconds(command: Sequence[str | Path], environ: Mapping[str, str]) -> float:
    """Run a command that must succeed; return how many seconds it took."""
    started = time.monotonic()
    subprocess.run(command, check=True, env={**os.environ, **environ}, capture_output=True)
    return time.monotonic() - started


def make_turn(folder: Path, server: WheelServer, names: Sequence[str]) -> Callable[..., float]:
    """Return a function that measures a tool alone, or PPP with it, in new folders."""
    environ = {"UV_CACHE_DIR": str(folder / "uv"), "PPP_ENV_CACHE": str(folder / "cache"), "PIP_NO_CACHE_DIR": "1"}

    def turn(tool: str, *, by_ppp: bool) -> float:
        project = folder / "project"
        for each in (project, folder / "uv", folder / "cache"):
            shutil.rmtree(each, ignore_errors=True)
        project.mkdir()
        (project / "pyproject.toml").write_text(PROJECT)
        lock = project / "pylock.toml"
        lock.write_bytes(server.lock_of(dict.fromkeys(names, "")))
        if by_ppp:
            program = (sys.executable, "-m", "ppp", "env", "sync", "--tool", tool, "--project", project)
            return seconds(program, environ)
        python = project / ".venv" / "bin" / "python"
        uv, pip = find_uv(os.environ), find_pip(os.environ)
        if tool == UV and uv:
            made = seconds((uv, "venv", "--quiet", project / ".venv"), environ)
            return made + seconds((uv, "pip", "sync", "--quiet", "--python", python, lock), environ)
        made = seconds((sys.executable, "-m", "venv", "--without-pip", project / ".venv"), environ)
        install = ("--python", python, "install", "--quiet", "--no-deps", "-r", lock)
        return made + seconds((*(pip or ()), *install), environ)

    return turn


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=30)
    parser.add_argument("--heavy-mb", type=int, default=40)
    parser.add_argument("--mb-per-s", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    projects = bench_wheels(options.packages, options.heavy_mb * 1_000_000)
    worst = 0.0
    with wheel_server(projects) as server, tempfile.TemporaryDirectory(prefix="ppp-bench-") as name:
        server.bytes_per_s = options.mb_per_s * 1_000_000
        turn = make_turn(Path(name), server, [project.name for project in projects])
        for tool in (UV, PIP):
            pairs = [(turn(tool, by_ppp=False), turn(tool, by_ppp=True)) for _ in range(options.turns)]
            alone, with_ppp = (min(times) for times in zip(*pairs, strict=True))
            worst = max(worst, with_ppp / alone)
            print(f"{tool:4} alone {alone:6.2f} s, ppp env sync {with_ppp:6.2f} s: {with_ppp / alone:.2f} times")
    print(f"at most {worst:.2f} times the tool; wanted: {MAX_RATIO:g}")
    return int(worst > MAX_RATIO)


if __name__ == "__main__":
    sys.exit(main())
