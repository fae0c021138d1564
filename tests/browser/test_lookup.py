"""The page that answers for packages without a page of their own, in a real browser."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from browser_tools import AXE, serve_folder
from small_sites import bound_with_room

from ppp.ledger.store import Store
from ppp.model.on_index import OnIndex
from ppp.model.record import Record
from ppp.publish.build import build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser]

PACKAGES = 70
DAY = 1_714_003_200
#: It ran on a stand-in, and the index had a newer version.
ELSEWHERE = {"standin": True, "on_index": OnIndex(newest="2.0", versions=4)}
WORD = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Iterator[str]:
    """A site without room for a page of each package; the record of one that failed quotes markup."""
    folder = tmp_path_factory.mktemp("lookup")
    with Store.open(folder / "data") as store:
        for number in range(PACKAGES):
            failed = {"result": "FAIL", "cause": "no-compiler", "detail": WORD, **ELSEWHERE} if number == 3 else {}
            store.add_record(record(f"package-{number}", "1.0", "py312-slim", observed_at=DAY + number, **failed))
        built = build(store.db, folder / "public", bound=bound_with_room(250))
    assert 0 < built.pages < built.all_packages == PACKAGES
    with serve_folder(folder / "public") as address:
        yield address


@pytest.fixture(name="page")
def _page(browser: "Browser") -> Iterator["Page"]:
    context = browser.new_context(viewport={"width": 375, "height": 800})
    yield context.new_page()
    context.close()


def open_lookup(page: "Page", site: str, name: str = "") -> None:
    page.goto(f"{site}/lookup/index.html{f'?name={name}' if name else ''}")
    page.wait_for_selector("#lookup:not([hidden])")


@pytest.mark.parametrize("number", [0, 3, 69])
def test_any_package_is_answered(number: int, page: "Page", site: str) -> None:
    open_lookup(page, site, f"Package_{number}")
    page.wait_for_selector("#answer:not([hidden])")
    answer = page.inner_text("#answer")
    assert f"package-{number}" in answer
    assert ("FAIL" in answer) == (number == 3)
    assert ("PyPI's newest is 2.0: not checked yet." in answer) == (number == 3)
    assert answer.count("stand-in") == (number == 3)
    assert ("no checked release passes" in answer) == (number == 3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.locator("#answer img").count() == 0


def test_typing_a_name_answers_it_and_going_back_returns(page: "Page", site: str) -> None:
    open_lookup(page, site)
    page.fill("#name", "package-7")
    page.press("#name", "Enter")
    page.wait_for_selector("#answer h2")
    assert page.inner_text("#answer h2") == "package-7"
    assert page.url.endswith("?name=package-7")
    page.go_back()
    page.wait_for_selector("#answer", state="hidden")


@pytest.mark.parametrize("name", ["absent", "../../current", WORD, "x" * 5_000])
def test_what_is_not_known(name: str, page: "Page", site: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    open_lookup(page, site)
    page.fill("#name", name)
    page.press("#name", "Enter")
    page.wait_for_function("() => document.querySelector('[role=status]').textContent !== ''")
    assert "Nothing is known about" in page.inner_text("[role=status]")
    assert errors == []
    assert page.locator("main img").count() == 0


def test_without_javascript_it_says_how_to_ask(browser: "Browser", site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/lookup/index.html")
    assert "This page needs JavaScript. Without it, ask the same files" in page.inner_text("main")
    context.close()


@pytest.mark.validators
def test_axe_finds_nothing(page: "Page", site: str) -> None:
    open_lookup(page, site, "package-3")
    page.wait_for_selector("#answer:not([hidden])")
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations.map((v) => `${v.id}: ${v.help}`)")
    assert found == []
