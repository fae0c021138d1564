"""One public database: what is in it, that the same records give the same bytes, and its logical hash."""

import hashlib
import json
import random
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import add_event, name_release, queue_release, skip_release
from known_downloads import SOURCE, know_downloads
from snapshot_ledgers import APRIL_25, make_ledger, query_rows, sample_observations
from sqlite_utils import Database

from ppp.ledger.batches import ledger_root
from ppp.ledger.schema import migrations, read_ledger
from ppp.ledger.store import Store
from ppp.model.canonical import canonical_json
from ppp.model.current import current_records
from ppp.model.errors import LedgerDamagedError
from ppp.model.matrix import Cell
from ppp.model.record import Record
from ppp.model.release import Release
from ppp.publish.build import build
from ppp.publish.snapshots import database
from ppp.publish.snapshots.database import PUBLIC_TABLES, RecordSelection, describe, extract, logical_hash
from ppp.publish.snapshots.description import Snapshot, SnapshotKind

#: What a snapshot never holds, each with the reason that docs/adr/0017-snapshots.md gives.
PRIVATE = {
    "batches", "batch_files", "batch_records", "queue", "queue_order", "pending", "rechecks", "skips",
    "statements", "peers", "forks", "episodes", "receipts", "seen_statements", "quarantines", "left_out_batches",
    "trust_decisions",
    "installations", "dependents", "triggers", "landings_cursor",
    "journal_cursors", "journal_todo", "journal_margin", "journal_feeds", "journal_rejects", "journal_anomalies",
}  # fmt: skip
ADR = next((Path(__file__).parents[4] / "docs" / "adr").glob("*-snapshots.md")).read_text("utf-8")

Builder = Callable[..., Record]


def snapshot(source: Path, target: Path, share: RecordSelection | None = None) -> Snapshot:
    extract(source, target, share or RecordSelection())
    return describe(target, kind=SnapshotKind.DAY, file="ppp-2024-04-25.db", logs=True)


def churned(data: Path, made: list[tuple[Record, str | None]], *, page_size: int, journal: str) -> Path:
    """Make a ledger with another life: another order, much that came and went, other pages, another journal."""
    random.Random(7).shuffle(made)
    path = make_ledger(data, made[: len(made) // 2])
    with Store.open(data) as store:
        cells = [Cell(release=Release(package="gone", version=f"{n}.0"), environment="py312-slim") for n in range(500)]
        store.queue.enqueue(cells, source="named", now=APRIL_25)
        store.db.execute("DELETE FROM queue")
        store.skip(Release(package="secret", version="1.0"), "", reason="expired", detail="secret-marker", now=APRIL_25)
        store.db.execute("INSERT INTO peers (node, url, added_at) VALUES ('ab', 'secret-marker', 5)")
    make_ledger(data, [*made[len(made) // 2 :], *made[:5]])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("PRAGMA user_version = 7")
        connection.execute("ANALYZE")
    return path


@pytest.mark.heavy
@pytest.mark.parametrize(("page_size", "journal"), [(4096, "delete"), (1024, "wal"), (16384, "truncate")])
def test_the_same_records_give_the_same_bytes(page_size: int, journal: str, record: Builder, tmp_path: Path) -> None:
    made = sample_observations(record)
    plain = make_ledger(tmp_path / "plain", made)
    other = churned(tmp_path / "other", made, page_size=page_size, journal=journal)
    assert plain.read_bytes() != other.read_bytes()
    one, two = snapshot(plain, tmp_path / "1.db"), snapshot(other, tmp_path / "2.db")
    assert (tmp_path / "1.db").read_bytes() == (tmp_path / "2.db").read_bytes()
    assert one == two
    assert one.rows["records"] == len(made)
    assert [path.name for path in tmp_path.glob("*.staged*")] == []


def test_one_more_record_gives_other_bytes_and_hashes(record: Builder, tmp_path: Path) -> None:
    made = sample_observations(record)
    one = snapshot(make_ledger(tmp_path / "a", made), tmp_path / "1.db")
    two = snapshot(make_ledger(tmp_path / "b", made[1:]), tmp_path / "2.db")
    assert one.sha256 != two.sha256
    assert one.logical_sha256 != two.logical_sha256
    assert one.root != two.root


def test_each_table_is_named_public_or_private() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        db = Database(connection)
        migrations.apply(db)
        laid = {name for name in db.table_names() if not name.startswith(("_sqlite", "packages_fts"))}
    assert laid - PUBLIC_TABLES.keys() == PRIVATE
    assert laid >= PUBLIC_TABLES.keys()
    table = re.findall(r"^\| ([a-z_`, ]+) \| (in|out) \|", ADR, re.MULTILINE)
    in_adr = {name: side for names, side in table for name in re.findall(r"`([a-z_]+)`", names)}
    assert {name for name, side in in_adr.items() if side == "out"} == PRIVATE
    assert {name for name, side in in_adr.items() if side == "in"} == PUBLIC_TABLES.keys()


@pytest.mark.attack("credentials")
def test_nothing_of_a_nodes_own_goes_in(record: Builder, tmp_path: Path) -> None:
    source = churned(tmp_path / "data", sample_observations(record), page_size=4096, journal="delete")
    assert b"secret-marker" in source.read_bytes()
    snapshot(source, tmp_path / "1.db")
    content = (tmp_path / "1.db").read_bytes()
    assert b"secret" not in content
    for table in PRIVATE:
        assert query_rows(tmp_path / "1.db", f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608
    assert {at for (at,) in query_rows(tmp_path / "1.db", "SELECT applied_at FROM _sqlite_migrations")} == {
        "1970-01-01 00:00:00+00:00"
    }
    assert query_rows(tmp_path / "1.db", "PRAGMA integrity_check") == [("ok",)]
    assert query_rows(tmp_path / "1.db", "PRAGMA foreign_key_check") == []


def test_what_is_current_is_the_pure_function(record: Builder, tmp_path: Path) -> None:
    made = sample_observations(record)
    middle = sorted(r.observed_at for r, _ in made)[len(made) // 2]
    source = make_ledger(tmp_path / "data", made)
    for share in (RecordSelection(), RecordSelection(start=middle), RecordSelection(end=middle)):
        snapshot(source, tmp_path / "1.db", share)
        held = [r for r, _ in made if share.start <= r.observed_at < share.end]
        expected = {(*_key(cell), best.id) for cell, best in current_records(held).items()}
        assert (
            set(query_rows(tmp_path / "1.db", "SELECT package, version, environment, record FROM results")) == expected
        )
        assert len(query_rows(tmp_path / "1.db", "SELECT 1 FROM current")) == len(expected)


def _key(cell: tuple[Release, str]) -> tuple[str, str, str]:
    release, environment = cell
    return release.package, release.version, environment


def test_a_share_names_only_what_its_records_name(record: Builder, tmp_path: Path) -> None:
    source = make_ledger(
        tmp_path / "data",
        [
            (record("old", observed_at=5, node="ef" * 32), None),
            (record("new", "1.0", "py39-slim", observed_at=9), None),
        ],
    )
    found = snapshot(source, tmp_path / "1.db", RecordSelection(start=6, end=10))
    journal = {table: 0 for table in PUBLIC_TABLES if table.startswith("journal_")}
    unknown = dict.fromkeys(("downloads", "download_sources"), 0)
    assert found.rows == dict.fromkeys(PUBLIC_TABLES, 1) | journal | unknown | {"logs": 0}
    assert query_rows(tmp_path / "1.db", "SELECT package FROM packages") == [("new",)]


def test_a_snapshot_says_what_became_of_each_release_that_was_named(
    store: Store, record: Builder, tmp_path: Path
) -> None:
    states = {"six": "tested", "waits": "queued", "left-out": "skipped", "forgotten": "lost"}
    with store.db.atomic():
        for place, name in enumerate(states):
            name_release(store, name, "1.0", serial=place + 1, at=APRIL_25 + place)
        name_release(store, "before", "1.0", serial=None, at=APRIL_25 - 1)
        queue_release(store, "waits", "1.0")
        skip_release(store, "left-out", "1.0", "expired")
        add_event(store, 9, "gone", "", "remove-project", at=APRIL_25)
    store.add_record(record("six", "1.0", observed_at=APRIL_25))
    # The second is made from the first, as the archives of months are: it has no queue to look at.
    snapshot(store.path / "ppp.db", tmp_path / "1.db")
    found = snapshot(tmp_path / "1.db", tmp_path / "2.db", RecordSelection(start=APRIL_25))
    assert set(query_rows(tmp_path / "2.db", "SELECT package, state FROM coverage_releases")) == {*states.items()}
    assert query_rows(tmp_path / "2.db", "SELECT named, tested, queued, skipped, lost FROM coverage_days") == [
        (4, 1, 1, 1, 1)
    ]
    assert query_rows(tmp_path / "2.db", "SELECT skip_reason FROM coverage_releases WHERE state = 'skipped'") == [
        ("expired",)
    ]
    assert (found.rows["journal_releases"], found.rows["journal_states"], found.rows["journal_events"]) == (4, 4, 1)


def test_downloads_are_those_of_the_newest_period_and_places_stay_true(
    store: Store, record: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MOST_DOWNLOADED", 2)
    store.add_record(record("six"))
    know_downloads(store, "2026-09", {"six": 1, "numpy": 1})
    know_downloads(store, "2026-09", {"six": 1, "numpy": 1}, python_version="3.12")
    know_downloads(store, "2026-10", {"numpy": 9, "attrs": 8, "six": 2, "rare": 1})
    # The second is made from the first, as the window is.
    snapshot(store.path / "ppp.db", tmp_path / "1.db")
    snapshot(tmp_path / "1.db", tmp_path / "2.db", RecordSelection(logs=False))
    newest = [("2026-10", "attrs", "", 8), ("2026-10", "numpy", "", 9), ("2026-10", "six", "", 2)]
    whole, window = [("2026-09", "six", "3.12", 1), *newest], newest
    for name, rows in (("1.db", whole), ("2.db", window)):
        assert query_rows(tmp_path / name, "SELECT * FROM downloads ORDER BY period, package") == rows
    sources = query_rows(tmp_path / "1.db", "SELECT period, by_python, source FROM download_sources")
    assert sources == [("2026-09", 1, SOURCE.source), ("2026-10", 0, SOURCE.source)]
    assert query_rows(tmp_path / "2.db", "SELECT period, by_python FROM download_sources") == [("2026-10", 0)]
    assert query_rows(tmp_path / "2.db", "SELECT place, package FROM popularity") == [
        (1, "numpy"), (2, "attrs"), (3, "six"),
    ]  # fmt: skip


def test_the_root_is_that_of_the_ledger(small: Store, tmp_path: Path) -> None:
    found = snapshot(tmp_path / "data" / "ppp.db", tmp_path / "1.db")
    assert found.root == ledger_root(small.db)
    assert found.root == build(small.db, tmp_path / "public").root


def test_a_snapshot_put_back_publishes_the_same(small: Store, tmp_path: Path) -> None:
    build(small.db, tmp_path / "public")
    (tmp_path / "restored").mkdir()
    snapshot(tmp_path / "data" / "ppp.db", tmp_path / "restored" / "ppp.db")
    with closing(read_ledger(tmp_path / "restored")) as restored:
        build(restored, tmp_path / "again")
    for name in ("current.json", "p/needs-gcc/index.html", "feed.xml"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "public" / name).read_bytes(), name
    with Store.open(tmp_path / "restored") as store:
        cells = [Cell(release=Release(package="six", version="1.18.0"), environment="py312-slim")]
        assert store.queue.enqueue(cells, source="named", now=5) == 1


def test_the_logical_hash_is_of_the_rows_alone(record: Builder, tmp_path: Path) -> None:
    found = snapshot(make_ledger(tmp_path / "data", sample_observations(record)), tmp_path / "1.db")
    with closing(sqlite3.connect(tmp_path / "1.db")) as one, closing(sqlite3.connect(tmp_path / "2.db")) as two:
        two.execute("PRAGMA page_size = 65536")
        two.executescript("\n".join(one.iterdump()))
        assert logical_hash(Database(two)) == found.logical_sha256
        two.execute("UPDATE packages SET package = package || 'x' WHERE rowid = 1")
        assert logical_hash(Database(two)) != found.logical_sha256
    assert (tmp_path / "2.db").read_bytes() != (tmp_path / "1.db").read_bytes()


def test_anyone_can_make_the_logical_hash_as_the_adr_says(
    record: Builder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = snapshot(make_ledger(tmp_path / "data", sample_observations(record)), tmp_path / "1.db")
    recipe = re.search(r"```python\n(.*?)```", ADR, re.DOTALL)
    assert recipe is not None
    code = recipe[1].replace("latest.db", str(tmp_path / "1.db"))
    exec(compile(code, "recipe", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.strip() == found.logical_sha256


def test_the_logical_hash_is_over_rfc_8785(record: Builder, tmp_path: Path) -> None:
    made = sample_observations(record, days=4)
    found = snapshot(make_ledger(tmp_path / "data", made), tmp_path / "1.db")
    digest = hashlib.sha256()
    for table, key in sorted(PUBLIC_TABLES.items()):
        with closing(sqlite3.connect(tmp_path / "1.db")) as connection:
            held = connection.execute(f"SELECT * FROM {table}")  # noqa: S608
            columns = [column for column, *_ in held.description]
            places = [columns.index(column) for column in key]
            digest.update(canonical_json(["table", table, columns]) + b"\n")
            for row in sorted(held, key=lambda row: [row[place].encode() for place in places]):
                digest.update(canonical_json(list(row)) + b"\n")
    assert digest.hexdigest() == found.logical_sha256


@pytest.mark.attack("crash-safe")
def test_a_damaged_ledger_leaves_nothing_behind(record: Builder, tmp_path: Path) -> None:
    source = make_ledger(tmp_path / "data", sample_observations(record))
    content = bytearray(source.read_bytes())
    content[4096 * 8 :] = b"\xff" * (len(content) - 4096 * 8)
    source.write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(LedgerDamagedError, match=r"ppp\.db cannot be read"):
        extract(source, tmp_path / "out" / "1.db", RecordSelection())
    assert list((tmp_path / "out").iterdir()) == []


def test_a_description_survives_json(record: Builder, tmp_path: Path) -> None:
    found = snapshot(make_ledger(tmp_path / "data", sample_observations(record, days=2)), tmp_path / "1.db")
    assert Snapshot.from_json(json.loads(json.dumps(found.to_json()))) == found
