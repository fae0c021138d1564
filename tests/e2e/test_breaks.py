"""A dependency's new release breaks three packages that did not change, is named for it, and the next fixes them."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import FetchedPip
from local_index import LocalIndex
from program import Program
from projects import module_project

DEPENDENTS: Final = ("leans-a", "leans-b", "leans-c")
FLIPS: Final = "SELECT flip, package, trigger_kind, trigger_name, trigger_version, confirmed FROM flips ORDER BY 5, 2"

pytestmark = [pytest.mark.online, pytest.mark.sandbox, pytest.mark.nginx]


@pytest.fixture
def node(program: Program, local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path) -> Program:
    """A node that watches a package and three others that import a name of it."""
    local.add_pip(pinned_pip.wheel)
    local.add(module_project("base", "name = 1", version="1.0"))
    local.add(*(module_project(name, "from base import name", requires=("base",)) for name in DEPENDENTS))
    (tmp_path / "watched.txt").write_text("\n".join(("base", *DEPENDENTS)))
    program.settings["PPP_NETWORK"] = "gateway"
    return program


def run(node: Program) -> dict[str, Any]:
    done = node.run("run", "--watchlist", "watched.txt", "--json", timeout_s=180)
    assert done.code == 0, done
    answer: dict[str, Any] = json.loads(done.out)
    return answer


def test_a_release_breaks_its_dependents_and_the_next_one_fixes_them(node: Program, local: LocalIndex) -> None:
    def read(path: str) -> Any:
        return json.loads((node.data / "public" / path).read_bytes())

    run(node)
    assert {result for (result,) in node.query("SELECT result FROM records")} == {"PASS"}
    assert node.query("SELECT package FROM dependents WHERE dependency = 'base'") == [(name,) for name in DEPENDENTS]

    local.add(module_project("base", "other = 1", version="2.0"))
    run(node)
    broke = [("broke", name, "dependency", "base", "2.0", 1) for name in DEPENDENTS]
    assert node.query(FLIPS) == broke
    # Each is confirmed by a second observation, and all of them name the trigger.
    triggered = "SELECT package, result, count(*) FROM records WHERE triggered_by IS NOT NULL GROUP BY 1, 2"
    assert node.query(triggered) == [(name, "FAIL", 2) for name in DEPENDENTS]
    (cell,) = read("api/v1/breaks-others.json")["affected"]
    assert (cell["package"], cell["version"], cell["result"]) == ("base", "2.0", "PASS")
    assert "leans-a==1.0, leans-b==1.0, leans-c==1.0" in cell["remark"]
    assert read("api/v1/p/leans-a.json")["cells"][0]["triggered_by"] == {
        "kind": "dependency",
        "name": "base",
        "version": "2.0",
    }
    assert "broke 3 packages here" in (node.data / "public" / "p" / "base" / "index.html").read_text("utf-8")

    local.add(module_project("base", "name = 2", version="2.1"))
    run(node)
    assert node.query(FLIPS) == broke + [("fixed", name, "dependency", "base", "2.1", 1) for name in DEPENDENTS]
    releases = read("api/v1/breaks/base.json")["releases"]
    assert [(one["version"], one["broke"], one["fixed"]) for one in releases] == [("2.1", 0, 3), ("2.0", 3, 0)]
    assert read("api/v1/breaks-others.json")["affected"] == [], "it is about the newest release"
    assert (node.data / "public" / "p" / "base" / "breaks" / "2.0" / "index.html").is_file()
    assert {result for (result,) in node.query("SELECT result FROM current")} == {"PASS"}
