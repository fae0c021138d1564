"""The SQL page in a real browser, on the window database of a small ledger."""

import csv
import gzip
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from browser_tools import serve_folder

from ppp.ledger.store import Store
from ppp.model.record import Blame, Record
from ppp.publish.build import build
from ppp.publish.datasette.definition import saved_queries
from ppp.publish.site.sql import WINDOW_DATABASE, sql_files
from ppp.publish.snapshots.database import RecordSelection, extract
from ppp.resources import resource

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe\x1b[2J\x07"
DAY = 1_714_003_200
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
ANSWERED = re.compile(r" ms\.$")


def fill(store: Store, record: Callable[..., Record]) -> None:
    store.add_record(record("six", "1.17.0"))
    store.add_record(record("needs-gcc", "1.0", "py312-alpine", observed_at=DAY - 90_000))
    store.add_record(record("needs-gcc", "1.1", "py312-slim"))
    failed = {"cause": "no-compiler", "blame": Blame.DEPENDENCY, "detail": "cffi: command 'gcc' failed"}
    store.add_record(record("needs-gcc", "1.1", "py312-alpine", result="FAIL", **failed))
    with store.db.atomic():
        # The store refuses it, but somebody else's database may hold it.
        store.insert_record(record("hostile", "1.0", result="FAIL", detail=HOSTILE), None)
    store.add_record(record("formula", "1.0", result="FAIL", detail='=HYPERLINK("x","y")'))


@pytest.fixture(name="site")
def _site(store: Store, record: Callable[..., Record], tmp_path: Path) -> Iterator[str]:
    """The address of a server with the page and its database."""
    fill(store, record)
    site = tmp_path / "site"
    folders = [resource("site/style"), resource("site/script")]
    sources = {path.name: path.read_bytes() for folder in folders for path in folder.iterdir()}
    for path, content in [*sql_files(""), *sources.items(), ("api/v1/index.json", b'{"as_of": null}')]:
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(content)
    extract(tmp_path / "data" / "ppp.db", tmp_path / "window.db", RecordSelection(logs=False))
    (site / WINDOW_DATABASE).parent.mkdir()
    (site / WINDOW_DATABASE).write_bytes(gzip.compress((tmp_path / "window.db").read_bytes(), mtime=0))
    with serve_folder(site) as address:
        yield address


@pytest.fixture(name="context")
def _context(browser: "Browser") -> Iterator["BrowserContext"]:
    with ExitStack() as ending:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        ending.callback(context.close)
        context.set_default_timeout(20_000)
        yield context


@pytest.fixture(name="page")
def _page(context: "BrowserContext", site: str) -> Iterator["Page"]:
    """The open SQL page; any error, request to another host or dialog fails the test."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda reported: problems.extend([reported.text] * (reported.type in {"error", "warning"})))
    page.on("request", lambda asked: problems.extend([asked.url] * (not asked.url.startswith((site, "blob:")))))

    def popped(dialog: "Dialog") -> None:
        problems.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", popped)
    page.goto(f"{site}/sql/index.html")
    page.wait_for_selector("#console:not([hidden])")
    yield page
    assert problems == []


def ask(page: "Page", sql: str) -> list[list[str]]:
    """Run a query by keyboard; return the cells of the result."""
    from playwright.sync_api import expect  # noqa: PLC0415 - as above

    page.fill("#query", sql)
    page.press("#query", "Control+Enter")
    expect(page.locator("#status")).to_have_text(ANSWERED, timeout=20_000)
    return [row.locator("td").all_inner_texts() for row in page.locator("#result tbody tr").all()]


def refused(page: "Page", sql: str) -> str:
    """Run a query that fails; return the error message."""
    page.fill("#query", sql)
    page.click("#run")
    page.wait_for_selector("#error:not([hidden])")
    assert page.locator("#result table").count() == 0
    output: str = page.inner_text("#error")
    return output


def test_queries_run_on_the_downloaded_file(page: "Page") -> None:
    assert ask(page, "SELECT package, count(*) FROM records GROUP BY 1 ORDER BY 1") == [
        ["formula", "1"],
        ["hostile", "1"],
        ["needs-gcc", "3"],
        ["six", "1"],
    ]
    assert page.get_attribute("#result a:text('needs-gcc')", "href") == "../p/needs-gcc/index.html"
    assert "SQLite 3.5" in page.inner_text("#engine")
    assert page.locator("[data-table=records]").is_visible()


def test_every_saved_query_runs_with_its_parameters(page: "Page") -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 - as above

    shown = page.locator("[data-query]")
    assert shown.count() >= 10
    for query in [query for query in saved_queries() if query.name != "coverage_by_day"]:
        saved = page.locator(f"[data-query={query.name}]")
        saved.locator("summary").click()
        saved.get_by_role("button", name="Run it").click()
        expect(page.locator("#status")).to_have_text(ANSWERED, timeout=20_000)
        assert page.locator("#error").is_hidden(), query.name
        assert page.input_value("#query") == query.sql
        asked = {field.get_attribute("name"): field.input_value() for field in page.locator("#values input").all()}
        assert asked == query.params
        reported = parse_qs(page.url.partition("#")[2], keep_blank_values=True)
        assert reported == {"sql": [query.sql], **{f"p_{name}": [value] for name, value in query.params.items()}}


def test_writes_are_refused(page: "Page") -> None:
    readonly = "attempt to write a readonly database"
    for sql in (
        "DELETE FROM records",
        "INSERT INTO packages VALUES ('mine')",
        "UPDATE records SET result = 'PASS'",
        "DROP TABLE records",
        "CREATE TABLE mine (a)",
        "PRAGMA user_version = 7",
    ):
        assert refused(page, sql) == readonly, sql
    assert "attached" in refused(page, "ATTACH 'other.db' AS other")
    assert ask(page, "SELECT count(*) FROM records") == [["6"]]


def test_the_committed_ledger_can_be_queried_but_not_written(context: "BrowserContext", tmp_path: Path) -> None:
    ledger = Path(__file__).parents[2] / "data" / "ppp.db"
    shutil.copy(ledger, tmp_path / "ppp.db")
    with Store.open(tmp_path) as store:
        build(store.db, tmp_path / "public")
        asked = "SELECT environment, result, count(*) FROM records GROUP BY 1, 2 ORDER BY 1, 2"
        output = [[str(value) for value in row] for row in store.db.execute(asked)]
    extract(tmp_path / "ppp.db", tmp_path / "window.db", RecordSelection(logs=False))
    (tmp_path / "public" / WINDOW_DATABASE).parent.mkdir(exist_ok=True)
    (tmp_path / "public" / WINDOW_DATABASE).write_bytes(gzip.compress((tmp_path / "window.db").read_bytes(), mtime=0))
    assert len(output) > 5
    with serve_folder(tmp_path / "public") as address:
        page = context.new_page()
        page.goto(f"{address}/sql/index.html")
        page.wait_for_selector("#console:not([hidden])")
        assert ask(page, asked) == output
        assert "readonly" in refused(page, "DELETE FROM records")
        assert ask(page, asked) == output


def test_error_messages(page: "Page") -> None:
    assert refused(page, "SELECT * FROM nowhere") == "no such table: nowhere"
    assert refused(page, "ASK 1") == 'near "ASK": syntax error'
    assert refused(page, "SELECT 1; SELECT 2") == "only one statement at a time is allowed"
    assert refused(page, "SELECT zeroblob(900000000)") == "string or blob too big"
    assert ask(page, "SELECT 1 AS one; -- and no more") == [["1"]]


def test_an_endless_query_can_be_cancelled(page: "Page") -> None:
    ask(page, "SELECT 1")
    page.fill("#query", ENDLESS)
    page.press("#query", "Control+Enter")
    page.click("#stop")
    page.wait_for_selector("#status:text-is('Cancelled.')")
    assert page.locator("#stop").is_hidden()
    assert ask(page, "SELECT count(*) FROM packages") == [["4"]]
    page.fill("#query", ENDLESS)
    page.press("#query", "Control+Enter")
    page.press("#query", "Escape")
    page.wait_for_selector("#status:text-is('Cancelled.')")


def test_hostile_text_is_shown_as_text(page: "Page") -> None:
    ((detail, name),) = ask(page, "SELECT detail, '<b>' AS '<i>' FROM records WHERE package = 'hostile'")
    assert detail == "<script>alert(1)</script><img src=x onerror=alert(2)>\\u202egnp.exe\\x1b[2J\\x07"
    assert name == "<b>"
    assert page.inner_text("#result th:last-child") == "<i>"
    assert page.locator("#result script, #result img, #result b").count() == 0
    assert ask(page, "SELECT '../../evil' AS package")[0] == ["../../evil"]
    assert page.locator("#result a").count() == 0
    ((long,),) = ask(page, "SELECT printf('%.*c', 1000000, 'x')")
    assert len(long) == 400
    assert long.endswith("…")


def test_each_type_of_value_is_distinguishable(page: "Page") -> None:
    answer = ask(page, "SELECT NULL, '', 9007199254740993, -1.5, x'00ff', 9e999")
    assert answer == [["NULL", "", "9007199254740993", "-1.5", "2 bytes", "Infinity"]]


def test_many_rows_are_limited_with_a_notice(page: "Page") -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n"
    assert len(ask(page, many)) == 500
    assert page.inner_text("#status").startswith("The first 500 rows; there are more")
    with page.expect_download() as fetched:
        page.click("#json")
    assert len(json.loads(fetched.value.path().read_text())) == 2000
    assert page.inner_text("#status") == "2,000 rows saved."


def test_a_result_can_be_saved_as_csv_and_json(page: "Page") -> None:
    ask(page, "SELECT package, detail, NULL AS none, 1 AS package FROM failures ORDER BY package")
    with page.expect_download() as fetched:
        page.click("#csv")
    assert fetched.value.suggested_filename == "ppp-query.csv"
    with fetched.value.path().open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[:2] == [["package", "detail", "none", "package"], ["formula", '\'=HYPERLINK("x","y")', "", "1"]]
    assert rows[2][1] == HOSTILE
    with page.expect_download() as fetched:
        page.click("#json")
    assert json.loads(fetched.value.path().read_text())[1] == {
        "package": "hostile",
        "detail": HOSTILE,
        "none": None,
        "package_4": 1,
    }


def test_the_url_contains_the_query_and_its_parameters(page: "Page", context: "BrowserContext") -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 - as above

    page.fill("#query", "SELECT :package || '' AS it -- not :this, nor ':that'")
    page.fill("#values input[name=package]", "a&b=c #%é")
    assert page.locator("#values input").count() == 1
    page.press("#values input", "Control+Enter")
    expect(page.locator("#status")).to_have_text(ANSWERED)
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator("#result td")).to_have_text("a&b=c #%é")
    page.fill("#query", "SELECT 2")
    page.press("#query", "Control+Enter")
    expect(page.locator("#result td")).to_have_text("2")
    page.go_back()
    expect(page.locator("#result td")).to_have_text("a&b=c #%é")


def test_an_invalid_database_is_reported_and_a_decompressed_one_accepted(page: "Page", tmp_path: Path) -> None:
    (tmp_path / "site" / WINDOW_DATABASE).write_bytes(gzip.compress(b"no database" * 1000))
    assert "not a database" in refused(page, "SELECT 1")
    window = tmp_path / "site" / WINDOW_DATABASE
    window.write_bytes((tmp_path / "window.db").read_bytes())
    # Last-Modified has a resolution of a second, and the browser caches unchanged files.
    os.utime(window, (later := window.stat().st_mtime + 10, later))
    assert ask(page, "SELECT count(*) FROM records") == [["6"]]


def test_a_missing_database_is_reported(context: "BrowserContext", site: str, tmp_path: Path) -> None:
    (tmp_path / "site" / WINDOW_DATABASE).unlink()
    page = context.new_page()
    page.goto(f"{site}/sql/index.html")
    assert refused(page, "SELECT 1").startswith("the database cannot be downloaded: 404")


def test_without_javascript_the_saved_queries_are_shown(browser: "Browser", site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/sql/index.html")
    assert page.locator("#without").is_visible()
    assert "JavaScript" in page.inner_text("#without")
    assert page.locator("#console").is_hidden()
    assert page.locator("#without a").get_attribute("href") == "../data/index.html"
    page.click("#query-fails_on_alpine_only summary")
    assert "FROM alpine_only" in page.inner_text("#query-fails_on_alpine_only pre")
    context.close()


def test_nothing_overflows_horizontally(page: "Page") -> None:
    ask(page, "SELECT * FROM records")
    for summary in page.locator("summary").all():
        summary.click()
    for width in (320, 768, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
