"""A Python that a matrix adds by TOML alone is seen in the ledger, `show`, the pages, the API and Datasette."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cell_environments import FetchedPip, host_environ
from local_index import LocalIndex
from program import Program
from projects import all_projects

from ppp.check.sandbox.host import find_interpreters
from ppp.ledger.store import Store
from ppp.matrix_files import load_matrix, shipped_matrices
from ppp.model.matrix import environment_sort_key
from ppp.model.record import Record
from ppp.resources import resource

ADDED = [f"py{python}-{platform}" for platform in ("slim", "alpine", "host") for python in ("310", "313")]


def toml_with(*environments: str) -> str:
    """Return the default matrix with more environments."""
    rows = [resource("matrices/default.toml").read_text("utf-8")]
    for environment in environments:
        python, _, platform = environment.removeprefix("py3").partition("-")
        image = f'image = "python:3.{python}-{platform}"' if platform != "host" else ""
        rows.append(f'[[environment]]\nid = "{environment}"\npython = "3.{python}"\nplatform = "{platform}"\n{image}\n')
    return "\n".join(rows)


@pytest.fixture
def node(program: Program, record: Callable[..., Record]) -> Program:
    """A node whose matrix has two more Pythons, with a record of one release in each of its environments."""
    program.matrix.write_text(toml_with(*ADDED))
    with Store.open(program.data) as store:
        for environment in load_matrix(program.matrix).environments:
            failed = environment.python == "3.13"
            store.add_record(record("six", "1.17.0", environment.id, result="FAIL" if failed else "PASS"))
    return program


def in_order(node: Program) -> list[str]:
    return sorted((e.id for e in load_matrix(node.matrix).environments), key=environment_sort_key)


def test_the_ledger_and_show_have_them(node: Program) -> None:
    expected = {environment: "FAIL" if "313" in environment else "PASS" for environment in in_order(node)}
    ((results,),) = node.query("SELECT results FROM matrix")
    assert [*json.loads(results).items()] == [*expected.items()]
    regressions = node.query("SELECT fails_in, passes_in FROM python_regressions ORDER BY fails_in")
    assert regressions == [
        (f"py313-{p}", f"py{'310' if p == 'host' else '312'}-{p}") for p in ("alpine", "host", "slim")
    ]
    answer = json.loads(node.run_in_process_ok("show", "--json"))
    assert {row["environment"]: row["result"] for row in answer["results"]} == expected
    assert "py310" in node.run_in_process_ok("show")


def test_pages_and_api_have_them(node: Program) -> None:
    node.run_in_process_ok("publish")
    files = node.public_files()
    for environment in in_order(node):
        assert f"env/{environment}/index.html" in files
        for page in ("env/index.html", "p/six/index.html", "index.html"):
            assert environment in files[page].decode(), (page, environment)
    api = json.loads(files["api/v1/p/six.json"])
    assert [cell["environment"] for cell in api["cells"]] == in_order(node)


def test_datasette_has_a_column_for_each(node: Program, tmp_path: Path) -> None:
    node.run_in_process_ok("serve", "--into", str(tmp_path / "served"))
    with closing(sqlite3.connect(tmp_path / "served" / "ppp.db")) as copy:
        rows = copy.execute("SELECT * FROM matrix")
        assert [column[0] for column in rows.description] == ["package", "version", *in_order(node)]
        assert copy.execute("SELECT [py310-alpine], [py313-host] FROM matrix").fetchall() == [("PASS", "FAIL")]


def test_a_verified_ledger_needs_to_know_nothing_of_them(node: Program) -> None:
    assert "a ledger of 12 records" in node.run_in_process_ok("verify", str(node.data / "ppp.db"))


def test_the_wide_matrix_has_every_python_on_every_platform() -> None:
    (wide,) = (matrix for path, matrix in shipped_matrices().items() if path.name == "wide.toml")
    pythons = [f"3.{minor}" for minor in range(9, 15)]
    assert [(e.platform, e.python) for e in wide.environments] == [
        (platform, python) for platform in ("slim", "alpine", "host") for python in pythons
    ]
    assert all(
        e.image == ("" if e.platform == "host" else f"python:{e.python}-{e.platform}") for e in wide.environments
    )
    assert set(shipped_matrices()) >= {resource("matrices/default.toml"), resource("matrices/host.toml")}


@pytest.mark.online
@pytest.mark.parametrize("python", ["3.10", "3.13"])
def test_a_host_cell_of_the_wide_matrix_runs(
    program: Program, local: LocalIndex, pinned_pip: FetchedPip, python: str
) -> None:
    if next(find_interpreters(python, host_environ()), None) is None:
        pytest.skip(f"no Python {python} on this machine")
    local.add_pip(pinned_pip.wheel)
    local.add(*(project for project in all_projects() if project.name == "passes"))
    program.matrix.write_text(resource("matrices/wide.toml").read_text("utf-8"))
    environment = f"py{python.replace('.', '')}-host"
    observation = json.loads(program.run_ok("check", environment, "passes", "--json"))
    assert (observation["environment"], observation["result"]) == (environment, "PASS")
    assert observation["python"].startswith(f"{python}.")
