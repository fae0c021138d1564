"""Perform a workflow on this machine as its file says: job by job in fresh folders, artifacts passed as files.

Jobs share nothing but the repository, artifacts, outputs and releases. A secret reaches the steps that name it. What is
not understood here is an error, so that the file and the rehearsal cannot drift apart.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from expressions import Contexts, Functions, evaluate, expand
from ruamel.yaml import YAML

#: How long a step may take, in seconds.
STEP_TIMEOUT_S: Final = 400
#: What a runner does not have of this machine's environment.
_REMOVED: Final = ("PPP_", "GITHUB_", "GH_", "NOX_", "RUNNER_", "VIRTUAL_ENV", "PYTHON")
#: Stands in for GitHub's `gh`: the assets of releases are in folders below $RELEASES.
GH: Final = """#!/bin/sh
set -eu
test -n "$GH_TOKEN"
release=$3
case $2 in
  view) test -d "$RELEASES/$release" ;;
  create) mkdir -p "$RELEASES/$release" ;;
  upload) shift 3; while [ "$1" != --clobber ]; do cp "$1" "$RELEASES/$release/"; shift; done ;;
  download) cp "$RELEASES/$release/$5" "$7" ;;
esac
"""


class StepError(Exception):
    """A step failed; the rest of its job is left out."""


@dataclass(slots=True, kw_only=True)
class GitHub:
    """What GitHub keeps between jobs and runs: the repository, secrets, variables, releases, and the deployed site.

    `programs` is the folder `.nox` that each machine has, as if from a cache. `settings` are every machine's variables.
    """

    folder: Path
    origin: Path
    programs: Path
    secrets: Mapping[str, str]
    variables: Mapping[str, str]
    settings: Mapping[str, str]
    repository: str = "someone/their-fork"

    @property
    def releases(self) -> Path:
        """Where the assets of releases are, a folder each."""
        return self.folder / "releases"

    @property
    def site(self) -> Path:
        """What is deployed."""
        return self.folder / "site"


@dataclass(slots=True, kw_only=True)
class JobRun:
    """One machine: its job, with the values of its matrix, its folder, how it ended, and what it printed."""

    job: str
    matrix: Mapping[str, Any]
    folder: Path
    result: str = "success"
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    log: str = ""
    #: Whether a secret reached it, and what its token may do.
    secrets: bool = False
    permissions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return its name, as `check (py312-slim-1)`."""
        return f"{self.job} ({self.matrix['name']})" if self.matrix else self.job

    @property
    def work(self) -> Path:
        """Its checkout."""
        return self.folder / "work"


#: Called with a machine and the process of a step that has begun: it may kill it.
Watcher = Callable[[JobRun, "subprocess.Popen[str]"], None]


def load(path: Path) -> dict[str, Any]:
    """Return a workflow."""
    return dict(YAML(typ="safe").load(path.read_text("utf-8")))


class Run:
    """One run of a workflow."""

    def __init__(
        self,
        host: GitHub,
        workflow: Mapping[str, Any],
        folder: Path,
        *,
        watcher: Watcher,
        parallel: int,
        inputs: Mapping[str, str],
    ) -> None:
        """Prepare a run whose machines are in folders below `folder`; a person who started it gave it the inputs."""
        self._host = host
        self._inputs = inputs
        self._workflow = workflow
        self._folder = folder
        self._watcher = watcher
        self._parallel = parallel
        self._lock = threading.Lock()
        self._artifacts: dict[str, tuple[str, Path]] = {}
        self._needs: dict[str, dict[str, Any]] = {}
        self.machines: list[JobRun] = []

    def execute(self) -> dict[str, str]:
        """Perform all jobs, each after those that it needs; return how each ended."""
        self._host.releases.mkdir(parents=True, exist_ok=True)
        waiting = dict(self._workflow["jobs"])
        while waiting:
            ready = next(name for name, job in waiting.items() if not {*_needs(job)} & waiting.keys())
            self._perform(ready, waiting.pop(ready))
        return {name: str(needed["result"]) for name, needed in self._needs.items()}

    def _perform(self, name: str, job: Mapping[str, Any]) -> None:
        needed = {one: self._needs[one] for one in _needs(job)}
        contexts = self._contexts({"needs": needed})
        if not self._is_to_run(job, needed, contexts):
            self._needs[name] = {"result": "skipped", "outputs": {}}
            return
        rows = _rows(job, contexts, _functions(needed))
        machines = [
            JobRun(
                job=name,
                matrix=row,
                folder=self._folder / name / str(row.get("name", "")),
                permissions=job.get("permissions") or self._workflow["permissions"],
            )
            for row in rows
        ]
        with ThreadPoolExecutor(self._parallel) as threads:
            list(threads.map(lambda machine: self._run(machine, job, needed), machines))
        self.machines += machines
        succeeded = all(machine.result == "success" for machine in machines)
        self._needs[name] = {"result": "success" if succeeded else "failure", "outputs": machines[-1].outputs}

    def _is_to_run(self, job: Mapping[str, Any], needed: Mapping[str, Any], contexts: Contexts) -> bool:
        functions = _functions(needed)
        condition = str(job.get("if", "success()")).strip().removeprefix("${{").removesuffix("}}")
        # A condition without a function that says otherwise holds only after success.
        named = any(f"{function}(" in condition for function in ("always", "cancelled", "failure", "success"))
        return bool(evaluate(condition, contexts, functions)) and (named or bool(functions["success"]()))

    def _contexts(self, more: Contexts) -> dict[str, Any]:
        github = {"token": "a token", "repository": self._host.repository, "server_url": "https://github.com"}
        kept = {"vars": self._host.variables, "secrets": self._host.secrets}
        return {**kept, "github": github, "inputs": self._inputs, **more}

    # ---------------------------------------------------------------- a machine

    def _run(self, machine: JobRun, job: Mapping[str, Any], needed: Mapping[str, Any]) -> None:
        machine.work.mkdir(parents=True)
        (machine.folder / "bin").mkdir()
        (machine.folder / "bin" / "gh").write_text(GH)
        (machine.folder / "bin" / "gh").chmod(0o755)
        contexts = self._contexts({"needs": needed, "matrix": machine.matrix, "steps": machine.steps})
        began = time.monotonic()
        try:
            for step in job["steps"]:
                self._step(machine, job, step, contexts)
        except StepError as error:
            machine.result = "failure"
            machine.log += f"{error}\n"
        print(f"{machine.name}: {machine.result}, {time.monotonic() - began:.0f} s", flush=True)
        for name, text in job.get("outputs", {}).items():
            machine.outputs[name] = expand(text, contexts, {})

    def _step(self, machine: JobRun, job: Mapping[str, Any], step: Mapping[str, Any], contexts: Contexts) -> None:
        outputs: dict[str, Any] = {}
        if "run" in step:
            outputs = self._command(machine, job, step, contexts)
        else:
            given = {name: expand(str(text), contexts, {}) for name, text in step.get("with", {}).items()}
            action = str(step["uses"]).partition("@")[0]
            outputs = self._actions[action](self, machine, given)
        if "id" in step:
            machine.steps[step["id"]] = {"outputs": outputs}

    def _command(
        self, machine: JobRun, job: Mapping[str, Any], step: Mapping[str, Any], contexts: Contexts
    ) -> dict[str, Any]:
        named = [self._workflow.get("env", {}), job.get("env", {}), step.get("env", {})]
        machine.secrets |= any("secrets." in str(text) for env in named for text in env.values())
        values = {name: str(expand(str(text), contexts, {})) for env in named for name, text in env.items()}
        out = machine.folder / f"output-{len(machine.steps)}-{step.get('id', '')}"
        env = {**self._machine_environ(machine), **values, "GITHUB_OUTPUT": str(out)}
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", str(step["run"])],
            cwd=machine.work,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        watching = threading.Thread(target=self._watcher, args=(machine, process))
        watching.start()
        try:
            machine.log += process.communicate(timeout=STEP_TIMEOUT_S)[0]
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, 9)
            raise StepError(f"{step['name']}: not done after {STEP_TIMEOUT_S} s") from error
        finally:
            watching.join()
        if process.returncode:
            raise StepError(f"{step['name']}: ended with {process.returncode}")
        lines = out.read_text("utf-8").splitlines() if out.exists() else []
        return dict(line.split("=", 1) for line in lines)

    def _machine_environ(self, machine: JobRun) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_REMOVED)}
        return {
            **ours,
            **self._host.settings,
            "PATH": f"{machine.folder / 'bin'}:{ours['PATH']}",
            # The programs are installed once; the code is that of the checkout.
            "PYTHONPATH": str(machine.work),
            "RELEASES": str(self._host.releases),
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": self._host.repository,
            "GITHUB_SERVER_URL": "https://github.com",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    # ---------------------------------------------------------------- actions

    def _checkout(self, machine: JobRun, given: Mapping[str, Any]) -> dict[str, Any]:
        if given != {"persist-credentials": "False"}:
            raise ValueError(f"a checkout is given {given}")
        subprocess.run(
            ["git", "clone", "--quiet", "--depth=1", f"file://{self._host.origin}", str(machine.work)], check=True
        )
        (machine.work / ".nox").symlink_to(self._host.programs)
        return {}

    def _upload(self, machine: JobRun, given: Mapping[str, Any]) -> dict[str, Any]:
        path = machine.work / given["path"]
        if not path.is_dir() or not any(one.is_file() for one in path.rglob("*")):
            raise StepError(f"there are no files in {given['path']}")
        with self._lock:
            if any(name == given["name"] for name, _ in self._artifacts.values()):
                raise StepError(f"there is an artifact {given['name']} already")
            id_ = str(1000 + len(self._artifacts))
            kept = self._folder / "artifacts" / id_
            self._artifacts[id_] = (given["name"], kept)
        shutil.copytree(path, kept)
        return {"artifact-id": id_}

    def _upload_pages(self, machine: JobRun, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._upload(machine, {**given, "name": "github-pages"})

    def _download(self, machine: JobRun, given: Mapping[str, Any]) -> dict[str, Any]:
        target = machine.work / given["path"]
        if "artifact-ids" in given:
            shutil.copytree(self._artifacts[given["artifact-ids"]][1], target, dirs_exist_ok=True)
            return {}
        prefix = given["pattern"].removesuffix("*")
        for name, kept in self._artifacts.values():
            if name.startswith(prefix):
                shutil.copytree(kept, target / name)
        return {}

    def _deploy(self, _machine: JobRun, _given: Mapping[str, Any]) -> dict[str, Any]:
        (kept,) = (kept for name, kept in self._artifacts.values() if name == "github-pages")
        shutil.rmtree(self._host.site, ignore_errors=True)
        shutil.copytree(kept, self._host.site)
        return {"page_url": "https://someone.github.io/their-fork/"}

    _actions: Final = {
        "actions/checkout": _checkout,
        "actions/upload-artifact": _upload,
        "actions/upload-pages-artifact": _upload_pages,
        "actions/download-artifact": _download,
        "actions/deploy-pages": _deploy,
    }


def _needs(job: Mapping[str, Any]) -> Sequence[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def _rows(job: Mapping[str, Any], contexts: Contexts, functions: Functions) -> list[Mapping[str, Any]]:
    matrix = job.get("strategy", {}).get("matrix")
    if matrix is None:
        return [{}]
    if matrix.keys() != {"include"}:
        raise ValueError(f"a matrix is given {[*matrix]}")
    return list(expand(matrix["include"], contexts, functions))


def _functions(needed: Mapping[str, Any]) -> Functions:
    return {
        "cancelled": lambda: False,
        "always": lambda: True,
        "success": lambda: all(one["result"] == "success" for one in needed.values()),
    }
