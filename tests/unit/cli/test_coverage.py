"""`ppp coverage`: a table and a line that adds up."""

import json
import sys
from pathlib import Path

import journal_rows
import pytest

from ppp.cli import main
from ppp.ledger.journal import Gap, NamedRelease, add_anomaly, add_gap, add_rejects, add_releases, start_cursor
from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.release import Release

NOW = 1_714_003_200


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str, code: int = 0) -> None:
    monkeypatch.setattr(sys, "argv", ["ppp", "coverage", "--data", str(tmp_path / "data"), *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == code


def follow(store: Store, *packages: str) -> None:
    releases = [Release(package=package, version="1.0") for package in packages]
    with store.db.atomic():
        start_cursor(store.db, "index", 10, now=NOW)
        add_releases(store.db, [NamedRelease(release=r, serial=11, announced_at=NOW) for r in releases])
    store.queue.enqueue([Cell(release=r, environment="py39-slim") for r in releases[:2]], source="journal", now=NOW)


def test_where_no_journal_is_followed_nothing_is_claimed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert store.queue.length() == 0
    run(monkeypatch, tmp_path)
    assert capsys.readouterr().out.startswith("no journal is followed here")


def test_the_table_ends_with_a_line_that_adds_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(store, "a", "b", "c")
    with store.db.atomic():
        add_gap(store.db, "feed", Gap(start_at=NOW, end_at=NOW + 600, estimate=12), now=NOW)
        add_rejects(store.db, "index", [(12, "'\x1b[31m' is not a name")], now=NOW)
        add_anomaly(store.db, "index", "backwards", "the last serial is 5, but 11 was read before", now=NOW)
    run(monkeypatch, tmp_path)
    out = capsys.readouterr().out
    assert "named 3 = tested 0 + queued 2 + skipped 0 + lost 1" in out.splitlines()
    assert "2024-04-25        3        0        2        0        1" in out.splitlines()
    assert "0 of them may still gain files; 3 are older than 14 days, so they cannot" in out
    assert "the journal was read from serial 10 to 10" in out
    assert "10 minutes are not covered: about 12 releases, as an estimate" in out
    assert "1 entries named no valid release" in out
    assert "\x1b" not in out
    assert "backwards: the last serial is 5" in out
    assert out.splitlines()[-1] == "  c==1.0"
    run(monkeypatch, tmp_path, "--json")
    answer = json.loads(capsys.readouterr().out)
    assert answer["total"] == {
        "named": 3,
        "tested": 0,
        "queued": 2,
        "skipped": 0,
        "lost": 1,
        "gaps": 1,
        "estimated_lost": 12,
    }
    assert answer["lost"] == ["c==1.0"]


def test_each_interval_and_each_way_of_reading_adds_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for first, last, adapter in ((11, 20, "changelog"), (21, 30, "index"), (31, 40, "changelog")):
        journal_rows.add_interval(store, first, last, at=NOW + first, adapter=adapter)
    for number, serial in enumerate((10, 11, 20, 21, 40, None, 41)):
        journal_rows.name_release(store, f"p{number}", "1.0", serial=serial, at=NOW + number)
        if number % 2:
            journal_rows.queue_release(store, f"p{number}", "1.0")
    journal_rows.add_gap(store, NOW, NOW + 3, 40, filled_at=NOW + 9)
    journal_rows.add_gap(store, NOW + 60, NOW + 90, 7)
    run(monkeypatch, tmp_path, "--intervals", "--json")
    answer = json.loads(capsys.readouterr().out)
    reading = answer["reading"]
    found = [(i["first_serial"], i["adapter"], i["named"], i["queued"], i["lost"]) for i in reading["intervals"]]
    assert found == [(11, "changelog", 2, 1, 1), (21, "index", 1, 1, 0), (31, "changelog", 1, 0, 1)]
    assert {way: (c["named"], c["queued"]) for way, c in reading["by_adapter"].items()} == {
        "changelog": (3, 1),
        "feed": (1, 1),
        "index": (1, 1),
        "other": (2, 0),
    }
    for name in ("named", "tested", "queued", "skipped", "lost"):
        assert sum(counts[name] for counts in reading["by_adapter"].values()) == answer["total"][name]
    assert [(gap["estimate"], gap["named"]) for gap in reading["gaps"]] == [(40, 2), (7, None)]
    run(monkeypatch, tmp_path, "--intervals")
    lines = capsys.readouterr().out.splitlines()
    assert (
        "11-20                   changelog        2        0        1        0        1  2024-04-25 00:00 UTC" in lines
    )
    assert "all                     feed             1        0        1        0        0" in lines
    assert any("filled since: 2 releases were announced then (estimated: 40)" in line for line in lines)
    run(monkeypatch, tmp_path, "--json")
    assert "reading" not in json.loads(capsys.readouterr().out)


def test_a_lost_release_can_be_an_exit_code(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(store, "a", "b")
    run(monkeypatch, tmp_path, "--lost")
    store.db.execute("DELETE FROM queue")
    run(monkeypatch, tmp_path, "--lost", code=1)
    assert "a==1.0" in capsys.readouterr().out
    run(monkeypatch, tmp_path, "--lost", "--since", "2024-04-26")
    out = capsys.readouterr().out
    assert "named 0 = tested 0" in out
    assert "a==1.0" not in out, "only what was announced since then"
