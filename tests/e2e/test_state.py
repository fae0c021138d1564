"""A node on machines that keep nothing: run, save, and go on elsewhere as if nothing had happened."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from browser_tools import serve_folder
from cell_environments import FetchedPip
from local_index import LocalIndex, reply
from program import Program, wait_until
from projects import all_projects
from saved_states import OWN, content, rich_ledger

from ppp.ledger.schema import LEDGER_NAME
from ppp.model.errors import InvalidFileError, RejectedDataError, StateError
from ppp.model.record import Record

MakeRecord = Callable[..., Record]

NODE_KEY: Final = bytes([1] * 32).hex()
WATCHED: Final = ("passes", "raises")


@pytest.mark.online
def test_a_night_goes_on_where_another_machine_stopped(
    program: Program, local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path
) -> None:
    local.add_pip(pinned_pip.wheel)
    local.add(*(project for project in all_projects() if project.name in WATCHED))
    (tmp_path / "watched.txt").write_text("\n".join(WATCHED))
    program.settings["PPP_NODE_KEY"] = NODE_KEY
    program.run_ok("run", "--watchlist", "watched.txt")
    state = str(tmp_path / "state")
    program.run_in_process_ok("state", "save", state)
    assert not (program.data / "node.key").exists()

    second = replace(program, data=tmp_path / "second", settings=dict(program.settings))
    second.run_in_process_ok("restore", state)
    second.run_in_process_ok("publish")
    first, again = program.public_files(), second.public_files()
    assert again["current.json"] == first["current.json"]
    assert [path for path in first if again.get(path) != first[path]] == []
    assert "unchanged" in second.run_in_process_ok("state", "save", state)

    done = second.run_ok("run", "--watchlist", "watched.txt")
    assert "checked 0 cells" in done, "nothing is checked twice"
    second.run_ok("run", "--package", "passes", "--again")
    published = second.public_files()
    statement = json.loads(published["statement.json"])["signed"]
    before = json.loads(first["statement.json"])["signed"]
    assert (statement["node"], statement["sequence"]) == (OWN.id, before["sequence"] + 1)
    (digest,) = second.query("SELECT digest FROM statements WHERE sequence = ?", str(before["sequence"]))
    assert statement["previous"] == digest[0]
    # The first machine is behind now: it can neither overwrite the state, nor be set back by the old one.
    second.run_in_process_ok("state", "save", state)
    assert program.run_in_process("state", "save", state).code == StateError.exit_code
    program.run_in_process_ok("restore", state)
    assert content(program.data) == content(second.data)


def test_the_commands_say_what_is_wrong_by_their_exit_codes(
    program: Program, tmp_path: Path, record: MakeRecord
) -> None:
    rich_ledger(program.data, record)
    program.settings["PPP_NODE_KEY"] = NODE_KEY
    state, snapshot = tmp_path / "state", tmp_path / "node-2026-11.db.gz"
    assert program.run_in_process("restore", str(state)).code == InvalidFileError.exit_code
    saved = json.loads(program.run_in_process_ok("state", "save", str(state), "--snapshot", str(snapshot), "--json"))
    shown = json.loads(program.run_in_process_ok("state", "show", str(state), "--json"))
    assert saved["snapshot"] == shown["snapshot"]
    assert (shown["snapshot"]["file"], shown["batches"], saved["changed"]) == (snapshot.name, 0, True)

    other = replace(program, data=tmp_path / "other", settings=dict(program.settings))
    missing = other.run_in_process("restore", str(state))
    assert (missing.code, snapshot.name in missing.err) == (InvalidFileError.exit_code, True)
    with LocalIndex() as release:
        release.set_response("/assets/node-2026-11.db.gz", reply(snapshot.read_bytes()))
        absent = other.run_in_process("restore", str(state), "--snapshot", release.url_of("/elsewhere/"))
        assert absent.code == InvalidFileError.exit_code, absent
        other.run_in_process_ok("restore", str(state), "--snapshot", release.url_of("/assets/"))
    assert content(other.data) == content(program.data)

    stranger = replace(other, settings={**other.settings, "PPP_NODE_KEY": bytes([9] * 32).hex()})
    refused = stranger.run_in_process("restore", str(state), "--snapshot", str(snapshot))
    assert (refused.code, "not of this node" in refused.err) == (StateError.exit_code, True)
    snapshot.write_bytes(snapshot.read_bytes()[:-1])
    assert other.run_in_process("restore", str(state), "--snapshot", str(snapshot)).code == RejectedDataError.exit_code
    assert content(other.data) == content(program.data)


@pytest.mark.attack("crash-safe")
def test_a_restore_that_is_killed_leaves_a_whole_ledger(program: Program, tmp_path: Path, record: MakeRecord) -> None:
    rich_ledger(program.data, record, days=20)
    program.settings["PPP_NODE_KEY"] = NODE_KEY
    state = tmp_path / "state"
    program.run_in_process_ok("state", "save", str(state))
    wanted = content(program.data)
    process = program.start("restore", str(state))
    part = program.data / f".{LEDGER_NAME}.restored"
    wait_until(lambda: part.exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # Before the new file takes the name of the old one, or after it.
    assert content(program.data) == wanted
    program.run_in_process_ok("restore", str(state))
    assert (content(program.data), part.exists()) == (wanted, False)


def test_a_state_that_was_lost_is_noticed_by_what_is_published_and_got_back(
    program: Program, tmp_path: Path, record: MakeRecord
) -> None:
    rich_ledger(program.data, record)
    program.settings["PPP_NODE_KEY"] = NODE_KEY
    lost = replace(program, data=tmp_path / "lost", settings=dict(program.settings))
    assert "PPP_BASE_URL is not set" in lost.run_in_process("state", "check").err
    with serve_folder(program.data / "public") as url:
        for each in (program, lost):
            each.settings["PPP_BASE_URL"] = url
        first = lost.run_in_process("state", "check")
        assert (first.code, "answered 404" in first.err) == (0, True), "a first night goes on"
        program.run_in_process_ok("publish")
        assert json.loads(program.run_in_process_ok("state", "check", "--json"))["added"] == 0
        refused = lost.run_in_process("state", "check")
        assert (refused.code, f"`ppp restore --from {url}/`" in refused.err) == (StateError.exit_code, True), refused

        assert lost.run_in_process("restore").code == 2
        lost.run_in_process_ok("restore", "--from", url)
        assert "nothing is missing" in lost.run_in_process_ok("state", "check")
        own = "SELECT record FROM records WHERE node = ? AND record IN (SELECT record FROM batch_records)"
        assert set(lost.query(own, OWN.id)) == set(program.query(own, OWN.id))
        assert lost.query("SELECT * FROM statements") == program.query("SELECT * FROM statements")

        anew = replace(lost, data=tmp_path / "anew")
        assert json.loads(anew.run_in_process_ok("state", "check", "--begin-anew", "--json"))["added"] > 0
        anew.run_in_process_ok("state", "check")
        assert anew.query("SELECT count(*) FROM records") == [(0,)]
    gone = lost.run_in_process("state", "check")
    assert (gone.code, "continuing without a look" in gone.err) == (0, True)
