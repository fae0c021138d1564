"""Which snapshots are kept, and how many days fit into the window."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snapshot_ledgers import APRIL_25, DAY_S, POLICY, make_ledger, take_snapshots

from ppp.model.errors import SnapshotRoomError
from ppp.model.record import Record
from ppp.publish.snapshots.database import utc_day
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER
from ppp.publish.snapshots.retention import RetentionPolicy, days_that_fit, days_with_room, kept_days

Builder = Callable[..., Record]


@pytest.mark.parametrize("bound", [0, 99, 100, 350, 1000, 5_000, 10**9])
@pytest.mark.parametrize("row_bytes", [1, 90, 600, 30_000])
def test_days_that_fit_is_exact_and_takes_few_steps(bound: int, row_bytes: int) -> None:
    counts = [(n * 37) % 11 + 1 for n in range(300)]
    tried: list[int] = []

    def size_of(days: int) -> int:
        tried.append(days)
        return 100 + row_bytes * sum(counts[:days])

    found = days_that_fit(counts, size_of, bound)
    fitting = [days for days in range(1, 301) if 100 + row_bytes * sum(counts[:days]) <= bound]
    assert found == max(fitting, default=0)
    assert len(tried) <= 15
    # The last that fitted when it was weighed is the one that is kept.
    assert [days for days in tried if days in fitting][-1:] == ([found] if found else [])


def test_retention_keeps_days_then_weeks() -> None:
    days = [utc_day(APRIL_25 - n * DAY_S) for n in range(100)]
    kept = kept_days(days, RetentionPolicy(days=14, weeks=8, window_bytes=1))
    assert set(days[:14]) <= kept
    # 2024-04-25 is a Thursday: the last days of the weeks before are Sundays.
    assert kept - set(days[:14]) == {
        "2024-04-07", "2024-03-31", "2024-03-24", "2024-03-17", "2024-03-10",
    }  # fmt: skip
    assert kept_days(days, RetentionPolicy(days=0, weeks=0, window_bytes=1)) == {days[0]}
    assert kept_days([], POLICY) == set()


@given(sizes=st.lists(st.integers(0, 100), max_size=12), room=st.integers(-50, 500))
def test_the_newest_days_have_room_without_a_gap(sizes: list[int], room: int) -> None:
    by_day = {utc_day(APRIL_25 - n * DAY_S): size for n, size in enumerate(sizes)}
    newest_first = [*by_day]
    kept = days_with_room(by_day, room)
    assert kept == set(newest_first[: len(kept)])
    assert len(kept) >= min(len(sizes), 1)
    assert len(kept) <= 1 or sum(by_day[day] for day in kept) <= room
    assert len(kept) == len(sizes) or sum(sizes[: len(kept) + 1]) > room, "no more of them have room"


def test_where_the_site_has_a_bound_the_oldest_days_make_room(record: Builder, tmp_path: Path) -> None:
    out, source = tmp_path / "public", tmp_path / "data"
    folder = out / SNAPSHOTS_FOLDER
    for day in range(4):
        ledger = make_ledger(source, [(record("six", "1.0", observed_at=APRIL_25 + day * DAY_S), None)])
        take_snapshots(ledger, out, POLICY)
    sizes = [path.stat().st_size for path in folder.glob("ppp-*.db")]
    assert len(sizes) == 4
    taken = sum(path.stat().st_size for path in folder.iterdir())
    kept = take_snapshots(ledger, out, replace(POLICY, max_bytes=taken - 1))
    assert [name for name in kept.removed if name.endswith(".db")] == ["snapshots/ppp-2024-04-25.db"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < taken
    assert (folder / "ppp-2024-04-28.db").exists()


def test_a_newest_snapshot_without_room_is_refused_and_the_others_stay(record: Builder, tmp_path: Path) -> None:
    out, source = tmp_path / "public", tmp_path / "data"
    ledger = make_ledger(source, [(record("six", "1.0"), None)])
    take_snapshots(ledger, out, POLICY)
    before = {path.name: path.read_bytes() for path in (out / SNAPSHOTS_FOLDER).iterdir()}
    make_ledger(source, [(record("six", "2.0", observed_at=APRIL_25 + DAY_S), None)])
    with pytest.raises(SnapshotRoomError, match=r"2024-04-26 has no room in the site: .* of 1,000"):
        take_snapshots(ledger, out, replace(POLICY, max_bytes=1_000))
    assert {path.name: path.read_bytes() for path in (out / SNAPSHOTS_FOLDER).iterdir()} == before


def test_expired_snapshots_are_removed_and_nothing_else(record: Builder, tmp_path: Path) -> None:
    out, source = tmp_path / "public", tmp_path / "data"
    folder = out / SNAPSHOTS_FOLDER
    policy = RetentionPolicy(days=2, weeks=1, window_bytes=10**6)
    for day in range(3):
        at = APRIL_25 + day * DAY_S
        run = take_snapshots(make_ledger(source, [(record("six", "1.0", observed_at=at), None)]), out, policy)
    assert run.removed == tuple(f"snapshots/ppp-2024-04-25{end}" for end in (".json", ".db.sha256", ".db"))
    # Somebody else's, one that was changed since, one that nothing describes, and a month.
    others = {"ppp-2020-01-01.db": b"not ours", "notes.txt": b"mine", "ppp-2024-02.db": b"a month"}
    for name, content in others.items():
        (folder / name).write_bytes(content)
    (folder / "ppp-2024-04-26.db").write_bytes((folder / "ppp-2024-04-26.db").read_bytes() + b"\0")
    for day in (3, 4):
        at = APRIL_25 + day * DAY_S
        run = take_snapshots(make_ledger(source, [(record("six", "1.0", observed_at=at), None)]), out, policy)
    assert {name: (folder / name).read_bytes() for name in others} == others
    assert (folder / "ppp-2024-04-26.db").exists()
    assert sum("is kept: it has no description" in note for note in run.notes) == 2
    assert run.removed == tuple(f"snapshots/ppp-2024-04-27{end}" for end in (".json", ".db.sha256", ".db"))
