"""Lock files: the packages that they pin, and clear errors for what is none."""

from pathlib import Path

import pytest

from ppp.model.errors import RequirementsError
from ppp.watch.pylock import read, read_requirements

HEAD = 'lock-version = "1.0"\ncreated-by = "a test"\n'
WHEEL = """
[[packages.wheels]]
name = "{name}-py3-none-any.whl"
url = "https://files.example/{name}-py3-none-any.whl"
hashes = {{sha256 = "aa"}}
"""


def lock(tmp_path: Path, text: str, name: str = "pylock.toml") -> Path:
    path = tmp_path / name
    path.write_text(HEAD + text, "utf-8")
    return path


def package(name: str, version: str, more: str = "") -> str:
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{more}{WHEEL.format(name=f"{name}-{version}")}'


def test_the_packages_of_a_lock(tmp_path: Path) -> None:
    marker = "marker = \"python_version < '3.11'\"\n"
    found = read(lock(tmp_path, package("six", "1.17.0") + package("tomli", "2.0", marker)))
    assert [(str(entry.wanted), str(entry.marker)) for entry in found.entries] == [
        ("six==1.17.0", "None"),
        ("tomli==2.0", 'python_version < "3.11"'),
    ]
    assert found.notes == ()


def test_what_has_no_version_is_left_out_with_a_note(tmp_path: Path) -> None:
    folder = '[[packages]]\nname = "mine"\n[packages.directory]\npath = "."\n'
    found = read(lock(tmp_path, package("six", "1.0") + folder))
    assert [str(wanted) for wanted in found.wanted] == ["six==1.0"]
    assert found.notes == ("left out, because the lock gives no version: mine",)


def test_a_file_s_name_says_whether_it_is_a_lock(tmp_path: Path) -> None:
    assert read_requirements(lock(tmp_path, package("six", "1.0"), "pylock.dev.toml")).wanted
    (tmp_path / "list.toml").write_text("six==1.0\n")
    assert [str(wanted) for wanted in read_requirements(tmp_path / "list.toml").wanted] == ["six==1.0"]


@pytest.mark.parametrize(
    "content",
    [b"", b"lock-version = 1", b"\xff", b"[[", HEAD.encode() + b"packages = 3", b'lock-version = "9.0"\n'],
    ids=["empty", "number", "not-utf-8", "not-toml", "not-a-list", "newer"],
)
def test_what_is_no_lock(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pylock.toml"
    path.write_bytes(content)
    with pytest.raises(RequirementsError, match="is not a lock file"):
        read(path)


def test_a_lock_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequirementsError, match="cannot read"):
        read(tmp_path / "pylock.toml")
