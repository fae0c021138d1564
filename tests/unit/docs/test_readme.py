"""What README.md says of the ledger in this repository is what the ledger has: a new ledger needs a new README."""

import io
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Final

import pytest

from ppp.cli.main import cli
from ppp.matrix_files import load_matrix
from ppp.model.record import Result
from ppp.resources import resource
from ppp.watch.exhibits import shipped_exhibits

ROOT: Final = Path(__file__).parents[3]
README: Final = (ROOT / "README.md").read_text("utf-8")
#: The README without line breaks, so that a sentence can be found in it.
PROSE: Final = " ".join(README.split())
LEAVERS: Final = (
    "SELECT j.package FROM judged AS j JOIN newest USING (package, version)"
    " WHERE environment = 'py39-slim' AND result = 'NA' AND cause = 'requires-python'"
)
PASSES_ON_39: Final = "SELECT package FROM current WHERE environment = 'py39-slim' AND result = 'PASS'"
ALPINE_ONLY: Final = "SELECT DISTINCT a.package FROM alpine_only AS a JOIN newest USING (package, version) ORDER BY 1"


@pytest.fixture(name="ledger")
def _ledger() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{ROOT / 'data' / 'ppp.db'}?mode=ro&immutable=1", uri=True)) as ledger:
        yield ledger


NO_WHEEL: Final = (
    f"SELECT replace(group_concat('`' || package || '`', ', '), ', `scikit', ' and `scikit') FROM ({ALPINE_ONLY})"  # noqa: S608
)
PINNED: Final = (
    "SELECT group_concat('on ' || platform || ' with ' || environment_python) FROM current"
    " WHERE package = 'pyyaml' AND version = '5.4.1' AND result = 'PASS'"
)
NEWEST: Final = (
    "SELECT max(version) FROM newest WHERE package = 'pyyaml'"
    " AND version NOT IN (SELECT version FROM failures WHERE package = 'pyyaml')"
)
#: A sentence, and the query whose row fills it.
FIGURES: Final = (
    ("on the [watchlist](matrices/watchlist.txt), on {}:", "SELECT date(max(observed_at), 'unixepoch') FROM records"),
    (
        "{} cells of {} releases of {} packages.",
        "SELECT count(*), count(DISTINCT package || version), count(DISTINCT package) FROM current",
    ),
    (
        "of the other {} packages fail nowhere:",
        "SELECT count(*) FROM newest WHERE (package, version) NOT IN (SELECT package, version FROM failures)",
    ),
    (
        "{} of the {} newest releases have left it (`NA`).",
        f"SELECT count(*), (SELECT count(*) FROM newest) FROM ({LEAVERS})",  # noqa: S608 - constants
    ),
    (
        "For {} of these packages, PPP also checked the older release that pip installs there, and it passes on slim.",
        f"SELECT count(*) FROM ({LEAVERS}) WHERE package IN ({PASSES_ON_39})",  # noqa: S608 - constants
    ),
    (
        "{} have no wheel for it, and their sdists want a compiler or `make`.",
        f"SELECT replace(group_concat('`' || package || '`', ', '), ', `scikit', ' and `scikit') FROM ({ALPINE_ONLY})",  # noqa: S608 - constants
    ),
    (
        "PyYAML 5.4.1 passes only {},",
        PINNED,
    ),
    (
        "and {} fails nowhere.",
        NEWEST,
    ),
)


@pytest.mark.parametrize(("sentence", "sql"), FIGURES)
def test_a_figure_is_that_of_the_ledger(sentence: str, sql: str, ledger: sqlite3.Connection) -> None:
    (row,) = ledger.execute(sql).fetchall()
    assert sentence.format(*row) in PROSE


def test_exhibits_are_counted_apart(ledger: sqlite3.Connection) -> None:
    cells = ledger.execute("SELECT package, version, result FROM current").fetchall()
    exhibits = {(release.package, release.version) for release in shipped_exhibits()}
    others = [result for package, version, result in cells if (package, version) not in exhibits]
    passed, failed, not_claimed = (others.count(result) for result in (Result.PASS, Result.FAIL, Result.NA))
    assert passed + failed + not_claimed == len(others), "the README names no other result"
    assert f"{len(cells) - len(others)} cells are of {len(exhibits)} *exhibits*" in PROSE
    assert f"Of the others {passed} passed, {failed} failed, and {not_claimed} were not claimed." in PROSE


@pytest.mark.parametrize(
    ("package", "environment", "results"),
    [
        *((package, "py311-alpine", {"NA"}) for package in ("jaxlib", "onnxruntime")),
        *((package, "py311-alpine", {"PASS"}) for package in ("pandas", "pyarrow", "grpcio")),
        *((package, "py311-alpine", {"PASS", "NA"}) for package in ("numpy", "scipy")),
        *((package, "py312-slim", {"PASS"}) for package in ("numpy", "jaxlib", "onnxruntime")),
        ("jinja2", "py312-slim", {"PASS", "FAIL"}),
        ("flask-script", "py312-slim", {"FAIL"}),
        ("nose", "py312-slim", {"FAIL"}),
    ],
)
def test_a_package_has_the_results_that_are_told(
    package: str, environment: str, results: set[str], ledger: sqlite3.Connection
) -> None:
    sql = "SELECT DISTINCT result FROM current WHERE package = ? AND environment = ? AND cause IS NOT 'requires-python'"
    found = {result for (result,) in ledger.execute(sql, (package, environment))}
    assert f"`{package}`" in PROSE
    assert found == results - ({"NA"} if "PASS" in results else set())


def test_what_works_only_by_the_image_is_told(ledger: sqlite3.Connection) -> None:
    found = ledger.execute("SELECT DISTINCT package, version FROM relies_on_image").fetchall()
    assert found == [("pyfiglet", "0.8.post1")]
    passes = "SELECT environment FROM current WHERE package = ? AND version = ? AND result = 'PASS' ORDER BY 1"
    brought = "SELECT environment FROM relies_on_image ORDER BY 1"
    assert ledger.execute(passes, found[0]).fetchall() == ledger.execute(brought).fetchall()


def test_the_table_is_what_the_command_prints(tmp_path: Path) -> None:
    shutil.copy(ROOT / "data" / "ppp.db", tmp_path / "ppp.db")
    with redirect_stdout(io.StringIO()) as out:
        cli.main(["show", "--failing", "--data", str(tmp_path)], standalone_mode=False)
    printed = [line.rstrip() for line in out.getvalue().partition("\n\n")[0].splitlines()]
    table = README.partition("fail nowhere:\n\n```\n")[2].partition("```")[0]
    assert "prints the newest releases that fail somewhere" in PROSE
    assert table.splitlines() == printed


def test_all_its_environments_are_stand_ins_of_the_wide_matrix(ledger: sqlite3.Connection) -> None:
    wide = {e.id: e.image for e in load_matrix(resource("matrices/wide.toml")).environments if e.image}
    held = {id_ for (id_,) in ledger.execute("SELECT DISTINCT environment FROM records WHERE standin")}
    assert held == {id_ for (id_,) in ledger.execute("SELECT DISTINCT environment FROM records")}
    assert (len(wide), held < wide.keys()) == (12, True)
    assert "All five environments are **stand-ins**" in PROSE
    assert len(held) == 5
    missing = sorted(wide.keys() - held)
    assert missing == sorted([*(f"py{n}-{p}" for n in (310, 313, 314) for p in ("slim", "alpine")), "py312-alpine"])


def test_the_first_sentence_is_the_default_matrix() -> None:
    environments = load_matrix(resource("matrices/default.toml")).environments
    assert {(e.python, e.platform) for e in environments} == {
        (python, platform) for python in ("3.9", "3.11", "3.12") for platform in ("slim", "alpine")
    }
    assert "on Python 3.9, 3.11 and 3.12 \N{MULTIPLICATION SIGN} Debian slim and Alpine" in PROSE


def test_every_result_has_its_row() -> None:
    rows = re.findall(r"^\| `([A-Z]+)` \|", README, re.MULTILINE)
    assert sorted(rows) == sorted(Result)


def test_every_setting_exists() -> None:
    program = "".join(path.read_text("utf-8") for path in (ROOT / "ppp").rglob("*.py"))
    named = set(re.findall(r"\bPPP_[A-Z_]+", README))
    assert len(named) > 5
    assert not [name for name in named if f'"{name}"' not in program]


def test_every_setting_has_its_row_in_the_operators_table() -> None:
    sources = [*(ROOT / "ppp").rglob("*.py"), *(ROOT / "site" / "datasette").rglob("*.py")]
    program = {name for path in sources for name in re.findall(r'"(PPP_[A-Z_]+)"', path.read_text("utf-8"))}
    assert len(program) > 30
    rows = re.findall(r"^\| .*`PPP_.*$", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.MULTILINE)
    assert program == {name for row in rows for name in re.findall(r"`(PPP_[A-Z_]+)`", row)}


def test_the_episode_is_the_one_that_narrate_writes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "data" / "ppp.db", tmp_path)
    with redirect_stdout(io.StringIO()) as printed:
        cli(["narrate", "--quiet", "--data", str(tmp_path)], standalone_mode=False)
    assert len(printed.getvalue()) > 1_000
    assert f"```\n{printed.getvalue()}```" in README
    # Nothing is signed, so no key is made.
    assert not (tmp_path / "node.key").exists()
