"""A site full of hostile text in a real browser with scripts: none of it runs, loads, opens or hides anything."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from browser_tools import serve_folder
from hostile_strings import HOSTILE_STRINGS, OWNED, hostile_records, unsafe_characters

from ppp.ledger.store import Store
from ppp.publish import text
from ppp.publish.build import build
from ppp.publish.site.sql import WINDOW_DATABASE
from ppp.publish.snapshots.database import RecordSelection, extract
from ppp.resources import resource

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

pytestmark = pytest.mark.browser

CAUSE: Final = "import-error"
DETAIL: Final = 240
#: The SQL page shortens cells to this length.
CELL: Final = 400
#: The scripts of the site, by file name.
OWN_SCRIPTS: Final = {path.name for path in resource("site").rglob("*.js")}
#: Pages that are our own prose: they alone link to other hosts.
OWN_PROSE: Final = ("about/", "docs/")
ALL: Final = "SELECT package, detail FROM records WHERE environment = 'py312-alpine' ORDER BY package"
FORMULAS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with all hostile strings, and the database of its SQL page."""
    folder = tmp_path_factory.mktemp("hostile")
    with Store.open(folder / "data") as store:
        with store.db.atomic():
            for made, log in hostile_records(HOSTILE_STRINGS):
                store.insert_record(made, log)
        build(store.db, folder / "public")
    extract(folder / "data" / "ppp.db", folder / "window.db", RecordSelection(logs=False))
    (folder / "public" / WINDOW_DATABASE).parent.mkdir(exist_ok=True)
    (folder / "public" / WINDOW_DATABASE).write_bytes(gzip.compress((folder / "window.db").read_bytes(), mtime=0))
    return folder / "public"


@pytest.fixture(scope="module", name="site")
def _site(folder: Path) -> Iterator[str]:
    with serve_folder(folder) as address:
        yield address


@pytest.fixture(scope="module", name="opened")
def _opened(browser: "Browser", site: str) -> Iterator[tuple["Page", list[str]]]:
    """A page, and a list of its problems: dialogs, errors, requests to other hosts."""
    with ExitStack() as ending:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        ending.callback(context.close)
        context.set_default_timeout(20_000)
        page, problems = context.new_page(), []

        def popped(dialog: "Dialog") -> None:
            problems.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        context.on("page", lambda other: problems.append(f"opened {other.url}"))
        page.on("dialog", popped)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda reported: problems.extend([reported.text] * (reported.type in {"error", "warning"})))
        page.on("request", lambda asked: problems.extend([asked.url] * (not asked.url.startswith((site, "blob:")))))
        yield page, problems


@pytest.fixture(name="page")
def _page(opened: tuple["Page", list[str]]) -> Iterator["Page"]:
    page, problems = opened
    problems.clear()
    yield page
    assert problems == []


def owned(page: "Page") -> object:
    return page.evaluate(f"() => globalThis.{OWNED}")


@pytest.mark.attack("inert-text")
def test_no_page_runs_loads_or_opens_anything(page: "Page", site: str, folder: Path) -> None:
    pages = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.html"))]
    # The page of a cause without cells contains no text from packages.
    pages = [path for path in pages if not path.startswith("causes/") or CAUSE in path]
    assert len(pages) > 2 * len(HOSTILE_STRINGS)
    for path in pages:
        page.goto(f"{site}/{path}", wait_until="load" if path.startswith("p/") else "domcontentloaded")
        found = page.evaluate(
            """(owned) => ({
                owned: globalThis[owned],
                scripts: [...document.scripts].map((one) => one.src.split("/").pop()),
                links: [...document.links].map((one) => one.href),
                handlers: [...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames())
                    .filter((name) => name.startsWith("on") || name === "style" || name === "srcdoc"),
                strange: document.querySelectorAll("iframe, object, embed, base, style").length,
                pictures: [...document.images].map((one) => one.src),
                title: document.title,
            })""",
            OWNED,
        )
        assert found["owned"] is None, path
        assert set(found["scripts"]) <= OWN_SCRIPTS, path
        assert (found["handlers"], found["strange"]) == ([], 0), path
        abroad = {link for link in found["links"] + found["pictures"] if not link.startswith(f"{site}/")}
        assert abroad == set() or path.startswith(OWN_PROSE), path
        assert found["title"].endswith("The PyPI Place"), path


@pytest.mark.attack("inert-text")
def test_a_package_page_shows_hostile_text(page: "Page", site: str) -> None:
    for name in ("script", "attribute-double", "template", "override", "zero-width", "cdata", "forged"):
        page.goto(f"{site}/p/{name}/index.html")
        shown = " ".join((page.text_content("main") or "").split())
        assert " ".join(text.single_line(HOSTILE_STRINGS[name], DETAIL).split()) in shown, name
        assert unsafe_characters(shown) == set()
        assert owned(page) is None


@pytest.mark.attack("inert-text")
def test_the_search_box_treats_input_as_text(page: "Page", site: str) -> None:
    page.goto(f"{site}/index.html")
    box = page.locator("[role=search] input").first
    status = page.locator("[role=search] [role=status]").first
    for word in (*HOSTILE_STRINGS.values(), "__proto__", "constructor", "../../current"):
        box.fill(word[:500].replace("\0", ""))
        assert page.locator("[role=search] li a[href*='//evil']").count() == 0
    box.fill("constructor")
    page.wait_for_function("() => document.querySelector('[role=search] li a')?.textContent === 'constructor'")
    assert status.inner_text() == "1 package."
    assert owned(page) is None


def ask(page: "Page", site: str) -> list[list[str]]:
    page.goto(f"{site}/sql/index.html")
    page.wait_for_selector("#console:not([hidden])")
    page.fill("#query", ALL)
    page.press("#query", "Control+Enter")
    page.wait_for_function("() => document.getElementById('status').textContent.endsWith(' ms.')")
    rows = page.locator("#result tbody tr").all()
    return [row.locator("td").all_text_contents() for row in rows]


@pytest.mark.attack("inert-text")
def test_the_sql_page_shows_and_saves_hostile_text(page: "Page", site: str) -> None:
    answer = ask(page, site)
    assert [name for name, _ in answer] == sorted(HOSTILE_STRINGS)
    for _, detail in answer:
        assert unsafe_characters(detail, keep="") == set()
        assert len(detail) <= CELL * len("\\U0010ffff")
    assert "<script>" in {row[0]: row[1] for row in answer}["script"]
    assert page.locator("#result").locator("script, img, b, svg, iframe, style").count() == 0
    with page.expect_download() as fetched:
        page.click("#csv")
    with fetched.value.path().open(newline="", encoding="utf-8") as file:
        spread = file.read()
    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(spread, newline=""))}
    with page.expect_download() as fetched:
        page.click("#json")
    loaded = {row["package"]: row["detail"] for row in json.loads(fetched.value.path().read_text("utf-8"))}
    assert loaded == {name: word[:500] for name, word in HOSTILE_STRINGS.items()}
    assert owned(page) is None
    for name, word in HOSTILE_STRINGS.items():
        # What a spreadsheet would run stands behind an apostrophe; all else is as it was.
        assert rows[name] == (f"'{word[:500]}" if word.startswith(FORMULAS) else word[:500]), name
    assert '"x;=1+1;""=1+1"' in spread
