"""Check wheels and sdists that no index has yet: the whole command, with real pip, on the host and in a container."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import SLIM, FetchedPip, docker_bridge_address, host_environment, matrix_toml, tiny_matrix
from local_index import LocalIndex
from program import CompletedCommand, Program, new_program
from projects import Project, all_projects, module_project

from ppp.check.sandbox.docker import connect_engine
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Environment

KNOWN: Final = {project.name: project for project in all_projects()}
#: What is given, by the name of its project; the index has none of these bytes.
GIVEN: Final = {
    project.name: project
    for project in (
        module_project("ours", "import base\n", requires=("base",)),
        module_project("base", "", version="1.0"),
        module_project("released", "value = 'given'\n", version="1.0"),
        module_project("lacks", "import undeclared_thing\n"),
        KNOWN["builds"],
        KNOWN["build-needs-unknown"],
        KNOWN["windows-only"],
        KNOWN["wrong-name"],
        KNOWN["corrupt-zip"],
        replace(KNOWN["builds"], name="lies", metadata_name="another"),
    )
}
ON_INDEX: Final = (
    module_project("released", "raise ImportError('the one of the index')\n", version="1.0"),
    module_project("released", "raise ImportError('the newer one of the index')\n", version="2.0"),
)
#: What is checked where: together everything, and everywhere something that passes and something that does not.
ON_HOST: Final = ("released", "build-needs-unknown", "windows-only", "wrong-name", "corrupt-zip", "lies")
CONFINED: Final = ("ours", "base", "lacks")
CONTAINED: Final = ("released", "builds", "build-needs-unknown", "lacks")
EXPECTED: Final = {
    "ours": ("PASS", None),
    "base": ("PASS", None),
    "released": ("PASS", None),
    "lacks": ("FAIL", "module-missing"),
    "builds": ("PASS", None),
    "build-needs-unknown": ("FAIL", "build-dependency"),
    "windows-only": ("NA", "no-distribution"),
    "wrong-name": ("FAIL", "bad-wheel"),
    "corrupt-zip": ("FAIL", "bad-wheel"),
    "lies": ("FAIL", "bad-metadata"),
}
DOCKER: Final = [pytest.mark.online, pytest.mark.docker, pytest.mark.nginx]
BUBBLEWRAP: Final = [pytest.mark.online, pytest.mark.sandbox, pytest.mark.nginx]
PLACES: Final = [
    pytest.param(("host", ON_HOST), id="host", marks=pytest.mark.online),
    pytest.param(("bubblewrap", CONFINED), id="bubblewrap", marks=BUBBLEWRAP),
    pytest.param((SLIM, CONTAINED), id=SLIM.id, marks=DOCKER),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One run of the command: its results by project, and how it ended."""

    program: Program
    dist: Path
    done: CompletedCommand
    results: Mapping[str, Any]


def write(dist: Path, *projects: Project) -> list[str]:
    dist.mkdir(exist_ok=True)
    for project in projects:
        (dist / project.filename).write_bytes(project.build())
    return [str(dist / project.filename) for project in projects]


@pytest.fixture(scope="module")
def checked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip
) -> Iterator[Checked]:
    place, names = request.param
    folder = tmp_path_factory.mktemp("check-files")
    with ExitStack() as stack:
        address = "127.0.0.1"
        if isinstance(place, Environment) and (client := connect_engine()):
            stack.callback(client.close)
            address = docker_bridge_address(client)
        index = stack.enter_context(LocalIndex(address))
        program = stack.enter_context(new_program(folder, index))
        index.add_pip(pinned_pip.wheel)
        index.add(*ON_INDEX)
        environment = place if isinstance(place, Environment) else host_environment()
        program.matrix.write_text(matrix_toml(tiny_matrix(environment)))
        program.settings["PPP_NETWORK"] = "open" if place == "host" else "gateway"
        files = write(folder / "dist", *(GIVEN[name] for name in names))
        done = program.run("check", environment.id, *files, "--format", "json", timeout_s=240)
        results = dict(zip(names, json.loads(done.out)["results"], strict=True))
        yield Checked(program=program, dist=folder / "dist", done=done, results=results)


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("checked", PLACES, indirect=True)
def test_each_file_has_the_expected_result(checked: Checked) -> None:
    found = {name: (row["result"], row["cause"]) for name, row in checked.results.items()}
    assert found == {name: EXPECTED[name] for name in checked.results}, checked.done.err
    assert checked.done.code == 1


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("checked", PLACES, indirect=True)
def test_what_was_installed_is_the_given_file_and_not_what_the_index_has_by_that_name(checked: Checked) -> None:
    own = {name: sha256_hex(GIVEN[name].build()) for name in checked.results}
    known = {name: row["file"]["sha256"] for name, row in checked.results.items() if row["result"] != "NA"}
    assert known == {name: own[name] for name in known}
    if "released" in own:
        assert checked.results["released"]["installed"] == [["released", "1.0", own["released"]]]
    if "ours" in own:
        # What one file needs is taken from another one.
        assert checked.results["ours"]["installed"] == [["base", "1.0", own["base"]], ["ours", "1.0", own["ours"]]]


@pytest.mark.parametrize("checked", PLACES[:1], indirect=True)
def test_results_of_files_are_no_records(checked: Checked) -> None:
    assert not (checked.program.data / "ppp.db").exists()
    assert not (checked.program.data / "node.key").exists()
    assert all({"record", "node"}.isdisjoint(row) for row in checked.results.values())
    assert [row["path"] for row in checked.results.values()] == [
        str(checked.dist / GIVEN[name].filename) for name in checked.results
    ]


@pytest.mark.parametrize("checked", PLACES[:1], indirect=True)
def test_a_wheel_that_is_for_no_environment_is_not_a_success(checked: Checked) -> None:
    program = checked.program
    (path,) = write(checked.dist, GIVEN["windows-only"])
    done = program.run("check", program.environment, path, "--format", "github")
    assert done.code == 59, done
    assert f"no file is for {program.environment}" in done.err
    assert done.out == (
        f"::notice file={path},title=NA in {program.environment}::{path}: no-distribution: the wheel is for"
        " cp312-cp312-win_amd64, which pip does not accept in this environment\n"
    )
    assert program.run("check", program.environment, path, "--fail-on", "FAIL,NA").code == 1


@pytest.mark.parametrize("checked", PLACES[:1], indirect=True)
def test_files_that_are_none_are_told_together(checked: Checked, tmp_path: Path) -> None:
    program = checked.program
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder-1.0.tar.gz").mkdir()
    words = (f"{tmp_path}/absent-1.0.tar.gz", f"{tmp_path}/notes.txt", f"{tmp_path}/folder-1.0.tar.gz")
    done = program.run_in_process("check", program.environment, *words)
    assert done.code == 57
    assert all(word in done.err for word in words)
    assert program.run_in_process("check", program.environment, "six", words[0]).code == 2
    assert program.run_in_process("check", program.environment, words[0], "--fail-on", "SOME").code == 2
