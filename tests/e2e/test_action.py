"""The steps of the composite action, performed on this machine with what its file says; see tests/rehearsal for all."""

import json
import sys
from pathlib import Path

import pytest
from cell_environments import FetchedPip, host_environ, host_environment
from composite_action import ACTIONS, ActionRun
from local_index import LocalIndex
from projects import module_project

CHECK = "Check the files"


@pytest.fixture
def use(tmp_path: Path, local: LocalIndex) -> ActionRun:
    """A use of the action in a checkout, after its first step."""
    (action,) = ACTIONS
    (programs := tmp_path / "temporary" / "ppp" / "bin").mkdir(parents=True)
    (programs / "ppp").symlink_to(Path(sys.executable).with_name("ppp"))
    (tmp_path / "work" / "dist").mkdir(parents=True)
    settings = {"PPP_INDEX_URL": local.url, "PPP_NETWORK": "open", "PPP_CANARY": "off", "PATH": host_environ()["PATH"]}
    return ActionRun(path=action, work=tmp_path / "work", temporary=tmp_path / "temporary", settings=settings)


def build(use: ActionRun, *names: str) -> None:
    for name in names:
        project = module_project(name, "import undeclared_thing\n" if name == "lacks" else "")
        (use.work / "dist" / project.filename).write_bytes(project.build())


@pytest.mark.online
def test_the_action_annotates_what_fails(use: ActionRun, local: LocalIndex, pinned_pip: FetchedPip) -> None:
    local.add_pip(pinned_pip.wheel)
    build(use, "works", "lacks")
    id_ = host_environment().id
    done = use.step(CHECK, environments=id_)
    path = "dist/lacks-1.0-py3-none-any.whl"
    error = "module-missing: import lacks: ModuleNotFoundError: No module named 'undeclared_thing'"
    lines = [line for line in done.stdout.splitlines() if line.startswith(("::", "✓"))]
    assert (done.returncode, lines) == (
        1,
        [
            f"::error file={path},title=FAIL in {id_}::{path}: {error}",
            f"✓ PASS    dist/works-1.0-py3-none-any.whl in {id_}",
        ],
    ), done
    options = {"format": "sarif", "output": "found.sarif", "fail_on": "none", "files": "  dist/l*.whl \n\n"}
    done = use.step(CHECK, environments=id_, **options)
    assert (done.returncode, done.stdout.splitlines()[-1][:8]) == (0, "✗ FAIL  "), done
    assert [r["ruleId"] for r in json.loads((use.work / "found.sarif").read_text())["runs"][0]["results"]] == [
        "module-missing"
    ]


@pytest.mark.parametrize("files", ["", "absent/*.whl\n", "\n\n"])
def test_without_a_file_the_action_fails(use: ActionRun, files: str) -> None:
    done = use.step(CHECK, files=files)
    assert (done.returncode, done.stdout) == (57, "::error title=ppp check::no file matches the input 'files'\n")


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("name", ["files", "environments"])
def test_an_input_is_never_part_of_a_command(use: ActionRun, name: str) -> None:
    text = '$(touch pwned)`touch pwned`; touch pwned #"; touch pwned #'
    others = dict.fromkeys(("environments", "fail_on", "format", "output"), text)
    done = use.step(CHECK, **({"files": "absent.whl"} | others if name != "files" else {"files": text}))
    assert done.returncode not in {0, 1}, done
    assert not list(use.work.rglob("pwned"))
