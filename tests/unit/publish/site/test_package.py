"""A package's page: what happened, why, since when, and how to see it oneself."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ppp.ledger.store import Store
from ppp.model.record import Blame, Record
from ppp.model.release import Release
from ppp.publish.api.package import reproduce_command
from ppp.publish.build import build

DAY = 1_714_003_200


@pytest.fixture
def shown(small: Store, tmp_path: Path, page: Callable[[Path], object]) -> Callable[[str], str]:
    """The text of a package's page, after a build."""

    def read(package: str) -> str:
        build(small.db, tmp_path / "public")
        path = tmp_path / "public" / "p" / package / "index.html"
        return " ".join(page(path).text.split())  # type: ignore[attr-defined]

    return read


def test_why_and_how_to_see_it(shown: Callable[[str], str]) -> None:
    told = shown("needs-gcc")
    assert "1.1, the newest release checked: 2 PASS, 2 FAIL in 4 environments." in told
    assert "FAIL py39-alpine py312-alpine during install alone no-compiler blame: environment" in told
    assert 'scripts/nox -s "check(py312-alpine)" -- needs-gcc==1.1' in told
    assert "Last passed with 1.0." in told
    assert "building error: command 'gcc' failed" in told
    assert "\x1b" not in told
    assert told.count("it did not work") == 1


def test_what_was_installed_by_which_node_and_how_long_it_took(shown: Callable[[str], str]) -> None:
    told = shown("six")
    assert "Installed in all 4 environments six 1.17.0" in told
    assert "ab" * 32 in told
    assert "py39-slim 10 ms 10 ms 10 ms 10 ms 1.17.0 3.12.1 x86_64 2024-04-25 00:00Z 1 of 1" in told
    assert "Why" not in told


def test_what_one_takes_along(shown: Callable[[str], str]) -> None:
    told = shown("needs-gcc")
    assert "Newly broken, Fails on Alpine only" in told
    assert "SKIP 10 ms SKIP 10 ms 1.0 3.12.1 x86_64" in told
    assert "[![needs-gcc: installs & imports](https://ppp.example/badge/needs-gcc.svg)]" in told
    assert "api/v1/p/needs-gcc.json" in told


def test_nodes_that_disagree_are_counted(shown: Callable[[str], str]) -> None:
    assert "1 of 2 2 records" in shown("old")


def test_a_standin_says_so(shown: Callable[[str], str]) -> None:
    told = shown("wheels-only")
    assert "NA stand-in" in told
    assert "a substitute for the platform's official image" in told
    assert "No other release was checked." in told


def test_newest_by_version_not_by_text_or_time(
    small: Store, record: Callable[..., Record], shown: Callable[[str], str]
) -> None:
    small.add_record(record("six", "1.9.0", "py312-slim", observed_at=DAY + 5000))
    told = shown("six")
    assert "1.17.0, the newest release checked" in told
    assert told.index("1.17.0 3.12.1") < told.index("1.9.0 PASS")


def test_a_node_errors_are_not_its_verdict(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store.add_record(record("six"))
    store.add_record(record("six", result="ERROR", observed_at=DAY + 60))
    build(store.db, tmp_path / "public")
    path = tmp_path / "public" / "p" / "six" / "index.html"
    told = " ".join(page(path).text.split())  # type: ignore[attr-defined]
    assert "1 PASS in 1 environment." in told
    assert "1 of 1 2 records" in told


def test_the_detail_of_a_pass_stands_in_its_cell(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store.add_record(record("six", cause="no-modules", detail="it holds no module to import"))
    build(store.db, tmp_path / "public")
    told = " ".join(page(tmp_path / "public" / "p" / "six" / "index.html").text.split())  # type: ignore[attr-defined]
    assert "PASS no-modules it holds no module to import" in told


def test_failures_apart_are_told_apart(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    cases = {"py39-slim": "crash", "py311-slim": "crash", "py312-slim": "exits"}
    for environment, cause in cases.items():
        store.add_record(
            record("six", "1.0", environment, result="FAIL", cause=cause, blame=Blame.PACKAGE, detail="same")
        )
    build(store.db, tmp_path / "public")
    html = (tmp_path / "public" / "p" / "six" / "index.html").read_text()
    assert html.count('<article class="failure fail">') == 2
    assert "The interpreter was ended by a signal" in html
    assert "Importing it ended the process" in html
    assert "../../causes/crash/index.html" in html
    assert "../../causes/exits/index.html" in html


def test_a_cause_that_nobody_knows_has_no_page(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    store.add_record(record("six", "1.0", result="FAIL", cause="from-the-future", blame=Blame.PACKAGE))
    build(store.db, tmp_path / "public")
    links = page(tmp_path / "public" / "p" / "six" / "index.html").links  # type: ignore[attr-defined]
    assert [link for link in links if "causes/" in link] == ["../../causes/index.html"]
    index = page(tmp_path / "public" / "causes" / "index.html")
    assert "1 more cell has a cause unknown to this version of PPP." in index.text  # type: ignore[attr-defined]


def test_siblings_are_heard_where_the_log_cannot_tell(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    failed = {"result": "FAIL", "cause": "import-error", "blame": Blame.PACKAGE, "detail": "no such thing"}
    store.add_record(record("six", "1.0", "py312-slim"))
    store.add_record(record("six", "1.0", "py312-alpine", **failed))
    build(store.db, tmp_path / "public")
    told = " ".join(page(tmp_path / "public" / "p" / "six" / "index.html").text.split())  # type: ignore[attr-defined]
    assert "import-error blame: environment (judged by the other cells)" in told
    assert "blame: package" not in told


def test_many_long_logs_share_a_budget(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    for number in range(9):
        log = f"log {number} " + "&" * 100_000
        environment = f"py3{number}-slim"
        made = record(
            "six", "1.0", environment, result="FAIL", cause=f"cause-{number}",
            log_sha256=hashlib.sha256(log.encode()).hexdigest(),
        )  # fmt: skip
        store.add_record(made, log)
    build(store.db, tmp_path / "public")
    page = tmp_path / "public" / "p" / "six" / "index.html"
    assert page.stat().st_size < 50_000
    assert "The log is in the ledger" in page.read_text()


def test_the_command_can_be_pasted() -> None:
    six = Release(package="six", version="1.17.0")
    assert reproduce_command(six, "py312-alpine") == 'scripts/nox -s "check(py312-alpine)" -- six==1.17.0'
    other = Release(package="six", version="1!2.0")
    assert reproduce_command(other, "py312-slim") == "scripts/nox -s \"check(py312-slim)\" -- 'six==1!2.0'"
