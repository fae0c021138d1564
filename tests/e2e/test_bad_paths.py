"""Data folders that cannot be used: a clear error of one line from every command, never a traceback."""

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from local_index import LocalIndex
from program import CompletedCommand, Program
from projects import module_project

from ppp.ledger.store import Store
from ppp.model.record import Record

#: What may be wrong with the folder, and what the error says of it.
FOLDERS: Final[dict[str, tuple[Callable[[Path], Path], str]]] = {
    "a byte that is no UTF-8": (lambda tmp: tmp / os.fsdecode(b"d\xe4ta"), "is not UTF-8"),
    "below one": (lambda tmp: tmp / os.fsdecode(b"\xff") / "data", "is not UTF-8"),
    "a link to one": (lambda tmp: _link(tmp / "link", os.fsdecode(b"\xff")), "is not UTF-8"),
    "a line break": (lambda tmp: tmp / "da\nta", "control characters"),
    "below /proc": (lambda _: Path("/proc/ppp-data"), "/proc/ppp-data"),
    "far below /proc": (lambda _: Path("/proc/ppp/of/data"), "/proc/ppp"),
    "below /sys": (lambda _: Path("/sys/ppp-data"), "/sys/ppp-data"),
    "below a device": (lambda _: Path("/dev/null/data"), "/dev/null is a file where a folder is needed"),
    "a device": (lambda _: Path("/dev/null"), "/dev/null is a file where a folder is needed"),
    "a file": (lambda tmp: _file(tmp / "data"), "data is a file where a folder is needed"),
    "below a file": (lambda tmp: _file(tmp / "file") / "data", "file is a file where a folder is needed"),
    "a socket or pipe": (lambda tmp: _pipe(tmp / "data"), "data is a file where a folder is needed"),
    "a link that leads nowhere": (
        lambda tmp: _link(tmp / "data", "gone"),
        "data is a symbolic link that leads nowhere",
    ),
    "below such a link": (lambda tmp: _link(tmp / "link", "gone") / "data", "link"),
    "a link to itself": (lambda tmp: _link(tmp / "data", "data"), "data is a symbolic link that leads nowhere"),
    "a name that is too long": (lambda tmp: tmp / ("d" * 300), "too long"),
    "a path that is too long": (lambda tmp: tmp.joinpath(*["d" * 200] * 25), "too long"),
}
NOT_UTF_8: Final = os.fsdecode(b"gr\xfcn")
WRITING: Final = (
    ("run", "-p", "known"),
    ("watch", "-r", "wanted.txt"),
    ("publish",),
    ("narrate",),
    ("node", "init"),
    ("peer", "add", "http://node.example/", "--key", "ab" * 32),
)
READING: Final = (("show",), ("peer", "list"), ("node", "show"), ("serve", "--port", "0"))


def _file(path: Path) -> Path:
    path.write_text("mine")
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _link(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


@pytest.fixture
def node(program: Program, local: LocalIndex, tmp_path: Path) -> Program:
    """A program whose index has one package, and no pip."""
    local.add(module_project("known", ""))
    (tmp_path / "wanted.txt").write_text("known\n")
    return program


def assert_refused(done: CompletedCommand, *words: str) -> None:
    assert done.code not in {0, 1, 2}, done
    assert done.out == ""
    assert re.fullmatch(r"ppp: .+ \(.+\)\n", done.err), done.err
    assert not [word for word in words if word not in done.err], done.err


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_cannot_be_the_data_folder(node: Program, tmp_path: Path, kind: str) -> None:
    (place := tmp_path / "place").mkdir()
    make, words = FOLDERS[kind]
    node.data = make(place)
    before = sorted(place.rglob("*"))
    for command in WRITING:
        assert_refused(node.run_in_process(*command), words)
    for command in READING:
        assert_refused(node.run_in_process(*command))
    assert sorted(place.rglob("*")) == before, "nothing is created elsewhere"


@pytest.mark.parametrize("kind", FOLDERS)
def test_the_doctor_names_it(node: Program, tmp_path: Path, kind: str) -> None:
    make, _ = FOLDERS[kind]
    node.data = make(tmp_path)
    done = node.run_in_process("doctor", "--json")
    assert done.code == 36, done
    assert re.fullmatch(r"ppp: broken: .+ \(.+\)\n", done.err), done.err
    assert "report this as a bug" not in done.out
    broken = [check for check in json.loads(done.out)["checks"] if check["state"] == "broken"]
    assert {"settings", "disk"} & {check["check"] for check in broken}, broken


@pytest.mark.parametrize("option", ["--data", "--matrix", "-r", "--watchlist"])
def test_an_empty_path_is_not_this_folder(node: Program, option: str) -> None:
    done = node.run_in_process("run", option, "")
    assert (done.code, done.out) == (2, "")
    assert "the path is empty" in done.err


@pytest.mark.parametrize("within", ["ppp.db", "cache", "public", ".lock", "node.key"])
@pytest.mark.parametrize("make", [_file, _pipe, lambda path: _link(path, "gone"), lambda path: path.mkdir() or path])
def test_something_else_within_the_data_folder(node: Program, within: str, make: Callable[[Path], Path]) -> None:
    node.data.mkdir()
    found = make(node.data / within)
    is_folder = found.is_dir()
    if stat.S_ISFIFO(found.lstat().st_mode) and within in {"ppp.db", "node.key"}:
        pytest.skip("opening a pipe waits for its other end, for any program")
    for command in (("publish",), ("show",)):
        done = node.run_in_process(*command)
        assert done.code not in {1, 2}, done
        assert not done.code or re.fullmatch(r"ppp: .+ \(.+\)", done.err.splitlines()[-1]), done.err
    assert is_folder == found.is_dir(), "nothing of somebody else's is replaced"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("serve", "--into", NOT_UTF_8), "is not UTF-8"),
        (("serve", "--host", NOT_UTF_8), "cannot listen on"),
        (("serve", "--host", "a" * 100), "cannot listen on"),
        (("verify", NOT_UTF_8), "fetch it again"),
        (("run", "-r", NOT_UTF_8), "cannot read"),
        (("run", "--matrix", NOT_UTF_8), "cannot read"),
        (("run", "-p", NOT_UTF_8), "is not a requirement"),
        (("run", "-e", NOT_UTF_8), "no such environment"),
        (("show", NOT_UTF_8), "is not a package name"),
        (("peer", "add", f"http://{NOT_UTF_8}/", "--key", "ab" * 32), "http"),
        (("narrate", "--day", NOT_UTF_8), ""),
    ],
)
def test_an_argument_that_is_not_utf_8(node: Program, arguments: tuple[str, ...], words: str) -> None:
    node.run_in_process_ok("publish")
    done = node.run_in_process(*arguments)
    assert done.code not in {0, 1, 2}, done
    assert re.fullmatch(r"ppp: .+ \(.+\)", done.err.splitlines()[-1]), done.err
    assert words in done.err


def test_a_folder_for_temporary_files_in_which_no_socket_can_be(node: Program, tmp_path: Path) -> None:
    (deep := tmp_path / ("d" * 90)).mkdir()
    node.settings["TMPDIR"] = str(deep)
    done = node.run_in_process("run", "-p", "known")
    assert done.code == 10, done
    error = done.err.splitlines()[-1]
    assert "because sockets are created in it" in error
    assert "set TMPDIR to a folder with a shorter path" in error
    assert list(deep.iterdir()) == []


# ---------------------------------------------------------------- a locale without UTF-8

#: Python then takes file names and terminals to be ASCII.
ASCII: Final = {"LC_ALL": "C", "PYTHONUTF8": "0"}


def test_a_folder_that_this_locale_cannot_name(node: Program, tmp_path: Path) -> None:
    node.data = tmp_path / "dätä"
    node.settings |= ASCII
    for command in (("publish",), ("show",)):
        assert_refused(node.run(*command), "LC_ALL=C.UTF-8")
    del node.settings["PYTHONUTF8"]
    assert node.run("publish").code == 0, "without PYTHONUTF8=0 Python takes file names to be UTF-8"
    assert (tmp_path / "dätä" / "public" / "index.html").exists()


def test_answers_in_a_locale_without_utf_8(node: Program, record: Callable[..., Record]) -> None:
    with Store.open(node.data) as store, store.db.atomic():
        store.insert_record(record("example-lib"), None)
    node.settings |= ASCII
    shown = node.run_ok("show")
    assert "? PASS" in shown, "a terminal without the glyph has the word"
    assert "example-lib" in node.run_ok("show", "--json")
    assert node.run("show", "gr\u00fcn").code == 33
