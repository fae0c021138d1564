"""Findings, dependency chains and environments: their pages, their files and the front page agree."""

import json
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppp.ledger.store import Store
from ppp.model.matrix import Platform
from ppp.model.record import Blame, Outcome, Record, Result
from ppp.publish.build import build
from ppp.publish.site.dependency_chains import dependency_of
from ppp.schemas import schema_errors

DAY = 1_714_003_200
AT_FULL = (Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.SKIP)


def text_of(path: Path, page: Callable[[Path], Any]) -> str:
    return " ".join(page(path).text.split())


def broken(record: Callable[..., Record], package: str, environment: str, detail: str, **more: object) -> Record:
    return record(
        package, "1.0", environment, result="FAIL", blame=Blame.DEPENDENCY, detail=detail, outcomes=AT_FULL,
        **{"cause": "no-compiler"} | more,
    )  # fmt: skip


def test_counts_agree_on_all_pages(small: Store, tmp_path: Path, page: Callable[[Path], Any]) -> None:
    out = tmp_path / "public"
    build(small.db, out)
    index = text_of(out / "findings" / "index.html", page)
    front = text_of(out / "index.html", page)
    for kind, (title, packages) in {
        "newly-broken": ("Newly broken", 1), "fixed": ("Fixed", 0), "still-broken": ("Still broken", 0),
        "phantom-success": ("Phantom successes", 1), "alpine-only": ("Fails on Alpine only", 1),
        "python-regression": ("Broken by a newer Python", 1), "never-on-alpine": ("Never on Alpine", 1),
        "broken-dependency": ("Broken dependencies", 0),
    }.items():  # fmt: skip
        loaded = json.loads((out / "api" / "v1" / f"{kind}.json").read_text())
        assert loaded["packages"] == packages, kind
        assert len(loaded["affected"]) == loaded["cells"]
        assert f"{packages} package{'s' if packages != 1 else ''}, {loaded['cells']} cell" in text_of(
            out / "findings" / kind / "index.html", page
        )
        assert re.search(rf"{title} .{{3,90}} {packages} {loaded['cells']} JSON", index), title
        assert f"{packages} {title}" in front


def test_a_row_shows_the_previous_result_and_the_cause(
    small: Store, tmp_path: Path, page: Callable[[Path], Any]
) -> None:
    build(small.db, tmp_path / "public")
    output = text_of(tmp_path / "public" / "findings" / "newly-broken" / "index.html", page)
    assert "needs-gcc 1.1 FAIL py39-alpine, py312-alpine no-compiler" in output
    assert "during install alone, blame: environment, PASS with 1.0, since 2024-04-25 00:03Z" in output


@pytest.mark.parametrize(
    ("detail", "name"),
    [
        ("cffi: error: command 'gcc' failed", "cffi"),
        ("PIL: ImportError: libjpeg.so.62", "pil"),
        ("zope.interface: no", "zope-interface"),
        ("import flask_uploads: werkzeug: ImportError: cannot import name 'x' from 'werkzeug'", "werkzeug"),
        ("import lib.part: pyyaml: ValueError: no", "pyyaml"),
        ("import lib: ValueError: no", None),
        ("ERROR: Could not find a version that satisfies the requirement Left_Pad>=2 (from x)", "left-pad"),
        ("ERROR: No matching distribution found for foo==1", "foo"),
        ("ModuleNotFoundError: No module named 'yaml.cyaml'", "yaml"),
        ("ImportError: cannot import name 'x'", None),
        ("error: command failed", None),
        ("<script>: no", None),
        ("", None),
        (None, None),
    ],
)
def test_the_dependency_named_by_a_detail(detail: str | None, name: str | None) -> None:
    assert dependency_of(detail) == name


def test_chains_by_dependency_cause_and_platform(
    store: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], Any]
) -> None:
    for package in ("a", "b", "c"):
        for environment in ("py39-alpine", "py312-alpine"):
            store.add_record(broken(record, package, environment, "cffi: no gcc"))
    store.add_record(broken(record, "c", "py312-slim", "cffi: no gcc"))
    store.add_record(broken(record, "d", "py312-alpine", "cffi: Python.h", cause="missing-header"))
    store.add_record(broken(record, "e", "py312-alpine", "who knows"))
    build(store.db, tmp_path / "public")
    found = json.loads((tmp_path / "public" / "api" / "v1" / "dependency-chains.json").read_text())
    assert schema_errors("site/schemas/chains.schema.json", found) == []
    assert [(c["dependency"], c["cause"], c["platform"], c["packages"], c["cells"]) for c in found["chains"]] == [
        ("cffi", "no-compiler", Platform.ALPINE, ["a", "b", "c"], 6),
        ("cffi", "missing-header", Platform.ALPINE, ["d"], 1),
        ("cffi", "no-compiler", Platform.SLIM, ["c"], 1),
    ]
    output = text_of(tmp_path / "public" / "findings" / "broken-dependency" / "index.html", page)
    assert "3 packages fail on Alpine because of cffi: no-compiler" in output
    assert "1 more cell fails because of a dependency that the log does not name." in output


@pytest.mark.heavy
def test_a_long_listing_is_split_by_prefix_and_keeps_all_packages(
    store: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    names = [f"{letter}{number:03}" for letter in "abc" for number in range(120)]
    for place, name in enumerate(names):
        store.insert_record(broken(record, name, "py312-alpine", "cffi: " + "&" * 200, observed_at=DAY + place), None)
    store.db.conn.commit()
    out = tmp_path / "public"
    build(store.db, out)
    for folder in (out / "findings" / "broken-dependency", out / "env" / "py312-alpine"):
        pages = [path for path in folder.rglob("*.html") if path.parent != folder]
        assert len(pages) > 3
        linked: list[str] = []
        for path in pages:
            assert path.stat().st_size < 50_000
            linked += re.findall(r'href="(?:\.\./)+p/([a-z0-9]+)/index.html"', path.read_text())
        assert sorted(linked) == names
        newest = re.findall(
            r'href="(?:\.\./)+p/([a-z0-9]+)/index.html">\1</a> 1.0', (folder / "index.html").read_text()
        )
        assert newest[:3] == ["c119", "c118", "c117"]
        assert (folder / "index.html").stat().st_size < 50_000


def test_a_new_row_changes_one_page_by_prefix(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    def pages() -> dict[str, bytes]:
        build(store.db, tmp_path / "public")
        folder = tmp_path / "public" / "findings" / "broken-dependency"
        return {str(path.parent.name): path.read_bytes() for path in folder.glob("*/index.html")}

    for place in range(75):
        store.insert_record(broken(record, f"{'abc'[place % 3]}{place}", "py312-alpine", "cffi: " + "x" * 190), None)
    store.db.conn.commit()
    before = pages()
    assert set(before) == {"a", "b", "c"}
    store.add_record(broken(record, "b-new", "py312-alpine", "cffi: no", observed_at=DAY + 5))
    after = pages()
    assert {name for name, page in after.items() if page != before.get(name)} == {"b"}


@pytest.mark.heavy
def test_incremental_listings_equal_those_built_from_scratch(
    store: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    out, memory = tmp_path / "public", tmp_path / "memory.db"

    def publish() -> set[str]:
        done = build(store.db, out, cache_path=memory)
        build(store.db, tmp_path / "at once")
        assert subprocess.run(["diff", "-r", out, tmp_path / "at once"], check=False).returncode == 0
        return {path for path in done.written if path.startswith("findings/broken-dependency/")}

    def observe(names: Iterable[str], at: int, **more: Any) -> None:
        for name in names:
            made = broken(record, name, "py312-alpine", "cffi: " + "x" * 190, observed_at=at)
            store.insert_record(replace(made, **more) if more else made, None)
        store.db.conn.commit()

    long = [f"{letter}{number:03}" for letter in "abc" for number in range(25)]
    observe(long[:20], DAY)
    assert "findings/broken-dependency/index.html" in publish()
    observe(long[20:], DAY + 1)
    assert {"findings/broken-dependency/a/index.html", "findings/broken-dependency/c/index.html"} <= publish()
    # A repeated observation changes nothing that a page by prefix shows.
    observe(["a000"], DAY + 2)
    assert not any(path.count("/") == 3 for path in publish())
    observe((f"b{number}" for number in range(900, 960)), DAY + 3)
    assert {"findings/broken-dependency/b/index.html", "findings/broken-dependency/b9/index.html"} <= publish()
    passes = (Outcome.PASS,) * 4
    mended = [name for name in [*long, *(f"b{number}" for number in range(900, 960))] if name[0] != "a"]
    observe(mended, DAY + 4, result=Result.PASS, outcomes=passes, cause=None, blame=None, detail=None)
    publish()
    assert [path for path in (out / "findings/broken-dependency").iterdir() if path.is_dir()] == []


def test_an_environment_page_shows_counts_causes_and_packages(
    small: Store, tmp_path: Path, page: Callable[[Path], Any]
) -> None:
    out = tmp_path / "public"
    build(small.db, out)
    loaded = json.loads((out / "api" / "v1" / "env" / "py312-alpine.json").read_text())
    assert loaded["results"] == {"PASS": 2, "FAIL": 1, "TIMEOUT": 0, "ERROR": 0, "NA": 1}
    assert loaded["causes"] == {"no-compiler": 1, "no-distribution": 1}
    assert [(cell["package"], cell["environment"]) for cell in loaded["affected"]] == [("needs-gcc", "py312-alpine")]
    current = json.loads((out / "current.json").read_text())["counts"]["environments"]
    assert loaded["results"] == current["py312-alpine"]
    output = text_of(out / "env" / "py312-alpine" / "index.html", page)
    assert "Python 3.12 on Alpine: 2 PASS 1 FAIL 1 NA of 4 releases." in output
    assert "1 package whose newest release fails here" in output
    assert "no-compiler No compiler 1" in output
    assert "py312-alpine Python 3.12, Alpine 2 1 0 0 1" in text_of(out / "env" / "index.html", page)
