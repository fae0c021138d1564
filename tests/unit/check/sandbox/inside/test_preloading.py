"""What the keeper imports of pip before it forks: from pip 26.3 on, nothing can be imported once an installation began.

The keeper's package is imported as in a cell, beside pip and without PPP.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import FetchedPip
from projects import PACKAGES, Project

from ppp.check.sandbox import inside
from ppp.check.sandbox.host import find_interpreters

#: Preloads pip as the keeper does, runs it, and prints what was imported after that: before the first file was
#: installed, and from then on.
PROGRAM: Final = """
import json, sys
sys.path[:0] = sys.argv[1:3]
from ppp_keeper.pip_process import preload_pip
preload_pip()
import pip._internal.commands.install as command
imported = {"before": [], "after": []}
when = "before"
def install(*args, **kwargs):
    global when
    when = "after"
    return install_given_reqs(*args, **kwargs)
install_given_reqs, command.install_given_reqs = command.install_given_reqs, install
sys.addaudithook(lambda event, args: imported[when].append(args[0]) if event == "import" else None)
from pip._internal.cli.main import main
status = main(sys.argv[3:])
sys.stdout.flush()
print(json.dumps({"status": status, "when": when, **imported}))
"""


def find_python(version: str) -> str:
    """Return a working interpreter of a version, or skip the test."""
    for path in find_interpreters(version, os.environ):
        # Version managers put programs on PATH that only say how to get the real one.
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"no Python {version} on this machine")


def run_preloaded(python: str, pip: Path, folder: Path, *argv: str) -> dict[str, Any]:
    """Run a preloaded pip; return its exit status, how far it came and what it imported."""
    (folder / "keeper" / "ppp_keeper").mkdir(parents=True, exist_ok=True)
    for path in Path(inside.__file__).parent.glob("*.py"):
        if path.name != "__init__.py":
            (folder / "keeper" / "ppp_keeper" / path.name).write_bytes(path.read_bytes())
    done = subprocess.run(
        [python, "-I", "-B", "-c", PROGRAM, str(pip), str(folder / "keeper"), *argv],
        # As in a cell, which reaches the index without TLS.
        env={"HOME": str(folder), "PIP_USE_DEPRECATED": "legacy-certs", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        timeout=120,
    )
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.mark.heavy
@pytest.mark.online
@pytest.mark.parametrize(("version", "which"), [("3.9", "pinned"), ("3.12", "pinned"), ("3.12", "newest")])
def test_pip_imports_nothing_once_an_installation_began(
    version: str, which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    python, pip = find_python(version), request.getfixturevalue(f"{which}_pip")
    assert isinstance(pip, FetchedPip)
    for name in ("passes", "builds", "depends", "passes-2"):
        project = Project.read(PACKAGES / name)
        (tmp_path / project.filename).write_bytes(project.build())
    options = ["--no-index", "--find-links", str(tmp_path), "--no-cache-dir", "--target", str(tmp_path / "there")]
    wanted = [str(tmp_path / name) for name in ("depends-1.0-py3-none-any.whl", "builds-1.0.tar.gz")]
    report = run_preloaded(python, pip.folder, tmp_path, "install", *options, *wanted)
    assert (report["status"], report["when"]) == (0, "after")
    if which == "newest":
        assert report["after"] == [], "not even of the standard library"
    else:
        # Nor before that: a module is imported once, and not by each use of pip.
        assert [name for name in [*report["before"], *report["after"]] if name.startswith("pip.")] == []
