"""`ppp release`: the example of its page checked, released, verified and compared, with a local index."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from cell_environments import ALPINE, SLIM, FetchedPip, docker_bridge_address, matrix_toml, tiny_matrix
from local_index import LocalIndex
from program import Program, new_program
from projects import PACKAGES, Project

from ppp.check.sandbox.docker import connect_engine
from ppp.locks.pylock import read_lock
from ppp.model.canonical import sha256_hex

PAGE: Final = (Path(__file__).parents[2] / "docs" / "declared-releases.md").read_text("utf-8")
EXAMPLE: Final = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[0]
#: Each command runs cells in two environments, and others may run beside it.
TIMEOUT_S: Final = 400
NAMES: Final = ("passes", "depends", "joint-left", "joint-right")
PROJECTS: Final = {name: Project.read(PACKAGES / name) for name in NAMES}


def package(name: str) -> str:
    """Return the table of a package of the index."""
    built = PROJECTS[name]
    source = f'{{ file = "{built.filename}", sha256 = "{sha256_hex(built.build())}" }}'
    return f'\n[[package]]\nname = "{name}"\nversion = "1.0"\nsources = [{source}]\n'


def run_ok(program: Program, *arguments: str) -> str:
    """Run a command that must succeed; return its standard output."""
    done = program.run(*arguments, timeout_s=TIMEOUT_S)
    assert done.code == 0, done
    return done.out


@pytest.fixture(scope="module")
def program(pinned_pip: FetchedPip, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, in whose ledger everything of the index passes in both environments of the example."""
    client = connect_engine()
    assert client
    with closing(client):
        host = docker_bridge_address(client)
    with LocalIndex(host, json_pages=True) as index:
        index.add_pip(pinned_pip.wheel)
        index.add(*PROJECTS.values())
        with new_program(tmp_path_factory.mktemp("release"), index) as made:
            made.matrix.write_text(matrix_toml(tiny_matrix(SLIM, ALPINE)))
            made.settings["PPP_NETWORK"] = "gateway"
            run_ok(made, "check", f"{SLIM.id},{ALPINE.id}", *NAMES)
            yield made


def declare(program: Program, text: str) -> str:
    path = program.matrix.parent / "demo.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
def test_the_example_of_the_page_is_released_and_the_next_release_is_on_top_of_it(program: Program) -> None:
    folder, matrix = program.matrix.parent / "releases", ("--matrix", str(program.matrix))
    path = declare(program, EXAMPLE)
    assert (
        run_ok(program, "release", "check", path, *matrix) == "demo: 2 packages in 2 environments, no rule is broken\n"
    )

    first = json.loads(run_ok(program, "release", "build", path, "-o", str(folder), *matrix, "--json"))
    assert (first["new"], first["number"], first["previous"]) == (True, 1, None)
    place = folder / "demo" / first["id"]
    assert sha256_hex((place / "release.json").read_bytes()) == first["id"]
    for environment in (SLIM.id, ALPINE.id):
        lock = read_lock((place / f"pylock.{environment}.toml").read_bytes())
        assert lock.joint
        assert lock.joint.requirements == ("depends==1.0", "passes==1.0")

    one_environment = EXAMPLE.replace(f', "{ALPINE.id}"', "")
    declare(program, one_environment + package("joint-left"))
    second = json.loads(run_ok(program, "release", "build", path, "-o", str(folder), *matrix, "--json"))
    assert (second["number"], second["previous"]) == (2, first["id"])
    assert run_ok(program, "release", "build", path, "-o", str(folder), *matrix).startswith("nothing has changed since")
    newest = folder / "demo" / second["id"]
    assert run_ok(program, "release", "diff", str(place), str(newest)) == (
        f"+ joint-left==1.0\n- environment {ALPINE.id}\n"
    )
    assert run_ok(program, "release", "diff", path, str(newest / "release.json")) == "the same\n"
    verified = run_ok(program, "verify", str(newest / "release.json"))
    assert "release 2 of demo, with 1 lock, signed by" in verified

    lock_path = place / f"pylock.{SLIM.id}.toml"
    lock_path.write_bytes(lock_path.read_bytes().replace(b"passes", b"passed"))
    declare(program, EXAMPLE)
    refused = program.run("release", "build", path, "-o", str(folder), *matrix, timeout_s=TIMEOUT_S)
    assert (refused.code, "and its release says" in refused.err) == (82, True), refused


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
def test_a_set_that_fails_together_is_not_released(program: Program) -> None:
    folder = program.matrix.parent / "none"
    text = EXAMPLE.replace(f', "{ALPINE.id}"', "") + package("joint-left") + package("joint-right")
    path = declare(program, text)
    done = program.run(
        "release", "build", path, "-o", str(folder), "--matrix", str(program.matrix), timeout_s=TIMEOUT_S
    )
    assert done.code == 81, done
    assert done.out.startswith(f"joint: {SLIM.id}: joint-"), done
    assert "installed with the others it does not import" in done.out
    assert not folder.exists()


@pytest.mark.online
@pytest.mark.docker
@pytest.mark.nginx
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("passes>=1", "passes>=2"), "metadata: depends==1.0: depends-1.0-py3-none-any.whl depends on 'passes>=1'"),
        (("passes>=1", "passes>=2"), "closed: depends==1.0 in py311-alpine: it needs passes>=2, and 1.0 is declared"),
        (("a195", "b195"), "source: depends==1.0: the index lists no file of depends with the sha256 b195"),
        (("py311-alpine", "py312-alpine"), "joint: py312-alpine: no declared file of depends==1.0 is proven there"),
    ],
)
def test_what_breaks_a_rule_is_said_with_what_to_change(program: Program, change: tuple[str, str], said: str) -> None:
    path = declare(program, EXAMPLE.replace(*change))
    matrix = () if "py312-alpine" in change else ("--matrix", str(program.matrix))
    done = program.run("release", "check", path, *matrix, "--json", timeout_s=TIMEOUT_S)
    assert done.code == 81, done
    rows = json.loads(done.out)["violations"]
    assert said in [f"{row['rule']}: {row['about']}: {row['problem']}"[: len(said)] for row in rows]
    assert all(row["change"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["check", "nowhere.toml"], 80, "cannot read nowhere.toml"),
        (["check", "bad.toml"], 80, "bad.toml has 1 mistake"),
        (["check", "other.toml"], 12, "py399-slim"),
        (["build", "bad.toml"], 2, "--output"),
        (["build", "bad.toml", "-o", "out"], 80, "bad.toml has 1 mistake"),
        (["diff", "nowhere", "nowhere"], 82, "nowhere cannot be read"),
        (["diff", ".", "."], 82, "release.json cannot be read"),
        (["diff", "bad.json", "bad.json"], 82, "not a valid declared release: it is not JSON"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_one_line(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    with LocalIndex() as empty, new_program(tmp_path, empty) as program:
        folder = program.matrix.parent
        (folder / "bad.toml").write_text(EXAMPLE.replace('version = "1.0"', 'version = "one"', 1))
        (folder / "other.toml").write_text(EXAMPLE.replace("py312-slim", "py399-slim"))
        (folder / "bad.json").write_text("{")
        done = program.run_in_process("release", *arguments)
    assert (done.code, said in done.err) == (code, True), done
    assert not (tmp_path / "out").exists()
