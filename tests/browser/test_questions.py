"""The five questions that a person comes with, each answered in the first screen, one click or Enter from the front.

The site is that of a made-up ledger of 3,000 packages; what the answers must say is known from the ledger by SQL, for
packages drawn by a seed. The terminal answers the same by one command each. `scripts/nox -s questions` prints how long
each answer took, as a multiple of how long the front page takes to load in the same run: nothing depends on it.
"""

import json
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import pytest
from browser_tools import serve_folder

from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.publish.build import build
from ppp.resources import resource

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser]

PACKAGES, RECORDS, SEED = 3_000, 50_000, 7
WIDTH, HEIGHT = 1280, 800
#: What the front page may load before anybody types or clicks, uncompressed.
MAX_BYTES = 100_000
PLATFORMS: Final = {"slim": "Debian slim", "alpine": "Alpine"}
FAILED: Final = ("FAIL", "TIMEOUT")

#: The cells of a package's newest checked release, and the newest version that passes in each environment.
CELLS = """
WITH newest AS (SELECT version FROM releases WHERE package = :package ORDER BY version_key DESC LIMIT 1)
SELECT j.environment, j.version, j.result, j.cause, j.blame,
  (SELECT c.version FROM current AS c WHERE c.package = j.package AND c.environment = j.environment
   AND c.result = 'PASS' ORDER BY c.version_key DESC LIMIT 1) AS good,
  (SELECT count(*) FROM current AS c WHERE c.package = j.package AND c.environment = j.environment) - 1 AS older
FROM judged AS j WHERE j.package = :package AND j.version = (SELECT version FROM newest)
"""
#: Cells of newest releases that pass where the last release with a verdict failed, or vice versa, since a week.
CHANGED = """
WITH ranked AS (
  SELECT c.*, dense_rank() OVER (PARTITION BY package ORDER BY version_key DESC) AS age FROM current AS c),
cells AS (
  SELECT n.package, n.version, n.environment, n.result, n.cause, n.observed_at,
    (SELECT o.version || ' ' || o.result FROM current AS o WHERE o.package = n.package
     AND o.environment = n.environment AND o.version_key < n.version_key AND o.result <> 'ERROR'
     ORDER BY o.version_key DESC LIMIT 1) AS before,
    (SELECT min(r.observed_at) FROM records AS r WHERE r.package = n.package AND r.version = n.version
     AND r.environment = n.environment AND r.result <> 'ERROR') AS first_at
  FROM ranked AS n WHERE n.age = 1)
SELECT package, substr(before, 1, instr(before, ' ') - 1) AS old, version, environment, result, cause FROM cells
WHERE first_at > (SELECT max(observed_at) FROM records) - 7 * 86400
  AND (result = 'PASS' AND (before LIKE '% FAIL' OR before LIKE '% TIMEOUT')
       OR result IN ('FAIL', 'TIMEOUT') AND before LIKE '% PASS')
"""


PASTE = """(text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text", text);
  document.querySelector("#find").dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCell:
    """What SQL says of a cell of a newest release; `good` is the newest version that passes, of `older` others."""

    environment: str
    version: str
    result: str
    cause: str | None
    blame: str | None
    good: str | None
    older: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedSite:
    """The ledger, its site, and the packages that are asked about, with their cells by environment."""

    data: Path
    address: str
    drawn: Mapping[str, Mapping[str, KnownCell]]
    changed: Mapping[str, list[sqlite3.Row]]
    took: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def timed(self, question: str) -> Iterator[None]:
        """Add the time of a block, in seconds, to those of a question."""
        started = time.monotonic()
        yield
        self.took.setdefault(question, []).append(time.monotonic() - started)


@pytest.fixture(scope="module", name="asked")
def _asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskedSite]:
    data = tmp_path_factory.mktemp("questions")
    script = resource("matrices").parent / "scripts" / "synthetic-ledger"
    sizes = (f"--packages={PACKAGES}", f"--records={RECORDS}", f"--seed={SEED}")
    subprocess.run([sys.executable, str(script), str(data), *sizes], check=True, capture_output=True)
    with closing(read_ledger(data)) as db:
        build(db, data / "public")
    with closing(sqlite3.connect(data / LEDGER_NAME)) as plain, serve_folder(data / "public") as address:
        plain.row_factory = sqlite3.Row
        changed: dict[str, list[sqlite3.Row]] = {}
        for row in plain.execute(CHANGED):
            changed.setdefault(row["package"], []).append(row)
        site = AskedSite(data=data, address=address, drawn=drawn_packages(plain), changed=changed)
        yield site
    print_times(site)


def drawn_packages(plain: sqlite3.Connection) -> dict[str, dict[str, KnownCell]]:
    """Return two packages that pass everywhere, two that fail everywhere, and three that do either; all claim all."""
    names = [name for (name,) in plain.execute("SELECT DISTINCT package FROM results ORDER BY package")]
    random.Random(SEED).shuffle(names)
    wanted = Counter({"passes": 2, "fails": 2, "both": 3})
    drawn: dict[str, dict[str, KnownCell]] = {}
    for name in names:
        cells = {row["environment"]: KnownCell(**row) for row in plain.execute(CELLS, {"package": name})}
        failing = [cell.result in FAILED for cell in cells.values()]
        kind = "fails" if all(failing) else "both" if any(failing) else "passes"
        decided = all(cell.result in ("PASS", *FAILED) for cell in cells.values())
        if wanted[kind] and decided and len(cells) > 1:
            wanted[kind] -= 1
            drawn[name] = cells
        if not wanted.total():
            break
    return drawn


def print_times(site: AskedSite) -> None:
    """Print how long each question took, as a multiple of how long the front page takes to load."""
    loads = site.took.pop("front page", [])
    for question, times in site.took.items() if loads else ():
        multiple, seconds = median(times) / median(loads), median(times)
        print(f"\n{question}: {multiple:.1f} loads of the front page ({seconds:.2f} s, of {len(times)})", end="")  # noqa: T201 - what it is for


@pytest.fixture(name="page")
def _page(browser: "Browser", asked: AskedSite) -> Iterator["Page"]:
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    with asked.timed("front page"):
        page.goto(f"{asked.address}/index.html")
    page.wait_for_selector(".search:not([hidden])")
    # The notice of old data covers a part of the screen.
    page.wait_for_selector("#stale time")
    yield page
    context.close()


def in_first_screen(page: "Page", *shown: "Locator") -> bool:
    """Return whether elements are wholly visible without scrolling, above the notice of old data."""
    notice = page.locator("#stale").bounding_box()
    bottom = notice["y"] if notice else HEIGHT
    boxes = [one.bounding_box() for one in shown]
    return all(box and box["y"] >= 0 and box["y"] + box["height"] <= bottom and box["x"] >= 0 for box in boxes)


def cell_of(page: "Page", environment: str) -> "Locator":
    """Return the cell of an environment in the matrix of a package's page."""
    python, platform = re.fullmatch(r"py(.+)-(.+)", environment).groups()  # type: ignore[union-attr]
    row = page.locator(".cells tbody tr").filter(
        has=page.get_by_role("rowheader", name=f"{python[0]}.{python[1:]}", exact=True)
    )
    return row.locator(f'td[data-e="{PLATFORMS[platform]}"]')


def test_does_it_work_there_and_if_not_why_whose_fault_and_which_version_did(asked: AskedSite, page: "Page") -> None:
    results: Counter[str] = Counter()
    for name, cells in asked.drawn.items():
        page.goto(f"{asked.address}/index.html")
        page.fill("#find", name)
        page.wait_for_selector(f".found a >> text={name}")
        with asked.timed("Does X work on E?"):
            page.press("#find", "Enter")
            page.wait_for_url(f"**/p/{name}/index.html")
            page.wait_for_selector(".cells td")
        page.wait_for_selector("#stale time")
        for cell in cells.values():
            results[cell.result] += 1
            shown = cell_of(page, cell.environment)
            said = shown.inner_text()
            assert in_first_screen(page, page.locator(".lede"), shown), (name, cell)
            assert ("installed" if cell.result == "PASS" and "installed" in said else cell.result) in said
            assert cell.version in page.inner_text(".lede")
            if cell.result in FAILED:
                good = f"last good {cell.good}" if cell.good else "none good before" if cell.older else None
                assert [part for part in (cell.cause, cell.blame, good) if part and part not in said] == [], said
    assert results.keys() >= {"PASS", "FAIL"}


def test_what_changed_this_week(asked: AskedSite, page: "Page") -> None:
    assert asked.changed
    rows = page.locator("section[aria-labelledby=changed] li")
    with asked.timed("What changed this week?"):
        said = {text.split()[0]: text for text in rows.all_inner_texts()}
    assert said.keys() == asked.changed.keys()
    # As many as there is room for; with more than these, a link leads to all of them.
    assert in_first_screen(page, *rows.all()[:3])
    for name, cells in asked.changed.items():
        for cell in cells:
            parts = (cell["old"], cell["version"], cell["environment"], cell["result"], cell["cause"])
            assert [part for part in parts if part and part not in said[name]] == [], said[name]
    page.click(".ways a[href^=changed]")
    page.wait_for_url("**/changed/index.html")
    assert in_first_screen(page, *page.locator("main li").all()[:5])
    assert page.locator("main li").count() == len(asked.changed)


def test_does_my_requirements_file_work_there(asked: AskedSite, page: "Page") -> None:
    wanted = "\n".join(asked.drawn)
    with asked.timed("Does my requirements file work on E?"):
        page.evaluate(PASTE, wanted)
        page.wait_for_selector("#answer table")
    page.wait_for_selector("#stale time")
    verdict = page.locator("#answer h2")
    failing = [name for name, cells in asked.drawn.items() if any(c.result in FAILED for c in cells.values())]
    assert f"{len(failing)} of {len(asked.drawn)} requirements fail somewhere." in verdict.inner_text()
    lines = page.locator("#answer .verdicts li")
    counts = {text.split()[1]: text for text in lines.all_inner_texts()}
    for environment in {environment for cells in asked.drawn.values() for environment in cells}:
        fails = sum(cells[environment].result in FAILED for cells in asked.drawn.values() if environment in cells)
        assert f"{fails} fail" in counts[environment] or not fails, counts
    # What fails comes first, each with the reason below its results.
    why = page.locator("#answer .why").first
    assert in_first_screen(page, verdict, *lines.all(), why)
    assert any(name in why.inner_text() for name in failing)


def test_would_the_wheel_that_i_am_about_to_upload(asked: AskedSite, page: "Page") -> None:
    with asked.timed("Would the wheel that I am about to upload?"):
        page.click("text=a wheel before you upload it")
        page.wait_for_selector("pre")
    page.wait_for_selector("#stale time")
    command = page.locator("pre").first
    assert "ppp check py312-slim ./dist/*.whl" in command.inner_text()
    assert in_first_screen(page, page.locator("h1"), command)


def test_the_front_page_is_light(asked: AskedSite, browser: "Browser") -> None:
    # Its tables have budgets of bytes: docs/capacity.md has what it weighs with 60,000 packages.
    page = browser.new_page()
    loaded: list[int] = []
    page.on("response", lambda response: loaded.append(len(response.body())))
    page.goto(f"{asked.address}/index.html")
    page.wait_for_load_state("networkidle")
    assert len(loaded) >= 4
    assert sum(loaded) < MAX_BYTES
    page.close()


def ppp(asked: AskedSite, *arguments: str) -> tuple[int, str]:
    """Run a command on the ledger; return its exit code and what it printed."""
    with asked.timed(f"ppp {arguments[0]}"):
        done = subprocess.run(
            [sys.executable, "-m", "ppp", *arguments, "--data", str(asked.data)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_terminal_answers_by_one_command_each(asked: AskedSite, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for name, cells in asked.drawn.items():
        cell = cells[chance.choice(sorted(cells))]
        code, said = ppp(asked, "ask", name, "--env", cell.environment)
        assert code == (cell.result in FAILED), said
        if cell.result in FAILED:
            good = f"{name}=={cell.good} passes there" if cell.good else "no checked version passes there"
            wanted = (f"{name}=={cell.version} {cell.result}", cell.cause, f"blame: {cell.blame}", good)
            assert [part for part in wanted if part not in said] == [], said  # type: ignore[operator]
        code, said = ppp(asked, "show", name, "--env", cell.environment)
        assert code == 0
        line = next((one for one in said.splitlines() if f"{name}=={cell.version} " in one and "[" in one), "")
        known = (cell.result, cell.cause, f"blame: {cell.blame}") if cell.result in FAILED else ()
        assert [part for part in known if part and part not in line] == [], said
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("\n".join(asked.drawn))
    code, said = ppp(asked, "ask", "-r", str(requirements))
    results = [cell.result for cells in asked.drawn.values() for cell in cells.values()]
    assert code == 1
    assert f"{sum(result in FAILED for result in results)} fail" in said.splitlines()[-1]
    code, said = ppp(asked, "changes", "--since", "7d", "--json")
    assert code == 0
    answered = {one["package"]: one for one in json.loads(said)["packages"]}
    assert answered.keys() == asked.changed.keys()
    for name, rows in asked.changed.items():
        assert (answered[name]["old"], answered[name]["new"]) == (rows[0]["old"], rows[0]["version"])
        assert {cell["environment"] for cell in answered[name]["cells"]} == {row["environment"] for row in rows}
