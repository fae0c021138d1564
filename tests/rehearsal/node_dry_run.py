"""Perform nights of a node as .github/workflows/node.yml says, and a month's end: `scripts/nox -s node_dry_run`.

Real packages, in containers where there is an engine, in two environments with two shards each. In the first night one
shard is killed; before the second the fork watches one package more; then the branch of the state is deleted, and the
next night stops, until a person lets another one get back what is published. It shows: the same key, a chain that goes
on, a ledger that is restored, nothing lost, nothing done twice; and the key reaches no machine that runs package code.
"""

import argparse
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from workflow import GitHub, JobRun, Run, load

ROOT: Final = Path(__file__).resolve().parents[2]
FIRST: Final = ("six", "idna", "certifi", "packaging", "attrs")
LATER: Final = "iniconfig"
KILLED_SHARD: Final = 1
#: How long a shard's ledger is waited for before the shard is killed, in seconds.
KILL_WAIT_S: Final = 120
CONTAINERS: Final = ("py311-slim", "py311-alpine")
#: The permissions of jobs that may hold the key: they write nothing.
READ_ONLY: Final = {"contents": "read"}


class Rehearsal:
    """The fork, what GitHub keeps of it, and what is expected of it."""

    def __init__(self, folder: Path, environments: Sequence[str], address: str) -> None:
        """Make the fork of the working tree, and a key; what is deployed is served at an address."""
        self.folder = folder
        self.environments = environments
        self.key = secrets.token_hex(32)
        self.fork = folder / "fork"
        origin = folder / "origin.git"
        git("init", "--quiet", "--bare", "--initial-branch=main", str(origin))
        git("init", "--quiet", "--initial-branch=main", str(self.fork))
        for name in git("ls-files", "--cached", "--others", "--exclude-standard", "-z", folder=ROOT).split("\0"):
            if name and (ROOT / name).is_file():
                (self.fork / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.fork / name)
        git("remote", "add", "origin", str(origin), folder=self.fork)
        self.host = GitHub(
            folder=folder / "github",
            origin=origin,
            programs=ROOT / ".nox",
            secrets={"PPP_NODE_KEY": self.key},
            variables={"PPP_BASE_URL": address, "PPP_ENVIRONMENTS": " ".join(environments), "PPP_SHARDS": "2"},
            settings={"PPP_JOURNAL": "off", "PPP_JOBS": "2"},
        )

    def watch(self, *packages: str) -> None:
        """Let the fork watch these packages, as its owner does: by a commit."""
        (self.fork / "matrices" / "watchlist.txt").write_text("\n".join(packages) + "\n", "utf-8")
        git("add", "--all", folder=self.fork)
        git("commit", "--quiet", "--message", "Watch", folder=self.fork)
        git("push", "--quiet", "origin", "main", folder=self.fork)

    def night(
        self,
        name: str,
        *,
        workflow: str = "node.yml",
        kill: bool = False,
        inputs: Mapping[str, str] | None = None,
        wanted: Mapping[str, str] | None = None,
    ) -> Run:
        """Perform a run of a workflow, and check what holds for every one; return it.

        `inputs` are what a person chose who started it by hand. The jobs succeed, except those that `wanted` names.
        """
        print(f"== {name}", flush=True)
        killed: list[str] = []

        def watcher(machine: JobRun, process: "subprocess.Popen[str]") -> None:
            if kill and machine.job == "check" and not killed:
                killed.append(machine.name)
                kill_when_it_checks(machine, process)

        document = load(self.fork / ".github" / "workflows" / workflow)
        run = Run(self.host, document, self.folder / name, watcher=watcher, parallel=2, inputs=inputs or {})
        results = run.execute()
        print(f"   {results}", flush=True)
        others = {**(wanted or {})}
        for machine in run.machines:
            failed = machine.result != "success"
            if failed != (machine.name in killed or others.get(machine.job) == "failure"):
                sys.exit(f"{machine.name} ended with {machine.result}:\n{machine.log}")
        ends = {"check": "failure"} if kill else others
        expect(dict.fromkeys(results, "success") | ends, results, "the jobs' results")
        self._check_secrets(run)
        return run

    def _check_secrets(self, run: Run) -> None:
        for machine in run.machines:
            writes = {name for name, kind in machine.permissions.items() if kind == "write"}
            if machine.secrets:
                expect(READ_ONLY, machine.permissions, f"what {machine.name}, which has the key, may do")
            if machine.job == "check":
                expect((False, set()), (machine.secrets, writes), f"the secrets and the rights of {machine.name}")
            searched = machine.folder if not machine.secrets else machine.work / "node-run" / "state"
            for path in searched.rglob("*"):
                if path.is_file() and not path.is_symlink() and self.key.encode() in path.read_bytes():
                    sys.exit(f"the key is in {path}")
            if self.key in machine.log:
                sys.exit(f"{machine.name} printed the key")


def kill_when_it_checks(machine: JobRun, process: "subprocess.Popen[str]") -> None:
    """Kill a step and all that it started once it works on its ledger."""
    deadline = time.monotonic() + KILL_WAIT_S
    ledger = machine.work / "node-run" / "data" / "ppp.db"
    while not ledger.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(process.pid, 9)


# ---------------------------------------------------------------- what is expected


def expect(wanted: object, found: object, what: str) -> None:
    """End the rehearsal if something is not as it should be."""
    if wanted != found:
        sys.exit(f"{what}: {found!r}, not {wanted!r}")


def records(run: Run) -> dict[tuple[str, str], list[str]]:
    """Return the results in the ledger of the job that merges, by package and environment."""
    (merge,) = (machine for machine in run.machines if machine.job == "merge")
    found: dict[tuple[str, str], list[str]] = {}
    with closing(sqlite3.connect(merge.work / "node-run" / "data" / "ppp.db")) as db:
        for package, environment, result in db.execute("SELECT package, environment, result FROM records"):
            found.setdefault((package, environment), []).append(result)
    return found


def planned(run: Run) -> set[tuple[str, str]]:
    """Return the cells of a night's plan."""
    (merge,) = (machine for machine in run.machines if machine.job == "merge")
    plan = json.loads((merge.work / "node-run" / "plan" / "plan.json").read_text("utf-8"))
    return {(cell["package"], cell["environment"]) for cell in plan["cells"]}


def statement(site: Path) -> dict[str, Any]:
    """Return what the newest statement says; its signature is verified by the session that published it."""
    return dict(json.loads((site / "statement.json").read_text("utf-8"))["signed"])


def names(folder: Path) -> set[str]:
    """Return the names of the files in a folder."""
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def git(*arguments: str, folder: Path | None = None) -> str:
    """Run git as somebody."""
    somebody = ("-c", "user.name=Someone", "-c", "user.email=someone@fork.example", "-c", "commit.gpgsign=false")
    where = ["-C", str(folder)] if folder else []
    return subprocess.run(["git", *where, *somebody, *arguments], capture_output=True, text=True, check=True).stdout


# ---------------------------------------------------------------- the nights


def rehearse(folder: Path, environments: Sequence[str]) -> None:
    """Perform a first night, a month's end, a second night, and two with a lost state; end with what is wrong."""
    (folder / "github" / "site").mkdir(parents=True)
    with served(folder / "github" / "site") as address:
        rehearsal = Rehearsal(folder, environments, address)
        two_nights(rehearsal, environments)
        lost_state(rehearsal)
    print("a lost state stopped a night, and was got back from what was published: as it should be")


def two_nights(rehearsal: Rehearsal, environments: Sequence[str]) -> None:
    """Perform a night in which a shard is killed, a month's end, and a second night."""
    site = rehearsal.host.site
    rehearsal.watch(*FIRST)
    everything = {(package, environment) for package in FIRST for environment in environments}

    first = rehearsal.night("night-1", kill=True)
    done = records(first)
    expect(everything, planned(first), "the cells of the first plan")
    killed = everything - done.keys()
    if not 0 < len(killed) < len(everything):
        sys.exit(f"the killed shard left {len(killed)} of {len(everything)} cells")
    (merge,) = (machine for machine in first.machines if machine.job == "merge")
    if f"it did not report; {len(killed)} cell" not in merge.log:
        sys.exit(f"the killed shard is not named with its {len(killed)} cells:\n{merge.log}")
    before, batches = statement(site), names(site / "batches")
    expect(
        "1", git("rev-list", "--count", "node-state", folder=rehearsal.host.origin).strip(), "the commits of the state"
    )

    rehearsal.night("month", workflow="snapshot.yml")
    expect(1, len(names(rehearsal.host.releases / "node-snapshots")), "the archives of the month")

    rehearsal.watch(*FIRST, LATER)
    second = rehearsal.night("night-2")
    everything |= {(LATER, environment) for environment in environments}
    expect(everything - done.keys(), planned(second), "the cells of the second plan: nothing is done twice")
    again = records(second)
    expect(everything, {*again}, "the cells with a record: nothing is lost")
    expect([], [cell for cell, results in again.items() if len(results) != 1], "cells with more than one record")
    after = statement(site)
    expect(before["node"], after["node"], "the node")
    if not after["sequence"] > before["sequence"]:
        sys.exit(f"the chain does not go on: {after['sequence']} after {before['sequence']}")
    expect(set(), batches - names(site / "batches"), "batches that are gone")
    if rehearsal.host.variables["PPP_BASE_URL"] not in (site / "atom.xml").read_text("utf-8"):
        sys.exit("the feed does not have the address of the fork's pages")
    print(f"two nights, {len(again)} cells, statements {before['sequence']} to {after['sequence']}: as it should be")


def lost_state(rehearsal: Rehearsal) -> None:
    """Delete the branch of the state: a night stops, until a person lets another one get back what is published."""
    site = rehearsal.host.site
    before, batches = statement(site), names(site / "batches")
    git("update-ref", "-d", "refs/heads/node-state", folder=rehearsal.host.origin)
    skipped = dict.fromkeys(("check", "merge", "keep", "pages"), "skipped")
    stopped = rehearsal.night("night-3", wanted={"watch": "failure", **skipped})
    (watch,) = stopped.machines
    if f"ppp restore --from {rehearsal.host.variables['PPP_BASE_URL']}" not in watch.log:
        sys.exit(f"the night without a state does not say what to do:\n{watch.log}")
    expect(before, statement(site), "the statement after the night that stopped")

    back = rehearsal.night("night-4", inputs={"lost": "restore"}, wanted={"check": "skipped"})
    expect(set(), planned(back), "the cells of the plan after what was published came back: nothing is done twice")
    after = statement(site)
    expect((before["node"], before["root"]), (after["node"], after["root"]), "the node, and all of its records")
    expect(set(), batches - names(site / "batches"), "batches that are gone")
    if after["sequence"] < before["sequence"]:
        sys.exit(f"the chain does not go on: {after['sequence']} after {before['sequence']}")


class SiteHandler(SimpleHTTPRequestHandler):
    """Serves what is deployed, and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port, as a static host does; yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SiteHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def has_engine() -> bool:
    """Return whether a Docker engine with the images answers."""
    images = ["docker", "image", "inspect", "python:3.11-slim", "python:3.11-alpine"]
    try:
        return subprocess.run(images, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def main() -> None:
    """Rehearse in a temporary folder, which is kept if something is wrong and `--keep` is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="keep the folder of the rehearsal")
    given = parser.parse_args()
    here = f"py3{sys.version_info.minor}-host"
    environments = CONTAINERS if has_engine() else (here,)
    folder = Path(tempfile.mkdtemp(prefix="ppp-rehearsal-"))
    print(f"in {folder}, {', '.join(environments)}", flush=True)
    began = time.monotonic()
    try:
        rehearse(folder, environments)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
