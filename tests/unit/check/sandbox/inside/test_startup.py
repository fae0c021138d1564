"""The virtual environment that is made for a cell."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ppp.check.sandbox.inside.startup import create_environment, trusted_python


@pytest.mark.parametrize("user", [None, 65534])
def test_a_bare_virtual_environment_is_created(tmp_path: Path, user: int | None) -> None:
    settings: Any = {"work": str(tmp_path), "user": user, "python": sys.executable}
    create_environment(settings)
    python = tmp_path / "env" / "bin" / "python"
    done = subprocess.run(
        [
            python,
            "-I",
            "-c",
            "import json, sys; print(json.dumps([sys.prefix, sys.path[-1], sys.prefix != sys.base_prefix]))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    prefix, site, is_virtual = json.loads(done.stdout)
    assert (prefix, is_virtual) == (str(tmp_path / "env"), True)
    assert site == str(tmp_path / "env" / "lib" / "python{}.{}".format(*sys.version_info[:2]) / "site-packages")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "env", "scratch"]
    modes = {path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*") if path.is_dir() and path.name != "own"}
    assert modes == ({0o755} if user is None else {0o1777})
    own = Path(trusted_python(settings))
    assert own.samefile(sys.executable)
    assert own.parent.stat().st_mode & 0o7777 == 0o755
