"""Late files, yanks, removals and quarantines: each ends in the right record, and the coverage always adds up."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from cell_environments import FetchedPip
from local_index import LocalIndex
from program import Program
from projects import module_project
from warehouse import Warehouse, served

VERDICTS: Final = "SELECT package, result || coalesce(' ' || nullif(cause, 'unclassified'), '') FROM current ORDER BY 1"
DETAIL: Final = "SELECT detail FROM current WHERE package = ?"
NAMES: Final = ("lasting", "pulled", "suspect", "vanished", "waited")

pytestmark = [pytest.mark.online, pytest.mark.sandbox, pytest.mark.nginx]


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    model = Warehouse()
    model.release("before", "1.0", at=int(time.time()) - 7_200)
    with served(model):
        yield model


@pytest.fixture
def node(program: Program, local: LocalIndex, warehouse: Warehouse, pinned_pip: FetchedPip) -> Program:
    """A node that follows a journal of its own; the files are another server's."""
    local.add_pip(pinned_pip.wheel)
    program.settings |= {
        "PPP_NETWORK": "gateway",
        "PPP_JOURNAL": "changelog",
        "PPP_JOURNAL_URL": f"{warehouse.url}/pypi",
    }
    program.run_in_process_ok("watch")
    return program


def tell(warehouse: Warehouse, name: str, action: str) -> None:
    warehouse.add(name, "1.0", action, at=int(time.time()) - 3_600)


def run(node: Program) -> dict[str, str]:
    """Follow and check; return the verdicts. What was named adds up, and nothing is lost."""
    # Records are put in order by whole seconds.
    time.sleep(1)
    done = node.run("run", "--json", timeout_s=180)
    assert done.code == 0, done
    return dict(node.query(VERDICTS))


def coverage(node: Program) -> dict[str, Any]:
    total: dict[str, Any] = json.loads(node.run_in_process_ok("coverage", "--lost", "--json"))["total"]
    assert total["named"] == total["tested"] + total["queued"] + total["skipped"]
    return total


def test_what_the_index_does_to_releases_ends_in_their_records(
    node: Program, local: LocalIndex, warehouse: Warehouse
) -> None:
    for name in NAMES:
        broken = "raise RuntimeError('no')" if name == "lasting" else ""
        local.add(module_project(name, broken, version="1.0"))
        warehouse.release(name, "1.0", at=int(time.time()) - 3_600)
    node.run_in_process_ok("watch")
    assert coverage(node)["queued"] == len(NAMES)
    tell(warehouse, "waited", "remove release")
    local.remove("waited")
    assert run(node) == {"lasting": "FAIL import-error", "pulled": "PASS", "suspect": "PASS", "vanished": "PASS"}
    found = coverage(node)
    assert (found["tested"], found["queued"], found["skip_reasons"]) == (4, 0, {"withdrawn": 1})

    # A wheel that is built again, a yank, a quarantine of one release, and a removal.
    fixed = "lasting-1.0-1-py3-none-any.whl"
    local.add_file("lasting", fixed, module_project("lasting", "", version="1.0").build())
    tell(warehouse, "lasting", f"add py3 file {fixed}")
    local.remove("pulled")
    local.add(module_project("pulled", "", version="1.0", yanked="it eats files"))
    tell(warehouse, "pulled", "yank release")
    for name, action in (("suspect", "release quarantined"), ("vanished", "remove release")):
        local.remove(name)
        tell(warehouse, name, action)
    node.run_in_process_ok("watch")
    assert coverage(node)["queued"] == 4
    gone = dict.fromkeys(("pulled", "suspect", "vanished"), "NA withdrawn")
    assert run(node) == {"lasting": "PASS", **gone}
    assert coverage(node)["tested"] == 4
    ((trigger,),) = node.query("SELECT triggered_by FROM records WHERE package = 'lasting' AND result = 'PASS'")
    assert json.loads(trigger) == {"kind": "late-file", "name": fixed, "version": "1.0"}
    assert node.query(DETAIL, "pulled") == [("the index has yanked the release: it eats files",)]
    assert node.query("SELECT yanked FROM current WHERE package = 'pulled'") == [("it eats files",)]
    assert node.query(DETAIL, "suspect")[0][0].startswith("the index has quarantined the release: ")
    assert node.query(DETAIL, "vanished")[0][0].startswith("the release was removed: ")

    # A pin still gets what is yanked, and what a person asked for is answered, once.
    pinned = ("run", "--package", "pulled==1.0", "--json")
    assert [row["result"] for row in json.loads(node.run_ok(*pinned))["results"]] == ["PASS"]
    observed = node.query("SELECT count(*) FROM records")
    node.run_ok(*pinned)
    assert node.query("SELECT count(*) FROM records") == observed

    # What is cleared is checked again.
    local.add(module_project("suspect", "", version="1.0"), module_project("waited", "", version="1.0"))
    tell(warehouse, "suspect", "release quarantine cleared")
    tell(warehouse, "waited", "new release")
    verdicts = run(node)
    assert (verdicts["suspect"], verdicts["waited"], verdicts["vanished"]) == ("PASS", "PASS", "NA withdrawn")
    found = coverage(node)
    assert (found["tested"], found["queued"], found["skipped"]) == (5, 0, 0)
