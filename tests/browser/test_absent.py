"""What is said of a package that was not checked, in a real browser; near names by the rule of the terminal."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_tools import AXE, serve_folder
from small_sites import bound_with_room

from ppp.ledger.store import Store
from ppp.model.near_names import near_names
from ppp.model.record import Record
from ppp.publish.build import build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser]

NAMES = ("requests", "pyyaml", "six", "zope-interface")
DAY = 1_714_003_200
QUOTES = "a&lt\"'b"


@pytest.fixture(scope="module", name="data")
def _data(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Path:
    folder = tmp_path_factory.mktemp("absent")
    with Store.open(folder / "data") as store:
        for name in NAMES:
            store.add_record(record(name, "1.0", "py312-slim", observed_at=DAY))
        build(store.db, folder / "public")
    return folder


@pytest.fixture(scope="module", name="site")
def _site(data: Path) -> Iterator[str]:
    with serve_folder(data / "public") as address:
        yield address


@pytest.fixture(name="page")
def _page(browser: "Browser") -> Iterator["Page"]:
    context = browser.new_context(viewport={"width": 375, "height": 800})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("typed", "near"),
    [("Rqeuests", ["requests"]), ("yaml", ["pyyaml"]), ("erquests", ["requests"]), ("interfaces", []), ("django", [])],
)
def test_the_search_says_that_absence_says_nothing(typed: str, near: list[str], page: "Page", site: str) -> None:
    page.goto(f"{site}/index.html")
    page.fill("#find", typed)
    page.wait_for_selector(".absent .lede")
    said = page.inner_text(".absent")
    assert f"{typed.lower()} has not been checked: that says nothing about it." in said
    assert page.locator(".absent p a").all_inner_texts() == near
    assert f"ppp run --package {typed.lower()}" in said
    assert f"docker run --rm python:3.12-slim sh -c 'pip install {typed.lower()} &&" in said
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.evaluate(AXE.read_text("utf-8"))
    assert page.evaluate("async () => (await axe.run()).violations.map((v) => `${v.id}: ${v.help}`)") == []
    page.fill("#find", "six")
    page.wait_for_selector(".found a >> text=six")
    assert page.inner_text(".absent") == ""


@pytest.mark.parametrize("typed", [QUOTES, "../../current", "x" * 300])
def test_what_is_no_name(typed: str, page: "Page", site: str) -> None:
    page.goto(f"{site}/index.html")
    page.fill("#find", typed)
    page.wait_for_selector(".absent p")
    assert "That is not a package's name" in page.inner_text(".absent")


def open_missing(page: "Page", site: str, path: str) -> None:
    # As a static host does: the page, with its links from the root, at an address that has no file.
    body = page.request.get(f"{site}/404.html").body()
    page.route(f"{site}/{path}", lambda route: route.fulfill(status=404, body=body, content_type="text/html"))
    page.goto(f"{site}/{path}")


def test_the_missing_page_names_the_package_of_its_address(page: "Page", site: str) -> None:
    open_missing(page, site, "p/Requestz/index.html")
    page.wait_for_selector("#absent:not([hidden])")
    assert "requestz has not been checked: that says nothing about it." in page.inner_text("#absent")
    assert page.locator("#absent p a").all_inner_texts() == ["requests"]
    page.click("#absent p a")
    page.wait_for_url("**/p/requests/index.html")


def test_the_missing_page_of_another_address_leads_on(page: "Page", site: str) -> None:
    open_missing(page, site, "no/such/page")
    assert page.locator("#absent").is_hidden()
    page.fill("#find", "six")
    page.wait_for_selector(".found a >> text=six")


@pytest.mark.parametrize("path", ["p/Requestz/", "no-such-page", "p/six/breaks/1.0/"])
def test_the_missing_page_of_a_site_below_a_path_finds_it(path: str, page: "Page", data: Path) -> None:
    # Nobody has said where the site is: neither at the root of its host, nor how far below it.
    with serve_folder(data) as host:
        open_missing(page, f"{host}/public", path)
        page.wait_for_function("() => getComputedStyle(document.body).backgroundColor !== 'rgba(0, 0, 0, 0)'")
        page.wait_for_selector(".search:not([hidden])")
        page.wait_for_function("() => !document.querySelector('main a[href^=\"/packages\"]')")
        links = page.locator("main li a, nav a").evaluate_all("(links) => links.map((link) => link.href)")
        assert len(links) > 10
        assert [link for link in links if not page.request.get(link).ok] == []
        page.fill("#find", "six")
        page.wait_for_selector(".found a >> text=six")


def test_a_package_without_a_page_is_not_called_unchecked(
    page: "Page", tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]
) -> None:
    folder = tmp_path_factory.mktemp("absent-partial")
    with Store.open(folder / "data") as store:
        for number in range(70):
            store.add_record(record(f"package-{number}", "1.0", "py312-slim", observed_at=DAY + number))
        built = build(store.db, folder / "public", bound=bound_with_room(250))
    assert built.pages < built.all_packages
    without = next(n for n in range(70) if not (folder / f"public/p/package-{n}").exists())
    with serve_folder(folder / "public") as site:
        open_missing(page, site, f"p/package-{without}/")
        page.wait_for_selector("#absent:not([hidden])")
        assert "has no page of its own here" in page.inner_text("#absent")
        page.click("#absent a")
        page.wait_for_selector("#answer h2")


def test_pages_and_terminals_have_one_rule(page: "Page", site: str) -> None:
    chance = random.Random(7)
    names = sorted({"".join(chance.choices("ab-c", k=chance.randint(1, 9))).strip("-") or "a" for _ in range(400)})
    typed = [*names[::8], "rqeuests", "ba", "abcabc"]
    page.goto(f"{site}/index.html")
    found = page.evaluate(
        "([typed, names]) => import('./near.js').then(({ nearNames }) => typed.map((one) => nearNames(one, names)))",
        [typed, names],
    )
    assert found == [near_names(one, names) for one in typed], json.dumps(typed)
