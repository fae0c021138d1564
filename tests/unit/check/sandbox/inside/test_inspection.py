"""How an installation is described, whatever its files hold."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ppp.check.sandbox.inside.inspection import MAX_CHARS, inspect, module_paths, read_text


def installed(folder: Path, **files: str) -> tuple[Path, Path]:
    """Write pip's report and a dist-info with these files; return the scratch folder and site-packages."""
    (scratch := folder / "scratch").mkdir()
    (info := folder / "site" / "Example_Lib-1.0.dist-info").mkdir(parents=True)
    report = {
        "install": [{"metadata": {"name": "Example_Lib", "version": "1.0"}}],
        "environment": {"sys_platform": "linux"},
    }
    (scratch / "report.json").write_text(json.dumps(report))
    for name, text in files.items():
        (info / name.replace("_txt", ".txt")).write_text(text)
    return scratch, info.parent


def described(folder: Path, **files: str) -> dict[str, Any]:
    scratch, site = installed(folder, **files)
    return inspect(str(scratch), str(site), "example-lib")


def test_an_installation_is_described_in_full(tmp_path: Path) -> None:
    found = described(
        tmp_path,
        METADATA="Name: x\nImport-Name: example\nRequires-Dist: other\n\n",
        RECORD="example/__init__.py,,\nexample/part.py,,\n",
        top_level_txt="example\nextra\n",
    )
    assert found == {
        "installed": [["Example_Lib", "1.0", None]],
        "target": {
            "paths": ["example/__init__.py"],
            "import_names": ["example"],
            "top_level": ["example", "extra"],
        },
        "needs": {"requires": ["other"], "markers": {"sys_platform": "linux"}},
    }


def test_missing_files_are_empty(tmp_path: Path) -> None:
    assert described(tmp_path)["target"] == {"paths": [], "import_names": None, "top_level": []}


def test_a_package_without_dist_info_is_an_error(tmp_path: Path) -> None:
    scratch, site = installed(tmp_path)
    with pytest.raises(SystemExit, match="no dist-info of other"):
        inspect(str(scratch), str(site), "other")


@pytest.mark.attack("bounded-input")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_text(str(tmp_path / "pipe")) == ""
    assert read_text(str(tmp_path / "gone")) == ""
    assert read_text("/dev/zero") == ""


@pytest.mark.attack("bounded-input")
def test_paths_inside_a_package_and_long_ones_are_left_out() -> None:
    paths = ["a/__init__.py", "a/b.py", "a/b/__init__.py", "space/c/__init__.py", "space/c/d.py", "m.py", "x" * 5000]
    assert len(paths[-1]) > MAX_CHARS
    assert module_paths(paths) == ["a/__init__.py", "space/c/__init__.py", "m.py"]
