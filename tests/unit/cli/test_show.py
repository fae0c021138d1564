"""`ppp show`: results as a table or as JSON; the logs of one package, and no logs over many."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppp.cli import main
from ppp.ledger.store import Store
from ppp.model.record import Record, sha256_hex

LOG = "Traceback (most recent call last):\nValueError: no\n"


@pytest.fixture
def data(tmp_path: Path, record: Callable[..., Record]) -> Path:
    """A ledger with one package that failed, with a log, and one that passed."""
    failed = record("failed", result="FAIL", log_sha256=sha256_hex(LOG.encode()))
    with Store.open(tmp_path) as store:
        store.add_record(failed, LOG)
        store.add_record(record("passed"))
    return tmp_path


@pytest.fixture
def show(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["ppp", "show", "--data", str(data), *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


def results(text: str) -> dict[str, Any]:
    return {result["package"]: result for result in json.loads(text)["results"]}


def test_the_json_of_one_package_has_the_log(show: Callable[..., str]) -> None:
    (failed,) = results(show("failed", "--json")).values()
    assert failed["log"] == LOG
    assert failed["log_sha256"] == sha256_hex(LOG.encode())
    (passed,) = results(show("passed", "--json")).values()
    assert (passed["log"], passed["log_sha256"]) == (None, None)


def test_the_json_of_all_packages_has_no_logs(show: Callable[..., str]) -> None:
    found = results(show("--json"))
    assert set(found) == {"failed", "passed"}
    assert not [result for result in found.values() if "log" in result]
    assert found["failed"]["log_sha256"] == sha256_hex(LOG.encode())


def test_a_table_explains_each_failure(show: Callable[..., str]) -> None:
    lines = show().splitlines()
    assert [line.split()[:3] for line in lines if "✗" in line] == [
        ["failed==2.1.0", "✗", "FAIL"],
        ["✗", "FAIL", "failed==2.1.0"],
    ]
