"""What is preinstalled, parsed within bounds; what `venv` brings, made once and checked against its name."""

import os
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from ppp.check.runtime import EnvironmentUnavailableError, PreinstalledDistribution
from ppp.check.sandbox.preinstalled import (
    MAX_BYTES,
    MAX_DISTRIBUTIONS,
    MAX_FILES,
    MAX_MODULE_CHARS,
    parse_preinstalled,
    venv_site_packages,
)

DISK: Final = 4 * MAX_BYTES


def described(name: str = "pip", version: str = "24.0", modules: tuple[str, ...] = ("pip",)) -> dict[str, Any]:
    return {"name": name, "version": version, "modules": list(modules), "requires": []}


def parsed(*distributions: dict[str, Any], files: int = 1, size: int = 1, disk_bytes: int = DISK) -> list[str]:
    found = {"files": files, "bytes": size, "distributions": list(distributions)}
    return [d.name for d in parse_preinstalled(found, where="python:3.11-slim", disk_bytes=disk_bytes)]


def test_distributions_are_returned_by_normal_name() -> None:
    found = {"files": 1, "bytes": 1, "distributions": [described("Set_Up", "1.0", ("b", "a.c")), described()]}
    assert parse_preinstalled(found, where="here", disk_bytes=DISK) == (
        PreinstalledDistribution(name="pip", version="24.0", modules=("pip",)),
        PreinstalledDistribution(name="set-up", version="1.0", modules=("b", "a.c")),
    )


@pytest.mark.parametrize(("name", "version"), [("a b", "1"), ("", "1"), ("a", ""), ("a", "1" * 129), ("a", "1\n2")])
def test_what_no_record_could_name_is_left_out(name: str, version: str) -> None:
    assert parsed(described(name, version), described()) == ["pip"]


@pytest.mark.attack("bounded-input")
def test_as_much_as_a_cell_can_copy_is_accepted() -> None:
    many = [described(f"d{n}", modules=()) for n in range(MAX_DISTRIBUTIONS)]
    assert len(parsed(*many, files=MAX_FILES, size=MAX_BYTES)) == MAX_DISTRIBUTIONS


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    "changes",
    [{"files": MAX_FILES + 1}, {"size": MAX_BYTES + 1}, {"size": 33 * 2**20, "disk_bytes": 64 * 2**20}],
    ids=["files", "bytes", "disk"],
)
def test_an_image_with_more_than_a_cell_can_copy_is_unavailable(changes: dict[str, int]) -> None:
    with pytest.raises(EnvironmentUnavailableError, match=r"python:3.11-slim has .* every cell would copy"):
        parsed(described(), **changes)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    "distributions",
    [
        [described(f"d{n}", modules=()) for n in range(MAX_DISTRIBUTIONS + 1)],
        [described(modules=("m" * MAX_MODULE_CHARS,))],
    ],
    ids=["distributions", "modules"],
)
def test_an_image_with_more_than_a_record_can_name_is_unavailable(distributions: list[dict[str, Any]]) -> None:
    with pytest.raises(EnvironmentUnavailableError, match="distributions preinstalled"):
        parsed(*distributions)


def test_a_python_without_ensurepip_brings_nothing(tmp_path: Path) -> None:
    assert venv_site_packages(sys.executable, None, cache=tmp_path, environ={}) is None
    assert list(tmp_path.iterdir()) == []


def python_whose_venv(folder: Path, command: str) -> str:
    """Write a program that takes the place of `python -I -m venv FOLDER`."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return str(path)


def test_a_venv_that_cannot_be_made_brings_nothing(tmp_path: Path) -> None:
    (cache := tmp_path / "cache").mkdir()
    python = python_whose_venv(tmp_path, "exit 1")
    assert venv_site_packages(python, [], cache=cache, environ={}) is None
    assert list(cache.iterdir()) == []


def test_what_venv_brings_is_made_once_and_anew_if_it_was_changed(tmp_path: Path) -> None:
    (cache := tmp_path / "cache").mkdir()
    python = python_whose_venv(
        tmp_path,
        'site="$4/lib/python3.11/site-packages"; mkdir -p "$site/pip/__pycache__"; umask 077\n'
        f'echo 1 > "$site/pip/__init__.py"; echo > "$site/pip/__pycache__/x.pyc"; echo >> {tmp_path}/made',
    )
    environ = {"PATH": os.environ["PATH"]}
    site = venv_site_packages(python, [["pip.whl", 1, 2]], cache=cache, environ=environ)
    assert site is not None
    assert [str(path.relative_to(site)) for path in site.rglob("*")] == ["pip", "pip/__init__.py"]
    assert (site / "pip" / "__init__.py").stat().st_mode & 0o777 == 0o644
    assert venv_site_packages(python, [["pip.whl", 1, 2]], cache=cache, environ=environ) == site
    assert (tmp_path / "made").read_text() == "\n"
    (site / "pip" / "__init__.py").write_text("2")
    assert venv_site_packages(python, [["pip.whl", 1, 2]], cache=cache, environ=environ) == site
    assert (site / "pip" / "__init__.py").read_text() == "1\n"
    assert [path.name for path in cache.iterdir()] == [site.name]
    # Other wheels of ensurepip may bring something else.
    assert venv_site_packages(python, [["pip.whl", 9, 2]], cache=cache, environ=environ) != site
