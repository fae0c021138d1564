"""`/data/` and `snapshots/index.json`: the snapshots in the folder, with their digests."""

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from snapshot_ledgers import APRIL_25, make_ledger, sample_observations, take_snapshots

from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.publish.site.snapshots import data_files
from ppp.publish.snapshots.description import Snapshot, SnapshotKind, complete_snapshots
from ppp.schemas import schema_errors


@pytest.fixture
def snapshots(record: Callable[..., Record], tmp_path: Path) -> tuple[Snapshot, ...]:
    """A day, a month and a window."""
    take_snapshots(make_ledger(tmp_path / "taken", sample_observations(record)), tmp_path / "public")
    return complete_snapshots(tmp_path / "public")


def page(snapshots: tuple[Snapshot, ...]) -> str:
    files = dict(data_files(snapshots, APRIL_25))
    assert files.keys() == {"data/index.html", "snapshots/index.json"}
    return files["data/index.html"].decode()


class Links(HTMLParser):
    """All links of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name == "href"]


def test_the_page_lists_each_snapshot(snapshots: tuple[Snapshot, ...]) -> None:
    html = page(snapshots)
    assert len(snapshots) == 3
    for snapshot in snapshots:
        assert snapshot.sha256 in html
        assert f'href="../snapshots/{snapshot.file}"' in html
        assert f'<td class="n">{snapshot.rows["records"]}</td>' in html
    assert "sha256sum -c latest.db.sha256" in html
    assert next(s for s in snapshots if s.kind is SnapshotKind.DAY).logical_sha256 in html


def test_each_link_of_the_page_resolves(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    take_snapshots(tmp_path / "data" / "ppp.db", out)
    build(small.db, out)
    links = [link for link in Links((out / "data" / "index.html").read_text()).found if not link.startswith("#")]
    assert "../snapshots/window.db.gz" in links
    for link in links:
        assert (out / "data" / link).resolve().is_file(), link


def test_the_index_is_valid_and_sorted(snapshots: tuple[Snapshot, ...]) -> None:
    document = json.loads(dict(data_files(snapshots[::-1], None))["snapshots/index.json"])
    assert schema_errors("site/schemas/snapshots.schema.json", document) == []
    assert [row["file"] for row in document["snapshots"]] == ["window.db", "ppp-2024-04-25.db", "ppp-2024-03.db"]
    assert document["latest"] == "ppp-2024-04-25.db"
    empty = json.loads(dict(data_files((), None))["snapshots/index.json"])
    assert empty == {"schema": "ppp-snapshots-1", "latest": None, "snapshots": []}


def test_a_page_without_snapshots() -> None:
    html = page(())
    assert "There is no snapshot yet" in html
    assert "window.db" not in html


def test_a_century_of_months_stays_below_50_kb(snapshots: tuple[Snapshot, ...]) -> None:
    by_kind = {snapshot.kind: snapshot for snapshot in snapshots}
    months = tuple(
        replace(by_kind[SnapshotKind.MONTH], file=f"ppp-{2024 + n // 12}-{n % 12 + 1:02}.db", bytes=10**9)
        for n in range(1200)
    )
    days = tuple(replace(by_kind[SnapshotKind.DAY], file=f"ppp-2024-05-{n:02}.db", bytes=10**9) for n in range(1, 23))
    html = page((by_kind[SnapshotKind.WINDOW], *days, *months))
    assert len(html.encode()) < 50_000
    assert "ppp-2123-12.db" in html
    shown = sum(f'snapshots/{month.file}"' in html for month in months)
    assert shown > 12
    assert f"{1200 - shown} older months are in" in html


def test_a_build_lists_the_snapshots_in_its_folder_and_keeps_them(small: Store, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for out in (one, two):
        take_snapshots(tmp_path / "data" / "ppp.db", out)
    before = {path.name: path.read_bytes() for path in (one / "snapshots").iterdir()}
    built = build(small.db, one)
    assert built.files_sha256 == build(small.db, two).files_sha256
    assert (one / "snapshots" / "index.json").read_bytes() == (two / "snapshots" / "index.json").read_bytes()
    build(small.db, one)
    after = {path.name: path.read_bytes() for path in (one / "snapshots").iterdir()}
    assert {name: content for name, content in after.items() if name != "index.json"} == before
    listed = json.loads(after["index.json"])
    assert {row["file"] for row in listed["snapshots"]} == {"window.db", "ppp-2024-04-25.db"}
