"""Files in the host's cache that are not what they were: a file reaches a cell only with the bytes of its hash.

Whatever is at a file's place (cut off by a crash, overwritten, a link, a pipe) is removed, and the file fetched again.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hostile_http import OK, drip, hostile_server
from local_index import LocalIndex
from projects import module_project

from ppp.check.index.choose import IndexFile
from ppp.check.index.client import DownloadError, SimpleIndex
from ppp.model.canonical import sha256_hex

AGENT: Final = "the-pypi-place/tests"
LIB: Final = module_project("lib", "WORD = 1\n")
CONTENT: Final = LIB.build()
SHA256: Final = sha256_hex(CONTENT)
PATH: Final = f"/files/lib/{LIB.filename}"
OTHER: Final = b"a file of the operator's"


@pytest.fixture
def site() -> Iterator[LocalIndex]:
    with LocalIndex() as server:
        server.add(LIB)
        yield server


def fetch(site: LocalIndex, cache: Path, *, max_bytes: int = 10**6) -> Path:
    index = SimpleIndex(site.url, cache=cache, user_agent=AGENT)
    return index.fetch(index.files("lib")[0], timeout_s=20, max_bytes=max_bytes)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(CONTENT[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(CONTENT + b"\0")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def blank(path: Path) -> None:
    # What a file system may leave of a file that was renamed before it was written.
    path.write_bytes(bytes(len(CONTENT)))


def link_to_another(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parents[2] / "other")


def link_to_the_same(path: Path) -> None:
    # Right now it has the right content; whoever owns the target may change it while a cell runs.
    (path.parents[2] / "same").write_bytes(CONTENT)
    path.unlink()
    path.symlink_to(path.parents[2] / "same")


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").touch()


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listening:
        # The path of a socket may have about a hundred bytes.
        os.chdir(path.parent)
        try:
            listening.bind(path.name)
        finally:
            os.chdir(here)


def link_the_folder(path: Path) -> None:
    path.parent.rename(path.parents[2] / "moved")
    path.parent.symlink_to(path.parents[2] / "moved")


def replace_the_folder(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.write_bytes(b"")


HARMS: Final = (
    flip_a_bit, cut_off, lengthen, empty, blank, link_to_another, link_to_the_same, link_to_itself, replace_by_folder,
    replace_by_pipe, replace_by_socket, link_the_folder, replace_the_folder,
)  # fmt: skip


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("harm", HARMS)
def test_a_file_that_changed_is_fetched_again(site: LocalIndex, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    (tmp_path / "other").write_bytes(OTHER)
    path = fetch(site, tmp_path / "cache")
    harm(path)
    assert fetch(site, tmp_path / "cache") == path
    assert site.request_counts[PATH] == 2
    assert path.read_bytes() == CONTENT
    assert path.is_file()
    assert not path.is_symlink()
    assert not path.parent.is_symlink()
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert (tmp_path / "other").read_bytes() == OTHER


@pytest.mark.attack("same-bytes")
def test_a_file_that_changes_between_two_uses_in_one_run_is_fetched_again(site: LocalIndex, tmp_path: Path) -> None:
    index = SimpleIndex(site.url, cache=tmp_path, user_agent=AGENT)
    for _ in range(3):
        path = index.fetch(index.files("lib")[0], timeout_s=20, max_bytes=10**6)
        assert path.read_bytes() == CONTENT
        flip_a_bit(path)
    assert site.request_counts[PATH] == 3


@pytest.mark.attack("same-bytes")
def test_a_link_in_place_of_an_incomplete_file_is_not_followed(site: LocalIndex, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(OTHER)
    folder = tmp_path / "cache" / SHA256
    folder.mkdir(parents=True)
    for name in (".part", f".{LIB.filename}.part"):
        (folder / name).symlink_to(tmp_path / "other")
    assert fetch(site, tmp_path / "cache").read_bytes() == CONTENT
    assert (tmp_path / "other").read_bytes() == OTHER


@pytest.mark.attack("bounded-input")
def test_a_cached_file_that_exceeds_the_limit_is_refused(site: LocalIndex, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    with pytest.raises(DownloadError, match="larger than 10 bytes") as caught:
        fetch(site, tmp_path, max_bytes=10)
    assert caught.value.cause == "file-size"


NAMES: Final = {
    "parent": "../lib-1.0.zip",
    "far-parent": "../../../../../../lib-1.0.zip",
    "absolute": "/lib-1.0.zip",
    "folder": "a/lib-1.0.zip",
    "dots": "..",
    "dot": ".",
    "nothing": "",
    "hidden": ".part",
    "nul": "lib-1.0.zip\0",
    "newline": "lib-1.0.zip\n",
    "backslash": "a\\lib-1.0.zip",
    "long": "a" * 300 + ".zip",
    "longest-but-one": "a" * 247 + ".zip",
    "other-script": "li\u0431-1.0.zip",
    "surrogate": "lib\ud800-1.0.zip",
    "option": "-rlib-1.0.zip",
    "terminal": "\x1b[2Jlib-1.0.zip",
}


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_that_is_no_files_is_refused(site: LocalIndex, tmp_path: Path, name: str) -> None:
    index = SimpleIndex(site.url, cache=tmp_path / "cache", user_agent=AGENT)
    file = IndexFile(filename=name, url=site.url_of(PATH), sha256=SHA256, requires_python=None, yanked=False)
    with pytest.raises(DownloadError) as caught:
        index.fetch(file, timeout_s=20, max_bytes=10**6)
    assert caught.value.cause == "missing-file"
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
    assert not list(tmp_path.iterdir())


@pytest.mark.attack("crash-safe")
def test_a_file_is_on_the_disk_before_it_has_its_name(
    site: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync
    place = tmp_path / "cache" / SHA256 / LIB.filename

    def note(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, place.exists()))

    monkeypatch.setattr(os, "fsync", note)
    assert fetch(site, tmp_path / "cache") == place
    assert synced == [(".part", False), (SHA256, True), ("cache", True)]


FETCHER: Final = """\
import sys
from pathlib import Path
from ppp.check.index.choose import IndexFile
from ppp.check.index.client import SimpleIndex
url, sha256, cache = sys.argv[1:]
file = IndexFile(filename="lib-1.0.zip", url=url + "lib-1.0.zip", sha256=sha256, requires_python=None, yanked=False)
SimpleIndex(url, cache=Path(cache), user_agent="the-pypi-place/tests").fetch(file, timeout_s=30, max_bytes=10**9)
"""


@pytest.mark.attack("crash-safe")
def test_a_download_that_is_killed_leaves_no_file_that_is_used(site: LocalIndex, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with hostile_server(drip(OK + b"\r\n" + CONTENT, b"\0")) as url:
        program = subprocess.Popen([sys.executable, "-c", FETCHER, url, SHA256, str(cache)])
        over = time.monotonic() + 30
        while not list(cache.glob("*/.part")) and time.monotonic() < over:
            threading.Event().wait(0.02)
        program.send_signal(signal.SIGKILL)
        program.wait()
    assert [path.name for path in (cache / SHA256).iterdir()] == [".part"]
    path = fetch(site, cache)
    assert path.read_bytes() == CONTENT
    assert [found.name for found in path.parent.iterdir()] == [path.name]
