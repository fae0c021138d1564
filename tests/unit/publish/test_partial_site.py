"""A site whose bound leaves no room for a page of each package: who gets one, and how the others are answered."""

import json
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from memory_store import store_in_memory
from small_sites import bound_with_room

from ppp.ledger.batches import packed_batches, seal
from ppp.ledger.downloads import Downloads, DownloadsSource, store_downloads
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.errors import PublishError
from ppp.model.on_index import OnIndex
from ppp.model.record import Installed, Record
from ppp.model.site_bound import SiteBound
from ppp.model.trigger import Trigger, TriggerKind
from ppp.publish.build import BuildResult, build
from ppp.publish.page_budget import LEAST_FILES_RESERVE
from ppp.schemas import schema_errors

PACKAGES = 70
DAY = 1_714_003_200
#: Room for about thirty packages beside the files that every site has.
BOUND = bound_with_room(250)


@pytest.fixture
def crowded(store: Store, record: Callable[..., Record]) -> Store:
    """Many packages: of each the first ten fail, the last ten changed last, `middle-*` are downloaded most."""
    for number in range(PACKAGES):
        name = f"middle-{number:02}" if 30 <= number < 40 else f"package-{number:02}"
        result = {"result": "FAIL", "cause": "distutils-removed"} if number < 10 else {}
        for environment in ("py39-slim", "py312-alpine"):
            store.add_record(record(name, "1.0", environment, observed_at=DAY + 60 * number, **result))
    import_downloads(store, {f"middle-{n}": 10_000 - n for n in range(30, 40)})
    return store


def import_downloads(store: Store, numbers: Mapping[str, int]) -> None:
    rows = [Downloads(package=p, period="2026-10", python_version="", downloads=n) for p, n in numbers.items()]
    source = DownloadsSource(source="a test", file_sha256=sha256_hex(repr(numbers).encode()))
    store_downloads(store.db, store.path, rows, source)


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def pages(root: Path) -> set[str]:
    return {path.parent.name for path in root.glob("p/*/index.html")}


def answer(root: Path, package: str) -> dict[str, Any] | None:
    """Look a package up as the page does."""
    shard = root / f"api/v1/lookup/{zlib.crc32(package.encode()) % 2048:03x}.json"
    if not shard.exists():
        return None
    document = json.loads(shard.read_text())
    assert schema_errors("site/schemas/lookup-shard.schema.json", document) == []
    row = next((row for row in document["packages"] if row[0] == package), None)
    if row is None:
        return None
    cells = {document["environments"][e]: document["shown"][shown] for e, shown, *_ in row[4]}
    return {"version": row[1], "page": row[2], "as_of": row[3], "cells": cells}


def test_an_answer_says_what_the_page_of_a_package_would(
    crowded: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    for name, listed, standin in (("a-pre", "6.0", False), ("a-late", "7.0", True), ("a-new", "6.1rc1", False)):
        on_index = OnIndex(newest=listed, versions=9)
        for version in ("6.0", "6.1rc1"):
            changes = {"observed_at": DAY, "on_index": on_index, "standin": standin}
            crowded.add_record(record(name, version, "py312-alpine", **changes))
    bounded(crowded, tmp_path)
    rows = {name: _row(tmp_path, name) for name in ("a-pre", "a-late", "a-new", "package-20")}
    assert rows["a-pre"][5:] == [[], ["6.0", 1]]
    assert rows["a-late"][5:] == [[0], ["7.0", 0]]
    # Nothing to say takes no bytes.
    assert len(rows["a-new"]) == len(rows["package-20"]) == 5


def _row(root: Path, package: str) -> list[Any]:
    shard = json.loads((root / f"api/v1/lookup/{zlib.crc32(package.encode()) % 2048:03x}.json").read_text())
    assert schema_errors("site/schemas/lookup-shard.schema.json", shard) == []
    return next(row for row in shard["packages"] if row[0] == package)


def bounded(store: Store, out: Path, bound: SiteBound = BOUND, **settings: Any) -> BuildResult:
    return build(store.db, out, bound=bound, **settings)


def test_who_gets_a_page_and_how_the_others_are_answered(crowded: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    result = bounded(crowded, out)
    with_pages = pages(out)
    assert 12 < len(with_pages) < PACKAGES
    assert (result.pages, result.all_packages) == (len(with_pages), PACKAGES)
    assert result.files <= BOUND.max_files
    # The best of each order.
    assert {"package-00", "package-69", "middle-30", "middle-31"} <= with_pages
    assert "package-20" not in with_pages
    for number in (0, 20, 69):
        name = f"package-{number:02}"
        found = answer(out, name)
        assert found is not None
        shown = "FAIL" if number < 10 else "PASS"
        assert found["cells"] == {"py39-slim": shown, "py312-alpine": shown}
        assert found["page"] == int(name in with_pages)
    assert answer(out, "unheard-of") is None


def test_every_link_leads_somewhere(crowded: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    bounded(crowded, out, base_url="https://node.example/")
    dead = set()
    for path in out.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"#]*)', path.read_text()):
            address = link.partition("?")[0]
            # What begins at the root is on the page for addresses without a file.
            target = out / address[1:] if address.startswith("/") else path.parent / address
            if address and not address.startswith(("http", "data:")) and not target.exists():
                dead.add((str(path.relative_to(out)), link))
    assert dead == set()
    assert "lookup/index.html?name=" in (out / "feed.xml").read_text() + (out / "atom.xml").read_text()
    names = re.findall(r"<loc>[^<]*/p/([^/<]+)/", "".join(p.read_text() for p in (out / "sitemaps").iterdir()))
    assert {*names} == pages(out)


def test_counts_are_of_all_packages(crowded: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    bounded(crowded, out)
    assert json.loads((out / "current.json").read_text())["counts"]["packages"] == PACKAGES
    assert f"{PACKAGES} packages" in (out / "packages/index.html").read_text()
    assert json.loads((out / "api/v1/env/py39-slim.json").read_text())["packages"] == 10
    assert json.loads((out / "search.json").read_text())["lookup"] is True
    assert "api/v1/lookup/{shard}.json" in (out / "api/v1/index.json").read_text()


def test_a_site_with_room_for_all_is_as_without_a_bound(small: Store, tmp_path: Path) -> None:
    build(small.db, tmp_path / "without")
    result = bounded(small, tmp_path / "with", SiteBound(max_bytes=10**9, max_files=100_000))
    assert tree(tmp_path / "with") == tree(tmp_path / "without")
    assert (result.pages, result.all_packages) == (5, 5)


def test_incremental_builds_equal_one_from_scratch(
    crowded: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    grown, cache = tmp_path / "grown", tmp_path / "cache.db"
    bounded(crowded, grown, cache_path=cache)
    before = pages(grown)
    assert "package-20" not in before
    assert bounded(crowded, grown, cache_path=cache).written == ()
    steps: list[Callable[[], object]] = [
        lambda: crowded.add_record(record("package-20", "2.0", "py39-slim", observed_at=DAY + 90_000)),
        lambda: crowded.add_record(record("newcomer", "1.0", "py39-slim", observed_at=DAY + 91_000)),
        lambda: import_downloads(crowded, {"middle-39": 20_000, "middle-30": 10_000, "package-60": 5}),
        lambda: crowded.add_record(record("package-25", "1.0", "py39-slim", observed_at=DAY + 92_000)),
    ]
    for number, step in enumerate(steps):
        step()
        some = bounded(crowded, grown, cache_path=cache)
        fresh = tmp_path / f"fresh-{number}"
        bounded(crowded, fresh)
        assert tree(grown) == tree(fresh), number
        shards = [path for path in some.written if path.startswith("api/v1/lookup/")]
        assert len(shards) < 20
    assert {"package-20", "newcomer"} <= pages(grown)
    assert pages(grown) != before


def test_a_bound_that_comes_and_goes(crowded: Store, tmp_path: Path) -> None:
    out, cache = tmp_path / "public", tmp_path / "cache.db"
    build(crowded.db, out, cache_path=cache)
    whole = tree(out)
    bounded(crowded, out, cache_path=cache)
    bounded(crowded, tmp_path / "fresh")
    assert tree(out) == tree(tmp_path / "fresh")
    build(crowded.db, out, cache_path=cache)
    assert tree(out) == whole


def test_what_does_not_fit_without_any_page_is_an_error_before_anything_is_written(
    crowded: Store, tmp_path: Path
) -> None:
    out = tmp_path / "public"
    build(crowded.db, out)
    before = tree(out)
    large = out / "snapshots" / "other.bin"
    large.write_bytes(bytes(3_000_000))
    with pytest.raises(PublishError, match=r"does not fit its host.*snapshots 3\.0 MB in \d+ files.*without the page"):
        bounded(crowded, out, SiteBound(max_bytes=6_500_000, max_files=10_000))
    large.unlink()
    assert tree(out) == before


def test_pages_larger_than_estimated_leave_a_partial_site(
    crowded: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    # A page for each release after which a verdict on another package changed.
    for number in range(400):
        trigger = Trigger(kind=TriggerKind.DEPENDENCY, name="package-50", version=f"1.{number}")
        result = {"result": "FAIL", "cause": "module-missing"} if number % 2 else {}
        installed = (Installed(name="package-50", version=f"1.{number}", sha256=None),)
        at = DAY + 9_000 + number
        crowded.add_record(
            record(
                "package-51", "1.0", "py39-slim", observed_at=at, triggered_by=trigger, installed=installed, **result
            )
        )
    whole = build(crowded.db, tmp_path / "whole")
    bound = bound_with_room(500)
    assert whole.files > bound.max_files
    out, cache = tmp_path / "public", tmp_path / "cache.db"
    built = bounded(crowded, out, bound, cache_path=cache)
    assert 0 < built.pages < PACKAGES
    assert built.files <= bound.max_files
    bounded(crowded, tmp_path / "fresh", bound)
    assert tree(out) == tree(tmp_path / "fresh")
    assert bounded(crowded, out, bound, cache_path=cache).written == ()


def test_a_failed_build_leaves_the_cache_as_it_was(crowded: Store, tmp_path: Path) -> None:
    out, cache = tmp_path / "public", tmp_path / "cache.db"
    bounded(crowded, out, cache_path=cache)
    with sqlite3.connect(cache) as db:
        before = db.execute("SELECT count(*) FROM entries").fetchone()
    with pytest.raises(PublishError):
        bounded(crowded, out, SiteBound(max_bytes=10**9, max_files=50), cache_path=cache)
    with sqlite3.connect(cache) as db:
        assert db.execute("SELECT count(*) FROM entries").fetchone() == before
    assert bounded(crowded, out, cache_path=cache).written == ()


def seal_each(store: Store, key: NodeKey, records: Iterable[Record]) -> None:
    """Add records of a node, each in a batch of its own."""
    for one in records:
        store.add_record(one)
        seal(store, node=key.id, sign=key.sign, verify=lambda _: None)


def test_the_newest_batches_have_room_and_the_others_are_listed(
    crowded: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    key = NodeKey.from_seed(b"1" * 32)
    made = (record(f"package-{n:02}", "2.0", node=key.id, observed_at=DAY + 10_000 + n) for n in range(70))
    grown, fresh, cache = tmp_path / "grown", tmp_path / "fresh", tmp_path / "cache.db"
    bound = bound_with_room(300)
    seal_each(crowded, key, islice(made, 50))
    bounded(crowded, grown, bound, cache_path=cache)
    assert not (grown / "batches/older.json").exists()
    before = {path.name for path in (grown / "batches").iterdir()}
    # Ten more: the oldest make room.
    seal_each(crowded, key, islice(made, 20))
    built = bounded(crowded, grown, bound, cache_path=cache, older_url="https://state.example/")
    batches = packed_batches(crowded.db)
    kept, older = batches[:55], batches[55:]
    assert built.older_batches == len(older) == 15
    assert {path.name.partition(".")[0] for path in (grown / "batches").iterdir()} == {b.id for b in kept} | {"older"}
    assert before - {path.name for path in (grown / "batches").iterdir()}
    document = json.loads((grown / "batches/older.json").read_text())
    assert schema_errors("site/schemas/older-batches.schema.json", document) == []
    assert [row[0] for row in document["batches"]] == sorted(batch.id for batch in older)
    assert (document["records"], document["url"]) == (15, "https://state.example/")
    assert "older-batches.schema.json" in (grown / "api/v1/index.json").read_text()
    bounded(crowded, fresh, bound, older_url="https://state.example/")
    assert tree(grown) == tree(fresh)
    assert bounded(crowded, grown, bound, cache_path=cache, older_url="https://state.example/").written == ()
    # Another address changes the list, and another bound what is in it.
    assert "batches/older.json" in bounded(crowded, grown, bound, cache_path=cache).written
    bounded(crowded, grown, bound_with_room(500), cache_path=cache)
    assert not (grown / "batches/older.json").exists()
    assert len([*(grown / "batches").glob("*.sig")]) == 70


def test_the_least_reserve_has_room_for_what_every_site_has(crowded: Store, tmp_path: Path) -> None:
    with store_in_memory() as empty:
        every_site = build(empty.db, tmp_path / "empty").files
    out, cache = tmp_path / "public", tmp_path / "cache.db"
    built = bounded(crowded, out, cache_path=cache)
    with sqlite3.connect(cache) as db:
        (of_packages,) = db.execute("SELECT sum(files) FROM owned WHERE kind = 'packages'").fetchone()
    small_site = built.files - of_packages - len([*(out / "api/v1/lookup").iterdir()])
    assert every_site < small_site <= LEAST_FILES_RESERVE <= small_site + 60, (
        f"put {-(-small_site // 10) * 10 + 30} into LEAST_FILES_RESERVE: a site without packages has {every_site}"
        f" files, one with {PACKAGES} of them has {small_site} beside theirs"
    )


@pytest.mark.parametrize("less", [1, 17])
def test_whatever_the_bound_is_a_site_is_within_it(crowded: Store, tmp_path: Path, less: int) -> None:
    files = build(crowded.db, tmp_path / "whole").files
    bound = SiteBound(max_bytes=10**9, max_files=files - less)
    built = bounded(crowded, tmp_path / "public", bound)
    present = [path for path in (tmp_path / "public").rglob("*") if path.is_file()]
    assert built.files == len(present) <= bound.max_files


def test_the_room_for_lookup_files_is_about_what_they_take(crowded: Store, tmp_path: Path) -> None:
    out, cache = tmp_path / "public", tmp_path / "cache.db"
    bounded(crowded, out, cache_path=cache)
    rows = 0
    for path in (out / "api/v1/lookup").iterdir():
        # Each package is a line.
        rows += sum(len(line) + 1 for line in path.read_bytes().split(b"\n") if line.startswith(b'["'))
    with sqlite3.connect(cache) as db:
        (expected,) = db.execute("SELECT sum(cost) FROM entries WHERE listing LIKE 'lookup/%'").fetchone()
    assert rows <= expected <= 1.3 * rows
