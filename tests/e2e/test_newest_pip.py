"""Cells with the newest pip of the index in place of the pinned one: the same verdicts, so that the pin can be moved.

And what newer pips do otherwise than older ones, as far as it touches a verdict or a piece of advice.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from cell_environments import FetchedPip, host_environ, host_environment, tiny_matrix
from local_index import LocalIndex
from projects import Project, all_projects, module_project

from ppp.check.cause_rules import cause_help
from ppp.check.cell import Checker
from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import PreparedEnvironment, pip_environment
from ppp.check.sandbox.host import HostRuntime, find_interpreters
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result
from ppp.model.release import Release
from ppp.publish.api.package import reproduce_command

pytestmark = pytest.mark.online

#: One project for each way in which pip, and not a build or an import, decides.
NAMES: Final = (
    "passes", "builds", "depends", "needs-unknown-dependency", "needs-quarantined", "needs-yanked", "pins-yanked",
    "conflict", "dependency-needs-newer-python", "build-fails", "bad-metadata",
)  # fmt: skip
PROJECTS: Final = {project.name: project for project in all_projects() if project.expect}
METADATA: Final = b"Metadata-Version: 2.1\nName: described\nVersion: 1.0\n"


@pytest.fixture(scope="module")
def local() -> Iterator[LocalIndex]:
    with LocalIndex() as index:
        index.add(*all_projects())
        index.add(module_project("describes", "", requires=("described",)))
        # What stands beside the wheel differs from what is in it.
        wheel = module_project("described", "", requires=("passes",))
        index.add_file("described", wheel.filename, wheel.build(), metadata=METADATA)
        yield index


@pytest.fixture(scope="module")
def newest_checker(
    local: LocalIndex, newest_pip: FetchedPip, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Checker, PreparedEnvironment]]:
    """A checker of cells on this machine's own Python, with the newest pip."""
    folder, environment = tmp_path_factory.mktemp("newest"), host_environment()
    matrix = tiny_matrix(environment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        runtime = HostRuntime(matrix, pip=newest_pip.folder, index_url=local.url, environ=host_environ())
        simple = SimpleIndex(local.url, cache=folder / "files", user_agent="the-pypi-place/tests")
        yield Checker(index=simple, runtime=runtime, matrix=matrix, node="ab" * 32), runtime.prepare(environment)
        runtime.close()


def check(checker: tuple[Checker, PreparedEnvironment], name: str) -> Record:
    made, prepared = checker
    return made.check(Cell(release=Release.parse(name, "1.0"), environment=prepared.environment.id), prepared).record


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_pip_gives_the_same_verdicts(newest_checker: tuple[Checker, PreparedEnvironment], name: str) -> None:
    expected, record = PROJECTS[name].expected(host_environment()), check(newest_checker, name)
    found = (record.result, record.failed_phase, record.cause, record.blame)
    assert found == (expected.result, expected.phase, expected.cause, expected.blame), record.detail
    assert expected.detail in (record.detail or "")


def test_where_pip_compares_a_sidecar_with_its_wheel_the_dependency_is_blamed(
    newest_checker: tuple[Checker, PreparedEnvironment],
) -> None:
    record = check(newest_checker, "describes")
    assert (record.result, record.cause, record.blame) == (Result.FAIL, "bad-metadata", "dependency"), record
    assert "inconsistent Requires-Dist" in (record.detail or "")


# ---------------------------------------------------------------- constraints of builds


NEEDS_BUILDER: Final = Project(
    name="needs-builder",
    kind="sdist",
    build_requires=("passes",),
    files={
        "before_build.py": b"from importlib.metadata import version\n"
        b"import os\nwith open(os.environ['SEEN'], 'w') as f:\n    f.write(version('passes'))\n",
        "src/needs_builder.py": b"",
    },
)


@pytest.fixture(scope="module", params=["pinned", "newest"])
def each_pip(request: pytest.FixtureRequest) -> tuple[str, FetchedPip]:
    """The pinned pip, then the newest."""
    pip = request.getfixturevalue(f"{request.param}_pip")
    assert isinstance(pip, FetchedPip)
    return request.param, pip


def built_with(pip: FetchedPip, index: LocalIndex, folder: Path, *options: str, **environ: str) -> str:
    """Return the version of `passes` with which the sdist of `needs-builder` is built."""
    (folder / NEEDS_BUILDER.filename).write_bytes(NEEDS_BUILDER.build())
    (folder / "old.txt").write_text("passes==1.0\n")
    python = newest_python()
    subprocess.run(
        [python, "-I", str(pip.folder / "pip"), "wheel", "--no-cache-dir", *options, NEEDS_BUILDER.filename],
        env={"HOME": str(folder), "SEEN": str(folder / "seen"), **pip_environment(index.url), **environ},
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return (folder / "seen").read_text()


def newest_python() -> str:
    """Return the interpreter of the host environment."""
    environment = host_environment()
    return next(
        path
        for path in find_interpreters(environment.python, host_environ())
        # Version managers put programs on PATH that only say how to get the real one.
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    )


def test_the_advice_for_builds_works(each_pip: tuple[str, FetchedPip], local: LocalIndex, tmp_path: Path) -> None:
    _, pip = each_pip
    assert built_with(pip, local, tmp_path) == "2.0"
    assert built_with(pip, local, tmp_path, "--build-constraint", "old.txt") == "1.0"
    assert built_with(pip, local, tmp_path, PIP_BUILD_CONSTRAINT="old.txt") == "1.0"


def test_plain_constraints_do_not_reach_builds_of_the_newest_pip(
    newest_pip: FetchedPip, local: LocalIndex, tmp_path: Path
) -> None:
    assert built_with(newest_pip, local, tmp_path, PIP_CONSTRAINT="old.txt") == "2.0"
    advice = " ".join(f"{held.maintainer} {held.user}" for held in cause_help().values())
    assert "--build-constraint" in advice
    assert "PIP_CONSTRAINT" not in advice


def test_constraints_of_the_operator_reach_no_cell(local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("passes==1.0\n")
    environ = host_environ() | {name: str(tmp_path / "old.txt") for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")}
    runtime = HostRuntime(tiny_matrix(host_environment()), pip=pinned_pip.folder, index_url=local.url, environ=environ)
    prepared = runtime.prepare(host_environment())
    (tmp_path / "lib").mkdir()
    file = tmp_path / "lib" / PROJECTS["passes"].filename
    file.write_bytes(PROJECTS["passes"].build())
    with runtime.sandbox(prepared, file) as sandbox:
        done = sandbox.run(
            [sandbox.python, "-c", "import json, os; print(json.dumps(sorted(os.environ)))"], timeout_s=30
        )
    runtime.close()
    names = json.loads(done.output)
    assert "PIP_INDEX_URL" in names
    assert not [name for name in names if "CONSTRAINT" in name]


# ---------------------------------------------------------------- pages that pip keeps


def test_the_printed_command_has_no_option_that_the_pinned_pip_refuses(
    pinned_pip: FetchedPip, newest_pip: FetchedPip
) -> None:
    """A command that a pip refuses is worse than one that may see a page of ten minutes ago.

    The printed command runs the pinned pip behind the gateway, whose pages nobody keeps: it needs no such option.
    """
    knows = {}
    for which, pip in (("pinned", pinned_pip), ("newest", newest_pip)):
        command = [newest_python(), "-I", str(pip.folder / "pip"), "install", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
        knows[which] = "--refresh-package" in done.stdout
    assert knows["newest"]
    printed = reproduce_command(Release.parse("six", "1.17.0"), "py312-slim")
    assert ("--refresh-package" in printed) <= knows["pinned"]
