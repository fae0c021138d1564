"""The pinned pip: unpacked once, compared with its wheel before each run, and errors."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_index import LocalIndex, reply
from projects import Project

from ppp.check.index.client import SimpleIndex
from ppp.check.index.pinned_pip import fetch_pinned_pip, is_unpacked
from ppp.model.canonical import sha256_hex
from ppp.model.errors import IndexUnreachableError, UnknownVersionError


@pytest.fixture
def plain_site() -> Iterator[LocalIndex]:
    with LocalIndex() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(site: LocalIndex, cache: Path) -> SimpleIndex:
    return SimpleIndex(site.url, cache=cache, user_agent="the-pypi-place/tests")


def held(cache: Path) -> list[str]:
    """Return every file in the cache."""
    return [path.name for path in cache.rglob("*") if path.is_file()]


def fake_pip() -> Project:
    return Project(name="pip", version="26.0.1", files={"pip/__main__.py": b"", "pip/_vendor/__init__.py": b""})


def test_the_pinned_pip_is_unpacked_once(plain_site: LocalIndex, cache: Path) -> None:
    plain_site.add(fake_pip())
    sha256 = sha256_hex(fake_pip().build())
    index = opened(plain_site, cache / "files")
    first = fetch_pinned_pip(index, "26.0.1", sha256, cache=cache, max_bytes=10**6)
    assert (first / "pip" / "__main__.py").exists()
    assert first.stat().st_mode & 0o777 == 0o755
    (first / "pip" / "__pycache__").mkdir()
    (first / "pip" / "__pycache__" / "__main__.cpython-312.pyc").touch()
    (first / "ppp_keeper_0123456789abcdef").mkdir()
    unpacked = first.stat().st_ino
    assert fetch_pinned_pip(index, "26.0.1", sha256, cache=cache, max_bytes=10**6) == first
    assert first.stat().st_ino == unpacked
    assert (first / "pip" / "__pycache__" / "__main__.cpython-312.pyc").exists()
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


@pytest.mark.attack("same-bytes")
def test_a_pip_with_another_hash_is_refused(plain_site: LocalIndex, cache: Path) -> None:
    plain_site.add(fake_pip())
    index = opened(plain_site, cache / "files")
    with pytest.raises(UnknownVersionError, match=r"no pip 26\.0\.1 with sha256 0{64}"):
        fetch_pinned_pip(index, "26.0.1", "0" * 64, cache=cache, max_bytes=10**6)


def test_a_pip_that_cannot_be_fetched_is_an_error(plain_site: LocalIndex, cache: Path) -> None:
    plain_site.add(fake_pip())
    plain_site.set_response(f"/files/pip/{fake_pip().filename}", reply(status=500))
    with pytest.raises(IndexUnreachableError, match="the pinned pip could not be fetched"):
        fetch_pinned_pip(
            opened(plain_site, cache), "26.0.1", sha256_hex(fake_pip().build()), cache=cache, max_bytes=10**6
        )
    assert held(cache) == []


@pytest.mark.attack("same-bytes")
def test_an_invalid_wheel_of_pip_leaves_nothing_behind(plain_site: LocalIndex, cache: Path) -> None:
    broken = fake_pip().build()[:100]
    plain_site.add_file("pip", fake_pip().filename, broken)
    with pytest.raises(zipfile.BadZipFile):
        fetch_pinned_pip(opened(plain_site, cache), "26.0.1", sha256_hex(broken), cache=cache, max_bytes=10**6)
    assert not list(cache.glob("pip-*"))


def change(folder: Path) -> None:
    (folder / "pip" / "__main__.py").write_text("print('changed')\n")


def truncate(folder: Path) -> None:
    (folder / "pip-26.0.1.dist-info" / "METADATA").write_bytes(b"")


def remove(folder: Path) -> None:
    (folder / "pip" / "_vendor" / "__init__.py").unlink()


def add_module(folder: Path) -> None:
    (folder / "json.py").write_text("")


def add_nested_module(folder: Path) -> None:
    (folder / "pip" / "extra.py").write_text("")


def link_file(folder: Path) -> None:
    path = folder / "pip" / "__main__.py"
    path.rename(folder.parent / "elsewhere.py")
    path.symlink_to(folder.parent / "elsewhere.py")


def link_folder(folder: Path) -> None:
    (folder / "pip" / "_vendor").rename(folder.parent / "_vendor")
    (folder / "pip" / "_vendor").symlink_to(folder.parent / "_vendor")


def replace_by_file(folder: Path) -> None:
    folder.rename(folder.parent / "old")
    folder.write_text("")


def link_all(folder: Path) -> None:
    folder.rename(folder.parent / "old")
    folder.symlink_to(folder.parent / "old")


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize(
    "harm",
    [change, truncate, remove, add_module, add_nested_module, link_file, link_folder, replace_by_file, link_all],
)
def test_a_folder_that_differs_from_the_wheel_is_unpacked_anew(
    plain_site: LocalIndex, cache: Path, harm: Callable[[Path], None]
) -> None:
    plain_site.add(fake_pip())
    sha256 = sha256_hex(fake_pip().build())
    index = opened(plain_site, cache / "files")
    folder = fetch_pinned_pip(index, "26.0.1", sha256, cache=cache, max_bytes=10**6)
    harm(folder)
    wheel = cache / "files" / sha256 / fake_pip().filename
    assert not is_unpacked(wheel, folder)
    assert fetch_pinned_pip(index, "26.0.1", sha256, cache=cache, max_bytes=10**6) == folder
    assert is_unpacked(wheel, folder)
    assert (folder / "pip" / "__main__.py").read_bytes() == b""
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]
