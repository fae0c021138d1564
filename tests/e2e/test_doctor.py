"""`ppp doctor`: on this machine as it is, then with one thing after another really broken. It changes nothing."""

import json
import os
import shlex
import socket
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, host_environment, matrix_toml, tiny_matrix
from local_index import LocalIndex, reply
from program import CompletedCommand, Program

from ppp.ledger.lock import writer_lock
from ppp.ledger.store import Store
from ppp.mesh.node import create_key
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Environment, Platform

UNHEALTHY_EXIT_CODE: Final = 36
NOWHERE: Final = Environment(
    id="py311-alpine", python="3.11", platform=Platform.ALPINE, image="registry.example/none:3.11"
)
#: The content of the file that the index has for pip: the doctor fetches it, and nothing runs it.
PIP: Final = b"pip"
Diagnoses = Mapping[str, Mapping[str, str]]


def doctor_matrix(*environments: Environment) -> str:
    """Return the text of a matrix whose pinned pip is the one of the index."""
    matrix = tiny_matrix(*environments)
    return matrix_toml(replace(matrix, pip=replace(matrix.pip, sha256=sha256_hex(PIP))))


def diagnoses(done: CompletedCommand) -> Diagnoses:
    """Return the worst diagnosis of each subject."""
    assert done.code in {0, UNHEALTHY_EXIT_CODE}, done
    found = json.loads(done.out)
    assert found["healthy"] is (done.code == 0)
    order = ["ok", "note", "warn", "broken"]
    return {row["check"]: row for row in sorted(found["checks"], key=lambda row: order.index(row["state"]))}


def states(found: Diagnoses) -> dict[str, str]:
    return {subject: row["state"] for subject, row in found.items()}


def text(row: Mapping[str, str]) -> str:
    return f"{row['found']} {row['remedy']}"


@pytest.fixture
def node(program: Program, local: LocalIndex) -> Program:
    """A node that has run: an index with the pinned pip, a ledger, a key."""
    local.add_file("pip", f"pip-{tiny_matrix().pip.version}-py3-none-any.whl", PIP)
    program.matrix.write_text(doctor_matrix(host_environment()))
    with Store.open(program.data):
        create_key(program.data)
    program.settings |= {
        "PPP_CONTACT": "operator@node.example",
        "PPP_NETWORK": "gateway",
        "PPP_NGINX_IMAGE": "registry.example/nginx:none",
    }
    return program


@pytest.fixture(name="before")
def _before(node: Program) -> dict[str, str]:
    """The states of the machine that runs the tests."""
    return states(diagnoses(node.run_in_process("doctor", "--json")))


def changed(before: Mapping[str, str], after: Diagnoses) -> dict[str, str]:
    """Return the states that differ from those before."""
    return {subject: state for subject, state in states(after).items() if before.get(subject) != state}


# ---------------------------------------------------------------- as it is


@pytest.mark.docker
@pytest.mark.nginx
def test_a_healthy_machine(node: Program) -> None:
    node.matrix.write_text(doctor_matrix(SLIM))
    done = node.run_in_process("doctor", "--json")
    found = diagnoses(done)
    assert [row for row in found.values() if row["state"] == "broken"] == []
    assert (done.code, done.err) == (0, "")
    for subject in ("settings", "docker", "dns", "index", "clock", "gateway", "disk", "memory", "ledger", "key"):
        assert found[subject]["state"] == "ok", found[subject]
    assert found["py312-slim"]["state"] in {"ok", "note"}
    assert "Python 3.12." in found["py312-slim"]["found"]


def test_the_report_fits_a_narrow_terminal(node: Program) -> None:
    done = node.run_in_process("doctor")
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.out
    subjects = [line.split()[2] for line in lines if line[:1] in "✓·!✗" and line]
    assert {"settings", "docker", node.environment, "index", "ledger", "yggdrasil"} <= set(subjects)
    assert lines[-1].startswith(f"{len(subjects)} checks: ")


def test_it_changes_nothing(node: Program) -> None:
    def files() -> dict[str, tuple[int, bytes]]:
        paths = [path for path in node.data.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}

    before = files()
    node.run_in_process("doctor")
    assert files() == before
    node.settings["PPP_DATA"] = "elsewhere"
    node.run_in_process("doctor", "--data", str(node.data.with_name("nowhere")))
    assert not node.data.with_name("nowhere").exists()


def test_an_unknown_environment(node: Program) -> None:
    done = node.run_in_process("doctor", "py27-slim")
    assert (done.code, done.out) == (12, "")
    assert "py27-slim" in done.err


# ---------------------------------------------------------------- Docker


def test_a_dead_socket(node: Program, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "docker.sock"))
    node.settings["DOCKER_HOST"] = f"unix://{tmp_path}/docker.sock"
    done = node.run_in_process("doctor", "--json")
    assert done.code == UNHEALTHY_EXIT_CODE
    assert done.err.startswith("ppp: broken: docker (follow the advice beside each")
    row = diagnoses(done)["docker"]
    assert (row["state"], "does not listen" in row["found"], "DOCKER_HOST" in row["remedy"]) == ("broken", True, True)
    node.matrix.write_text(doctor_matrix(SLIM))
    found = diagnoses(node.run_in_process("doctor", "--json", "py312-slim"))
    assert "no Docker engine answers" in found["py312-slim"]["found"]


@pytest.mark.docker
def test_a_missing_image(node: Program) -> None:
    node.matrix.write_text(doctor_matrix(SLIM, NOWHERE))
    found = diagnoses(node.run_in_process("doctor", "--json"))
    row = found["py311-alpine"]
    assert (row["state"], found["py312-slim"]["state"] != "broken") == ("broken", True)
    assert "cannot be pulled" in row["found"]
    assert "docker pull registry.example/none:3.11" in row["remedy"]
    assert diagnoses(node.run_in_process("doctor", "--json", "py312-slim")).keys().isdisjoint({"py311-alpine"})


# ---------------------------------------------------------------- disks and programs

HIDE: Final = 'for place in {places}; do if [ -e "$place" ]; then mount --bind /dev/null "$place"; fi; done; exec "$@"'
FULL: Final = """
cp -a {data} {kept} && mount -t tmpfs -o size=1m none {data} && cp -a {kept}/. {data}
dd if=/dev/zero of={data}/filler bs=4k 2>/dev/null
exec "$@"
"""
READ_ONLY: Final = 'mount --bind {data} {data} && mount -o remount,ro,bind {data} && exec "$@"'


def in_place(node: Program, script: str, tmp_path: Path) -> CompletedCommand:
    paths = {"data": node.data, "kept": tmp_path / "kept"}
    filled = script.format(**{name: shlex.quote(str(path)) for name, path in paths.items()})
    node.prefix = ("unshare", "--mount", "sh", "-c", filled, "sh")
    return node.run("doctor", "--json")


@pytest.mark.mount
def test_a_full_disk(node: Program, tmp_path: Path, before: Mapping[str, str]) -> None:
    found = diagnoses(in_place(node, FULL, tmp_path))
    assert changed(before, found) == {"disk": "broken"}
    assert "the ledger and pages" in found["disk"]["found"]
    assert "free some space" in found["disk"]["remedy"]


@pytest.mark.mount
def test_read_only_data(node: Program, tmp_path: Path, before: Mapping[str, str]) -> None:
    found = diagnoses(in_place(node, READ_ONLY, tmp_path))
    assert changed(before, found) == {"disk": "broken"}
    assert f"{node.data} cannot be written" in found["disk"]["found"]


@pytest.mark.mount
@pytest.mark.parametrize(
    ("name", "subject", "expected"),
    [
        ("nginx", "gateway", ("broken", "install nginx")),
        ("bwrap", "bubblewrap", ("broken", "install bubblewrap")),
        ("yggdrasil", "yggdrasil", ("note", "does not need it")),
    ],
)
def test_a_missing_program(node: Program, tmp_path: Path, name: str, subject: str, expected: tuple[str, str]) -> None:
    state, words = expected
    folders = [*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin", "/sbin"]
    places = " ".join(shlex.quote(f"{folder}/{name}") for folder in dict.fromkeys(folders))
    found = diagnoses(in_place(node, HIDE.replace("{places}", places), tmp_path))
    assert found[subject]["state"] == state, found[subject]
    assert words in text(found[subject])


# ---------------------------------------------------------------- the way to the index


def test_an_unresolvable_host_name(node: Program, before: Mapping[str, str]) -> None:
    node.settings["PPP_INDEX_URL"] = "https://index.example/simple/"
    found = diagnoses(node.run_in_process("doctor", "--json"))
    assert changed(before, found) == {"dns": "broken", "index": "broken", "clock": "note", "gateway": "warn"}
    assert "index.example cannot be resolved" in found["dns"]["found"]


def test_an_index_that_refuses(node: Program, before: Mapping[str, str]) -> None:
    node.settings["PPP_INDEX_URL"] = "http://127.0.0.1:9/simple/"
    found = diagnoses(node.run_in_process("doctor", "--json"))
    assert changed(before, found) == {"index": "broken", "clock": "note", "gateway": "warn"}
    assert "refuses the connection" in found["index"]["found"]


def test_an_index_that_is_silent(node: Program, local: LocalIndex) -> None:
    go_on = threading.Event()

    def wait(_: BaseHTTPRequestHandler) -> None:
        go_on.wait(50)

    local.set_response("/simple/pip/", wait)
    try:
        found = diagnoses(node.run("doctor", "--json", timeout_s=40))
    finally:
        go_on.set()
    assert "does not answer in time" in found["index"]["found"]


def test_another_clock(node: Program, local: LocalIndex, before: Mapping[str, str]) -> None:
    wheel = f"pip-{tiny_matrix().pip.version}-py3-none-any.whl"
    page = f"<a href='/files/pip/{wheel}#sha256={sha256_hex(PIP)}'>{wheel}</a>"

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response_only(200)
        request.send_header("Date", formatdate(1_000_000_000, usegmt=True))
        request.send_header("Content-Type", "text/html")
        request.send_header("Content-Length", str(len(page)))
        request.end_headers()
        request.wfile.write(page.encode())

    local.set_response("/simple/pip/", send)
    found = diagnoses(node.run_in_process("doctor", "--json"))
    assert changed(before, found) == {"clock": "broken"}
    assert "days ahead of the index's" in found["clock"]["found"]


def test_a_page_with_terminal_control_sequences(node: Program, local: LocalIndex) -> None:
    local.set_response("/simple/pip/", reply(b"x", headers={"Content-Type": "text/\x1b[31mred"}))
    done = node.run_in_process("doctor")
    assert done.code == UNHEALTHY_EXIT_CODE
    assert "\x1b" not in done.out + done.err
    assert "[31mred" in " ".join(done.out.split())


# ---------------------------------------------------------------- the node


@pytest.mark.parametrize(
    ("content", "words"), [(b"<html>", "is not a GGUF file"), (b"GGUF\x09\0\0\0", "GGUF version 9")]
)
def test_a_broken_model(node: Program, tmp_path: Path, before: Mapping[str, str], content: bytes, words: str) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    node.settings["PPP_MODEL"] = str(tmp_path / "model.gguf")
    found = diagnoses(node.run_in_process("doctor", "--json"))
    assert changed(before, found) == {"model": "broken"}
    assert words in found["model"]["found"]


def test_invalid_settings(node: Program, before: Mapping[str, str]) -> None:
    node.settings |= {"PPP_MODEL": "/nowhere/model.gguf", "PPP_JOBS": "many"}
    found = diagnoses(node.run_in_process("doctor", "--json"))
    assert changed(before, found) == {"settings": "broken", "model": "broken"}
    assert "PPP_JOBS='many'" in found["settings"]["found"]
    assert "/nowhere/model.gguf cannot be read" in found["model"]["found"]


def damaged(data: Path) -> None:
    with closing(sqlite3.connect(data / "ppp.db")) as db, db:
        many = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        db.execute(f"INSERT INTO packages {many} SELECT 'p' || i FROM n")  # noqa: S608
    with (data / "ppp.db").open("r+b") as file:
        file.seek(-20_000, os.SEEK_END)
        file.write(b"\xa5" * 20_000)


def no_database(data: Path) -> None:
    (data / "ppp.db").write_bytes(b"no database at all, only text\n" * 50)


@pytest.mark.parametrize("damage", [damaged, no_database])
def test_a_damaged_ledger(node: Program, before: Mapping[str, str], damage: Callable[[Path], None]) -> None:
    damage(node.data)
    found = diagnoses(node.run_in_process("doctor", "--json"))
    assert changed(before, found) == {"ledger": "broken"}
    assert "restore it" in found["ledger"]["remedy"]


def test_a_ledger_in_use_is_not_broken(node: Program, before: Mapping[str, str]) -> None:
    with writer_lock(node.data):
        found = diagnoses(node.run_in_process("doctor", "--json"))
    assert changed(before, found) == {"ledger": "note"}
    assert f"process {os.getpid()}" in found["ledger"]["found"]


def test_a_key_readable_by_others(node: Program, before: Mapping[str, str]) -> None:
    (node.data / "node.key").chmod(0o644)
    found = diagnoses(node.run_in_process("doctor", "--json"))
    assert changed(before, found) == {"key": "broken"}
    assert "chmod 600" in found["key"]["remedy"]
