"""`ppp env lock PACKAGE…`: what is proven together is locked, and what is only proven one by one is not."""

import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import ALPINE, SLIM, FetchedPip, docker_bridge_address, matrix_toml, tiny_matrix
from local_index import LocalIndex
from packaging.pylock import is_valid_pylock_path
from program import Program, new_program
from projects import PACKAGES, Project, module_project

from ppp.check.sandbox.docker import connect_engine
from ppp.ledger.store import Store
from ppp.locks.pylock import read_lock
from ppp.model.record import Record

PASSES, LEFT, RIGHT = (Project.read(PACKAGES / name) for name in ("passes", "joint-left", "joint-right"))
NEEDED_2: Final = module_project("needed", "", version="2.0")
NEEDED_3: Final = module_project("needed", "raise OSError", version="3.0")
NEEDS: Final = module_project("needs", "", requires=("needed>=2",))
UNPROVEN: Final = module_project("needs-unproven", "", requires=("never-checked",))
UNPROVEN_TWICE: Final = module_project("needs-two", "", requires=("never-checked", "nor-this"))
ONLY_39: Final = "joint-left; python_version < '3.10'"


@pytest.fixture(scope="module")
def index(pinned_pip: FetchedPip) -> Iterator[LocalIndex]:
    client = connect_engine()
    assert client
    with closing(client):
        host = docker_bridge_address(client)
    with LocalIndex(host, json_pages=True) as made:
        made.add_pip(pinned_pip.wheel)
        made.add(PASSES, LEFT, RIGHT, NEEDED_2, NEEDED_3, NEEDS, UNPROVEN, UNPROVEN_TWICE)
        made.add(module_project("never-checked", ""), module_project("nor-this", "", version="1.5"))
        yield made


@pytest.fixture(scope="module")
def program(index: LocalIndex, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, whose ledger has results of two environments; in one of them only one package was checked."""
    with new_program(tmp_path_factory.mktemp("joint"), index) as made:
        made.matrix.write_text(matrix_toml(tiny_matrix(SLIM, ALPINE)))
        made.settings["PPP_NETWORK"] = "gateway"
        names = (
            "passes",
            "joint-left",
            "joint-right",
            "needed==2.0",
            "needed==3.0",
            "needs",
            "needs-unproven",
            "needs-two",
        )
        checked = made.run("check", SLIM.id, *names, "--json", "--fail-on", "none", timeout_s=400)
        results = {row["version"]: row["result"] for row in _objects(checked.out) if row["package"] == "needed"}
        assert results == {"2.0": "PASS", "3.0": "FAIL"}, checked
        made.run("check", ALPINE.id, "joint-left", timeout_s=400)
        yield made


def _objects(text: str) -> list[dict[str, str]]:
    decoder, found = json.JSONDecoder(), []
    while text.strip():
        value, end = decoder.raw_decode(text := text.strip())
        found.append(value)
        text = text[end:]
    return found


def lock(program: Program, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run `ppp env lock`; return its exit code and its answers."""
    done = program.run("env", "lock", *arguments, "--json", "--matrix", str(program.matrix), timeout_s=400)
    assert done.out, done
    return done.code, json.loads(done.out)


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
def test_what_passes_together_is_locked(program: Program, tmp_path: Path) -> None:
    code, (answer,) = lock(program, "needs", "passes", "joint-left", "-e", SLIM.id, "-o", str(tmp_path))
    assert (code, answer["locked"], answer["blockers"]) == (0, True, [])
    assert answer["imported"] == ["joint_left", "needs", "passes"]
    path = tmp_path / f"pylock.{SLIM.id}.toml"
    assert is_valid_pylock_path(path)
    content = path.read_bytes()
    found = read_lock(content)
    # Of `needed` the newest release does not pass, so the resolver has to take the one before.
    assert [f"{one.name}=={one.version}" for one in found.packages] == [
        "joint-left==1.0", "needed==2.0", "needs==1.0", "passes==1.0",
    ]  # fmt: skip
    table = tomllib.loads(content.decode())["tool"]["ppp"]
    assert (table["joint"], table["requirements"]) == (True, ["joint-left", "needs", "passes"])
    assert len(table["evidence"]) == 4
    records = {record for (record,) in program.query("SELECT record FROM records WHERE result = 'PASS'")}
    assert {*table["evidence"]} <= records
    text = (tmp_path / f"requirements.{SLIM.id}.txt").read_text()
    assert text.count("--hash=sha256:") == 4


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
def test_a_pair_that_is_proven_one_by_one_and_fails_together_is_refused(program: Program, tmp_path: Path) -> None:
    alone = program.query(
        "SELECT package, result FROM current WHERE package LIKE 'joint-%' AND environment = ? ORDER BY package", SLIM.id
    )
    assert alone == [("joint-left", "PASS"), ("joint-right", "PASS")]
    code, (answer,) = lock(program, "joint-left", "joint-right", "-e", SLIM.id, "-o", str(tmp_path))
    assert (code, answer["locked"], answer["files"]) == (77, False, [])
    (blocker,) = answer["blockers"]
    # Whichever pip installs first.
    assert (blocker["kind"], blocker["requirement"]) in {
        ("not-imported-together", name) for name in ("joint-left", "joint-right")
    }
    assert "cannot import name 'ONLY_" in blocker["detail"]
    assert not list(tmp_path.iterdir())


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
def test_a_file_is_locked_for_all_environments_at_once_with_what_blocks_each(program: Program, tmp_path: Path) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text(f"passes>=1\n{ONLY_39}\n")
    matrix = ("--matrix", str(program.matrix))
    done = program.run("env", "lock", "-r", str(wanted), "-o", str(tmp_path), *matrix, timeout_s=400)
    assert done.code == 77, done
    first, second = done.out.splitlines()
    assert first.startswith(f"{SLIM.id}    locked, 1 package: {tmp_path}/pylock.{SLIM.id}.toml"), done
    assert second == (
        f"{ALPINE.id}  blocked by passes>=1: no release of passes was checked in {ALPINE.id}"
        f" (`ppp check {ALPINE.id} 'passes>=1'` checks one)"
    )
    assert wanted.read_text() == f"passes>=1\n{ONLY_39}\n", "what is written has other names"


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
@pytest.mark.parametrize(
    ("requirement", "kind", "about", "said"),
    [
        ("needed>=3", "fails", "needed>=3", "needed 3.0 is FAIL"),
        ("needed<2", "no-proven-version", "needed<2", "proven are 2.0"),
        ("never-checked", "not-checked", "never-checked", "was checked"),
        ("needs-unproven", "not-checked", "never-checked", "which needs-unproven needs"),
        (ONLY_39, "nothing-applies", "", "no requirement applies"),
    ],
)
def test_what_blocks_is_named(program: Program, requirement: str, kind: str, about: str, said: str) -> None:
    code, (answer,) = lock(program, requirement, "-e", SLIM.id)
    (blocker,) = answer["blockers"]
    assert (code, blocker["kind"], blocker["requirement"]) == (77, kind, about)
    assert said in blocker["detail"]
    assert blocker["hint"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-e", "py312-slim"], 2, "-e goes with PACKAGE or -r"),
        (["--json"], 2, "--json goes with PACKAGE or -r"),
        (["six", "--project", "."], 2, "--project is about a project's lock"),
        (["six", "--index-url", "https://index.example/"], 2, "--index-url is about a project's lock"),
        (["six @ https://evil.example/six.whl"], 25, "is a URL"),
        (["-r", "nowhere.txt"], 25, "cannot read nowhere.txt"),
        (["six", "-e", "py399-slim"], 12, "py399-slim"),
        (["six", "-e", "py312-slim"], 22, "no ledger"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_runs(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    with LocalIndex() as empty, new_program(tmp_path, empty) as program:
        program.settings["PPP_NETWORK"] = "gateway"
        program.matrix.write_text(matrix_toml(tiny_matrix(SLIM, replace(SLIM, id="py311-slim", python="3.11"))))
        matrix = ["--matrix", str(program.matrix)] if "six" in arguments else []
        done = program.run_in_process("env", "lock", *arguments, *matrix)
    assert (done.code, said in done.err) == (code, True), done


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
def test_all_that_is_not_proven_is_checked_by_one_command(program: Program) -> None:
    _, (answer,) = lock(program, "needs-two", "-e", SLIM.id)
    (blocker,) = answer["blockers"]
    assert blocker["hint"].startswith(f"`ppp check {SLIM.id} never-checked==1.0 nor-this==1.5` checks what these")


def test_cells_with_the_open_network_are_refused(tmp_path: Path, record: Callable[..., Record]) -> None:
    with Store.open(tmp_path / "data") as store:
        store.add_record(record("six", "1.0"))
    with LocalIndex() as empty, new_program(tmp_path, empty) as program:
        done = program.run_in_process("env", "lock", "six", "-e", "py312-slim", "--network", "open")
    assert (done.code, "--network gateway" in done.err) == (71, True), done
    assert not [*tmp_path.glob("pylock*")]
