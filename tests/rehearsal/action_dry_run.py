"""Perform every step of the composite action, from its installation on: `scripts/nox -s action_dry_run`.

A wheel that works and one that lacks a dependency, built here, in a container where there is an engine.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from composite_action import ACTIONS, ActionRun, load_action
from projects import module_project


def main() -> int:
    """Return 0 if each step does what it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", help="where the wheels are checked, such as py312-slim")
    environment = parser.parse_args().environment
    (path,) = ACTIONS
    with tempfile.TemporaryDirectory(prefix="ppp-action-") as folder:
        use = ActionRun(path=path, work=Path(folder, "work"), temporary=Path(folder, "temporary"), settings={})
        (use.work / "dist").mkdir(parents=True)
        use.temporary.mkdir()
        for name, source in (("works", ""), ("lacks", "import undeclared_thing\n")):
            project = module_project(f"ppp-action-{name}", source)
            (use.work / "dist" / project.filename).write_bytes(project.build())
        for step in load_action(path)["runs"]["steps"]:
            done = use.step(step["name"], environments=environment)
            print(f"{step['name']}: {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
            if done.returncode:
                break
    found = [line.partition(" ")[0] for line in done.stdout.splitlines() if line.startswith(("::", "✓"))]
    if (done.returncode, found) != (1, ["::error", "✓"]):
        print(f"the action had to find one failure and one success, and found {found}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
