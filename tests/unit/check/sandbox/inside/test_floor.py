"""What runs inside a sandbox does so by any Python from 3.9 on."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ppp.check.sandbox import inside
from ppp.check.sandbox.host import find_interpreters

FOLDER: Final = Path(inside.__file__).parent
#: All that runs inside; the package's `__init__` runs outside.
SOURCES: Final = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")
#: Compiles every file, then imports those that need no pip as the keeper's package is imported: without PPP.
PROGRAM: Final = """
import importlib, os, sys
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
    name = os.path.basename(path)[:-3]
    if name != "probe":
        importlib.import_module("ppp_keeper." + name)
assert not [name for name in sys.modules if name.split(".")[0] == "ppp"]
"""


@pytest.mark.heavy
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_every_module_compiles_and_can_be_imported(version: str, tmp_path: Path) -> None:
    candidates = list(find_interpreters(version, os.environ))
    # Version managers put programs on PATH that only say how to get the real one.
    works = (subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0 for path in candidates)
    python = next((path for path, good in zip(candidates, works, strict=True) if good), None)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    (package := tmp_path / "ppp_keeper").mkdir()
    for path in SOURCES:
        (package / path.name).write_bytes(path.read_bytes())
    program = f"import sys; sys.path.insert(0, sys.argv[1])\n{PROGRAM}"
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", program, str(package.parent), *map(str, SOURCES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
