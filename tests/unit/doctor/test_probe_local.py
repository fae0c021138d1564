"""Probing this machine: as it really is, and with small things really broken."""

import fcntl
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ppp.config import load
from ppp.doctor import probe_local
from ppp.doctor.local_machine import LocalMachine
from ppp.ledger.store import Store
from ppp.mesh.node import create_key


def program(folder: Path, name: str, script: str) -> dict[str, str]:
    """Put a program on a PATH that holds nothing else; return the environment variables."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": str(folder)}


# ---------------------------------------------------------------- disk and memory


def test_a_missing_folder_has_the_file_system_of_its_parent(tmp_path: Path) -> None:
    found = probe_local.file_system(tmp_path / "not" / "yet")
    assert (found.path, found.is_folder, found.writable) == (tmp_path, True, True)
    assert 0 < found.free_bytes <= found.total_bytes
    assert not (tmp_path / "not").exists()


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    found = probe_local.file_system(tmp_path / "data" / "cache")
    assert (found.path, found.is_folder) == (tmp_path / "data", False)


@pytest.mark.parametrize(
    ("name", "limit", "total"),
    [
        ("memory.max", "max\n", 8192 * 1024),
        ("memory.max", "4194304\n", 4194304),
        ("memory/memory.limit_in_bytes", "2097152\n", 2097152),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", 8192 * 1024),
        ("nothing", "", 8192 * 1024),
    ],
)
def test_memory_is_what_this_process_may_use(tmp_path: Path, name: str, limit: str, total: int) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:        8192 kB\nMemFree:   100 kB\nMemAvailable:    4096 kB\n")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(limit)
    found = probe_local.memory(tmp_path, tmp_path)
    assert (found.total_bytes, found.available_bytes) == (total, min(total, 4096 * 1024))


def test_the_memory_of_this_machine() -> None:
    found = probe_local.memory()
    assert 0 < found.available_bytes <= found.total_bytes


def test_temporary_files_follow_the_environment() -> None:
    def temporary(environ: dict[str, str]) -> Path:
        return LocalMachine(environ=environ, user_agent="", mesh_port=0).temporary()

    assert temporary({"TMPDIR": "/elsewhere", "TMP": "/other"}) == Path("/elsewhere")
    assert temporary({"TMPDIR": "", "TMP": "/other"}) == Path("/other")
    assert temporary({}).is_dir()


# ---------------------------------------------------------------- programs


def test_no_bubblewrap(tmp_path: Path) -> None:
    assert probe_local.bubblewrap({"PATH": str(tmp_path)}).path is None


def test_a_bubblewrap_without_permission(tmp_path: Path) -> None:
    script = 'case "$1" in --version) echo bubblewrap 0.8.0;; --help) echo "  --size BYTES";;'
    environ = program(tmp_path / "bin", "bwrap", f"{script} *) echo 'bwrap: No permissions' >&2; exit 1;; esac")
    setting = tmp_path / "sys/user/max_user_namespaces"
    setting.parent.mkdir(parents=True)
    setting.write_text("0\n")
    found = probe_local.bubblewrap(environ, proc=tmp_path)
    assert (found.version, found.works, found.supports_size) == ("0.8.0", False, True)
    assert "No permissions" in found.detail
    assert found.sysctl_fixes == ("user.max_user_namespaces=15000",)
    setting.write_text("63000\n")
    assert probe_local.bubblewrap(environ, proc=tmp_path).sysctl_fixes == ()


def test_an_old_bubblewrap(tmp_path: Path) -> None:
    script = 'case "$1" in --version) echo bubblewrap 0.4.1;; --help) echo --tmpfs;;'
    environ = program(tmp_path, "bwrap", f"{script} *) echo 'bwrap: Unknown option --size' >&2; exit 1;; esac")
    found = probe_local.bubblewrap(environ)
    assert (found.version, found.works, found.supports_size) == ("0.4.1", False, False)


def test_the_python_that_runs_the_tests() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = probe_local.python(version, {**os.environ, "PATH": str(Path(sys.base_prefix) / "bin")})
    assert found
    assert found.version.startswith(f"{version}.")


@pytest.mark.parametrize("script", ["echo 3.10.1", "exit 1", "echo 3.12", "echo 13.12.1"])
def test_a_program_named_python_that_is_not_python(tmp_path: Path, script: str) -> None:
    environ = program(tmp_path, "python3.12", script) | {"HOME": str(tmp_path)}
    assert probe_local.python("3.12", environ) is None
    assert probe_local.python("3.12", program(tmp_path, "python3.12", "echo 3.12.1") | {"HOME": str(tmp_path)})


def test_a_model_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(92))
    found = probe_local.model(path, os.environ)
    assert (found.magic, found.version, found.size, found.problem) == (b"GGUF", 3, 100, "")
    path.write_bytes(b"<h")
    assert probe_local.model(path, os.environ).magic == b"<h"
    assert probe_local.model(tmp_path / "none", os.environ).problem == "No such file or directory"


def test_a_library_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "llama_cpp.py").write_text("raise RuntimeError('built for another machine')\n")
    (tmp_path / "model.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    found = probe_local.model(tmp_path / "model.gguf", {**os.environ, "PYTHONPATH": str(tmp_path)})
    assert found.library_problem == "RuntimeError: built for another machine"


# ---------------------------------------------------------------- the mesh


TABLE = """\
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
02001db8000000000000000000000001 07 07 00 80     tun0
03001db8000000000000000000000001 07 40 00 80     tun0
04001db8000000000000000000000001 07 07 00 80     tun1
"""


def test_addresses_of_the_mesh() -> None:
    # A node's address is in 200::/8; the subnet that it may route is in 300::/8.
    assert probe_local.mesh_addresses(TABLE) == ["200:1db8::1", "300:1db8::1"]
    assert probe_local.mesh_addresses("") == []


@pytest.mark.parametrize(
    ("settings", "missing"),
    [({}, "espeak-ng is not installed"), ({"PPP_SPEECH": "piper"}, "piper or a voice for it is not installed")],
)
def test_no_program_for_speech(tmp_path: Path, settings: dict[str, str], missing: str) -> None:
    found = probe_local.sound(load(settings, data=tmp_path), {"PATH": str(tmp_path)})
    assert found.missing.startswith(missing)
    assert (found.programs, found.problem) == ((), "")


def test_programs_for_sound(tmp_path: Path) -> None:
    program(tmp_path, "espeak-ng", "echo 'eSpeak NG text-to-speech: 1.51  Data at: /nowhere'")
    environ = program(tmp_path, "ffmpeg", "echo 'ffmpeg version 5.1.4-0 Copyright (c) somebody'")
    assert probe_local.sound(load({}, data=tmp_path), environ).programs == ("espeak-ng 1.51", "ffmpeg 5.1.4-0")
    program(tmp_path, "ffmpeg", "echo cannot open shared object file >&2; exit 127")
    found = probe_local.sound(load({}, data=tmp_path), environ)
    assert found.problem.endswith("ffmpeg ended with 127: cannot open shared object file"), "no advice for a render"
    assert (found.programs, found.missing) == ((), "")


def test_a_daemon(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/if_inet6").write_text("")
    for pid, command in (("17", "init"), ("self", "yggdrasil"), ("99", "yggdrasil")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(f"{command}\n")
    environ = program(tmp_path / "bin", "yggdrasil", "exit 1")
    found = probe_local.yggdrasil(environ, port=1, proc=tmp_path, sbin_folders="")
    assert (found.program, found.running, found.addresses) == (str(tmp_path / "bin/yggdrasil"), True, ())
    (tmp_path / "99/comm").unlink()
    found = probe_local.yggdrasil({"PATH": str(tmp_path)}, port=1, proc=tmp_path, sbin_folders="")
    assert (found.program, found.running) == (None, False)


OLD_USAGE = "Usage of yggdrasil:\n  -address\n  -genconf\n"
NEW_USAGE = f"{OLD_USAGE}  -exportkey\n"
KEY = "804a3d180714ec946de6431e4893fb1fd155113cb6706316fb3eab8bcf3cebf1"


@pytest.mark.parametrize(("usage", "is_old"), [(OLD_USAGE, True), (NEW_USAGE, False)])
def test_a_daemon_that_cannot_join_the_network(tmp_path: Path, usage: str, *, is_old: bool) -> None:
    environ = program(tmp_path, "yggdrasil", f"echo '{usage}' >&2; exit 2")
    assert probe_local.yggdrasil(environ, port=1, proc=tmp_path, sbin_folders="").is_old == is_old


@pytest.mark.parametrize(
    ("script", "mistake"),
    [
        (f"""echo '{{"key": "{KEY}", "address": "200:ff6b:85cf:f1d6:26d7:2433:79c3:6ed8"}}'""", ""),
        (f"""echo '{{"key": "{KEY}", "address": "200::1"}}'""", "its daemon says 200::1, but the address of its key"),
        ("echo what", "yggdrasilctl gave no key and address"),
        ("echo permission denied; exit 1", ""),
    ],
)
def test_the_address_of_a_daemon_is_compared_with_its_key(tmp_path: Path, script: str, mistake: str) -> None:
    (tmp_path / "99").mkdir()
    (tmp_path / "99/comm").write_text("yggdrasil\n")
    program(tmp_path, "yggdrasil", f"echo '{NEW_USAGE}'")
    environ = program(tmp_path, "yggdrasilctl", script)
    found = probe_local.yggdrasil(environ, port=1, proc=tmp_path, sbin_folders="").mistake
    assert found.startswith(mistake)
    assert bool(found) == bool(mistake)


def test_a_machine_without_ipv6(tmp_path: Path) -> None:
    assert probe_local.yggdrasil({}, port=1, proc=tmp_path, sbin_folders="").addresses == ()


# ---------------------------------------------------------------- the ledger and its lock


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with an empty ledger that no process has open."""
    with Store.open(tmp_path / "data"):
        return tmp_path / "data"


def test_an_intact_ledger(data: Path) -> None:
    before = (data / "ppp.db").read_bytes()
    found = probe_local.ledger(data)
    assert (found.exists, found.integrity, found.records, found.lock_holder, found.problem) == (True, "ok", 0, None, "")
    assert found.size == len(before)
    assert [path.name for path in data.iterdir()] == ["ppp.db"]
    assert (data / "ppp.db").read_bytes() == before


def test_no_ledger(tmp_path: Path) -> None:
    assert not probe_local.ledger(tmp_path / "nowhere").exists
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_ledger(data: Path) -> None:
    with (data / "ppp.db").open("r+b") as file:
        # Not in the first pages, which hold the schema: without that it would not be recognized as a ledger.
        file.seek(-40_960, os.SEEK_END)
        file.write(b"\xa5" * 40_960)
    found = probe_local.ledger(data)
    assert found.integrity not in {"ok", ""} or found.problem


def test_a_ledger_that_is_text(data: Path) -> None:
    (data / "ppp.db").write_bytes(b"no database at all, only text\n" * 50)
    assert "cannot be read" in probe_local.ledger(data).problem


def test_a_ledger_of_a_newer_ppp(data: Path) -> None:
    with closing(sqlite3.connect(data / "ppp.db")) as db, db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('ppp', 'm999_rebuilt', '2099')"
        )
    found = probe_local.ledger(data)
    assert "m999_rebuilt" in found.problem
    assert "upgrade PPP" in found.remedy


def test_a_journal_is_left_alone(data: Path) -> None:
    (data / "ppp.db-journal").write_bytes(b"half a commit")
    found = probe_local.ledger(data)
    assert (found.has_journal, found.integrity, found.problem) == (True, "", "")
    assert (data / "ppp.db-journal").read_bytes() == b"half a commit"


def test_a_ledger_too_large_for_a_quick_check(data: Path) -> None:
    with closing(sqlite3.connect(data / "ppp.db")) as db, db:
        many = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50000)"
        db.execute(f"INSERT INTO packages {many} SELECT 'p' || i FROM n")  # noqa: S608
    assert probe_local.ledger(data, timeout_s=-1).integrity == ""
    assert probe_local.ledger(data).integrity == "ok"


def test_the_lock_holder_is_found_without_taking_the_lock(tmp_path: Path) -> None:
    lock, kernel = tmp_path / ".lock", Path("/proc/locks")
    assert probe_local.find_lock_holder(lock, kernel) is None
    lock.write_text(f"{os.getpid()}\n")
    assert probe_local.find_lock_holder(lock, kernel) is None
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert probe_local.find_lock_holder(lock, kernel) == str(os.getpid())
    assert probe_local.find_lock_holder(lock, kernel) is None


def test_a_lock_of_another_namespace_or_file_system(tmp_path: Path) -> None:
    lock, table = tmp_path / ".lock", tmp_path / "locks"
    lock.write_text("4711\n")
    row = f"1: FLOCK  ADVISORY  WRITE {{}} fe:00:{lock.stat().st_ino} 0 EOF\n"
    table.write_text(row.format(0))
    assert probe_local.find_lock_holder(lock, table) == "4711"
    table.write_text(row.format(12))
    assert probe_local.find_lock_holder(lock, table) is None
    table.write_text(row.format(4711).replace("FLOCK", "POSIX"))
    assert probe_local.find_lock_holder(lock, table) is None


def test_a_key(tmp_path: Path) -> None:
    assert not probe_local.key(tmp_path).exists
    made = create_key(tmp_path)
    assert probe_local.key(tmp_path).id == made.id
    (tmp_path / "node.key").chmod(0o644)
    found = probe_local.key(tmp_path)
    assert (found.exists, found.id) == (True, "")
    assert "chmod 600" in found.remedy
