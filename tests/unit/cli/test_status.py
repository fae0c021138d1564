"""`ppp status`: what is queued, and what cannot be checked here."""

import json
import sys
from pathlib import Path

import pytest
from cell_environments import matrix_toml, tiny_matrix

from ppp.cli import main
from ppp.ledger.store import Store
from ppp.model.matrix import Cell, Environment, Platform
from ppp.model.release import Release

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = Environment(id=f"py{OWN.replace('.', '')}-host", python=OWN, platform=Platform.HOST)
ABSENT = Environment(id="py399-host", python="3.99", platform=Platform.HOST)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ppp", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def arguments(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The options of a node with cells for a Python that is here, one that is not, and one of no matrix."""
    release = Release(package="six", version="1.17.0")
    ids = (HERE.id, ABSENT.id, "py398-slim")
    store.queue.enqueue([Cell(release=release, environment=id_) for id_ in ids], source="feed", now=1)
    (matrix := tmp_path / "matrix.toml").write_text(matrix_toml(tiny_matrix(HERE, ABSENT)))
    monkeypatch.setenv("PATH", f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin")
    return "--matrix", str(matrix), "--data", str(tmp_path / "data")


def test_status_tells_what_is_queued_from_what_cannot_be_checked(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "status", *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "1 cells are queued",
        "1 cell of py398-slim cannot be checked now",
        "1 cell of py399-host cannot be checked now",
    ]
    assert "no shipped matrix has that environment (run with the matrix that has it (--matrix))" in lines[1]
    assert "no working Python 3.99 on this machine (provide a Python 3.99 that works here; `ppp doctor" in lines[2]
    assert run(monkeypatch, "status", "--json", *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["due"], found["pending"]) == (1, {})
    assert [row["environment"] for row in found["waiting"]] == ["py398-slim", "py399-host"]


def test_without_results_show_says_what_to_do(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "show", *arguments[2:]) == 0
    assert capsys.readouterr().out.startswith("the ledger holds no result yet: `ppp run` checks releases")
    assert run(monkeypatch, "show", "--json", *arguments[2:]) == 0
    assert json.loads(capsys.readouterr().out)["results"] == []


def test_without_the_gateway_cells_of_the_feed_wait(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PPP_NETWORK", "open")
    assert run(monkeypatch, "status", *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "0 cells are queued: `ppp run` checks them"
    assert any(f"of {HERE.id} cannot be checked now: releases of the open feed run only behind" in x for x in lines)
