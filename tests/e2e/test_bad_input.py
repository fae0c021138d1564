"""Bad input: an error of one line that says what to do, an exit code of its own, and an unchanged ledger."""

import re
import shlex
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from cell_environments import tiny_matrix
from local_index import LocalIndex, reply
from program import CompletedCommand, Program, new_program
from projects import module_project

#: The bytes of the ledger.
Ledger: TypeAlias = bytes

THREE_MISTAKES: Final = """
[pip]
version = "26.0.1"
sha256 = "bdb1b08f4274833d62c1aa29e20907365a2ceb950410df15fc9521bad440122b"

[limits]
memory_mb = "much"
cpus = 2.0
processes = 512
open_files = 4096
disk_mb = 3072
file_mb = 1024
log_kb = 5120

[timeouts_s]
download = 300
nodeps = 600
full = 0
import = 60

[[environment]]
id = "py39-host"
python = "3.12"
platform = "host"
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a node that has queued a package and has not checked it yet."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "wanted.txt").write_text("known\n")
    with LocalIndex() as index, new_program(folder, index) as program:
        index.add(module_project("known", ""))
        program.run_in_process_ok("watch", "-r", "wanted.txt")
        assert program.query("SELECT package, environment FROM queue") == [("known", program.environment)]
    return program.data


@pytest.fixture
def node(program: Program, begun: Path, local: LocalIndex, tmp_path: Path) -> Program:
    """The node of that data folder; the index has one more package."""
    local.add(module_project("known", ""), module_project("other", ""))
    (tmp_path / "wanted.txt").write_text("other\n")
    shutil.copytree(begun, program.data)
    return program


def ledger(node: Program) -> Ledger:
    return (node.data / "ppp.db").read_bytes()


def refused(done: CompletedCommand, code: int, *words: str) -> None:
    assert done.code == code, done
    assert done.out == ""
    assert re.fullmatch(r"ppp: .+ \(.+\)\n", done.err), done.err
    assert not [word for word in words if word not in done.err], done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "-p", "known", "-e", "py27-slim"], 12, ["py27-slim", "py3"]),
        (["check", "py312-sling", "known"], 12, ["py312-sling"]),
        (["run", "-p", "unknown", "-p", "other>=9", "-p", "not-there"], 13, ["'unknown'", "other>=9", "'not-there'"]),
        (["check", "HERE", "unknown", "not-there"], 13, ["'unknown'", "'not-there'"]),
        (["run", "-p", "known==9"], 14, ["known==9", "1.0"]),
        (["run", "-p", "a b", "-p", "known", "-p", "c==="], 33, ["'a b'", "'c==='"]),
        (["run", "-p", ""], 33, ["''", "write a name"]),
        (["run", "-e", "", "-p", "known"], 12, ["''"]),
        (["watch", "-r", "nowhere.txt"], 25, ["nowhere.txt"]),
        (["run", "-r", "/dev/null"], 25, ["/dev/null names no package", "leave out -r"]),
        (["watch", "-r", "/dev/null"], 25, ["/dev/null names no package", "leave out -r"]),
        (["run", "-r", "wanted.txt", "-r", "/dev/null"], 25, ["/dev/null names no package"]),
        (["narrate"], 30, []),
        (["peer", "push"], 27, []),
        (["peer", "add", "ftp://node.example/", "--key", "ab" * 32], 27, ["ftp://node.example/"]),
        (["node", "init"], 26, ["node.key"]),
        (["show", "unknown"], 13, ["unknown", "ppp run --package unknown"]),
    ],
)
def test_invalid_arguments(node: Program, arguments: list[str], code: int, words: list[str]) -> None:
    before = ledger(node)
    done = node.run_in_process(*(node.environment if word == "HERE" else word for word in arguments))
    refused(done, code, *words)
    assert ledger(node) == before


def test_a_matrix_with_three_mistakes(node: Program, tmp_path: Path) -> None:
    before = ledger(node)
    matrix = tmp_path / "three.toml"
    matrix.write_text(THREE_MISTAKES)
    done = node.run_in_process("run", "--matrix", str(matrix), "-p", "known")
    refused(done, 11, "3 mistakes", "limits.memory_mb", "timeouts_s.full", "environment[0].id", "py312-host")
    assert ledger(node) == before


def test_a_requirements_file_with_two_mistakes(node: Program, tmp_path: Path) -> None:
    before = ledger(node)
    (tmp_path / "two.txt").write_text("known\n-e .\n!!\n")
    refused(node.run_in_process("run", "-r", str(tmp_path / "two.txt")), 25, "line 2", "line 3")
    assert ledger(node) == before


def test_a_requirements_file_of_options_and_comments(node: Program, tmp_path: Path) -> None:
    before = ledger(node)
    (tmp_path / "none.txt").write_text("# nothing yet\n\n--pre\n--require-hashes\n")
    for command in ("run", "watch"):
        done = node.run_in_process(command, "-r", str(tmp_path / "none.txt"))
        assert (done.code, done.out) == (25, ""), done
        assert f"{tmp_path / 'none.txt'} names no package" in done.err.splitlines()[-1]
    assert ledger(node) == before


def test_a_requirements_file_for_another_system(node: Program, tmp_path: Path) -> None:
    queued = node.query("SELECT package FROM queue")
    (tmp_path / "windows.txt").write_text('other; sys_platform == "win32"\nunknown; os_name == "nt"\n')
    done = node.run_in_process("watch", "-r", str(tmp_path / "windows.txt"))
    assert (done.code, done.out) == (25, ""), done
    *notes, error = done.err.splitlines()
    assert re.fullmatch(r"ppp: nothing that was requested applies in \S+ \(choose other .+\)", error)
    assert 'line 1: other is requested only where sys_platform == "win32": skipped in' in "\n".join(notes)
    assert "line 2: unknown is requested in none of the environments" in "\n".join(notes)
    assert node.query("SELECT package FROM queue") == queued
    reason = 'requested only where sys_platform == "win32"'
    assert node.query("SELECT package, environment, reason, detail FROM skips") == [
        ("other", node.environment, "marker", reason)
    ]


def test_unknown_names_do_not_stop_the_others(node: Program, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("unknown\nother\nother==9\nnot-there\n")
    done = node.run_in_process("watch", "-r", str(tmp_path / "some.txt"))
    assert (done.code, done.out) == (13, "2 cells are queued: `ppp run` checks them\n"), done
    warning, error = done.err.splitlines()
    assert error.startswith("ppp: 3 requests failed: the index has no package 'unknown'; "), "once the rest is done"
    assert "other==9, newest it has of other: 1.0" in error
    assert "'not-there'" in error
    assert warning.endswith("; the others are checked")
    assert node.query("SELECT package FROM queue ORDER BY package") == [("known",), ("other",)]


def test_settings_with_two_mistakes(node: Program) -> None:
    before = ledger(node)
    node.settings |= {"PPP_JOBS": "many", "PPP_INDEX_URL": "gopher"}
    refused(node.run_in_process("run"), 10, "PPP_JOBS='many'", "PPP_INDEX_URL='gopher'")
    assert ledger(node) == before


# ---------------------------------------------------------------- feeds and indexes


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("body", [b"<rss><channel>", b"<!DOCTYPE html><p>Sorry"], ids=["cut", "page"])
def test_a_malformed_feed(node: Program, local: LocalIndex, body: bytes) -> None:
    before = ledger(node)
    local.set_response("/feed", reply(body))
    refused(node.run_in_process("watch"), 46, local.url_of("/feed"))
    assert ledger(node) == before


def test_no_feed(node: Program, local: LocalIndex) -> None:
    before = ledger(node)
    refused(node.run_in_process("watch"), 46, local.url_of("/feed"), "404")
    assert ledger(node) == before


@pytest.mark.attack("bounded-input")
def test_a_feed_of_50_mb(node: Program, local: LocalIndex) -> None:
    before = ledger(node)
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(500):
            yield b" " * 100_000
            sent += 100_000

    local.set_response("/feed", reply(parts(), length=None))
    begun = time.monotonic()
    refused(node.run_in_process("watch"), 46, local.url_of("/feed"), "5,000,000 bytes")
    assert time.monotonic() - begun < 15
    assert sent < 20_000_000, "nothing beyond the size limit is fetched"
    assert ledger(node) == before


@pytest.mark.attack("deadlines")
def test_an_index_that_does_not_answer(node: Program, local: LocalIndex) -> None:
    before = ledger(node)
    local.set_response("/simple/other/", reply(status=502))
    refused(node.run_in_process("run", "-p", "other"), 24, "'other'", "502", "PPP_INDEX_URL")
    assert ledger(node) == before


def test_an_index_without_the_pinned_pip(node: Program) -> None:
    before = ledger(node)
    refused(node.run_in_process("run", "-p", "other"), 13, "'pip'")
    assert ledger(node) == before


# ---------------------------------------------------------------- ledgers and folders


def test_a_ledger_of_a_newer_schema(node: Program) -> None:
    with closing(sqlite3.connect(node.data / "ppp.db")) as db, db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('ppp', 'm999_rebuilt', '2099')"
        )
    before = ledger(node)
    for command in (["run", "-p", "other"], ["show"]):
        refused(node.run_in_process(*command), 20, "m999_rebuilt", "upgrade PPP")
    assert ledger(node) == before


@pytest.mark.attack("bounded-input")
def test_a_file_that_is_not_a_ledger(node: Program) -> None:
    (node.data / "ppp.db").write_bytes(b"no database at all, only text\n" * 50)
    before = ledger(node)
    for command in (["watch", "-r", "wanted.txt"], ["show"]):
        refused(node.run_in_process(*command), 22, "restore it")
    assert ledger(node) == before


def test_a_missing_ledger(program: Program) -> None:
    refused(program.run_in_process("show"), 22, "ppp run")
    assert not program.data.exists()


@pytest.mark.attack("crash-safe")
def test_two_commands_at_once(node: Program, local: LocalIndex) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait(30)
        reply(status=503)(request)

    local.set_response("/feed", slow)
    first = node.start("watch")
    try:
        assert asked.wait(30)
        before = ledger(node)
        for command in (["run", "-p", "other"], ["publish"]):
            refused(node.run_in_process(*command), 21, f"process {first.pid}", "wait for it")
        assert ledger(node) == before
    finally:
        go_on.set()
    _, err = first.communicate(timeout=30)
    assert (first.returncode, err.count("\n")) == (48, 1), "the first is not affected"


# Each runs a command with the data folder on a file system of its own, and copies the ledger as it is afterwards.
FULL: Final = """
cp -a {data} {kept} && mount -t tmpfs -o size=1m none {data} && cp -a {kept}/. {data}
dd if=/dev/zero of={data}/filler bs=4k 2>/dev/null
"$@"; code=$?
cp {data}/ppp.db {after}; exit $code
"""
READ_ONLY: Final = """
mount --bind {data} {data} && mount -o remount,ro,bind {data}
"$@"; code=$?
cp {data}/ppp.db {after}; exit $code
"""

InPlace: TypeAlias = Callable[[str], Program]


@pytest.fixture
def in_place(node: Program, local: LocalIndex, tmp_path: Path) -> InPlace:
    """Run every command of a node in a mount namespace in which a script has prepared the data folder."""
    pin = tiny_matrix().pip
    local.add_file("pip", f"pip-{pin.version}-py3-none-any.whl", b"not fetched", sha256=pin.sha256)

    def prepare(script: str) -> Program:
        paths = {"data": node.data, "kept": tmp_path / "kept", "after": tmp_path / "after.db"}
        text = script.format(**{name: shlex.quote(str(path)) for name, path in paths.items()})
        node.prefix = ("unshare", "--mount", "sh", "-c", text, "sh")
        return node

    return prepare


@pytest.mark.attack("crash-safe")
@pytest.mark.mount
@pytest.mark.parametrize(
    ("script", "code", "words"),
    [(FULL, 18, "no space left"), (READ_ONLY, 19, "make the folder writable")],
    ids=["full disk", "read-only"],
)
def test_a_data_folder_that_cannot_be_written(
    in_place: InPlace, tmp_path: Path, script: str, code: int, words: str
) -> None:
    node = in_place(script)
    before = ledger(node)
    for command in (["watch", "-r", "wanted.txt"], ["run", "-p", "other"]):
        refused(node.run(*command), code, words)
        assert (tmp_path / "after.db").read_bytes() == before
        shutil.rmtree(tmp_path / "kept", ignore_errors=True)


@pytest.mark.attack("crash-safe")
@pytest.mark.mount
def test_a_new_node_on_a_read_only_folder(in_place: InPlace) -> None:
    node = in_place(READ_ONLY)
    (node.data / "node.key").unlink()
    refused(node.run("node", "init"), 19, "node.key")
    assert not (node.data / "node.key").exists()


def test_a_file_where_the_data_folder_should_be(program: Program) -> None:
    program.data.write_text("mine")
    refused(program.run_in_process("publish"), 19, f"{program.data} is a file where a folder is needed", "move it away")
    assert program.data.read_text() == "mine"
