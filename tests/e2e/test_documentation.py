"""The commands of the documentation, run as they stand in it, in a checkout of their own.

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


@pytest.fixture(scope="module", name="checkout")
def _checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the files of this repository that PPP itself needs, with the ledger that it ships."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("ppp", "matrices", "site", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").mkdir()
    shutil.copy(ROOT / "data" / "ppp.db", folder / "data" / "ppp.db")
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
