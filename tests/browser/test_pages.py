"""Every kind of page in a real browser: at three widths, dark and light, with and without scripts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pytest
from browser_tools import AXE
from showcase import AS_OF, EMPTY_PAGES, PAGES, ServedSites

from ppp.model.shown import GLYPHS, Shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser

KINDS = [*PAGES, *EMPTY_PAGES]
WIDTHS = (320, 768, 1440)
#: The width of an A4 sheet within usual margins, in CSS pixels.
PAPER = 718
MAX_BYTES = 50_000
Scheme: TypeAlias = Literal["dark", "light"]
GROUNDS: Mapping[Scheme, str] = {"dark": "rgb(11, 15, 13)", "light": "rgb(247, 246, 240)"}
GROUND = "() => getComputedStyle(document.body).backgroundColor"

#: Text that is too small, or outside of the page where it cannot be scrolled to.
ASTRAY = """() => {
  const astray = [];
  const range = document.createRange();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const cut = (element) => element && (getComputedStyle(element).overflowX !== "visible" || cut(element.parentElement));
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const holder = text.parentElement;
    if (!text.data.trim() || !(holder instanceof HTMLElement) || !holder.checkVisibility()) continue;
    if (holder.matches(".to-main, script")) continue;
    const said = text.data.trim().slice(0, 40);
    if (parseFloat(getComputedStyle(holder).fontSize) < 12) astray.push(`too small: ${said}`);
    range.selectNodeContents(text);
    const { left, right } = range.getBoundingClientRect();
    if ((left < 0 || right > innerWidth + 1) && !cut(holder)) astray.push(`outside: ${said}`);
  }
  const wide = document.documentElement.scrollWidth;
  return wide > innerWidth ? [...astray, `${wide} wide`] : astray;
}"""
#: The focused element, whether it is visible, and whether it has an outline.
FOCUS = """() => {
  const at = document.activeElement;
  const box = at.getBoundingClientRect();
  const style = getComputedStyle(at);
  return {
    is: [at.localName, at.id && `#${at.id}`, at.className && `.${at.className}`].filter(Boolean).join(""),
    text: at.matches("a") ? at.textContent.trim() : "",
    seen: box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight && box.width > 0,
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""
#: The default rules of axe, and two more: a contrast of 7:1, and the size of touch targets.
AXE_RUN = """async () => {
  const rules = { "color-contrast-enhanced": { enabled: true }, "target-size": { enabled: true } };
  const found = await axe.run({ rules, resultTypes: ["violations"] });
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ").slice(0, 300)}`);
}"""
#: The visible text of the page, except for interactive controls.
SAID = """() => {
  const said = [];
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const holder = text.parentElement;
    if (text.data.trim() && holder.checkVisibility() && !holder.closest(".acts, button")) said.push(text.data.trim());
  }
  return said;
}"""
#: Boxes that hide part of their content.
CUT = """() => [...document.querySelectorAll("main .scroll, main .log, main pre")]
  .filter((box) => getComputedStyle(box).overflowX !== "visible" || getComputedStyle(box).maxHeight !== "none")
  .map((box) => box.className)"""
#: The vertical positions of the content.
PLACES = """() => [...document.querySelectorAll("main h1, main h2, main p, main ul, main table")]
  .filter((one) => !one.closest(".search")).map((one) => one.getBoundingClientRect().top)"""
#: The glyph before each result: on chips, in matrices and beside the chart; and in earlier releases.
GLYPHED = """() => {
  const before = [...document.querySelectorAll(".chip > b, td > b, td > a > b, .key b")].map((b) =>
    [b.textContent, getComputedStyle(b, "::before").content]);
  const words = document.querySelectorAll(".history td:not(.none)");
  const older = [...words].map((td) => [td.firstChild.data.trim(), getComputedStyle(td, "::after").content]);
  return [before, older];
}"""
VIOLATED = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`))"""


@contextmanager
def opened(browser: "Browser", **settings: Any) -> "Iterator[tuple[Page, list[str]]]":
    """A page, and a list of its problems: errors, failed requests, requests to other hosts."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **settings)
    try:
        page = context.new_page()
        problems: list[str] = []
        page.add_init_script(VIOLATED)
        page.on("console", lambda reported: problems.append(f"console: {reported.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("requestfailed", lambda asked: problems.append(f"failed: {asked.url}"))
        page.on("response", lambda got: problems.extend([f"{got.status}: {got.url}"] * (not got.ok)))
        yield page, problems
    finally:
        context.close()


def goto(page: "Page", address: str, problems: list[str]) -> None:
    """Open a page, and add its requests to other hosts to the problems."""
    site = "/".join(address.split("/")[:3])
    page.on("request", lambda asked: problems.extend([f"elsewhere: {asked.url}"] * (not asked.url.startswith(site))))
    page.goto(address)


@pytest.mark.parametrize("scripts", ["scripted", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_pages_fit_at_every_width_dark_and_light(
    browser: "Browser", sites: ServedSites, kind: str, scripts: str
) -> None:
    with opened(browser, java_script_enabled=scripts == "scripted") as (page, problems):
        goto(page, sites.pages[kind], problems)
        if scripts == "scripted" and not kind.startswith("empty"):
            page.wait_for_selector("#stale time")
        # A page is laid out anew for each width, and only painted anew for each scheme.
        for width, scheme in product(WIDTHS, GROUNDS):
            if page.viewport_size != {"width": width, "height": 900}:
                page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            problems += [f"{scheme}, at {width}: {astray}" for astray in page.evaluate(ASTRAY)]
            assert page.evaluate(GROUND) == GROUNDS[scheme]
        assert page.locator("h1").count() == 1
    assert problems == []


@pytest.mark.validators
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_violations(browser: "Browser", sites: ServedSites, kind: str) -> None:
    # The page's Content Security Policy would block axe.
    with opened(browser, color_scheme="dark", bypass_csp=True) as (page, problems):
        goto(page, sites.pages[kind], problems)
        page.add_script_tag(path=AXE)
        # Structure is the same in both schemes, colours at both widths.
        looks: tuple[tuple[Scheme, int], ...] = (("dark", 1440), ("light", 320))
        for scheme, width in looks:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            problems += [f"{scheme}, at {width}: {found}" for found in page.evaluate(AXE_RUN)]
    assert problems == []


@pytest.mark.validators
def test_axe_detects_a_violation(browser: "Browser", sites: ServedSites) -> None:
    with opened(browser, bypass_csp=True) as (page, _):
        page.goto(sites.pages["about"])
        page.evaluate("() => document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"icon.svg\">')")
        page.add_script_tag(path=AXE)
        assert [found.partition(":")[0] for found in page.evaluate(AXE_RUN)] == ["image-alt"]


def test_pages_are_small(sites: ServedSites) -> None:
    sizes = {path: path.stat().st_size for root in (sites.full, sites.empty) for path in root.rglob("*.html")}
    assert len(sizes) > 450
    assert {path: size for path, size in sizes.items() if size > MAX_BYTES} == {}


def test_old_data_is_announced(browser: "Browser", sites: ServedSites) -> None:
    for days, shown in ((2, False), (5, True)):
        with opened(browser) as (page, problems):
            page.clock.set_fixed_time(AS_OF + 86_400 * days + 60)
            with page.expect_response("**/api/v1/index.json"):
                goto(page, sites.pages["front"], problems)
            page.wait_for_load_state("networkidle")
            output = "This data ends at 2024-04-25 12:00 UTC, 5 days ago. Later releases are not included."
            assert page.locator("#stale p").all_inner_texts() == [output] * shown
            assert problems == []


def test_the_notice_of_old_data_is_small_on_a_phone_and_stays_away_once_dismissed(
    browser: "Browser", sites: ServedSites
) -> None:
    with opened(browser) as (page, problems):
        page.set_viewport_size({"width": 375, "height": 800})
        page.clock.set_fixed_time(AS_OF + 86_400 * 5 + 60)
        goto(page, sites.pages["front"], problems)
        page.wait_for_selector("#stale time")
        assert page.inner_text("#stale p") == "This data ends at 2024-04-25 12:00 UTC, 5 days ago."
        box = page.locator("#stale").bounding_box()
        assert box is not None
        assert box["height"] <= 60
        page.click("#stale button")
        assert page.locator("#stale").count() == 0
        for kind, days in (("packages", 5), ("front", 6)):
            page.clock.set_fixed_time(AS_OF + 86_400 * days + 60)
            with page.expect_response("**/api/v1/index.json"):
                goto(page, sites.pages[kind], problems)
            page.wait_for_load_state("networkidle")
            assert page.locator("#stale").count() == 0
        # Other data that has grown old is announced again.
        page.evaluate("() => localStorage.setItem('ppp-stale-dismissed', '1')")
        goto(page, sites.pages["packages"], problems)
        page.wait_for_selector("#stale time")
    # What the browser has in its cache is asked for again, and unchanged.
    assert [problem for problem in problems if not problem.startswith("304: ")] == []


def test_each_result_has_a_glyph_that_is_not_read_aloud(browser: "Browser", sites: ServedSites) -> None:
    output: set[str] = set()
    for kind, address in sites.pages.items():
        with opened(browser) as (page, _):
            page.goto(address)
            before, older = page.evaluate(GLYPHED)
            assert [(word, reported) for word, reported in before if reported != f'"{GLYPHS[word]} " / ""'] == [], kind
            assert [(word, reported) for word, reported in older if reported != f'"{GLYPHS[word]}" / ""'] == [], kind
            output |= {word for word, _ in before}
            output |= {f"older {word}" for word, _ in older}
    assert output >= {*Shown, "older PASS", "older FAIL"}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["front", "packages"])
def test_no_layout_shift_when_scripts_load(browser: "Browser", sites: ServedSites, kind: str, width: int) -> None:
    with opened(browser) as (page, problems):
        page.set_viewport_size({"width": width, "height": 900})
        loaded: list[Route] = []
        page.route("**/site.js", lambda route: loaded.append(route))  # noqa: PLW0108 - it marks what it is given
        page.goto(sites.pages[kind], wait_until="commit")
        page.wait_for_function("() => document.readyState === 'interactive' && document.styleSheets.length")
        before = page.evaluate(PLACES)
        loaded[0].continue_()
        page.wait_for_selector(".search:not([hidden])")
        page.wait_for_selector("#stale time")
        assert page.evaluate(PLACES) == before != []
    assert problems == []


def stops(page: "Page", count: int) -> list[dict[str, Any]]:
    """Press Tab `count` times; return what was focused each time."""
    found = []
    for _ in range(count):
        page.keyboard.press("Tab")
        found.append(page.evaluate(FOCUS))
    return found


def test_everything_is_reachable_by_keyboard_with_visible_focus(browser: "Browser", sites: ServedSites) -> None:
    with opened(browser) as (page, problems):
        goto(page, sites.pages["front"], problems)
        walked = stops(page, 240)
        # After the last link comes the document itself.
        walked = walked[: [stop["is"] for stop in walked].index("body")]
        links = [stop["text"] for stop in walked if stop["text"]]
        assert links[:4] == ["Skip to the results", "The PyPI Place", "ask", "packages"]
        reached = [stop["is"] for stop in walked]
        assert reached.index("a.to-main") == 0
        assert reached.index("input#find") < reached.index("div.scroll")
        assert [stop["is"] for stop in walked if not (stop["seen"] and stop["outlined"])] == []
        assert "py39-slim" in links
    assert problems == []


def test_the_first_link_skips_the_header(browser: "Browser", sites: ServedSites) -> None:
    with opened(browser) as (page, _):
        page.goto(sites.pages["findings"])
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert [stop["is"] for stop in stops(page, 1)] == ["div.scroll"]


def test_scrollable_boxes_scroll_by_keyboard(browser: "Browser", sites: ServedSites) -> None:
    with opened(browser) as (page, _):
        page.set_viewport_size({"width": 320, "height": 900})
        page.goto(sites.pages["package-fails"])
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        boxes = page.locator("main .scroll, main .log, main pre.command")
        assert boxes.count() >= 4
        for box in boxes.all():
            box.focus()
            assert box.evaluate("box => box === document.activeElement")
            if box.evaluate("box => box.scrollWidth > box.clientWidth"):
                page.keyboard.press("ArrowRight")
                page.wait_for_function("() => document.activeElement.scrollLeft > 0")


def test_search_works_by_keyboard(browser: "Browser", sites: ServedSites) -> None:
    with opened(browser) as (page, problems):
        goto(page, sites.pages["front"], problems)
        page.fill("#find", "Needs_G")
        page.wait_for_selector(".search li")
        assert page.inner_text(".search [role=status]") == "1 package."
        page.keyboard.press("ArrowDown")
        assert page.evaluate(FOCUS)["text"] == "needs-gcc"
        page.keyboard.press("Enter")
        page.wait_for_url("**/p/needs-gcc/index.html")
    assert problems == []


def test_search_finds_the_most_downloaded_first(browser: "Browser", sites: ServedSites) -> None:
    with opened(browser) as (page, problems):
        goto(page, sites.pages["front"], problems)
        page.fill("#find", "made-up")
        page.wait_for_selector(".search li")
        found = page.locator(".search li a").all_inner_texts()
    assert [int(name[1:4]) for name in found] == list(range(418, 418 - 2 * len(found), -2))
    assert problems == []


@pytest.mark.parametrize("kind", KINDS)
def test_print_is_white_and_complete(browser: "Browser", sites: ServedSites, kind: str) -> None:
    with opened(browser, color_scheme="dark") as (page, _):
        page.set_viewport_size({"width": PAPER, "height": 1000})
        page.goto(sites.pages[kind])
        on_screen = page.evaluate(SAID)
        page.emulate_media(media="print")
        assert page.evaluate(SAID) == on_screen
        assert page.evaluate(GROUND) == "rgb(255, 255, 255)"
        assert page.evaluate("() => getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"
        assert page.evaluate(ASTRAY) == []
        assert page.evaluate(CUT) == []


def flickering(page: "Page") -> list[str]:
    """Return the names of the animations of elements that flicker."""
    named: list[str] = page.evaluate("""() => {
      const flickers = [...document.querySelectorAll(".mark, .name, .matrix td.fail, .failure")];
      return [...new Set(flickers.map((one) => getComputedStyle(one, "::before").animationName))].sort();
    }""")
    return named


def test_no_animation_with_reduced_motion(browser: "Browser", sites: ServedSites) -> None:
    for kind in ("front", "package-fails"):
        with opened(browser, reduced_motion="reduce") as (page, _):
            page.goto(sites.pages[kind])
            assert page.evaluate("() => document.getAnimations().length") == 0
            assert flickering(page) == ["none"]
        with opened(browser, reduced_motion="no-preference") as (page, _):
            page.goto(sites.pages[kind])
            assert {"ghost", "slip"} <= set(flickering(page))


def test_forced_colors_keep_the_patterns(browser: "Browser", sites: ServedSites) -> None:
    band = "(cell) => getComputedStyle(document.querySelector(cell), '::before').backgroundImage"
    with opened(browser, forced_colors="active", color_scheme="light") as (page, problems):
        goto(page, sites.pages["front"], problems)
        assert {page.evaluate(band, f".matrix td.{word}").partition("(")[0] for word in ("pass", "fail")} == {
            "linear-gradient",
            "repeating-linear-gradient",
        }
        # The words are the reader's own colours.
        colours = "() => [...document.querySelectorAll('.matrix td.pass, h1')].map((e) => getComputedStyle(e).color)"
        assert len(set(page.evaluate(colours))) == 1
        assert page.evaluate("() => getComputedStyle(document.querySelector('#find')).borderStyle") == "solid"
    assert problems == []
