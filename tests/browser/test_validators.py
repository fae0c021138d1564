"""External validators: html-validate and the Nu validator (either alone accepted a bad page), and Lighthouse."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from browser_tools import CHROMIUM, CHROMIUM_FLAGS, HTML_VALIDATE, LIGHTHOUSE, VNU
from showcase import EMPTY_PAGES, PAGES, ServedSites

pytestmark = [pytest.mark.validators]

CONFIG = Path(__file__).with_name("html-validate.mjs")
#: The validator needs an option to accept addresses on this machine.
#: `vector-effect` is in SVG 2 and in all browsers, but not in the list of the validator.
NU = (
    "java",
    "-Dnu.validator.servlet.allow-forbidden-hosts=true",
    "-jar",
    VNU,
    "--Werror",
    "--format",
    "json",
    "--stdout",
    "--filterpattern",
    ".*Property “vector-effect” doesn't exist.*",
)
ENOUGH = 0.95
ATTEMPTS = 3
#: The slowdown of the simulated phone, by minimum `benchmarkIndex` of the machine.
SLOWDOWNS = {1500: 4, 800: 2}
BAD_PAGE = (
    '<!doctype html><html lang="en"><head><title>Bad</title></head><body><p><div id="a b"></div></p></body></html>'
)


def asked(*command: str | Path) -> Any:
    """Run a validator; return its JSON output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def nu(*what: str | Path) -> list[str]:
    """Return the messages of the Nu validator about addresses or files."""
    found = asked(*NU, *what)["messages"]
    return [f"{message['url']}:{message.get('lastLine')}: {message['message']}" for message in found]


def html_validate(pages: Sequence[Path]) -> list[str]:
    """Return the messages of html-validate about files."""
    found = asked("node", HTML_VALIDATE, f"--config={CONFIG}", "--formatter=json", *pages)
    return [
        f"{page['filePath']}:{message['line']}: {message['message']} ({message['ruleId']})"
        for page in found
        for message in page["messages"]
    ]


def judged(sites: ServedSites) -> list[Path]:
    """Return all pages of the full site except those of its made-up crowd, and one of each kind of the empty site."""
    full = [page for page in sites.full.rglob("*.html") if "-made-up-package" not in page.parent.name]
    assert {sites.full / path for path in PAGES.values()} <= set(full)
    return sorted(full) + [sites.empty / path for path in EMPTY_PAGES.values()]


def test_html_validate_finds_no_errors(sites: ServedSites) -> None:
    assert html_validate(judged(sites)) == []


def test_the_nu_validator_accepts_the_pages(sites: ServedSites) -> None:
    places = ((sites.full, sites.full_address), (sites.empty, sites.empty_address))
    pages = [
        f"{address}/{page.relative_to(root)}"
        for page in judged(sites)
        for root, address in places
        if page.is_relative_to(root)
    ]
    assert len(pages) > 80
    assert nu(*pages) == []


def test_the_nu_validator_accepts_styles_and_images(sites: ServedSites) -> None:
    styles, pictures = sorted(sites.full.rglob("*.css")), sorted(sites.full.rglob("*.svg"))[:40]
    assert len(styles) == 2
    assert len(pictures) == 40
    assert nu("--also-check-css", "--also-check-svg", *styles, *pictures) == []


def test_both_validators_detect_a_bad_page(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(BAD_PAGE)
    assert nu(bad)
    assert html_validate([bad])


def report(address: str, folder: Path, slowdown: int) -> dict[str, Any]:
    """Return Lighthouse's report on a page as on a phone, simulated by slowing this machine down."""
    path = folder / "lighthouse.json"
    switches = " ".join(("--headless=new", *CHROMIUM_FLAGS))
    subprocess.run(
        (
            "node",
            LIGHTHOUSE,
            address,
            "--quiet",
            "--disable-full-page-screenshot",
            "--output=json",
            f"--output-path={path}",
            f"--chrome-flags={switches}",
            f"--throttling.cpuSlowdownMultiplier={slowdown}",
        ),
        capture_output=True,
        check=True,
        timeout=240,
        env={**os.environ, "CHROME_PATH": str(CHROMIUM)},
    )
    return dict(json.loads(path.read_text("utf-8")))


def slowdown_for(benchmark: float) -> int:
    """Return how many times slower a phone is than a machine of this `benchmarkIndex`, by its docs/throttling.md."""
    return next((times for index, times in SLOWDOWNS.items() if benchmark >= index), 1)


@pytest.mark.alone
@pytest.mark.browser
@pytest.mark.parametrize("kind", ["front", "package-fails", "findings", "sql"])
def test_lighthouse_scores(sites: ServedSites, kind: str, tmp_path: Path) -> None:
    slowdown, attempts = max(SLOWDOWNS.values()), []
    for _ in range(ATTEMPTS):
        found = report(sites.pages[kind], tmp_path, slowdown)
        scores = {name: category["score"] for name, category in found["categories"].items()}
        # It times the page, and this machine may be slow, or busy with other things: only that may be asked again.
        quick = scores.pop("performance")
        assert {name: score for name, score in scores.items() if score < ENOUGH} == {}
        assert scores.keys() == {"accessibility", "best-practices", "seo"}
        if quick >= ENOUGH:
            return
        benchmark = found["environment"]["benchmarkIndex"]
        attempts.append(f"{quick} with a benchmark of {benchmark:.0f}, slowed {slowdown} times")
        slowdown = slowdown_for(benchmark)
    pytest.fail(f"performance: {', then '.join(attempts)}")
