"""Where this machine's Pythons are searched for."""

import os
from pathlib import Path
from typing import Any

import pytest
from cell_environments import tiny_matrix

from ppp.check.runtime import SandboxLostError
from ppp.check.sandbox.host import Confinement, HostInterpreter, HostRuntime, find_interpreters


def program(path: Path, *, mode: int = 0o755) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=mode)
    return str(path)


def test_path_comes_first_then_pyenvs_newest(tmp_path: Path) -> None:
    second = program(tmp_path / "b" / "python3.12")
    first = program(tmp_path / "a" / "python3.12")
    older = program(tmp_path / "home" / ".pyenv" / "versions" / "3.12.1" / "bin" / "python3.12")
    newer = program(tmp_path / "home" / ".pyenv" / "versions" / "3.12.4" / "bin" / "python3.12")
    environ = {"PATH": f"{tmp_path}/a:{tmp_path}/b", "HOME": f"{tmp_path}/home"}
    assert list(find_interpreters("3.12", environ)) == [first, second, newer, older]


def test_pyenvs_folder_can_be_elsewhere(tmp_path: Path) -> None:
    there = program(tmp_path / "pyenv" / "versions" / "3.9.18" / "bin" / "python3.9")
    program(tmp_path / "home" / ".pyenv" / "versions" / "3.9.1" / "bin" / "python3.9")
    environ = {"PYENV_ROOT": f"{tmp_path}/pyenv", "HOME": f"{tmp_path}/home"}
    assert list(find_interpreters("3.9", environ)) == [there]


def test_other_versions_are_not_found(tmp_path: Path) -> None:
    program(tmp_path / "python3.1")
    program(tmp_path / "python3.11")
    program(tmp_path / "python3")
    program(tmp_path / ".pyenv" / "versions" / "3.11.7" / "bin" / "python3.11")
    assert list(find_interpreters("3.12", {"PATH": str(tmp_path), "HOME": str(tmp_path)})) == []


def test_files_that_are_not_executable_are_not_found(tmp_path: Path) -> None:
    program(tmp_path / "python3.12", mode=0o644)
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "python3.12").symlink_to(tmp_path / "gone")
    assert list(find_interpreters("3.12", {"PATH": f"{tmp_path}:{tmp_path}/dangling"})) == []


@pytest.mark.parametrize("environ", [{}, {"PATH": ""}, {"PATH": "::", "HOME": ""}, {"PATH": "/no/such/folder"}])
def test_without_folders_nothing_is_found(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "python3.12")
    monkeypatch.chdir(tmp_path)
    assert list(find_interpreters("3.12", environ)) == []


@pytest.mark.attack("separate-cells")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give cells users of their own")
def test_no_cell_starts_where_there_are_too_few_users(tmp_path: Path) -> None:
    gateway: Any = None
    runtime = HostRuntime(
        tiny_matrix(),
        pip=tmp_path,
        index_url="http://index.example/",
        environ={},
        confinement=Confinement(bubblewrap="bwrap", gateway=gateway),
    )
    interpreter = HostInterpreter(version="3.12", executable="python", folders=(), end_of_users=100)
    with pytest.raises(SandboxLostError, match="a user of its own: only 100 users"):
        runtime._confined(runtime._confinement, interpreter, tmp_path / "file", tmp_path, 0)  # type: ignore[arg-type]
