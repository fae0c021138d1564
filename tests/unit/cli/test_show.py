"""`ppp show`: results as a table or as JSON; the logs of one package, and no logs over many."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from journal_rows import name_release
from memory_store import open_store

from ppp.cli import main
from ppp.ledger.quarantines import Quarantine, add_quarantines
from ppp.ledger.store import Store
from ppp.mesh.node import create_key
from ppp.model.canonical import sha256_hex
from ppp.model.errors import UnknownEnvironmentError, UnknownPackageError
from ppp.model.on_index import OnIndex
from ppp.model.record import Blame, Record

NOW = 1_714_003_200  # 2024-04-25T00:00:00Z
LOG = "Traceback (most recent call last):\nValueError: no\n"


@pytest.fixture
def data(tmp_path: Path, record: Callable[..., Record]) -> Path:
    """A ledger with one package that failed, with a log, and one that passed."""
    failed = record("failed", result="FAIL", log_sha256=sha256_hex(LOG.encode()))
    with open_store(tmp_path) as store:
        store.add_record(failed, LOG)
        store.add_record(record("passed"))
    return tmp_path


@pytest.fixture
def run(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run `ppp show`; return its exit code, and what it printed: on standard error, if it failed."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["ppp", "show", "--data", str(data), *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.err if ended.value.code else printed.out

    return run


@pytest.fixture
def show(run: Callable[..., tuple[int, str]]) -> Callable[..., str]:
    def show(*arguments: str) -> str:
        code, text = run(*arguments)
        assert code == 0, text
        return text

    return show


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


MANY = ("alpha", "beta", "delta", "gamma")
NOT_PASSED: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("beta", "py312-alpine"): {"result": "FAIL", "cause": "no-compiler"},
    ("gamma", "py312-alpine"): {"result": "FAIL", "cause": "import-error"},
    ("gamma", "py312-slim"): {"result": "FAIL", "cause": "import-error"},
    ("delta", "py312-slim"): {"result": "TIMEOUT"},
}


@pytest.fixture
def many(tmp_path: Path, record: Callable[..., Record]) -> Path:
    """Four packages in two environments: beta fails in one, gamma for another reason in both, delta times out."""
    with open_store(tmp_path) as store:
        for name in MANY:
            for environment in ("py312-slim", "py312-alpine"):
                failed = name == "gamma" or (name == "beta" and environment == "py312-alpine")
                more = (
                    {"result": "FAIL", "cause": "no-compiler" if name == "beta" else "import-error"} if failed else {}
                )
                more = {"result": "TIMEOUT"} if name == "delta" and environment == "py312-slim" else more
                store.add_record(record(name, environment=environment, **more))
    return tmp_path


def told(show: Callable[..., str], *arguments: str) -> list[str]:
    return list(dict.fromkeys(result["package"] for result in json.loads(show(*arguments, "--json"))["results"]))


@pytest.mark.parametrize(
    ("arguments", "packages"),
    [
        ((), MANY),
        (("--failing",), ("beta", "delta", "gamma")),
        (("--failing", "--env", "py312-slim"), ("delta", "gamma")),
        (("--cause", "no-compiler"), ("beta",)),
        (("--cause", "no-compiler", "--cause", "import-error"), ("beta", "gamma")),
        (("--cause", "no-compiler", "--env", "py312-slim"), ()),
        (("--cause", "of-no-cell"), ()),
        (("--after", "Beta"), ("delta", "gamma")),
        (("--limit", "2"), ("alpha", "beta")),
        (("--limit", "0", "--after", "delta"), ("gamma",)),
        (("gamma", "alpha"), ("gamma", "alpha")),
        (("gamma", "alpha", "gamma", "--failing"), ("gamma",)),
    ],
)
@pytest.mark.usefixtures("many")
def test_what_is_shown_is_what_was_asked_for(
    show: Callable[..., str], arguments: tuple[str, ...], packages: tuple[str, ...]
) -> None:
    # Two more, of the other fixture, come after "e".
    assert [name for name in told(show, *arguments) if name in MANY] == list(packages)


@pytest.mark.usefixtures("many")
def test_pages_follow_each_other_and_say_how(show: Callable[..., str]) -> None:
    seen, after = [], ""
    while True:
        text = show("--limit", "1", *(("--after", after) if after else ()))
        seen += [line.split("==")[0] for line in text.splitlines() if "==" in line and " " not in line.split("==")[0]]
        *_, last = text.splitlines()
        if "--after" not in last:
            break
        after = last.split("--after ")[1].split()[0]
    assert seen == ["alpha", "beta", "delta", "failed", "gamma", "passed"]


@pytest.mark.usefixtures("many")
def test_columns_are_those_that_were_asked_for(show: Callable[..., str]) -> None:
    assert "alpine" in show("alpha").splitlines()[2]
    assert "alpine" not in show("alpha", "--env", "py312-slim")
    assert {r["environment"] for r in json.loads(show("--env", "py312-slim", "--json"))["results"]} == {"py312-slim"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--env", "py399-slim"), UnknownEnvironmentError.exit_code, "it has "),
        (("alpha", "absent"), UnknownPackageError.exit_code, "ppp run --package absent"),
        (("--limit", "-1"), 2, "--limit"),
    ],
)
@pytest.mark.usefixtures("many")
def test_what_is_not_known_is_an_error(
    run: Callable[..., tuple[int, str]], arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended, said = run(*arguments)
    assert ended == code
    assert words in said


def test_a_mistyped_name_has_near_ones(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ppp", "show", "--data", str(data), "pass-ed"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code
    said = capsys.readouterr().err
    assert "the ledger holds no result of pass-ed, which says nothing about it" in said
    assert "did you mean passed? check it with `ppp run --package pass-ed`" in said
