"""What results leave unsaid, as readers see it: pages, JSON, badges and feeds agree, and untrusted text stays text."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppp.check.pythons import frozen_pythons
from ppp.ledger.store import Store
from ppp.model.installed_files import RecordMismatch, SharedFile, SharedFiles
from ppp.model.record import (
    BrokenEntryPoint,
    EntryPoints,
    ModuleFailure,
    Outcome,
    Phase,
    Preinstalled,
    Record,
    Submodules,
    outcomes_in_order,
)
from ppp.publish.build import build
from ppp.publish.packages.finding_kinds import REMARKS, FindingKind
from ppp.publish.site.package_modules import module_reports
from ppp.schemas import schema_errors

Make = Callable[..., Record]
DAY = 1_714_003_200
SLIM, ALPINE = "py312-slim", "py312-alpine"
STUBS: dict[str, Any] = {
    "outcomes": outcomes_in_order(dict.fromkeys(Phase, Outcome.PASS) | {Phase.IMPORT: Outcome.SKIP}),
    "grounds": {Phase.IMPORT: "stubs"},
    "imports": (),
}
#: Text that acts if it is not escaped, as a package or an index may print it.
HOSTILE = "<script>alert(1)</script>\u202e\x1b]0;owned\x07\"'&" + "x" * 300


def failure(module: str, outcome: Outcome = Outcome.FAIL, detail: str | None = "libz.so.1: no") -> ModuleFailure:
    return ModuleFailure(module=module, outcome=outcome, cause="shared-library", detail=detail)


@pytest.fixture
def unsaid(store: Store, record: Make) -> Store:
    """A ledger of releases about which there is something to say besides their results."""
    brought = (Preinstalled(name="pip", version="24.0"), Preinstalled(name="setuptools", version="65.5.1"))
    image = "sha256:" + "7" * 64
    point = BrokenEntryPoint(group="console_scripts", name="run", value="part:main", detail="part has no main")
    for place, environment in enumerate((SLIM, ALPINE)):
        here = {"observed_at": DAY + place, "preinstalled": brought, "image_digest": image}
        failed = (failure("part.c"), failure("part.d", Outcome.SKIP, None)) if environment == ALPINE else ()
        deep = Submodules(tried=21, left_out=1 if failed else 0, failed=failed)
        points = EntryPoints(tried=2, broken=(point,))
        extra = (failure("extra", detail="No module named 'yaml'"),)
        store.add_record(record("stubs", "1", environment, **STUBS, **here))
        store.add_record(record("mixed", "1", environment, **(STUBS if environment == ALPINE else {}), **here))
        store.add_record(record("leans", "1", environment, relies_on=("setuptools",), **here))
        store.add_record(
            record("marked", "1", environment, yanked="bad <b>wheel</b>", project_status="archived", **here)
        )
        store.add_record(
            record("part", "1", environment, submodules=deep, entry_points=points, imports=("part", "extra"),
                   primary_module="part", import_failures=extra, **here)
        )  # fmt: skip
    gone = {"result": "NA", "cause": "withdrawn", "blame": None, "detail": "its files were deleted", "file": None}
    store.add_record(record("gone", "1", SLIM, **gone))
    mismatch = RecordMismatch(missing=1, unlisted=0, different=0, examples=("odd/a.py",))
    store.add_record(record("odd", "1", SLIM, record_mismatch=mismatch))
    torn = SharedFile(path="<b>/conf.py", owners=("left", "torn"), equal=False, kept="torn")
    store.add_record(record("torn", "1", SLIM, shared_files=SharedFiles(conflicts=1, equal=0, files=(torn,))))
    return store


@pytest.fixture
def public(unsaid: Store, tmp_path: Path) -> Path:
    """The site of that ledger."""
    build(unsaid.db, tmp_path / "public")
    return tmp_path / "public"


@pytest.fixture
def text_of(public: Path, page: Callable[[Path], Any]) -> Callable[[str], str]:
    """The text of a page of it."""
    return lambda path: " ".join(page(public / path).text.split())


def test_a_pass_without_an_import_never_looks_like_one_with(public: Path, text_of: Callable[[str], str]) -> None:
    shown = text_of("p/stubs/index.html")
    assert "stubs 1 installs, with nothing to import, on" in shown
    assert "installed nothing to import: type stubs only" in shown
    assert "PASS" not in shown.partition("Earlier")[0].partition("All cells")[0]
    assert "; it installs, with nothing to import, on" in text_of("p/mixed/index.html")
    front = text_of("index.html")
    assert "installed installed, nothing to import" in front
    assert "2 Nothing to import installs, and has no module to import" in front
    html = (public / "index.html").read_text()
    assert html.count('<td class="installed" data-e=') == 3
    assert '<path class="installed" d="M' in html
    assert "2 installed" in text_of("packages/index.html")
    assert "2 PASS installed FAIL TIMEOUT ERROR NA" not in text_of("env/index.html")
    assert "environment description PASS installed FAIL" in text_of("env/index.html")
    assert "4 PASS 2 installed of" not in text_of(f"env/{SLIM}/index.html")
    assert "4 PASS 1 installed 1 NA of 6 releases" not in text_of(f"env/{ALPINE}/index.html")
    assert "3 PASS 2 installed of 5 releases" in text_of(f"env/{ALPINE}/index.html")


def test_files_say_that_nothing_was_imported(public: Path) -> None:
    def read(path: str) -> Any:
        return json.loads((public / path).read_text())

    current = read("current.json")
    assert current["counts"]["nothing_to_import"] == 3
    flagged = {(r["package"], r["environment"]) for r in current["results"] if r.get("nothing_to_import")}
    assert flagged == {("stubs", SLIM), ("stubs", ALPINE), ("mixed", ALPINE)}
    stubs = read("api/v1/p/stubs.json")
    assert (stubs["results"], stubs["nothing_to_import"]) == ({"PASS": 2}, 2)
    assert all(cell["nothing_to_import"] and cell["grounds"] == {"import": "stubs"} for cell in stubs["cells"])
    badge, mixed = read("badge/stubs.json"), read("badge/mixed.json")
    assert (badge["label"], badge["message"]) == ("installs", "2/2 environments, nothing to import")
    assert (mixed["label"], mixed["message"]) == ("installs & imports", "2/2 environments, 1 without import")
    assert {badge["color"], mixed["color"]} == {"blue"}
    assert (
        "stubs 1 installs in 2 of 2 environments (nothing to import in 2)" in (public / "badge/stubs.svg").read_text()
    )
    assert read("search/st.json")["packages"] == [["stubs", "1", 2, 2, 2]]
    assert read(f"api/v1/env/{ALPINE}.json")["nothing_to_import"] == 2
    assert "installed" in (public / "p/stubs/atom.xml").read_text()


def test_the_page_of_a_release_that_imports_in_part(text_of: Callable[[str], str]) -> None:
    shown = text_of("p/part/index.html")
    assert "; it imports in part in 1 of 2 environments." in shown
    assert "Imports in part py312-alpine: part.c loads elsewhere (py312-slim), but not here: libz.so.1: no" in shown
    assert "Broken entry points all 2 environments: run = part:main: part has no main" in shown
    assert "In py312-alpine Imported part (part decides) Extension modules and submodules 20 of 21 load; 1" in shown
    assert "21 of 21 load Commands 1 of 2 have their module and function" in shown
    assert "FAIL extra shared-library No module named 'yaml' FAIL part.c shared-library libz.so.1: no" in shown
    assert "not tried part.d" in shown


def test_every_remark_is_on_the_page_and_in_the_data(public: Path, text_of: Callable[[str], str]) -> None:
    seen = set()
    for package in ("stubs", "leans", "marked", "part", "gone", "odd", "torn"):
        data = json.loads((public / "api" / "v1" / "p" / f"{package}.json").read_text())
        assert schema_errors("site/schemas/package.schema.json", data) == []
        shown = text_of(f"p/{package}/index.html")
        for remark in data["remarks"]:
            seen.add(remark["finding"])
            assert remark["remark"] in shown
            listed = json.loads((public / "api" / "v1" / f"{remark['finding']}.json").read_text())
            assert schema_errors("site/schemas/finding.schema.json", listed) == []
            cells = [cell for cell in listed["affected"] if cell["package"] == package]
            assert {cell["remark"] for cell in cells} == {remark["remark"]}
            assert [cell["environment"] for cell in cells] == remark["environments"]
            assert remark["remark"] in text_of(f"findings/{remark['finding']}/index.html")
            assert remark["remark"] in (public / "findings" / remark["finding"] / "feed.json").read_text()
    # What a release breaks is checked in test_breaks.py.
    assert seen == {str(kind) for kind in REMARKS - {FindingKind.BREAKS_OTHERS}}
    part = json.loads((public / "api" / "v1" / "p" / "part.json").read_text())
    assert [part["submodules"][cell["submodules"]]["tried"] for cell in part["cells"]] == [21, 21]
    assert part["primary_modules"] == ["part"]
    assert len(part["entry_points"]) == 1
    marked = json.loads((public / "api" / "v1" / "p" / "marked.json").read_text())
    assert {(cell["yanked"], cell["project_status"]) for cell in marked["cells"]} == {("bad <b>wheel</b>", "archived")}


def test_an_environment_says_what_its_image_brings(public: Path, text_of: Callable[[str], str]) -> None:
    shown = text_of(f"env/{ALPINE}/index.html")
    assert "What the environment brings Image 777777777777 before anything is installed pip 24.0" in shown
    assert "setuptools 65.5.1" in shown
    data = json.loads((public / "api" / "v1" / "env" / f"{ALPINE}.json").read_text())
    assert data["images"] == [
        {"image": "sha256:" + "7" * 64, "preinstalled": [["pip", "24.0"], ["setuptools", "65.5.1"]]}
    ]
    assert schema_errors("site/schemas/environment.schema.json", data) == []


def test_a_python_with_a_frozen_toolchain_is_noted(
    store: Store, record: Make, tmp_path: Path, page: Callable[[Path], Any]
) -> None:
    for environment in ("py39-slim", SLIM):
        store.add_record(record("old", "1", environment, result="PASS" if environment == SLIM else "FAIL"))
        store.add_record(record("broken", "1", environment, result="FAIL"))
        store.add_record(record("six", "1", environment))
    build(store.db, tmp_path / "public")
    note = frozen_pythons()["3.9"].about
    for path, noted in {
        "env/py39-slim/index.html": True,
        f"env/{SLIM}/index.html": False,
        "env/index.html": True,
        "p/old/index.html": True,
        "p/six/index.html": False,
        "p/broken/index.html": False,
    }.items():
        assert (note in page(tmp_path / "public" / path).text) == noted, path
    data = json.loads((tmp_path / "public" / "api" / "v1" / "env" / "py39-slim.json").read_text())
    assert data["about"] == note
    assert schema_errors("site/schemas/environment.schema.json", data) == []


def test_a_change_rewrites_only_what_it_concerns(unsaid: Store, record: Make, tmp_path: Path) -> None:
    out, cache = tmp_path / "public", tmp_path / "cache.db"
    build(unsaid.db, out, cache_path=cache)
    unsaid.add_record(record("leans", "1", SLIM, observed_at=DAY + 50, relies_on=("wheel",)))
    done = build(unsaid.db, out, cache_path=cache)
    assert done.packages == 1
    assert "findings/relies-on-image/feed.xml" in done.written
    assert not [path for path in done.written if path.startswith(("p/", "badge/")) and "leans" not in path]
    assert not [
        path for path in done.written if path.startswith("findings/") and path.endswith(".xml") and "relies" not in path
    ]
    build(unsaid.db, tmp_path / "at once")
    assert subprocess.run(["diff", "-r", out, tmp_path / "at once"], check=False).returncode == 0


@pytest.mark.attack("inert-text")
def test_what_a_package_or_an_index_prints_stays_text(store: Store, record: Make, tmp_path: Path) -> None:
    many = tuple(failure(f"{number}{HOSTILE}"[:255], detail=HOSTILE) for number in range(64))
    points = tuple(BrokenEntryPoint(group="g", name=HOSTILE[:255], value=HOSTILE, detail=HOSTILE) for _ in range(64))
    hostile = {
        "import_failures": many,
        "imports": tuple(one.module for one in many),
        "primary_module": HOSTILE[:255],
        "submodules": Submodules(tried=64, left_out=9, failed=many),
        "entry_points": EntryPoints(tried=64, broken=points),
        "record_mismatch": RecordMismatch(missing=1, unlisted=1, different=1, examples=(HOSTILE[:255],) * 3),
        "relies_on": (HOSTILE[:214],) * 64,
        "shared_files": SharedFiles(
            conflicts=16,
            equal=0,
            files=(SharedFile(path=HOSTILE[:255], owners=(HOSTILE[:214],) * 8, equal=False, kept=HOSTILE[:214]),) * 16,
        ),
        "preinstalled": (Preinstalled(name=HOSTILE[:214], version=HOSTILE[:128]),) * 200,
        "yanked": HOSTILE,
        "grounds": {Phase.IMPORT: HOSTILE[:64]},
    }
    with store.db.atomic():
        for number in range(18):
            different = {**hostile, "yanked": f"{number}{HOSTILE}"}
            store.insert_record(record("hostile", "1", f"py3{number + 2}-slim", **different), None)
    build(store.db, tmp_path / "public")
    for path in (tmp_path / "public").rglob("*.html"):
        content = path.read_text("utf-8")
        assert not set("\x1b\u202e\x07") & set(content), path
        assert "<script>alert" not in content, path
        assert len(content.encode()) < 50_000, path


def test_modules_are_imported_only_where_they_were(
    store: Store, record: Make, tmp_path: Path, page: Callable[[Path], Any]
) -> None:
    points = EntryPoints(tried=1, broken=())
    store.add_record(record("six", "1", SLIM, entry_points=points, primary_module="six"))
    store.add_record(record("six", "1", ALPINE, entry_points=points, primary_module="six", result="FAIL"))
    build(store.db, tmp_path / "public")
    shown = " ".join(page(tmp_path / "public" / "p" / "six" / "index.html").text.split())
    assert "In py312-slim Imported six Commands 1 of 1 have their module and function" in shown
    assert "In py312-alpine Commands 1 of 1 have their module and function" in shown


def test_an_environment_of_which_there_is_nothing_to_say_has_no_heading(record: Make) -> None:
    passed = record("deep", "1", SLIM, submodules=Submodules(tried=2, left_out=0, failed=()))
    failed = record("deep", "1", ALPINE, result="FAIL", cause="import-error", primary_module="deep")
    assert failed.imports
    assert [report.environments for report in module_reports([passed, failed])] == [(SLIM,)]
    assert module_reports([failed]) == []
