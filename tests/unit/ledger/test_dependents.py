"""The index of installed distributions: complete, the same in any order, and made by the migration as by the store."""

import random
from collections.abc import Callable

from known_downloads import know_downloads
from memory_store import store_in_memory

from ppp.ledger.dependents import DEPENDENTS_SQL, read_dependents, read_failed_cells, read_landings
from ppp.ledger.schema import MIGRATIONS_FOLDER
from ppp.ledger.store import Store
from ppp.ledger.triggers import TriggeredChecks, is_known, queue_checks
from ppp.model.matrix import Cell
from ppp.model.record import Installed, Record
from ppp.model.release import Release
from ppp.model.trigger import Trigger, TriggerKind

Make = Callable[..., Record]
NODE = "ab" * 32
OTHER = "cd" * 32
HERE = "py312-slim"


def installed(**versions: str) -> tuple[Installed, ...]:
    return tuple(Installed(name=name, version=version, sha256=None) for name, version in versions.items())


def index(store: Store) -> list[tuple[str, ...]]:
    return [tuple(row) for row in store.db.execute("SELECT * FROM dependents ORDER BY 1, 2, 3").fetchall()]


def history(record: Make) -> list[Record]:
    return [
        record("app", "1", installed=installed(app="1", numpy="1.25", attrs="20"), observed_at=1),
        record("app", "2", installed=installed(app="2", numpy="1.26"), observed_at=2),
        # The newest release fails to install: what the one before installed stays.
        record("app", "3", result="FAIL", observed_at=3),
        # An old release that is checked again later says nothing of the newest one.
        record("app", "1", installed=installed(app="1", numpy="2.0.0", attrs="21"), observed_at=9),
        record("app", "2", "py39-slim", installed=installed(app="2", numpy="1.20"), observed_at=4),
        record("tool", "1", installed=installed(tool="1", numpy="1.26"), observed_at=5),
        record("tool", "1", installed=installed(tool="1", numpy="2.0.0"), observed_at=6, node=OTHER),
    ]


EXPECTED = [
    ("numpy", "py312-slim", "app", "1.26"),
    ("numpy", "py312-slim", "tool", "2.0.0"),
    ("numpy", "py39-slim", "app", "1.20"),
]


def test_the_index_is_of_the_newest_installation_in_any_order(record: Make) -> None:
    records = history(record)
    for seed in range(6):
        random.Random(seed).shuffle(records)
        with store_in_memory() as store:
            for each in records:
                store.add_record(each)
            assert index(store) == EXPECTED
            # The migration makes the same of a ledger without it.
            script = (MIGRATIONS_FOLDER / "m004.sql").read_text("utf-8")
            fill = script[script.index("INSERT INTO installations") : script.index("CREATE TABLE triggers")]
            before = store.db.execute("SELECT * FROM installations ORDER BY 1, 2").fetchall()
            store.db.executescript(f"DELETE FROM dependents; DELETE FROM installations; {fill}")  # noqa: S608 - our own script
            assert index(store) == EXPECTED
            assert store.db.execute("SELECT * FROM installations ORDER BY 1, 2").fetchall() == before


def test_dependents_are_cells_of_newest_releases_with_an_own_verdict(store: Store, record: Make) -> None:
    for each in [*history(record), record("peers", "1", installed=installed(numpy="1.26"), node=OTHER)]:
        store.add_record(each)
    know_downloads(store, "2026-09", {"tool": 5})
    know_downloads(store, "2026-10", {"tool": 7})
    know_downloads(store, "2026-10", {"tool": 3}, python_version="3.12")
    found = read_dependents(store.db, "numpy", HERE, NODE)
    assert [(str(one.cell), one.installed, one.observed_at, one.downloads) for one in found] == [
        (str(Cell(release=Release(package="app", version="3"), environment=HERE)), "1.26", 2, None),
        (str(Cell(release=Release(package="tool", version="1"), environment=HERE)), "2.0.0", 6, 7),
    ]
    assert read_dependents(store.db, "numpy", "py311-slim", NODE) == []


def test_a_landing_is_a_first_own_verdict_since_the_last_look(store: Store, record: Make) -> None:
    for each in history(record):
        store.add_record(each)
    store.add_record(record("numpy", "1.26", observed_at=10))
    assert [str(one.release) for one in read_landings(store.db, [NODE], HERE)[0]] == ["numpy==1.26"]
    assert queue_checks(store, [], looked_up_to={HERE: read_landings(store.db, [NODE], HERE)[1]}, now=11) == []
    assert read_landings(store.db, [NODE], HERE)[0] == []
    trigger = Trigger(kind=TriggerKind.DEPENDENCY, name="x", version="1")
    for each in (
        record("numpy", "1.26", observed_at=12),  # checked again
        record("numpy", "2.0.0", observed_at=12, result="ERROR"),
        record("numpy", "2.0.1", observed_at=12, result="NA", file=None),
        record("numpy", "2.0.2", observed_at=12, node=OTHER),
        record("numpy", "2.0.3", observed_at=12, triggered_by=trigger),
        record("numpy", "2.0.4", "py39-slim", observed_at=12),
        record("nobody-installs-it", "1", observed_at=12),
        record("numpy", "2.1", observed_at=12, result="FAIL"),  # fails itself, and counts
        record("numpy", "1.27", observed_at=12),
    ):
        store.add_record(each)
    store.db.execute("INSERT INTO journal_releases (package, version, announced_at) VALUES ('numpy', '1.27', 7)")
    found, _ = read_landings(store.db, [NODE], HERE)
    assert [(str(one.release), one.is_newest, one.announced_at) for one in found] == [
        ("numpy==1.27", False, 7),
        ("numpy==2.1", True, None),
    ]


def test_of_nodes_that_share_the_work_the_first_verdict_is_the_landing(store: Store, record: Make) -> None:
    for each in [*history(record), record("numpy", "2.0.2", observed_at=11, node=OTHER)]:
        store.add_record(each)
    assert read_landings(store.db, [NODE], HERE)[0] == []
    found, last_row = read_landings(store.db, [NODE, OTHER], HERE)
    assert [str(one.release) for one in found] == ["numpy==2.0.2"]
    queue_checks(store, [], looked_up_to={HERE: last_row}, now=11)
    store.add_record(record("numpy", "2.0.2", observed_at=12))
    assert read_landings(store.db, [NODE, OTHER], HERE)[0] == []


def test_a_release_that_is_yanked_or_withdrawn_lands_as_such(store: Store, record: Make) -> None:
    store.add_record(record("app", "1", installed=installed(numpy="2.0.0")))
    store.add_record(record("numpy", "2.0.0", observed_at=1))
    looked_up_to = {HERE: read_landings(store.db, [NODE], HERE)[1]}
    queue_checks(store, [], looked_up_to=looked_up_to, now=1)
    gone = {"result": "NA", "cause": "withdrawn", "blame": None, "file": None}
    for each in (
        record("numpy", "2.0.0", observed_at=2, yanked=""),
        record("numpy", "1.9", observed_at=2, **gone),
        record("numpy", "1.8", observed_at=2, result="NA", cause="requires-python", blame=None, file=None),
    ):
        store.add_record(each)
    found, _ = read_landings(store.db, [NODE], HERE)
    assert [(str(one.release), one.withdrawn, str(one.trigger.kind)) for one in found] == [
        ("numpy==1.9", True, "withdrawal"),
        ("numpy==2.0.0", True, "withdrawal"),
    ]


def test_a_trigger_queues_its_cells_once(store: Store, record: Make) -> None:
    store.add_record(record("app", "1", result="FAIL", image_digest="sha256:" + "12" * 32))
    (failed,) = read_failed_cells(store.db, HERE, NODE)
    assert (str(failed.cell.release), failed.image_digest) == ("app==1", "sha256:" + "12" * 32)
    assert read_failed_cells(store.db, HERE, OTHER) == []
    trigger = Trigger(kind=TriggerKind.IMAGE, name="python:3.12-slim", version="sha256:" + "34" * 32)
    checks = TriggeredChecks(trigger=trigger, environment=HERE, cells=(failed.cell,), affected=3)
    assert queue_checks(store, [checks], looked_up_to={}, now=5) == [(checks, 0)]
    assert queue_checks(store, [checks], looked_up_to={}, now=6) == []
    assert is_known(store, trigger, HERE)
    assert not is_known(store, trigger, "py39-slim")
    assert store.db.execute("SELECT package, source, triggered_by FROM queue").fetchall() == [
        ("app", "image", '{"kind":"image","name":"python:3.12-slim","version":"sha256:' + "34" * 32 + '"}')
    ]
    assert store.db.execute("SELECT found_at, affected, queued FROM triggers").fetchall() == [(5, 3, 1)]


def test_dependents_are_found_by_an_index(store: Store) -> None:
    values = {"dependency": "numpy", "environment": HERE, "node": NODE}
    steps = [row[3] for row in store.db.execute(f"EXPLAIN QUERY PLAN {DEPENDENTS_SQL}", values).fetchall()]
    assert not [step for step in steps if step.startswith("SCAN")], steps
