"""Helpers of the sessions of noxfile.py that make up a node's night, on machines that keep nothing.

They need only Python: what they need of nox is an argument; .github/workflows/node.yml runs the sessions.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nox_tools import HERE, node_environment

if TYPE_CHECKING:
    import nox

#: The folder of a night of a node on a machine that keeps nothing, and the plan in it.
NIGHT = HERE / "node-run"
PLAN = NIGHT / "plan" / "plan.json"
#: How large what a night hands on may be, in MB: the state, what a shard observed, the site (GitHub Pages' limit).
MAX_STATE_MB, MAX_SHARD_MB, MAX_SITE_MB = 1_000, 250, 1_000
#: What PPP_STATE_LOST says is to be done if the state lacks what the node has published.
STOP, RESTORE, BEGIN_ANEW = "stop", "restore", "begin-anew"
#: The exit code of `ppp shard import` if files were rejected.
REJECTED = 28
#: That of `ppp snapshot` if the site's bound has no room for it.
NO_SNAPSHOT_ROOM = 64
#: That of `ppp render` if a program failed: episodes are published as text then.
NOT_RENDERED = 85
#: What each night puts into a release, in the place of last night's.
SNAPSHOT_ASSETS = ("latest.db", "latest.db.sha256", "latest.json")


def node(session: nox.Session, *arguments: str, success_codes: tuple[int, ...] = (0,), silent: bool = False) -> str:
    """Run the CLI on the night's own data folder; return its output if it is `silent`."""
    programs = node_environment(session)
    env = {"PPP_DATA": str(NIGHT / "data"), "PPP_BASE_URL": site_address()}
    command = (str(programs / "ppp"), *arguments)
    # What it says on standard error is for a person, and no part of the answer.
    options: dict[str, Any] = {"success_codes": success_codes, "silent": silent, "stderr": None}
    return str(session.run(*command, external=True, env=env, **options) or "")


def site_address() -> str:
    """Return the address at which the node publishes; nothing where it is not known."""
    return os.environ.get("PPP_BASE_URL") or pages_address()


def pages_address() -> str:
    """Return the address of this repository's GitHub Pages, where a workflow of github.com runs it; else nothing."""
    owner, _, name = os.environ.get("GITHUB_REPOSITORY", "").lower().partition("/")
    # Other forges set the same variables, and publish elsewhere.
    if not name or os.environ.get("GITHUB_SERVER_URL") != "https://github.com":
        return ""
    return f"https://{name}/" if name == f"{owner}.github.io" else f"https://{owner}.github.io/{name}/"


def output(name: str, value: str) -> None:
    """Write a value for the steps and jobs after this one, where a workflow runs it."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{name}={value}\n")


def limit_size(session: nox.Session, folder: Path, most_mb: int) -> None:
    """Fail if a folder that becomes an artifact is larger than it may be, in MB of 1,000,000 bytes."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if size > most_mb * 1_000_000:
        session.error(f"{folder} has {size:,} bytes, of {most_mb:,} MB at most")


def environment_options() -> list[str]:
    """Return `-e` with each environment that PPP_ENVIRONMENTS names; nothing means all."""
    return [word for name in os.environ.get("PPP_ENVIRONMENTS", "").split() for word in ("--env", name)]


def assets_folder() -> Path:
    """Return the folder of what becomes assets of a release; it is created where it is missing."""
    folder = NIGHT / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lay_aside_snapshots() -> None:
    """Copy the snapshots that become assets of a release into the folder of these."""
    assets = assets_folder()
    for name in SNAPSHOT_ASSETS:
        for path in (NIGHT / "data" / "public" / "snapshots").glob(name):
            shutil.copy(path, assets / path.name)


def render(session: nox.Session) -> None:
    """Render the newest episodes, with the programs for it if they can be had here; it needs no key."""
    session.run(str(HERE / "scripts" / "install-speech"), external=True, env={"PPP_NODE_KEY": None})
    node(session, "render", "--recent", "7", *session.posargs, success_codes=(0, NOT_RENDERED))


def storage(session: nox.Session, *arguments: str) -> str:
    """Run scripts/node-storage, and return what it prints."""
    command = (sys.executable, str(HERE / "scripts" / "node-storage"), *arguments)
    done = session.run(*command, external=True, silent=True, stderr=None)
    return str(done or "").strip()


def restore(session: nox.Session) -> None:
    """Rebuild the night's ledger from the state that was fetched; at a node's first run there is none."""
    if os.environ.get("GITHUB_ACTIONS") and not os.environ.get("PPP_NODE_KEY"):
        # Without it, each night would be that of a new node.
        session.error("the secret PPP_NODE_KEY is not set: `ppp node init --github` says how to set it")
    if not (NIGHT / "state" / "state.json").exists():
        session.log("there is no state: this is the node's first run, or its state was lost")
        return
    node(session, "restore", str(NIGHT / "state"), f"--snapshot={NIGHT / 'snapshots'}/")


def compare_published(session: nox.Session) -> None:
    """Stop if the node has published what the restored state lacks, unless a person said what to do about it.

    Else the night would begin a second history of the node. `PPP_STATE_LOST` is what the person said: `restore` gets
    back what is published, `begin-anew` goes on without it.
    """
    wanted = os.environ.get("PPP_STATE_LOST") or STOP
    if wanted not in {STOP, RESTORE, BEGIN_ANEW}:
        session.error(f"PPP_STATE_LOST={wanted!r} is none of {STOP}, {RESTORE}, {BEGIN_ANEW}")
    if wanted == RESTORE:
        node(session, "restore", "--from", site_address())
    node(session, "state", "check", *(["--begin-anew"] if wanted == BEGIN_ANEW else []))
