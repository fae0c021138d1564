"""`ppp queue`: what is next, and where a package stands and why."""

import json
import sys
from pathlib import Path

import pytest
from known_downloads import know_downloads

from ppp.cli import main
from ppp.ledger.queue import QueueFilter
from ppp.ledger.queue_order import DAY_S, prepare
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.ledger.store import Store
from ppp.mesh.node import KEY_MODE, KEY_NAME, NodeKey
from ppp.model.errors import ConfigError
from ppp.model.matrix import Cell
from ppp.model.queue_policy import QueuePolicy
from ppp.model.release import Release
from ppp.watch.shares import owners

NOW = 1_700_000_000
WHERE = ("py312-slim", "py39-alpine")


def cells(package: str, version: str = "1.0") -> list[Cell]:
    return [Cell(release=Release(package=package, version=version), environment=environment) for environment in WHERE]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["ppp", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0


@pytest.fixture
def arguments(tmp_path: Path, store: Store) -> tuple[str, ...]:
    """The options of a node with a queue of every class; three releases of one publisher more than its share."""
    know_downloads(store, "2027-01", {"numpy": 250_000_000})
    store.queue.enqueue(cells("old"), source="journal", now=NOW - 15 * DAY_S)
    store.queue.enqueue([cell for n in range(4) for cell in cells(f"bulk-{n}")], source="journal", now=NOW - 20)
    store.queue.enqueue(cells("numpy"), source="journal", now=NOW - 10)
    store.queue.enqueue(cells("six"), source="watchlist", now=NOW)
    store.queue.enqueue(cells("idna"), source="named", now=NOW)
    prepare(store.db, store.path, QueuePolicy(), now=NOW)
    return "--data", str(tmp_path / "data")


def test_what_is_next_is_shown_in_order_with_the_reason(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "queue", *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "14 cells are queued, in the order asked, watchlist, turn, downloads, risk, age"
    assert lines[1:7] == [
        f"  {environment}: {count}"
        for environment in WHERE
        for count in ("1 asked for by a person", "5 that nobody asked for", "1 of the watchlist")
    ]
    assert lines[8] == "  1. idna==1.0 in py312-slim: a person asked for it"
    assert lines[10] == "  3. six==1.0 in py312-slim: of the watchlist"
    assert lines[12] == "  5. numpy==1.0 in py312-slim: source journal, turn 1 of numpy, 250,000,000 downloads"
    bulk = "turn 2 of packages whose name begins with bulk, downloads unknown"
    assert lines[20] == f"  13. bulk-3==1.0 in py312-slim: source journal, {bulk}"
    assert lines[22:] == ["2 cells were dropped because they waited for more than 14 days"]


def test_the_json_has_what_leasing_takes(
    arguments: tuple[str, ...], store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "queue", "--json", *arguments)
    found = json.loads(capsys.readouterr().out)
    leased = store.queue.lease(QueueFilter(environments=WHERE), run="run", limit=100, until=NOW + 9, now=NOW)
    assert [(row["package"], row["environment"]) for row in found["next"]] == [
        (queued.cell.release.package, queued.cell.environment) for queued in leased
    ]
    assert found["policy"] == QueuePolicy().to_json()
    assert found["expired"] == 2
    assert sum(row["cells"] for row in found["counts"]) == len(leased)
    run(monkeypatch, "status", "--json", *arguments)
    state = json.loads(capsys.readouterr().out)
    assert state["due"] + sum(row["cells"] for row in state["waiting"]) == len(leased)


def test_each_part_of_a_place_is_explained(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "queue", "--why", "Bulk_3", *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:7] == [
        "bulk-3==1.0 in py312-slim: number 7 there, source journal",
        "  asked: no person asked for it: 1 cell before it because of that",
        "  watchlist: it is not of the watchlist: 1 cell before it because of that",
        "  turn: turn 2 of packages whose name begins with bulk, of 3 releases each: 4 cells before it because of that",
        "  downloads: downloads unknown: 0 cells before it because of that",
        "  risk: no release of the package is on record there: 0 cells before it because of that",
        "  age: queued 2023-11-14 22:13 UTC: 0 cells before it because of that",
    ]
    run(monkeypatch, "queue", "--why", "bulk-1", *arguments)
    assert "  1 cell before it: equal in all of this, and earlier by name" in capsys.readouterr().out.splitlines()


def test_positions_are_the_order_of_each_environment(
    arguments: tuple[str, ...], store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Read through the command, because it is its promise.
    positions = {}
    for package in ("idna", "six", "numpy", "bulk-0", "bulk-1", "bulk-2", "bulk-3"):
        run(monkeypatch, "queue", "--why", package, "--json", *arguments)
        for row in json.loads(capsys.readouterr().out)["cells"]:
            positions[row["environment"], row["position"]] = package
            assert row["position"] > row["fewer_attempts"] + sum(part["before"] for part in row["parts"])
    for environment in WHERE:
        leased = store.queue.lease(QueueFilter(environments=[environment]), run="run", limit=99, until=NOW + 9, now=NOW)
        assert [positions[environment, n] for n in range(1, 8)] == [queued.cell.release.package for queued in leased]


def test_cells_that_cannot_be_taken_now_say_so(
    arguments: tuple[str, ...], store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.queue.lease(QueueFilter(environments=WHERE[:1]), run="run", limit=1, until=NOW + 60, now=NOW)
    store.db.execute("UPDATE queue SET attempts = 1, not_before = ? WHERE package = 'six'", (NOW + 120,))
    store.db.execute("UPDATE queue SET attempts = ? WHERE package = 'numpy'", (MAX_ATTEMPTS,))
    for package, words in (
        ("idna", "a run has it until 2023-11-14 22:14 UTC at most"),
        ("six", "not before 2023-11-14 22:15 UTC, because it ended in an error"),
        ("numpy", "ended in an error 3 times and is not tried again (to try it again, name it: -p numpy==1.0)"),
        ("old", "old 1.0 was skipped in py312-slim: expired (waited for more than 14 days)"),
        ("unknown", "nothing of unknown is queued: `ppp run --package unknown` checks it"),
    ):
        run(monkeypatch, "queue", "--why", package, *arguments)
        assert words in capsys.readouterr().out, package


def test_of_nodes_that_share_the_work_each_is_shown_its_own_and_who_has_the_rest(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key, other = NodeKey.from_seed(b"\1" * 32), "ab" * 32
    (file := Path(arguments[1]) / KEY_NAME).write_text("01" * 32 + "\n")
    file.chmod(KEY_MODE)
    monkeypatch.setenv("PPP_SHARE_NODES", f"{key.id} {other.upper()}")
    packages = ("idna", "six", "numpy", "bulk-0", "bulk-1", "bulk-2", "bulk-3")
    owner = {package: owners((key.id, other), package, "1.0")[0] for package in packages}
    assert {*owner.values()} == {key.id, other}
    run(monkeypatch, "queue", "--json", *arguments)
    found = json.loads(capsys.readouterr().out)
    # What a person asked for is in every share.
    mine = {package for package in packages if owner[package] == key.id} | {"idna"}
    assert {row["package"] for row in found["next"]} == mine
    assert sum(row["elsewhere"] for row in found["counts"]) == len(WHERE) * (len(packages) - len(mine))
    run(monkeypatch, "status", "--json", *arguments)
    state = json.loads(capsys.readouterr().out)
    assert [row["cells"] for row in state["waiting"] if "PPP_SHARE_NODES" in row["why"]] == [7 - len(mine)] * len(WHERE)
    for package in packages:
        run(monkeypatch, "queue", "--why", package, *arguments)
        line = f"  left to {other} (PPP_SHARE_NODES)"
        assert capsys.readouterr().out.splitlines().count(line) == (0 if package in mine else len(WHERE))
        run(monkeypatch, "queue", "--why", package, "--json", *arguments)
        (checked_by,) = {tuple(row["checked_by"]) for row in json.loads(capsys.readouterr().out)["cells"]}
        assert checked_by == ((key.id,) if package in mine else (other,))


def test_a_share_without_this_node_is_an_error(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PPP_SHARE_NODES", "ab" * 32)
    for command in ("queue", "status"):
        monkeypatch.setattr(sys, "argv", ["ppp", command, *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert ended.value.code == ConfigError.exit_code
        assert "PPP_SHARE_NODES does not name this node, which has no key yet" in capsys.readouterr().err
