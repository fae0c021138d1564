"""The pipeline and the developers' checks, as sessions. They only call the CLI and the tools; what is done is in ppp/.

Sessions share two environments under .nox/: `ppp` (what a node runs) and `dev` (that, and the developers' tools).
"""

import json
import os
import sys
import time
from pathlib import Path

import nox

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "scripts"))

import nox_night as night
from nox_tools import (
    actionlint,
    environment,
    environment_ids,
    has_engine,
    install_pinned,
    network,
    node_environment,
    ppp,
    succeeds,
    test_tools,
    tool,
)

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]

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
#: What `nox -s lint` checks besides Python.
WORKFLOWS = tuple(f".github/workflows/{name}.yml" for name in ("ci", "node", "snapshot"))
ACTIONS = (".github/actions/check/action.yml",)
SHELL_SCRIPTS = (".ci/run", "scripts/install-speech", "scripts/install-yggdrasil", "scripts/nox")
#: The benchmarks, each a program in tests/bench/.
BENCHMARKS = ("publish", "cells", "queue", "journal", "restore", "start", "env", "render", "index", "model", "facts")
#: Without its own folder on the path, no benchmark hides a module of Python that has its name; `queue` is one.
BENCH_PATHS = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(HERE / "tests" / "support")}


# ---------------------------------------------------------------- the pipeline


@nox.session
def run(session: nox.Session) -> None:
    """Check new releases and publish the results: the main job."""
    on_host = any(word.endswith("-host") for word in session.posargs)
    # With it, the pages of the SQL and of the snapshots have something to show.
    ppp(session, "run", "--snapshot", *network(session, on_host=on_host), *session.posargs)


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
    ppp(session, "publish", "--snapshot")
    session.log("3/4 check the hash")
    with session.chdir(Path(os.environ.get("PPP_DATA") or "data") / "public"):
        session.run("sha256sum", "-c", "current.json.sha256", external=True)
    session.log("4/4 announce the statement to peers")
    ppp(session, "peer", "push", success_codes=(0, NO_PEER))


# ---------------------------------------------------------------- a night of a node, on machines that keep nothing


@nox.session
def node_fetch(session: nox.Session) -> None:
    """Get the node's state from its branch, and the snapshot that it starts from."""
    night.output("commit", night.storage(session, "fetch", str(night.NIGHT / "state"), str(night.NIGHT / "snapshots")))


@nox.session
def node_fetch_snapshot(session: nox.Session) -> None:
    """Get only the snapshot that the state starts from, where the state is there already."""
    night.storage(session, "fetch-snapshot", str(night.NIGHT / "state"), str(night.NIGHT / "snapshots"))


@nox.session
def node_watch(session: nox.Session) -> None:
    """Restore the ledger, queue what is new, and plan what each shard checks: `-- --shards 2 --cells 2000`."""
    night.restore(session)
    night.compare_published(session)
    where = night.environment_options()
    night.node(session, "watch", *where, "--watchlist", "matrices/watchlist.txt")
    (night.NIGHT / "plan").mkdir(parents=True, exist_ok=True)
    planned = night.node(session, "shard", "plan", str(night.PLAN), *where, *session.posargs, "--json", silent=True)
    session.log(planned)
    jobs = json.loads(planned)["jobs"]
    named = [{**job, "name": f"{job['environment']}-{job['shard'].partition('/')[0]}"} for job in jobs]
    night.output("jobs", json.dumps(named))
    night.node(session, "state", "save", str(night.NIGHT / "state"))
    night.limit_size(session, night.NIGHT / "state", night.MAX_STATE_MB)


@nox.session
def node_check(session: nox.Session) -> None:
    """Check a shard of the plan: `-- py312-slim 1/2 --minutes 40`. This needs no key and no ledger of the node."""
    environment_id, shard, *options = session.posargs
    where = (str(night.PLAN), "--env", environment_id, "--shard", shard)
    night.node(session, "shard", "check", *where, *network(session, on_host=environment_id.endswith("-host")), *options)
    night.node(session, "shard", "export", where[0], str(night.NIGHT / "shards"), *where[1:])
    night.limit_size(session, night.NIGHT / "shards", night.MAX_SHARD_MB)


@nox.session
def node_merge(session: nox.Session) -> None:
    """Restore the ledger, and take what the shards observed; what they did not report stays queued."""
    night.restore(session)
    (night.NIGHT / "shards").mkdir(parents=True, exist_ok=True)
    # A rejected file is named there; one bad shard must not keep what the others found from being published.
    shards = str(night.NIGHT / "shards")
    night.node(session, "shard", "import", str(night.PLAN), shards, success_codes=(0, night.REJECTED))


@nox.session
def node_narrate(session: nox.Session) -> None:
    """Narrate the newest day."""
    night.node(session, "narrate", *session.posargs, success_codes=(0, NOTHING_TO_TELL))


@nox.session
def node_render(session: nox.Session) -> None:
    """Render the sound of the newest episodes, which this machine did not keep; where that fails, they are text."""
    night.render(session)


@nox.session
def node_publish(session: nox.Session) -> None:
    """Build and sign the site, and verify it as a reader would."""
    night.node(session, "publish")
    public = night.NIGHT / "data" / "public"
    with session.chdir(public):
        session.run("sha256sum", "-c", "current.json.sha256", external=True)
    night.node(session, "verify", str(public))
    night.limit_size(session, public, night.MAX_SITE_MB)


@nox.session
def node_snapshot(session: nox.Session) -> None:
    """Write the snapshots of the ledger, publish them, and lay aside those that become assets of a release."""
    # Where the site's bound leaves no room for a new one, the message says so, and the night goes on without.
    night.node(session, "snapshot", success_codes=(0, night.NO_SNAPSHOT_ROOM))
    night.lay_aside_snapshots()


@nox.session
def node_save(session: nox.Session) -> None:
    """Save the state for the next night."""
    night.node(session, "state", "save", str(night.NIGHT / "state"))
    night.limit_size(session, night.NIGHT / "state", night.MAX_STATE_MB)


@nox.session
def node_archive(session: nox.Session) -> None:
    """Restore the ledger, and put its records into a snapshot of the month, from which the state starts then."""
    night.restore(session)
    night.compare_published(session)
    assets = night.assets_folder()
    month = time.strftime("%Y-%m", time.gmtime())
    night.node(session, "state", "save", str(night.NIGHT / "state"), "--snapshot", str(assets / f"node-{month}.db.gz"))


@nox.session
def node_keep(session: nox.Session) -> None:
    """Put files into a release, then the state into its branch: `-- RELEASE COMMIT`, the one that was fetched."""
    release_name, commit = session.posargs
    assets = sorted((night.NIGHT / "assets").glob("*")) if (night.NIGHT / "assets").is_dir() else []
    # First what the state names: a branch that names a snapshot that is not there could not be restored.
    if assets:
        night.storage(session, "upload", release_name, *map(str, assets))
    session.log(f"the state is in {night.storage(session, 'keep', str(night.NIGHT / 'state'), commit)}")


# ---------------------------------------------------------------- the developers' checks


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests in several processes; tests whose tool is missing are skipped with the reason."""
    test_tools(session)
    if session.posargs:
        tool(session, "pytest", *PARALLEL, *session.posargs)
        return
    tool(session, "pytest", *PARALLEL, "-m", "not alone")
    tool(session, "pytest", "-n", "0", "-m", "alone")


@nox.session
def questions(session: nox.Session) -> None:
    """Answer the five questions on 3,000 packages, in Chromium and in the terminal; print the times."""
    tool(session, "pytest", "-n", "0", "-s", "tests/browser/test_questions.py", *session.posargs)


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
    test_tools(session)
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
    """Build the image of a node, and start what the compose file says; arguments go to `docker build`."""
    tag = "the-pypi-place"
    build = ("docker", "build", "--tag", tag, "--file", "scripts/Containerfile", *session.posargs, ".")
    session.run(*build, external=True)
    confined = ("--rm", "--read-only", "--cap-drop", "ALL", "--tmpfs=/tmp", "--network", "none")
    session.run("docker", "run", *confined, tag, "health", external=True)
    tool(session, "python", "tests/rehearsal/containers.py")


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
    """Perform nights of a node on this machine as .github/workflows/node.yml says, job by job in fresh folders."""
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
    """Measure publishing, cells per minute, the queue, following, restoring, starts; `-- queue`: only one of them."""
    names = session.posargs[:1] if session.posargs[:1] in [[name] for name in BENCHMARKS] else [*BENCHMARKS]
    for name in names:
        options = session.posargs[1:] if len(names) == 1 else session.posargs
        tool(session, "python", f"tests/bench/{name}.py", *options, **BENCH_PATHS)
