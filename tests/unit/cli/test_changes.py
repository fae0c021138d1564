"""`ppp changes`: what broke and what was fixed lately, by the rule of the front page."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memory_store import open_store

from ppp.cli import main
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build

DAY_S = 86_400
AS_OF = 1_714_003_200  # 2024-04-25T00:00:00Z
SLIM, ALPINE = "py312-slim", "py312-alpine"
Run = Callable[..., tuple[int, str]]


def fill(store: Store, record: Callable[..., Record]) -> None:
    """One package broke, one was fixed, one changed when checked again, one did nothing, one changed long ago."""
    gone = {"result": "FAIL", "cause": "distutils-removed"}
    for name, first, second, days in (
        ("broke", {}, gone, 1),
        ("fixed", gone, {}, 2),
        ("quiet", {}, {}, 1),
        ("long-ago", {}, gone, 20),
    ):
        for environment in (SLIM, ALPINE):
            store.add_record(record(name, "1.0", environment, observed_at=AS_OF - 100 * DAY_S, **first))
            store.add_record(record(name, "2.0", environment, observed_at=AS_OF - days * DAY_S, **second))
    store.add_record(record("again", "1.0", SLIM, observed_at=AS_OF - 50 * DAY_S))
    store.add_record(record("again", "1.0", SLIM, observed_at=AS_OF, standin=True, **gone))


@pytest.fixture(name="data")
def _data(tmp_path: Path, record: Callable[..., Record]) -> Path:
    with open_store(tmp_path) as store:
        fill(store, record)
    return tmp_path


@pytest.fixture(name="run")
def _run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["ppp", "changes", "--data", str(data), *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.err if ended.value.code else printed.out

    return run


def test_a_week_is_shown_as_lines(run: Run) -> None:
    code, out = run()
    assert code == 0
    assert out.splitlines() == [
        "3 packages changed from 2024-04-18 00:00 UTC to 2024-04-25 00:00 UTC: 3 cells broke, 2 were fixed",
        "again 1.0 checked again",
        f"  PASS → FAIL {SLIM} (stand-in image): distutils-removed",
        "broke 1.0 → 2.0",
        f"  PASS → FAIL {SLIM}, {ALPINE}: distutils-removed",
        "fixed 1.0 → 2.0",
        f"  FAIL → PASS {SLIM}, {ALPINE}",
    ]


@pytest.mark.parametrize(
    ("arguments", "packages"),
    [
        ((), {"again", "broke", "fixed"}),
        (("--since", "12h"), {"again"}),
        (("--since", "1d"), {"again"}),
        (("--since", "3w"), {"again", "broke", "fixed", "long-ago"}),
        (("--since", "2024-04-24"), {"again", "broke"}),
        (("--since", "2024-04-05"), {"again", "broke", "fixed", "long-ago"}),
        (("--env", ALPINE), {"broke", "fixed"}),
        (("--env", ALPINE, "--limit", "1"), {"broke", "fixed"}),
    ],
)
def test_since_when_and_where(arguments: tuple[str, ...], packages: set[str], run: Run) -> None:
    code, out = run(*arguments, "--json")
    assert code == 0
    answer: dict[str, Any] = json.loads(out)
    assert {one["package"] for one in answer["packages"]} == packages
    assert answer["as_of"] == AS_OF
    cells = [cell for one in answer["packages"] for cell in one["cells"]]
    assert all(cell["since"] > answer["after"] for cell in cells)
    assert "--env" not in arguments or {cell["environment"] for cell in cells} == {ALPINE}


def test_what_a_limit_leaves_out_is_counted(run: Run) -> None:
    assert run("--limit", "1")[1].splitlines()[-1] == "2 more packages changed: --limit 0 shows all"
    assert "more packages" not in run("--limit", "0")[1]


@pytest.mark.parametrize("since", ["", "7", "0d", "d", "7y", "-1d", "2024-13-01", "yesterday", "123456d"])
def test_a_length_that_is_none_is_refused(since: str, run: Run) -> None:
    code, err = run("--since", since)
    assert code == 2
    assert "--since" in err


def test_an_environment_without_results_is_refused(run: Run) -> None:
    code, err = run("--env", "py27-slim")
    assert code == 12
    assert ALPINE in err


def test_it_names_what_the_front_page_and_the_page_of_the_week_name(run: Run, data: Path, tmp_path: Path) -> None:
    public = tmp_path / "public"
    with Store.open(data) as store:
        build(store.db, public)
    _, out = run()
    said = re.sub(r"\n  ", " ", out).splitlines()[1:]
    week = text_of(public / "changed/index.html")
    front = text_of(public / "index.html").partition("Changed this week")[2].partition("Newest releases")[0]
    for line in said:
        name = line.split(" ", 1)[0]
        assert name in front
        assert name in week
    assert "3 packages failed where the release before passed" in week
    assert "long-ago" not in front + week
    # Once for the page, and at the one of the environment's cells that ran on one.
    assert week.count("stand-in") == 2


def text_of(path: Path) -> str:
    """Return the text of a page."""
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", path.read_text("utf-8")))


def test_an_empty_ledger_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(tmp_path / "empty"):
        pass
    monkeypatch.setattr(sys, "argv", ["ppp", "changes", "--data", str(tmp_path / "empty")])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert not ended.value.code
    assert capsys.readouterr().out == "the ledger holds no result yet: `ppp run` checks releases\n"
