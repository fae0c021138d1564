"""`ppp show`: results as a table or as JSON; the logs of one package, and no logs over many."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal_rows import name_release

from ppp.cli import main
from ppp.ledger.quarantines import Quarantine, add_quarantines
from ppp.ledger.store import Store
from ppp.mesh.node import create_key
from ppp.model.canonical import sha256_hex
from ppp.model.on_index import OnIndex
from ppp.model.record import Blame, Record

NOW = 1_714_003_200  # 2024-04-25T00:00:00Z
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


@pytest.mark.parametrize(
    ("age_s", "words"),
    [(3_600, "files may still be added until"), (15 * 86_400, "final, as the index takes no more files")],
)
def test_until_when_files_may_come_is_told_where_a_journal_named_the_release(
    data: Path, show: Callable[..., str], age_s: int, words: str
) -> None:
    answer = json.loads(show("passed", "--json"))
    assert answer["announced"] == []
    at = int(time.time()) - age_s
    with Store.open(data) as store:
        name_release(store, "passed", answer["results"][0]["version"], serial=1, at=at)
    assert sum(words in line for line in show("passed").splitlines()) == 1
    (told,) = json.loads(show("passed", "--json"))["announced"]
    assert (told["files_until"], told["is_final"]) == (at + 14 * 86_400, words.startswith("final"))
    assert words not in show()


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


def test_a_disagreement_says_who_found_what(
    data: Path, show: Callable[..., str], record: Callable[..., Record]
) -> None:
    key = create_key(data)
    ours = record("split", node=key.id, observed_at=NOW - 86_400)
    theirs = record("split", node="cd" * 32, result="FAIL", cause="crash", observed_at=NOW)
    with Store.open(data) as store:
        store.add_record(ours)
        store.add_record(theirs)
        add_quarantines(
            store, [Quarantine(node="cd" * 32, since=NOW, sequence=3, reason="it forked", source="cd" * 32)]
        )
    (line,) = [line for line in show("split").splitlines() if "disagree" in line]
    assert line == (
        "nodes disagree on split==2.1.0 in py312-slim: 1 of 2 found PASS ("
        + "; ".join(
            sorted(
                [
                    f"node {'cd' * 8}, which is quarantined: FAIL crash at 2024-04-25 00:00 UTC",
                    "this node: PASS at 2024-04-24 00:00 UTC",
                ],
                key=lambda words: key.id if words.startswith("this") else "cd" * 32,
            )
        )
        + ")"
    )
    answer = json.loads(show("split", "--json"))
    assert [(r["record"], r["result"]) for r in answer["results"]] == [(ours.id, "PASS")]
    (agreement,) = answer["agreement"]
    assert (agreement["record"], agreement["agreeing"]) == (ours.id, 1)
    assert {(n["node"], n["result"], n["quarantined"]) for n in agreement["nodes"]} == {
        (key.id, "PASS", False),
        ("cd" * 32, "FAIL", True),
    }


def test_nodes_that_agree_are_counted(data: Path, show: Callable[..., str], record: Callable[..., Record]) -> None:
    with Store.open(data) as store:
        store.add_record(record("passed", node="cd" * 32))
    assert "disagree" not in show("passed")
    (agreement,) = json.loads(show("passed", "--json"))["agreement"]
    assert (agreement["agreeing"], len(agreement["nodes"])) == (2, 2)


def test_the_json_gives_the_blame_that_pages_give(
    data: Path, show: Callable[..., str], record: Callable[..., Record]
) -> None:
    failed = record("judged", "1.0", "py312-alpine", result="FAIL", cause="import-error", blame=Blame.PACKAGE)
    with Store.open(data) as store:
        store.add_record(failed)
        store.add_record(record("judged", "1.0", "py312-slim"))
    found = {result["environment"]: result for result in json.loads(show("judged", "--json"))["results"]}
    assert (found["py312-alpine"]["blame"], found["py312-alpine"]["blamed_by"]) == ("environment", "siblings")
    assert found["py312-alpine"]["record"] == failed.id
    assert (found["py312-slim"]["blame"], found["py312-slim"]["blamed_by"]) == (None, None)


def test_a_package_says_what_its_newest_checked_version_is(
    data: Path, show: Callable[..., str], record: Callable[..., Record]
) -> None:
    with Store.open(data) as store:
        store.add_record(record("failed", "0.9", on_index=OnIndex(newest="3.0", versions=7), observed_at=NOW))
        store.add_record(record("pyyaml", "5.4.1"))
    version = record("failed").release.version
    assert (
        f"failed=={version}: an older release (2 versions checked of 7). PyPI's newest is 3.0: not checked yet."
        in show("failed")
    )
    assert "the newest release checked (PyPI's newest was not recorded) (1 version checked)." in show("passed")
    assert "It is on the watchlist for the failure that it shows." in show("pyyaml")
    assert "version" not in show().partition("\n\n")[2], "that is of one package"
