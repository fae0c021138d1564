"""`ppp snapshot` and `ppp verify` as commands."""

import json
import subprocess
from collections.abc import Callable

import pytest
from program import Program
from snapshot_ledgers import sample_observations

from ppp.ledger.store import Store
from ppp.mesh.node import create_key
from ppp.model.record import Record


@pytest.fixture
def node(program: Program, record: Callable[..., Record]) -> Program:
    """The program with two months of its own node's records."""
    key = create_key(program.data)
    with Store.open(program.data) as store, store.db.atomic():
        for made, log in sample_observations(record):
            store.insert_record(Record.from_json(made.to_json() | {"node": key.id}), log)
    return program


def test_a_snapshot_is_taken_published_signed_and_verified(node: Program) -> None:
    output = node.run_ok("snapshot")
    public = node.data / "public"
    assert "wrote snapshots/ppp-2024-04-25.db" in output
    assert "wrote snapshots/window.db.gz" in output
    assert "ppp-2024-03.db" in (public / "data" / "index.html").read_text()
    verified = node.run_ok("verify", str(public))
    assert "INVALID" not in verified
    for name in ("current.json", "files.json", "statement.json", "snapshots/index.json", "snapshots/latest.db"):
        assert f"✓ valid  {public / name}: " in verified
    checked = subprocess.run(
        ["sha256sum", "-c", "latest.db.sha256"], cwd=public / "snapshots", capture_output=True, text=True, check=True
    )
    assert checked.stdout == "latest.db: OK\n"
    root = json.loads((public / "current.json").read_text())["root"]
    assert json.loads((public / "snapshots" / "latest.json").read_text())["root"] == root


def test_a_second_snapshot_says_that_nothing_changed(node: Program) -> None:
    node.run_in_process_ok("snapshot")
    before = node.public_files()
    assert node.run_in_process_ok("snapshot").startswith("nothing changed since the last snapshot")
    assert node.public_files() == before
    answer = json.loads(node.run_in_process_ok("snapshot", "--json"))
    assert answer["written"] == []
    assert answer["latest"]["file"] == "ppp-2024-04-25.db"


def test_settings_limit_the_snapshots(node: Program) -> None:
    node.settings["PPP_WINDOW_MIB"] = "1"
    node.run_in_process_ok("snapshot")
    assert (node.data / "public" / "snapshots" / "window.db").stat().st_size <= 1024 * 1024
    node.settings["PPP_SNAPSHOT_DAYS"] = "none"
    done = node.run_in_process("snapshot")
    assert (done.code, "PPP_SNAPSHOT_DAYS='none' is not a number" in done.err) == (10, True)


def test_an_invalid_file_has_its_own_exit_code(node: Program) -> None:
    node.run_in_process_ok("snapshot")
    window = node.data / "public" / "snapshots" / "window.db"
    window.write_bytes(window.read_bytes() + b"\0")
    done = node.run_in_process("verify", str(window), str(node.data / "ppp.db"))
    assert done.code == 37
    assert f"✗ INVALID  {window}: it has" in done.out
    assert f"✓ valid  {node.data / 'ppp.db'}: a ledger of 168 records" in done.out
    assert done.err.startswith(f"ppp: 1 of 2 are invalid, first {window}")
    answer = node.run_in_process("verify", "--json", str(window))
    (found,) = json.loads(answer.out)
    assert (found["valid"], found["path"], answer.code) == (False, str(window), 37)


def test_wrong_arguments_are_refused(node: Program) -> None:
    for arguments in (("--sha256", "abc", "x"), ("--sha256", "0" * 64, "x", "y"), ("--node", "me", "x"), ()):
        assert node.run_in_process("verify", *arguments).code == 2


def test_an_empty_ledger_has_no_snapshot(program: Program) -> None:
    done = program.run_in_process("snapshot")
    assert (done.code, "has no records" in done.err) == (31, True)
    assert done.err.count("\n") <= 2
