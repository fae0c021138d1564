"""What changed for others after a release came: its finding, page, file and feed, and what is built again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppp.ledger.flips import FlipKind, find_flips
from ppp.ledger.store import Store
from ppp.model.record import Installed, Record
from ppp.model.trigger import Trigger, TriggerKind
from ppp.publish.build import build
from ppp.publish.packages.breaks import breaks_remarks, flips_by_release
from ppp.publish.site.breaks import breaks_document, breaks_folder, breaks_pages
from ppp.record_rules import record_mistakes
from ppp.schemas import schema_errors

Make = Callable[..., Record]
DAY = 1_714_003_200
SLIM, ALPINE = "py312-slim", "py312-alpine"
#: Text that acts if it is not escaped, as a package may print it.
HOSTILE = "<script>alert(1)</script>\u202e\"'& has no 'x'"


def after(version: str) -> Trigger:
    return Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version=version)


def checked(record: Make, package: str, version: str, at: int, *, again: bool = True, **changes: Any) -> Record:
    installed = (Installed(name="numpy", version=version, sha256=None),)
    trigger = after(version) if again else None
    return record(package, "1.0", observed_at=DAY + at, installed=installed, triggered_by=trigger, **changes)


def story(record: Make) -> list[Record]:
    """Three packages that pass with numpy 1.26, fail with 2.0, and of which one passes again with 2.1."""
    failed: dict[str, Any] = {"result": "FAIL", "cause": "dependency-drift", "detail": HOSTILE}
    records = [record("numpy", version, observed_at=DAY) for version in ("1.26", "2.0")]
    for number, package in enumerate(("a", "b", "c")):
        records.append(checked(record, package, "1.26", number, again=False))
        records += (checked(record, package, "2.0", 100 + number + second, **failed) for second in (0, 10))
    return [*records, checked(record, "b", "2.1", 200)]


def read(out: Path, path: str) -> Any:
    return json.loads((out / path).read_bytes())


def test_a_release_that_breaks_others_is_a_finding(store: Store, record: Make, tmp_path: Path) -> None:
    for each in story(record):
        store.add_record(each)
    build(store.db, tmp_path)
    finding = read(tmp_path, "api/v1/breaks-others.json")
    assert schema_errors("site/schemas/finding.schema.json", finding) == []
    (cell,) = finding["affected"]
    remark = "3 packages that passed before did not when checked again after it came: a==1.0, b==1.0, c==1.0"
    assert (cell["package"], cell["version"], cell["environment"], cell["remark"]) == ("numpy", "2.0", SLIM, remark)
    assert "numpy 2.0: breaks others" in (tmp_path / "findings/breaks-others/feed.xml").read_text("utf-8")

    document = read(tmp_path, "api/v1/breaks/numpy.json")
    assert schema_errors("site/schemas/breaks.schema.json", document) == []
    assert [(r["version"], r["broke"], r["fixed"]) for r in document["releases"]] == [("2.1", 0, 1), ("2.0", 3, 0)]
    (fixed,) = document["releases"][0]["flips"]
    assert (fixed["package"], fixed["before"]["result"], fixed["result"]) == ("b", "FAIL", "PASS")
    package = read(tmp_path, "api/v1/p/numpy.json")
    assert schema_errors("site/schemas/package.schema.json", package) == []
    assert package["breaks"] == [{"version": "2.1", "broke": 0, "fixed": 1}, {"version": "2.0", "broke": 3, "fixed": 0}]

    page = (tmp_path / "p/numpy/index.html").read_text("utf-8")
    assert '<a href="breaks/2.0/index.html">2.0</a> broke 3 packages here' in page
    broke = (tmp_path / "p/numpy/breaks/2.0/index.html").read_text("utf-8")
    assert "<strong>broke 3 packages here</strong>" in broke
    assert "<script>alert" not in broke
    assert "\u202e" not in broke
    assert "fixed 1 package here" in (tmp_path / "p/numpy/breaks/2.1/index.html").read_text("utf-8")
    dependent = (tmp_path / "p/a/index.html").read_text("utf-8")
    assert "Checked again because of dependency numpy 2.0." in dependent
    assert read(tmp_path, "api/v1/p/a.json")["cells"][0]["triggered_by"] == after("2.0").to_json()
    assert "breaks" not in read(tmp_path, "api/v1/p/a.json")


def test_a_build_of_what_changed_gives_the_same_bytes(store: Store, record: Make, tmp_path: Path) -> None:
    records = story(record)
    everything, in_steps = tmp_path / "all", tmp_path / "steps"
    # A record from before the flip may come last, from a peer: the flip exists from then on.
    late = records.pop(2)
    for each in [*records, late, record("other", "1", observed_at=DAY)]:
        store.add_record(each)
        build(store.db, in_steps, cache_path=tmp_path / "cache.db")
    build(store.db, everything)
    files = {path.relative_to(everything) for path in everything.rglob("*") if path.is_file()}
    assert {path.relative_to(in_steps) for path in in_steps.rglob("*") if path.is_file()} == files
    assert [path for path in files if (everything / path).read_bytes() != (in_steps / path).read_bytes()] == []
    # The dependency's files follow a new record of a dependent, and no other package's do.
    store.add_record(checked(record, "c", "2.1", 300))
    result = build(store.db, in_steps, cache_path=tmp_path / "cache.db")
    assert {path for path in result.written if path.startswith("p/") and path.endswith("index.html")} == {
        "p/c/index.html",
        "p/numpy/index.html",
        "p/numpy/breaks/2.1/index.html",
    }


def test_a_dependency_without_a_result_has_no_page(store: Store, record: Make, tmp_path: Path) -> None:
    for each in story(record):
        if each.release.package != "numpy":
            store.add_record(each)
    build(store.db, tmp_path, cache_path=tmp_path / "cache.db")
    store.add_record(checked(record, "c", "2.1", 300))
    build(store.db, tmp_path, cache_path=tmp_path / "cache.db")
    assert not (tmp_path / "p/numpy").exists()


def test_the_words_count_packages_and_name_a_few(record: Make) -> None:
    records = []
    for number in range(5):
        for environment in (SLIM, ALPINE):
            changes: dict[str, Any] = {"environment": environment}
            records.append(checked(record, f"p{number}", "1.26", number, again=False, **changes))
            records.append(checked(record, f"p{number}", "2.0", 100, result="FAIL", **changes))
    (release,) = flips_by_release(find_flips(records))
    assert (release.summary, len(release.flips)) == ("broke 5 packages here", 10)
    assert breaks_remarks("2.0", release.flips)[ALPINE].endswith("after it came: p0==1.0, p1==1.0, p2==1.0 and 2 more")
    assert breaks_remarks("2.1", release.flips) == {}
    assert release.packages(FlipKind.FIXED) == []


def test_long_lists_are_cut_and_counted(record: Make) -> None:
    records = []
    for number in range(600):
        records.append(checked(record, f"p{number}", "1.26", 0, again=False))
        records.append(checked(record, f"p{number}", "2.0", 1, result="FAIL", detail=f"{number} {HOSTILE * 8}"))
    (release,) = flips_by_release(find_flips(records))
    pages = dict(breaks_pages("numpy", [release]))
    assert len(pages["p/numpy/breaks/2.0/index.html"]) < 50_000
    assert b"more are in the JSON file" in pages["p/numpy/breaks/2.0/index.html"]
    assert breaks_document("numpy", [release])["releases"][0]["total"] == 600


@pytest.mark.parametrize(
    ("name", "version"), [("numpy", "../../x"), ("numpy", "2.0-1"), ("NumPy", "2.0"), ("a/b", "1"), ("numpy", "02.0")]
)
def test_a_trigger_that_names_no_release_in_normal_form_is_refused(record: Make, name: str, version: str) -> None:
    trigger = Trigger(kind=TriggerKind.DEPENDENCY, name=name, version=version)
    assert record_mistakes(record(triggered_by=trigger))
    assert not record_mistakes(record(triggered_by=after("1!2.0")))
    assert breaks_folder("numpy", "1!2.0+cpu") == "p/numpy/breaks/1-2.0+cpu"
