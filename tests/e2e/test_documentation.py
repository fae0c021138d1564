"""The commands of the documentation and of the README, run as they stand there, in a checkout of their own.

`scripts/nox` itself is tested in test_bootstrap.py; here it is replaced by one that calls what its sessions call, in an
environment that is there already.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
COMMANDS: Final = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: The sessions that are one command of PPP each, whose name is theirs.
NOX: Final = f"""#!/usr/bin/env bash
set -euo pipefail
[ "$1" = -s ] || {{ echo "expected -s SESSION" >&2; exit 2; }}
session=$2
shift 2
[ "$#" = 0 ] || shift
case $session in
  ppp) ;;
  "check("*) environment=${{session#check(}} && set -- check "${{environment%)}}" "$@" ;;
  *) set -- "$session" "$@" ;;
esac
exec {sys.executable} -m ppp "$@"
"""
README: Final = (ROOT / "README.md").read_text("utf-8")
#: The README's commands that need no more than its checkout, each with its exit code; after `ppp publish`.
RUN: Final = {
    "(cd data/public && sha256sum -c current.json.sha256)": 0,
    "cat data/public/current.json.sha256": 0,
    "scripts/nox -s ppp -- verify data/public": 0,
    "scripts/nox -s ppp -- --help": 0,
    "scripts/nox -s ppp -- show --failing": 0,
    "scripts/nox -s ppp -- show --failing --env py311-alpine": 0,
    "scripts/nox -s ppp -- ask -r requirements.txt": 0,
    "scripts/nox -s ppp -- queue --why six": 0,
    "scripts/nox -s ppp -- coverage": 0,
    "scripts/nox -s ppp -- narrate": 0,
    "select * from alpine_only": 0,
    "select * from relies_on_image": 0,
    "ppp status": 0,
    "ppp coverage": 0,
    "ppp queue": 0,
}
TWO_CLONES: Final = "tests/e2e/test_two_clones.py"
#: The README's other commands: the file that performs each, or why nothing does.
NOT_RUN: Final = {
    "scripts/nox -s run": TWO_CLONES,
    "scripts/nox -s run -- --package six": TWO_CLONES,
    "scripts/nox -s run -- --package docopt": TWO_CLONES,
    "scripts/nox -s ppp -- serve --mesh --port 8001 &": TWO_CLONES,
    "scripts/nox -s ppp -- serve --mesh --port 8002 &": TWO_CLONES,
    "scripts/nox -s ppp -- peer add http://127.0.0.1:8001/": TWO_CLONES,
    "scripts/nox -s ppp -- peer add http://127.0.0.1:8002/": TWO_CLONES,
    "scripts/nox -s ppp -- peer sync": TWO_CLONES,
    'scripts/nox -s run -- --package six --package "numpy<2.1"': "tests/unit/runner/test_requested.py",
    "scripts/nox -s run -- --requirements requirements.txt": "tests/unit/runner/test_requested.py",
    "scripts/nox -s ppp -- check py312-slim ./dist/*.whl": "tests/e2e/test_check_files.py",
    'scripts/nox -s "check(py312-slim)" -- nose==1.3.7': "docs/reproduce.md",
    "scripts/nox -s ppp -- reproduce six==1.17.0 -e py312-slim": "docs/reproduce.md",
    "scripts/nox -s ppp -- lock six -e py312-slim": "tests/unit/cli/test_lock.py",
    "scripts/nox -s ppp -- env lock six packaging -e py312-slim": "tests/e2e/test_joint_lock.py",
    "scripts/nox -s ppp -- doctor --canary": "tests/e2e/test_doctor.py",
    "scripts/nox -s ppp -- render": "tests/e2e/test_render.py",
    "scripts/nox -s ppp -- publish": "tests/e2e/test_run.py",
    "scripts/nox -s release": "tests/e2e/test_run.py",
    "scripts/nox -s serve": "tests/e2e/test_datasette.py",
    "ppp run": "tests/e2e/test_run.py",
    "scripts/nox -s tests": "it runs this test",
    "scripts/nox -s redteam": "tests/redteam/test_four_peers.py",
    "scripts/nox -s second-opinion": "tests/online/labelled.toml",
}


def readme_commands() -> list[str]:
    """Return the README's commands, each once: those of its code blocks, and those in its sentences."""
    blocks = COMMANDS.findall(README)
    prose = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE))
    comments = re.findall(r"#.*`(scripts/nox [^`]+)`", "".join(blocks))
    starts = ("scripts/nox ", "ppp ", "(cd ", "select ")
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    found = [line for line in lines if line.startswith((*starts, "cat "))]
    return [*dict.fromkeys([*found, *comments, *(text for text in prose if text.startswith(starts))])]


@pytest.fixture(scope="module", name="checkout")
def _checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the files of this repository that PPP itself needs, with the ledger that it ships."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("ppp", "matrices", "site", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").mkdir()
    shutil.copy(ROOT / "data" / "ppp.db", folder / "data" / "ppp.db")
    (folder / "requirements.txt").write_text("six\nflask\n", "utf-8")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "nox").write_text(NOX, "utf-8")
    (folder / "scripts" / "nox").chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.docker
@pytest.mark.online
@pytest.mark.parametrize("page", ["first-ten-minutes", "reproduce"])
def test_the_commands_of_a_page(page: str, checkout: Path) -> None:
    script = "".join(COMMANDS.findall((ROOT / "docs" / f"{page}.md").read_text("utf-8")))
    assert script.count("\n") > 3
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PPP_")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"set -x\n{script}"],
        cwd=checkout,
        env={**settings, "PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_each_command_of_the_readme_is_run_or_has_a_reason() -> None:
    assert sorted(readme_commands()) == sorted([*RUN, *NOT_RUN])
    assert not [place for place in NOT_RUN.values() if "/" in place and not (ROOT / place).is_file()]


def test_the_commands_of_the_readme(checkout: Path) -> None:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PPP_")}
    query = "import sqlite3, sys; print(*sqlite3.connect('data/ppp.db').execute(sys.argv[1]), sep='\\n')"
    for command, code in {"ppp publish": 0, **RUN}.items():
        line = f"{sys.executable} -m ppp {command.removeprefix('ppp ')}" if command.startswith("ppp ") else command
        words = ["-c", query, command] if command.startswith("select ") else None
        done = subprocess.run(
            [sys.executable, *words] if words else ["bash", "-c", line],
            cwd=checkout,
            env={**settings, "PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, bool(done.stdout)) == (code, True), f"{command}\n{done.stdout}\n{done.stderr}"
