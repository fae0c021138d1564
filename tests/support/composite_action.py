"""Perform the steps of a composite action on this machine, as its file says: inputs, environment, commands."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from expressions import expand
from ruamel.yaml import YAML

ROOT: Final = Path(__file__).parents[2]
ACTIONS: Final = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
#: How GitHub runs a step whose shell is `bash`.
BASH: Final = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
#: What a runner does not have of this machine's environment.
REMOVED: Final = ("PPP_", "GITHUB_", "RUNNER_", "VIRTUAL_ENV", "PYTHON")


def load_action(path: Path) -> dict[str, Any]:
    """Return an action."""
    return dict(YAML(typ="safe").load(path.read_text("utf-8")))


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRun:
    """A use of an action in a checkout; `settings` are the variables of the job that uses it."""

    path: Path
    work: Path
    temporary: Path
    settings: Mapping[str, str]

    def step(self, name: str, **given: str) -> "subprocess.CompletedProcess[str]":
        """Perform one step with inputs (`_` in place of `-`); those that are not given have their defaults."""
        action = load_action(self.path)
        values = {key: str(row.get("default", "")) for key, row in action["inputs"].items()}
        values |= {key.replace("_", "-"): text for key, text in given.items()}
        (step,) = (step for step in action["runs"]["steps"] if step["name"] == name)
        assert step["shell"] == "bash", "the only one that is known here"
        env = {key: str(expand(text, {"inputs": values}, {})) for key, text in step.get("env", {}).items()}
        machine = {key: text for key, text in os.environ.items() if not key.startswith(REMOVED)}
        return subprocess.run(
            [*BASH, step["run"]],
            cwd=self.work,
            env={
                **machine,
                **self.settings,
                **env,
                "GITHUB_ACTION_PATH": str(self.path.parent),
                "RUNNER_TEMP": str(self.temporary),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
