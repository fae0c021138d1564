"""`ppp downloads`: import a file, show what is known."""

import json
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ppp.cli import main
from ppp.ledger.schema import read_ledger


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str, code: int = 0) -> None:
    monkeypatch.setattr(sys, "argv", ["ppp", "downloads", *arguments, "--data", str(tmp_path / "data")])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == code


def test_a_file_is_imported_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "top.json"
    file.write_text('{"last_update": "2026-11-01 08:00:00", "rows": [{"project": "boto3", "download_count": 1234567}]}')
    run(monkeypatch, tmp_path, "import", str(file))
    assert capsys.readouterr().out.startswith("imported 1 rows for 2026-10-02/2026-11-01")
    with closing(read_ledger(tmp_path / "data")) as db:
        assert db.execute("SELECT source FROM download_sources").fetchall() == [("top.json",)]
    run(monkeypatch, tmp_path, "import", str(file), "--source", "an example\n, CC0", "--period", "2026-10")
    assert capsys.readouterr().out.startswith("imported 1 rows for 2026-10:")
    with closing(read_ledger(tmp_path / "data")) as db:
        rows = db.execute("SELECT period, source FROM download_sources ORDER BY period").fetchall()
        assert rows == [("2026-10", "an example?, CC0"), ("2026-10-02/2026-11-01", "top.json")]
    run(monkeypatch, tmp_path, "show")
    assert capsys.readouterr().out == "boto3: 1,234,567 downloads in 2026-10-02/2026-11-01\n"
    run(monkeypatch, tmp_path, "show", "Boto3", "--json")
    assert json.loads(capsys.readouterr().out)[0]["downloads"] == 1_234_567


def test_a_file_that_is_none_leaves_no_ledger_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, tmp_path, "import", str(tmp_path / "missing.json"), code=37)
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
