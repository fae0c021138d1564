"""The pages that answer for requirements and compare two packages: in a real browser, beside what `ppp ask` says."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from browser_tools import AXE, serve_folder
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from small_sites import bound_with_room

from ppp import config as configuration
from ppp.cli.ask import answer_json
from ppp.ledger.store import Store
from ppp.matrix_files import shipped_matrices
from ppp.model.answers import Answer
from ppp.model.errors import RequirementsError
from ppp.model.matrix import Environment, environment_sort_key
from ppp.model.on_index import OnIndex
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.runner.ask import MAX_PACKAGES, ask
from ppp.watch import pylock
from ppp.watch.markers import applies_in
from ppp.watch.watchlist import WatchlistEntry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser]

ENVIRONMENTS = ("py39-slim", "py312-slim", "py39-alpine", "py312-alpine")
VERSIONS = ("3.0a1", "2.1", "2.0.post1", "2.0", "1.10", "1.9", "1.0rc1", "1!0.5", "0.9+local")
KNOWN = tuple({e.id: e for matrix in shipped_matrices().values() for e in matrix.environments}.values())
MARKUP = "<img src=x onerror=alert(1)>"
#: Lines of requirements files; each is read alone, and all that are valid are asked about together.
LINES = r"""
many
many==2.0
Many >= 1.0, < 2
many~=1.9
many>2.0
many<2.0
many!=2.1
many==1.*
many>=3.0a1
many===1.10
many==2.0+other
many<=0.9
many>99
many (>=1.9,<2.1)
many[dev]==1.9
many[a, b] >= 1
one; python_version < "3.12"
one ; python_version >= '3.10' and sys_platform == "linux"
one; sys_platform == "win32"
one; os_name == 'nt' or (python_version < '3.10' and platform_system != 'Windows')
one; extra == "Dev_X"
one; platform_machine == "x86_64"
one; python_full_version < "3.8"
one; "3.10" <= python_version
one; python_version in "3.9 3.11"
one; python_version not in "3.9"
one; python_version == "3.*"
one; python_version ~= "3.10"
one; sys_platform ~= "linux"
one; sys_platform < "linux"
one; "lin" in sys_platform
one; "x" in extras
one; "a" == "b"
one; os_name == sys_platform
one; python_version
one; (python_version < "3.12"
one; python_version < "3.10" or python_version > "3" and os_name == "nt"
one; (python_version < "3.10" or python_version > "3") and os_name == "nt"
one; constructor == "x"
one; os_name == '\x22\x27'
one # comment
one#not-a-comment
# only a comment
one==1.0 --hash=sha256:abcdef --hash sha256:012345
fails
na
odd
absent
absent==1.0
-r base.txt
-rbase.txt
--constraint=c.txt
-e .
-e git+https://host.example/x.git#egg=x
--index-url https://index.example/simple
--extra-index-url=https://index.example/simple
--find-links links
--no-index
--pre
--require-hashes
--only-binary=:all:
--trusted-host x
-
./local
file:///x
git+https://host.example/x.git
one @ https://host.example/one-1.0-py3-none-any.whl
one @ https://host.example/one.whl ; python_version > "3"
one @
one-1.0.tar.gz
folder/one
one 1.0
one=1.0
one>1 <2
one>=1,
one>=1,,<2
one==
one==1.0a1.*
one>=1.*
one~=1
one>=1.0+local
-one
_one
one_
one.
é
one==é
one==1.0; python_version >= "3.9" # why
one ;
==1.0
one==99999999999999999999999999999
<script>alert(1)</script>
""".strip().split("\n")
#: Whole files: lines that go on, other ends of lines, duplicates, more lines than anybody has, and locks.
TEXTS = (
    "one==1.0 \\\n    --hash=sha256:abc \\\n    --hash=sha256:def\nmany\\\n>=2\n",
    "one\r\nmany\rfails\r\n",
    "\ufeffone\n\n\none\nONE\n",
    "one \\\n# a comment ends it\nmany",
    "".join(f"many>=1.{number % 40}  # {number}\n" for number in range(5_000)),
    "".join(f"p{number}\n" for number in range(MAX_PACKAGES + 1)),
)
LOCK = """\
lock-version = "1.0"
created-by = "x"
[[packages]]
name = "many"
version = "2.0"
marker = "python_version < '3.12'"
wheels = [
  {name = "many-2.0-py3-none-any.whl", url = "https://host.example/x", hashes = {sha256 = "ab"}},
]
[[packages]]
name = 'one'
version = '1.0' # pinned
marker = "'dev' in extras"
[[packages.wheels]]
name = "one-1.0-py3-none-any.whl"
url = "https://host.example/x"
hashes = {sha256 = "ab"}
[[packages]]
name = "here"
[packages.directory]
path = "."
"""
VALID_IN_BROWSER = """async ({ texts, pythons }) => {
  const { parseRequirements } = await import("/ask/requirements.js");
  const { isNeeded } = await import("/ask/markers.js");
  return texts.map((text) => {
    const { entries, notes, mistakes } = parseRequirements(text);
    const needed = (marker) => pythons.map((python) => isNeeded(marker, python));
    const read = entries.map(({ requirement, line, marker }) => [requirement, line, needed(marker)]);
    return { entries: read, notes, mistakes };
  });
}"""
ANSWERED_IN_BROWSER = """async ({ text, environments }) => {
  const { parseRequirements } = await import("/ask/requirements.js");
  const { isNeeded } = await import("/ask/markers.js");
  const { answer } = await import("/ask/answers.js");
  const { knownPackage } = await import("/ask/shared.js");
  return Promise.all(parseRequirements(text).entries.map(async (entry) => {
    const found = await knownPackage(entry.package);
    const needed = Object.fromEntries(environments.map(([id, python]) => [id, isNeeded(entry.marker, python)]));
    const cells = answer(entry, found?.known ?? { releases: [], passing: null }, needed);
    return [entry.requirement, cells.map(({ environment, state, version, cell, nearest }) =>
      [environment, state, version, cell?.result ?? null, nearest, cell?.blame ?? null, cell?.cause ?? null])];
  }));
}"""
FILTERED_IN_BROWSER = """async ({ specifiers, versions }) => {
  const { filterVersions, parseSpecifiers, specifiersText } = await import("/ask/versions.js");
  return specifiers.map((text) => {
    const found = parseSpecifiers(text);
    return found && [specifiersText(found), filterVersions(found, versions)];
  });
}"""


def fill(store: Store, record: Callable[..., Record]) -> None:
    """Store releases of which every rule has something to decide."""
    failed = {"result": "FAIL", "cause": "no-compiler", "detail": MARKUP}
    for place, environment in enumerate(ENVIRONMENTS):
        seen = {"on_index": OnIndex(newest="1!9.0", versions=40), "standin": environment == "py312-alpine"}
        for number, version in enumerate(VERSIONS):
            changes: tuple[dict[str, str], ...] = (
                {},
                failed,
                {"result": "NA", "cause": "no-distribution"},
                {"result": "ERROR"},
            )
            if (number + place) % 5 != 4:
                store.insert_record(record("many", version, environment, **changes[(number + place) % 4], **seen), None)
        store.insert_record(record("one", "1.0", environment), None)
        store.insert_record(record("fails", "1.0", environment, **failed), None)
        store.insert_record(record("na", "1.0", environment, result="NA", cause="no-distribution"), None)
    store.insert_record(record("odd", "1.0", "py312-slim", result="TIMEOUT"), None)
    store.db.conn.commit()


@pytest.fixture(scope="module", name="data")
def _data(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., Record]) -> Path:
    data = tmp_path_factory.mktemp("ask")
    with Store.open(data) as store:
        fill(store, record)
        build(store.db, data / "public", base_url="https://place.example/")
        build(store.db, data / "partial", bound=bound_with_room(20))
    return data


@pytest.fixture(scope="module", name="site")
def _site(data: Path) -> Iterator[str]:
    with serve_folder(data / "public") as address:
        yield address


@pytest.fixture(name="page")
def _page(browser: "Browser") -> "Iterator[Page]":
    context = browser.new_context(viewport={"width": 375, "height": 800})
    yield context.new_page()
    context.close()


def read_as_ppp(text: str, folder: Path) -> tuple[list[WatchlistEntry], list[str], str]:
    """Return what `ppp ask -r` reads of a file: entries, notes, and its error."""
    path = folder / ("pylock.toml" if text.startswith("lock-version") else "requirements.txt")
    path.write_bytes(text.encode())
    try:
        read = pylock.read_requirements(path)
    except RequirementsError as error:
        return [], [], str(error)
    return [*read.entries], [*read.notes], ""


def _needed(entry: WatchlistEntry, environment: Environment) -> bool:
    return applies_in(entry.marker, environment, {}) is not False


def test_lines_are_read_as_by_ppp_ask(page: "Page", site: str, tmp_path: Path) -> None:
    page.goto(f"{site}/ask/index.html")
    texts = [*LINES, *TEXTS]
    shown = page.evaluate(VALID_IN_BROWSER, {"texts": texts, "pythons": [environment.python for environment in KNOWN]})
    for text, found in zip(texts, shown, strict=True):
        entries, notes, error = read_as_ppp(text, tmp_path)
        assert bool(found["mistakes"]) == bool(error), text
        assert [tuple(one) for one in found["entries"]] == [
            (str(entry.wanted), entry.line, [_needed(entry, environment) for environment in KNOWN]) for entry in entries
        ], text
        assert found["notes"] == notes, text


@pytest.mark.parametrize("place", ["public", "partial"])
def test_answers_are_those_of_ppp_ask(page: "Page", data: Path, tmp_path: Path, place: str) -> None:
    valid = [line for line in LINES if not read_as_ppp(line, tmp_path)[2]]
    texts = ["\n".join(valid), TEXTS[4], LOCK] if place == "public" else ["one\nfails\nna\nodd\nabsent"]
    config = configuration.load({"PPP_DATA": str(data)})
    assert (data / place / "lookup.js").exists() == (place == "partial")
    with serve_folder(data / place) as address:
        page.goto(f"{address}/ask/index.html")
        boxes = page.locator("[name=environment]")
        known = boxes.evaluate_all("(boxes) => boxes.map((box) => [box.value, box.dataset.python])")
        names = [environment for environment, _ in known]
        assert set(names) == set(ENVIRONMENTS)
        for text in texts:
            entries, _, error = read_as_ppp(text, tmp_path)
            assert not error
            shown = page.evaluate(ANSWERED_IN_BROWSER, {"text": text, "environments": known})
            assert _verdicts(shown) == _verdicts(_answers(ask(config, entries, names)))
            # Files of packages have causes and blame of their newest releases only.
            if place == "public":
                assert shown == _answers(ask(config, entries, names, url=address))


def _answers(answers: list[Answer]) -> list[list[Any]]:
    names = ("state", "version", "result", "nearest", "blame", "cause")
    shown: list[Any] = [answer_json(one) for one in answers]
    return [
        [one["requirement"], [[e, *(cell[name] for name in names)] for e, cell in one["environments"].items()]]
        for one in shown
    ]


def _verdicts(answers: list[list[Any]]) -> list[Any]:
    return [(requirement, [cell[:-2] for cell in cells]) for requirement, cells in answers]


def test_specifiers_allow_the_versions_that_packaging_allows(page: "Page", site: str) -> None:
    wanted = (
        "1.0",
        "1",
        "1.0.0",
        "2.0a1",
        "2.0.dev1",
        "2.0.post1",
        "2.0-1",
        "v2.0RC1",
        "1!0.5",
        "0.9+local",
        "2.0a1.post2",
    )
    operators = ("==", "!=", "<=", ">=", "<", ">", "~=", "===")
    single = [f"{operator}{version}{end}" for operator in operators for version in wanted for end in ("", ".*")]
    specifiers = [*single, *(f"{one},{other}" for one, other in zip(single, single[7:], strict=False))]
    versions = [*VERSIONS, "2.0a1", "2.0a1.post1", "2.0a2.dev0", "2.0.dev1", "2.0.dev2", "2.0.post1.dev3", "2.0.post2"]
    versions += ["2.0+a", "2.0+1", "2.0.1", "2.1.dev0", "1.0", "1", "0", "20240101123456789", "20240101123456790"]
    page.goto(f"{site}/ask/index.html")
    shown = page.evaluate(FILTERED_IN_BROWSER, {"specifiers": specifiers, "versions": versions})
    assert dict(zip(specifiers, shown, strict=True)) == {one: _filtered(one, versions) for one in specifiers}


def _filtered(specifiers: str, versions: list[str]) -> list[Any] | None:
    try:
        found = SpecifierSet(specifiers)
    except InvalidSpecifier:
        return None
    return [str(found), [*found.filter(versions)]]


def test_a_pasted_file_is_answered_and_leaves_no_trace_elsewhere(page: "Page", site: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    pasted = quote("one\nmany>=1,<2\nfails\n-r secret-name.txt")
    page.goto(f"{site}/ask/index.html#r={pasted}")
    page.wait_for_selector("#answer h2")
    assert page.inner_text("#answer h2") == "2 of 3 requirements fail somewhere. 1 line could not be read."
    answer = page.inner_text("#answer")
    assert "line 4" in answer
    assert MARKUP in answer
    assert page.locator("#answer img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert not any("secret" in url or "%3E" in url for url in asked)
    files = {url.removeprefix(f"{site}/") for url in asked if "/api/v1/p/" in url}
    assert files == {f"api/v1/p/{name}.json" for name in ("one", "many", "fails")}


def test_a_dropped_file_and_a_choice_of_environments(page: "Page", site: str, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text('one; python_version < "3.10"\n')
    page.goto(f"{site}/ask/index.html")
    page.set_input_files("input[type=file]", file)
    page.wait_for_selector("#answer h2")
    assert page.inner_text("#answer h2") == "Each works by itself in every environment that was asked about."
    page.uncheck("input[value=py39-slim]")
    page.uncheck("input[value=py39-alpine]")
    page.wait_for_function("() => document.querySelector('#answer table').innerText.includes('not needed in any')")


def test_the_search_box_leads_to_the_page(page: "Page", site: str) -> None:
    page.goto(f"{site}/index.html")
    page.fill("#find", "many==2.0")
    page.press("#find", "Enter")
    page.wait_for_selector("#answer h2")
    assert page.input_value("#asked") == "many==2.0"
    page.goto(f"{site}/index.html")
    page.evaluate("""() => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text", "one\\n".repeat(900) + "fails\\n");
      document.querySelector("#find").dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
    }""")
    page.wait_for_selector("#answer h2")
    assert page.inner_text("#answer h2") == "1 of 2 requirements fails somewhere."


def test_rows_of_the_front_page_are_filtered(page: "Page", site: str) -> None:
    page.goto(f"{site}/index.html")
    rows = page.locator("#matrix-rows tbody tr:visible")
    page.wait_for_selector(".filters button")
    assert rows.count() == 5
    page.click(".filters button:text-is('timeout')")
    assert rows.count() == 1
    assert "odd" in rows.inner_text()
    assert page.inner_text(".filters [role=status]") == "1 of the 5 packages in this table"
    page.click(".filters button:text-is('timeout')")
    # A row that fails everywhere has one cell for all environments.
    page.click(".filters button:text-is('3.9 alpine')")
    page.click(".filters button:text-is('fail')")
    assert "fails" in " ".join(rows.all_inner_texts())
    assert page.evaluate("document.activeElement.textContent") == "fail"


def test_two_packages_are_compared(page: "Page", site: str) -> None:
    page.goto(f"{site}/compare/index.html?a=Many&b=fails")
    page.wait_for_selector("#answer table")
    answer = page.inner_text("#answer")
    assert "many and fails" in answer
    assert "0 of 4 environments" in answer
    assert "many: PyPI's newest is 1!9.0: not checked yet." in answer
    assert answer.count("stand-in") == 1
    shown = page.locator(".compared tbody:first-of-type th").all_inner_texts()
    assert shown == sorted(shown, key=environment_sort_key)
    assert shown == sorted(ENVIRONMENTS, key=environment_sort_key)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.fill("#b", "absent")
    page.press("#b", "Enter")
    page.wait_for_selector("#answer", state="hidden")
    assert page.inner_text("[role=status]") == "absent: not checked, and that says nothing about it."


@pytest.mark.parametrize("path", ["ask/index.html", "compare/index.html"])
def test_without_javascript_they_say_how_to_ask(browser: "Browser", site: str, path: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/{path}")
    shown = page.inner_text("main")
    assert "ppp ask" in shown
    assert "--from https://place.example/" in shown
    assert page.locator("button:visible").count() == 0
    context.close()


@pytest.mark.validators
@pytest.mark.parametrize("path", ["ask/index.html#r=one%0Amany%0Aabsent%0A-r%20x", "compare/index.html?a=many&b=fails"])
def test_axe_finds_nothing(page: "Page", site: str, path: str) -> None:
    page.goto(f"{site}/{path}")
    page.wait_for_selector("#answer table")
    page.evaluate(AXE.read_text("utf-8"))
    rules = '{ rules: { "color-contrast-enhanced": { enabled: true }, "target-size": { enabled: true } } }'
    found = page.evaluate(
        f"async () => (await axe.run({rules})).violations.map((v) => `${{v.id}}: ${{v.nodes[0].html}}`)"
    )
    assert found == []
