"""The composite action, the hooks for pre-commit, and the examples that the documentation has of both."""

import re
from pathlib import Path
from typing import Any, Final

import click
import pytest
from composite_action import ACTIONS, ROOT, load_action
from ruamel.yaml import YAML

from ppp.cli.main import cli

PAGE: Final = (ROOT / "docs" / "check-your-package.md").read_text("utf-8")
EXAMPLES: Final = [
    YAML(typ="safe").load(text) for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
]
HOOKS: Final = {
    hook["id"]: hook for hook in YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
}


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: path.parent.name)
def test_no_input_is_part_of_a_command_and_each_is_described(path: Path) -> None:
    action = load_action(path)
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
    named = set(re.findall(r"\$\{\{ inputs\.([a-z-]+) \}\}", str(action["runs"])))
    assert named == action["inputs"].keys()
    assert all(row["description"] for row in action["inputs"].values())


def test_the_example_uses_the_action_that_there_is() -> None:
    (job,) = EXAMPLES[0]["jobs"].values()
    (step,) = (step for step in job["steps"] if "/.github/actions/" in step.get("uses", ""))
    name = re.fullmatch(r"<owner>/<repo>/(.+)@v1", step["uses"])
    assert name
    path = ROOT / name[1] / "action.yml"
    assert path in ACTIONS
    assert step["with"].keys() <= load_action(path)["inputs"].keys()


def parsed(words: list[str]) -> dict[str, Any]:
    context = click.Context(cli)
    command = cli.get_command(context, "ask")
    assert command
    return command.make_context("ask", [*words], parent=context).params


def test_the_hook_runs_a_command_that_there_is() -> None:
    (hook,) = HOOKS.values()
    assert hook["entry"] == "ppp ask"
    assert [str(path) for path in parsed(hook["args"])["requirements"]] == ["requirements.txt"]
    assert (hook["language"], hook["pass_filenames"]) == ("python", False)
    (example,) = EXAMPLES[1]["repos"][0]["hooks"]
    assert example["id"] in HOOKS
    assert parsed(example["args"])["url"] == "https://node.example/"


@pytest.mark.parametrize(
    ("path", "is_watched"),
    [
        ("requirements.txt", True),
        ("deploy/requirements-dev.txt", True),
        ("pylock.toml", True),
        ("pylock.prod.toml", True),
        ("my-requirements.txt", False),
        ("pyproject.toml", False),
    ],
)
def test_the_hook_is_run_for_requirements_and_locks(path: str, *, is_watched: bool) -> None:
    (hook,) = HOOKS.values()
    assert bool(re.search(hook["files"], path)) is is_watched
