"""A full disk, wherever it is: named as itself, nothing half written, and nobody else's fault."""

import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from cell_environments import FetchedPip, tiny_matrix
from local_index import LocalIndex
from program import CompletedCommand, Program, new_program
from projects import module_project

from ppp.ledger.store import Store
from ppp.mesh.node import create_key
from ppp.model.record import Record

pytestmark = [pytest.mark.mount, pytest.mark.attack("crash-safe")]

DISK_FULL: Final = 18
#: Run a command while a folder is a file system of its own on which so many blocks of 4 kB are free; then look at it.
SCRIPT: Final = """
cp -a {place} {kept} && mount -t tmpfs -o size=24m none {place} && cp -a {kept}/. {place}
dd if=/dev/zero of={place}/filler bs=4k 2>/dev/null
truncate -s -$(({blocks} * 4096)) {place}/filler
export TMPDIR={tmp}
"$@"; code=$?
rm {place}/filler; rm -rf {after}; cp -a {place} {after}; exit $code
"""


class FullDisk:
    """A node with records, and a way to run its commands while one of its folders is full."""

    def __init__(self, node: Program, tmp: Path, index: LocalIndex) -> None:
        self.node = node
        self.index = index
        self._tmp = tmp
        self.after = tmp / "after"

    def folder(self, place: str) -> Path:
        """Return the folder of a place: `data`, one below it, or `tmp` for temporary files."""
        folder = self._tmp / "temporary" if place == "tmp" else self.node.data / (place if place != "data" else "")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run(self, place: str, blocks: int, *arguments: str) -> CompletedCommand:
        """Run a command while a place is full but for so many blocks; `after` is what is in it afterwards."""
        shutil.rmtree(self._tmp / "kept", ignore_errors=True)
        paths = {
            "place": self.folder(place),
            "kept": self._tmp / "kept",
            "after": self.after,
            "tmp": self.folder("tmp"),
        }
        text = SCRIPT.format(blocks=blocks, **{name: shlex.quote(str(path)) for name, path in paths.items()})
        self.node.prefix = ("unshare", "--mount", "sh", "-c", text, "sh")
        return self.node.run(*arguments)

    def arguments(self, command: str) -> tuple[str, ...]:
        """Return the words of a command."""
        return tuple(self.node.environment if word == "HERE" else word for word in COMMANDS[command])


@pytest.fixture(scope="module", name="made")
def _made(record: Callable[..., Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a node with a key and some records."""
    data = tmp_path_factory.mktemp("made") / "data"
    key = create_key(data)
    with Store.open(data) as store, store.db.atomic():
        for number in range(40):
            made = record(f"package-{number}", node=key.id, observed_at=1_714_003_200 + number)
            store.insert_record(made, None)
    return data


@pytest.fixture(name="disk")
def _disk(made: Path, tmp_path: Path) -> Iterator[FullDisk]:
    with LocalIndex() as index, new_program(tmp_path, index) as node:
        shutil.copytree(made, node.data)
        pin = tiny_matrix().pip
        index.add_file("pip", f"pip-{pin.version}-py3-none-any.whl", b"not fetched", sha256=pin.sha256)
        index.add(module_project("known", ""))
        (tmp_path / "wanted.txt").write_text("known\n")
        yield FullDisk(node, tmp_path, index)


def records(ledger: Path) -> list[object]:
    """Return the records in a ledger and its queue; fail if it is damaged. (Publishing may have sealed batches.)"""
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [*db.execute("SELECT * FROM records ORDER BY record"), *db.execute("SELECT * FROM queue ORDER BY 1")]


def assert_named(done: CompletedCommand, folder: Path) -> None:
    """Check that a command says in one line that there is no space left for something in a folder."""
    assert done.code == DISK_FULL, done
    assert done.err.count("\n") == 1, done.err
    assert f"no space left for {folder}" in done.err


COMMANDS: Final = {
    "run": ("run", "-p", "known"),
    "check": ("check", "HERE", "known"),
    "watch": ("watch", "-r", "wanted.txt"),
    "publish": ("publish",),
    "snapshot": ("snapshot",),
    "narrate": ("narrate",),
    "serve": ("serve", "--port", "0"),
    "add": ("peer", "add", "http://node.example/", "--key", "ab" * 32),
}


FULL_DATA: Final = [(command, 0) for command in COMMANDS] + [
    ("publish", 16), ("publish", 64), ("snapshot", 64), ("serve", 16),
]  # fmt: skip


@pytest.mark.parametrize(("command", "blocks"), FULL_DATA)
def test_a_full_data_folder(disk: FullDisk, command: str, blocks: int) -> None:
    before = records(disk.node.data / "ppp.db")
    done = disk.run("data", blocks, *disk.arguments(command))
    assert_named(done, disk.node.data)
    assert records(disk.after / "ppp.db") == before
    left = [path.name for path in disk.after.rglob("*") if path.name.endswith((".part", ".staged"))]
    assert left == []


@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("cache", "run"), ("cache", "publish"), ("cache", "serve"), ("public", "publish"), ("public", "snapshot"),
        ("tmp", "run"), ("tmp", "check"),
    ],
)  # fmt: skip
def test_a_full_folder_that_is_a_disk_of_its_own(disk: FullDisk, place: str, command: str) -> None:
    before = records(disk.node.data / "ppp.db")
    assert_named(disk.run(place, 16, *disk.arguments(command)), disk.folder(place))
    assert records(disk.node.data / "ppp.db") == before
    disk.node.prefix = ()
    if command in {"publish", "snapshot"}:
        disk.node.run_in_process_ok(command)


@pytest.mark.parametrize("command", ["watch", "snapshot"])
def test_no_room_for_temporary_files_stops_nothing_else(disk: FullDisk, command: str) -> None:
    assert disk.run("tmp", 0, *COMMANDS[command]).code == 0


@pytest.mark.parametrize(("place", "command"), [("data", "show"), ("data", "verify"), ("tmp", "doctor")])
def test_reading_needs_no_room(disk: FullDisk, place: str, command: str) -> None:
    words = {"show": ("show",), "verify": ("verify", str(disk.node.data / "ppp.db")), "doctor": ("doctor", "--json")}
    done = disk.run(place, 0, *words[command])
    assert "Traceback" not in done.err
    if command == "doctor":
        assert done.code in {0, 36}, done
        assert str(disk.folder(place)) in done.out
    else:
        assert done.code == 0, done


def test_a_new_key_is_not_left_half_written(disk: FullDisk) -> None:
    (disk.node.data / "node.key").unlink()
    assert_named(disk.run("data", 0, "node", "init"), disk.node.data)
    assert not (disk.after / "node.key").exists()


@pytest.mark.parametrize("arguments", [("show", "--json"), ("show",), ("--help",), ("verify", "ppp.db")])
def test_an_answer_that_cannot_be_written(disk: FullDisk, arguments: tuple[str, ...]) -> None:
    disk.node.prefix = ("sh", "-c", 'exec "$@" >/dev/full', "sh")
    words = [str(disk.node.data / word) if word.endswith(".db") else word for word in arguments]
    done = disk.node.run(*words)
    assert done.code == DISK_FULL, done
    assert done.err.count("\n") == 1, done.err
    assert "no space left" in done.err


def test_standard_error_may_be_full(disk: FullDisk) -> None:
    disk.node.prefix = ("sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    assert disk.node.run("show", "unknown").code != 0


#: Fill a folder as soon as a run uses it.
FILLED_DURING_A_RUN: Final = """
mount -t tmpfs -o size=100m none {place} && cp -a {kept}/. {place}
(for _ in $(seq 3000); do sleep 0.02; [ -z "$(find {place} -maxdepth 2 -name 'nginx*')" ] || break; done
 dd if=/dev/zero of={place}/filler bs=64k 2>/dev/null) >/dev/null &
export TMPDIR={tmp}
"$@"
"""


@pytest.mark.nginx
@pytest.mark.sandbox
@pytest.mark.online
@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("place", ["cache", "tmp"])
def test_a_disk_that_fills_up_during_a_run_is_no_fault_of_the_canary(
    disk: FullDisk, pinned_pip: FetchedPip, place: str
) -> None:
    # A short path, as those of sockets must be.
    with tempfile.TemporaryDirectory(prefix="ppp-full-") as tmp:
        fill_during_a_run(disk, pinned_pip, Path(tmp) if place == "tmp" else disk.folder(place), Path(tmp))


def fill_during_a_run(disk: FullDisk, pinned_pip: FetchedPip, folder: Path, tmp: Path) -> None:
    node, kept = disk.node, disk.node.data.parent / "kept"
    disk.index.add_file("pip", pinned_pip.wheel.name, pinned_pip.wheel.read_bytes())
    cache = disk.folder("cache") if folder == tmp else kept
    kept.mkdir(exist_ok=True)
    shutil.copytree(pinned_pip.folder, cache / pinned_pip.folder.name)
    for name in ("PPP_NETWORK", "PPP_CANARY"):
        del node.settings[name]
    paths = {"place": folder, "kept": kept, "tmp": tmp}
    text = FILLED_DURING_A_RUN.format(**{name: shlex.quote(str(path)) for name, path in paths.items()})
    node.prefix = ("unshare", "--mount", "sh", "-c", text, "sh")
    done = node.run("run", "-p", "known", timeout_s=240)
    assert done.code == DISK_FULL, done
    assert f"no space left for {folder}" in done.err
    assert ("set TMPDIR" in done.err) == (folder == tmp)
    assert "the canary says" not in done.err
    assert "Connection reset" not in done.err
    with closing(sqlite3.connect(node.data / "ppp.db")) as db:
        added = db.execute("SELECT result, cause FROM records WHERE package = 'known'").fetchall()
    assert [row for row in added if row[0] != "ERROR"] == []


#: Limit what this user may write, which no file system shows: only writing fails.
QUOTA: Final = """
mount -t tmpfs -o size=500m,usrquota,usrquota_block_hardlimit=1m none {tmp} || exit 77
export TMPDIR={tmp}
"$@"
"""


@pytest.mark.parametrize("command", ["run", "check", "doctor"])
def test_a_quota_that_is_used_up(disk: FullDisk, command: str) -> None:
    tmp = disk.folder("tmp")
    disk.node.prefix = ("unshare", "--mount", "sh", "-c", QUOTA.format(tmp=shlex.quote(str(tmp))), "sh")
    arguments = ("doctor", "--json") if command == "doctor" else disk.arguments(command)
    done = disk.node.run(*arguments)
    if done.code == 77:
        pytest.skip("this kernel's tmpfs has no quotas")
    if command == "doctor":
        assert f"0 B of 500 MiB free for temporary files (at {tmp})" in done.out
        return
    assert_named(done, tmp)
    assert "quota is used up" in done.err
    assert "set TMPDIR to another folder" in done.err


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(("place", "code"), [("tmp", 19), ("cache", 19)])
def test_a_folder_that_is_read_only(disk: FullDisk, place: str, code: int, command: str) -> None:
    folder = disk.folder(place)
    text = f'mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}; TMPDIR={disk.folder("tmp")} exec "$@"'
    disk.node.prefix = ("unshare", "--mount", "sh", "-c", text, "sh")
    done = disk.node.run(*disk.arguments(command))
    assert done.code == code, done
    assert f"cannot write {folder}" in done.err
    assert "make the folder writable" in done.err


def test_a_limit_of_file_sizes(disk: FullDisk) -> None:
    disk.node.prefix = ("sh", "-c", 'ulimit -f 1000 && exec "$@"', "sh")
    done = disk.node.run(*disk.arguments("run"))
    assert (done.code, done.err.count("\n")) == (19, 1), done
    assert "raise the limit of file sizes" in done.err
