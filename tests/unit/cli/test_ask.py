"""`ppp ask`: from the ledger and from what a node publishes; tables, JSON and exit codes."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_tools import serve_folder

from ppp.cli import main
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="data")
def _data(tmp_path: Path, record: Callable[..., Record]) -> Path:
    with Store.open(tmp_path / "data") as store:
        store.add_record(record("six", "1.17.0", "py312-slim"))
        store.add_record(record("six", "1.17.0", "py39-slim"))
        store.add_record(record("old", "1.0", "py312-slim"))
        failed = record("old", "2.0", "py312-slim", result="FAIL", cause="no-compiler", detail="gcc is missing")
        store.add_record(failed)
    return tmp_path / "data"


@pytest.fixture(name="ask")
def _ask(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ppp", "ask", "--data", str(data), *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


@pytest.fixture(name="url")
def _url(data: Path, tmp_path: Path) -> Iterator[str]:
    """The public folder of a node with this ledger."""
    with Store.open(data) as store:
        build(store.db, tmp_path / "public")
    with serve_folder(tmp_path / "public") as address:
        yield address


def states(answer: tuple[int, str, str]) -> dict[str, dict[str, Any]]:
    return {one["requirement"]: one["environments"] for one in json.loads(answer[1])["answers"]}


def test_what_works(ask: Ask) -> None:
    code, out, _ = ask("six")
    assert code == 0
    assert "✓ 1.17.0" in out
    assert out.endswith("cells: 2 pass\n")


def test_what_fails_with_why_and_the_nearest_version_that_passes(ask: Ask) -> None:
    code, out, _ = ask("old", "six", "-e", "py312-slim")
    assert code == 1
    assert "✗ old==2.0 FAIL no-compiler: gcc is missing, blame: unknown [py312-slim]; old==1.0" in out
    assert out.endswith("cells: 1 pass, 1 fail\n")


def test_what_was_not_checked_fails_nothing(ask: Ask) -> None:
    code, out, _ = ask("absent", "-e", "py312-slim")
    assert code == 0
    assert "? absent was not checked: that says nothing about it [py312-slim]; `ppp run --package 'absent'`" in out


@pytest.mark.parametrize("way", ["ledger", "published"])
def test_both_ways_give_the_same_answer(way: str, ask: Ask, url: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text('old==1.0\nsix\nabsent\nold; python_version < "3.10"\n')
    more = ("--from", url) if way == "published" else ()
    found = states(ask("old", "-r", str(tmp_path / "list.txt"), "--json", *more))
    assert {wanted: {e: c["state"] for e, c in cells.items()} for wanted, cells in found.items()} == {
        "old": {"py39-slim": "unknown", "py312-slim": "not-needed"},
        "old==1.0": {"py39-slim": "unknown", "py312-slim": "works"},
        "six": {"py39-slim": "works", "py312-slim": "works"},
        "absent": {"py39-slim": "unknown", "py312-slim": "unknown"},
    }
    (failing,) = states(ask("old", "-e", "py312-slim", "--json", *more))["old"].values()
    assert (failing["state"], failing["cause"], failing["nearest"]) == ("fails", "no-compiler", "1.0")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 25, "nothing is asked about"),
        (("six", "-e", "py38-slim"), 12, "nothing is known of py38-slim (known are py39-slim, py312-slim)"),
        (("six==",), 33, "is not a requirement"),
        (("six", "--from", "http://127.0.0.1:9/"), 27, "cannot be reached"),
        (("-r", "absent.txt"), 25, "cannot read absent.txt"),
    ],
)
def test_errors(arguments: tuple[str, ...], code: int, words: str, ask: Ask) -> None:
    found, out, err = ask(*arguments)
    assert (found, out) == (code, "")
    assert words in err


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "unbalanced brackets"),
        ("[" * 100_000, "nests deeper"),
        ('{"schema": "ppp-package-1", "schema": "ppp-package-1"}', "a duplicate key"),
        ('{"schema": "ppp-package-1"}', "it is invalid by package.schema.json"),
        ("x" * 5_000_000, "larger than 4,000,000 bytes"),
    ],
    ids=["truncated", "deep", "twice", "incomplete", "large"],
)
def test_what_a_node_sends_is_not_trusted(content: str, words: str, ask: Ask, url: str, tmp_path: Path) -> None:
    (tmp_path / "public" / "api" / "v1" / "p" / "six.json").write_text(content)
    code, out, err = ask("six", "--from", url)
    assert code in {27, 28}
    assert out == ""
    assert words in err


@pytest.mark.attack("bounded-input")
def test_a_version_that_is_none_is_refused(ask: Ask, url: str, tmp_path: Path) -> None:
    path = tmp_path / "public" / "api" / "v1" / "p" / "six.json"
    path.write_text(path.read_text().replace("1.17.0", "1..0"))
    code, _, err = ask("six", "--from", url)
    assert code == 28
    assert "is not a version" in err
