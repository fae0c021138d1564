"""The journal as files: valid, complete, equal whether built in steps or at once, and absent where none is followed."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from journal_rows import (
    DAY_S,
    add_event,
    add_gap,
    add_interval,
    follow,
    name_release,
    queue_release,
    showcase_journal,
    skip_release,
)

from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import BuildResult, build
from ppp.schemas import schema_errors

Builder = Callable[..., Record]
DAY = 1_714_003_200  # 2024-04-25T00:00:00Z
ATOM = "{http://www.w3.org/2005/Atom}"


def built(store: Store, root: Path) -> BuildResult:
    return build(store.db, root / "public", cache_path=root / "cache.db")


def read(root: Path, path: str) -> Any:
    return json.loads((root / "public" / path).read_text("utf-8"))


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture
def followed(store: Store, record: Builder) -> Store:
    """A ledger with a journal of one day: a release in every state, an event, an interval and a gap."""
    follow(store, 90, DAY + 900)
    store.add_record(record("six", "1.0", "py312-slim", observed_at=DAY + 50))
    store.add_record(record("six", "1.0", "py312-alpine", result="FAIL", observed_at=DAY + 60))
    store.add_record(record("late", "1.0", "py312-slim", observed_at=DAY + 70))
    for place, name in enumerate(("six", "late", "waits", "left-out", "forgotten")):
        name_release(store, name, "1.0", serial=10 + place, at=DAY + place)
    queue_release(store, "late", "1.0", "py39-slim")
    queue_release(store, "waits", "1.0")
    skip_release(store, "left-out", "1.0", "expired")
    add_event(store, 40, "gone", "2.0", "remove-release", at=DAY + 30)
    add_event(store, 41, "gone", "", "project-quarantined", at=DAY + 31)
    add_interval(store, 1, 90, at=DAY + 900, releases=5)
    add_gap(store, DAY + 100, DAY + 200, 7)
    add_gap(store, DAY + 300, DAY + 400, 9, filled_at=DAY + 900)
    return store


COUNTS = {
    "named": 5, "tested": 1, "queued": 2, "skipped": 1, "lost": 1, "skip_reasons": {"expired": 1},
    "gaps": 1, "estimated_lost": 7,
}  # fmt: skip


def test_a_day_has_every_release_with_its_state_and_results(followed: Store, tmp_path: Path) -> None:
    built(followed, tmp_path)
    day = read(tmp_path, "journal/2024-04-25.json")
    assert schema_errors("site/schemas/journal-day.schema.json", day) == []
    assert day["counts"] == COUNTS
    assert [(r["package"], r["state"]) for r in day["releases"]] == [
        ("six", "tested"), ("late", "queued"), ("waits", "queued"), ("left-out", "skipped"), ("forgotten", "lost"),
    ]  # fmt: skip
    six, late, waits, left_out, _ = day["releases"]
    assert six == {
        "package": "six", "version": "1.0", "serial": 10, "announced_at": DAY, "files": 1, "state": "tested",
        "results": {"py312-alpine": "FAIL", "py312-slim": "PASS"},
    }  # fmt: skip
    assert late["results"] == {"py312-slim": "PASS"}
    assert "results" not in waits
    assert left_out["reason"] == "expired"
    assert [(e["version"], e["action"]) for e in day["events"]] == [
        ("2.0", "remove-release"),
        (None, "project-quarantined"),
    ]
    assert [(i["first_serial"], i["last_serial"], i["adapter"]) for i in day["intervals"]] == [(1, 90, "changelog")]
    assert [gap["filled_at"] for gap in day["gaps"]] == [None, DAY + 900]


def test_the_index_names_each_day_with_its_digest(followed: Store, tmp_path: Path) -> None:
    built(followed, tmp_path)
    index = read(tmp_path, "journal/index.json")
    assert schema_errors("site/schemas/journal.schema.json", index) == []
    (day,) = index["days"]
    content = (tmp_path / "public" / "journal" / day["file"]).read_bytes()
    assert (day["bytes"], day["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert {name: index["total"][name] for name in COUNTS} == COUNTS


def test_the_coverage_adds_up_everywhere(followed: Store, tmp_path: Path) -> None:
    built(followed, tmp_path)
    coverage, current = read(tmp_path, "api/v1/coverage.json"), read(tmp_path, "current.json")
    assert schema_errors("site/schemas/coverage.schema.json", coverage) == []
    assert schema_errors("site/schemas/current.schema.json", current) == []
    assert coverage["total"] == current["coverage"]["total"] == COUNTS
    assert coverage["days"] == current["coverage"]["days"] == [{"day": "2024-04-25", **COUNTS}]
    assert coverage["adapters"] == {"changelog": {"intervals": 1, "serials": 90}}
    listed = [file["path"] for file in read(tmp_path, "api/v1/index.json")["files"]]
    assert {"api/v1/coverage.json", "journal/index.json", "journal/{day}.json", "journal/feed.atom"} <= {*listed}
    front = (tmp_path / "public" / "index.html").read_text("utf-8")
    assert "5 releases on 2024-04-25</a>: 1 tested, 2 queued, 1 skipped, 1 lost, and an estimated 7 not seen" in front


def test_the_feed_has_the_newest_releases(followed: Store, tmp_path: Path) -> None:
    showcase_journal(followed, DAY + DAY_S)
    built(followed, tmp_path)
    root = ET.fromstring((tmp_path / "public" / "journal" / "feed.atom").read_bytes())  # noqa: S314 - our own file
    entries = root.findall(f"{ATOM}entry")
    assert len(entries) == 100
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == 100
    published = [entry.findtext(f"{ATOM}published") or entry.findtext(f"{ATOM}updated") or "" for entry in entries]
    assert published == sorted(published, reverse=True)
    for entry in entries:
        link = entry.find(f"{ATOM}link")
        assert link is not None
        assert (tmp_path / "public" / link.attrib["href"].split("/", 3)[3]).is_file()


def test_without_a_journal_nothing_of_it_is_published(small: Store, tmp_path: Path) -> None:
    built(small, tmp_path)
    assert "coverage" not in read(tmp_path, "current.json")
    public = tmp_path / "public"
    assert not [path for name in ("journal", "coverage") for path in public.glob(f"{name}/*")]
    assert not (public / "api/v1/coverage.json").exists()
    assert "coverage/index.html" not in (public / "index.html").read_text("utf-8")


def test_a_journal_that_named_nothing_yet_is_published_as_such(store: Store, tmp_path: Path) -> None:
    follow(store, 90, DAY)
    built(store, tmp_path)
    assert read(tmp_path, "journal/index.json")["days"] == []
    for name, schema in (("current.json", "current"), ("api/v1/coverage.json", "coverage")):
        assert schema_errors(f"site/schemas/{schema}.schema.json", read(tmp_path, name)) == []


def _tested(store: Store, record: Builder) -> None:
    store.db.execute("DELETE FROM queue WHERE package = 'waits'")
    store.add_record(record("waits", "1.0", "py312-slim", observed_at=DAY + 5 * DAY_S))


#: What may happen to a day: each changes its file, and no other day's.
CHANGES: dict[str, Callable[[Store, Builder], object]] = {
    "named": lambda store, _: name_release(store, "new", "1.0", serial=70, at=DAY + 700),
    "another file": lambda store, _: name_release(store, "waits", "1.0", serial=12, at=DAY + 2, files=2),
    "tested": _tested,
    "queued again": lambda store, _: queue_release(store, "six", "1.0"),
    "skipped": lambda store, _: skip_release(store, "forgotten", "1.0", "withdrawn"),
    "another reason": lambda store, _: skip_release(store, "left-out", "1.0", "withdrawn"),
    "lost": lambda store, _: store.db.execute("DELETE FROM queue WHERE package = 'waits'"),
    "noticed": lambda store, _: add_event(store, 71, "six", "1.0", "yank", at=DAY + 701),
    "read": lambda store, _: add_interval(store, 91, 99, at=DAY + 950),
    "gap found": lambda store, _: add_gap(store, DAY + 500, DAY + 600, 3),
    "gap filled": lambda store, _: add_gap(store, DAY + 100, DAY + 200, 7, filled_at=DAY + 999),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_only_days_that_changed_are_written_again(
    change: str, followed: Store, record: Builder, tmp_path: Path
) -> None:
    name_release(followed, "old", "1.0", serial=2, at=DAY - DAY_S)
    built(followed, tmp_path)
    assert built(followed, tmp_path).written == ()
    CHANGES[change](followed, record)
    written = [path for path in built(followed, tmp_path).written if path.startswith("journal/2024")]
    assert "journal/2024-04-25.json" in written
    assert "journal/2024-04-24.json" not in written
    build(followed.db, tmp_path / "at once")
    assert tree(tmp_path / "public") == tree(tmp_path / "at once")


def test_a_day_that_has_nothing_any_more_is_removed(followed: Store, tmp_path: Path) -> None:
    name_release(followed, "moved", "1.0", serial=None, at=DAY - DAY_S)
    built(followed, tmp_path)
    name_release(followed, "moved", "1.0", serial=3, at=DAY + 3)
    assert "journal/2024-04-24.json" in built(followed, tmp_path).removed
    build(followed.db, tmp_path / "at once")
    assert tree(tmp_path / "public") == tree(tmp_path / "at once")
