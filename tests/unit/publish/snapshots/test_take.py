"""The folder of snapshots: days, closed months, the window, and what remains after a crash or on a full disk."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from snapshot_ledgers import (
    APRIL_25,
    DAY_S,
    MARCH,
    POLICY,
    make_ledger,
    query_rows,
    read_description,
    sample_observations,
    snapshot_files,
    take_snapshots,
)

from ppp.model.canonical import sha256_hex
from ppp.model.errors import DataReadOnlyError, DiskFullError, PublishError
from ppp.model.record import Record
from ppp.publish.snapshots.database import utc_day
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER, complete_snapshots
from ppp.schemas import schema_errors

Builder = Callable[..., Record]


def verifies(folder: Path) -> bool:
    lists = sorted(folder.glob("*.sha256"))
    assert lists
    checks = [subprocess.run(["sha256sum", "--quiet", "-c", one.name], cwd=folder, check=False) for one in lists]
    return all(check.returncode == 0 for check in checks)


def test_writes_day_month_window_and_latest(record: Builder, tmp_path: Path) -> None:
    out = tmp_path / "public"
    run = take_snapshots(make_ledger(tmp_path / "data", sample_observations(record)), out)
    names = snapshot_files(out).keys()
    assert names == {
        *(f"ppp-2024-04-25{end}" for end in (".db", ".db.sha256", ".json")),
        *(f"ppp-2024-03{end}" for end in (".db", ".db.sha256", ".json")),
        *(f"window{end}" for end in (".db", ".db.gz", ".db.sha256", ".json")),
        *(f"latest{end}" for end in (".db", ".db.sha256", ".json")),
    }
    assert {path.removeprefix("snapshots/") for path in run.written} == names
    assert verifies(out / SNAPSHOTS_FOLDER)
    for name in names:
        if name.endswith(".json"):
            assert schema_errors("site/schemas/snapshot.schema.json", read_description(out, name)) == []
    files = snapshot_files(out)
    assert files["latest.db"] == files["ppp-2024-04-25.db"]
    assert files["latest.json"] == files["ppp-2024-04-25.json"]
    assert (out / SNAPSHOTS_FOLDER / "latest.db").samefile(out / SNAPSHOTS_FOLDER / "ppp-2024-04-25.db")
    assert files["window.db"] == gzip.decompress(files["window.db.gz"])
    assert files["window.db.gz"][4:8] == b"\0\0\0\0", "the gzip header contains no time"


@pytest.mark.heavy
def test_two_ledgers_with_the_same_records_give_the_same_folder(record: Builder, tmp_path: Path) -> None:
    observations = sample_observations(record)
    take_snapshots(make_ledger(tmp_path / "a", observations), tmp_path / "1")
    take_snapshots(make_ledger(tmp_path / "b", reversed(observations)), tmp_path / "2")
    assert snapshot_files(tmp_path / "1") == snapshot_files(tmp_path / "2")


def test_a_second_run_changes_nothing(record: Builder, tmp_path: Path) -> None:
    source, out = make_ledger(tmp_path / "data", sample_observations(record)), tmp_path / "public"
    first = take_snapshots(source, out)
    before = {path.name: path.stat().st_mtime_ns for path in (out / SNAPSHOTS_FOLDER).iterdir()}
    again = take_snapshots(source, out)
    assert again.written == ()
    assert set(again.unchanged) == {path for path in first.written if "2024-03." not in path}
    assert {path.name: path.stat().st_mtime_ns for path in (out / SNAPSHOTS_FOLDER).iterdir()} == before


def test_the_current_day_is_rewritten_and_latest_follows(record: Builder, tmp_path: Path) -> None:
    observations, out = sample_observations(record), tmp_path / "public"
    take_snapshots(make_ledger(tmp_path / "data", observations), out)
    old = snapshot_files(out)
    source = make_ledger(tmp_path / "data", [(record("six", "1.0", observed_at=APRIL_25 + 9), None)])
    take_snapshots(source, out)
    new = snapshot_files(out)
    assert new["ppp-2024-04-25.db"] != old["ppp-2024-04-25.db"]
    assert new["latest.db"] == new["ppp-2024-04-25.db"]
    take_snapshots(make_ledger(tmp_path / "data", [(record("six", "2.0", observed_at=APRIL_25 + DAY_S), None)]), out)
    newest = snapshot_files(out)
    assert newest["ppp-2024-04-25.db"] == new["ppp-2024-04-25.db"]
    assert newest["latest.db"] == newest["ppp-2024-04-26.db"]
    assert read_description(out, "latest.json")["file"] == "ppp-2024-04-26.db"
    assert verifies(out / SNAPSHOTS_FOLDER)


@pytest.mark.parametrize(("late_s", "closed"), [(0, False), (3 * DAY_S - 1, False), (3 * DAY_S, True)])
def test_a_month_is_closed_three_days_after_its_end(
    late_s: int,
    closed: bool,  # noqa: FBT001
    record: Builder,
    tmp_path: Path,
) -> None:
    april = MARCH + 31 * DAY_S
    observations = [(record("six", "1.0", observed_at=at), None) for at in (MARCH, april - 1, april, april + late_s)]
    take_snapshots(make_ledger(tmp_path / "data", observations), tmp_path / "public")
    archive = tmp_path / "public" / SNAPSHOTS_FOLDER / "ppp-2024-03.db"
    assert archive.exists() == closed
    if closed:
        assert query_rows(archive, "SELECT min(observed_at), max(observed_at), count(*) FROM records") == [
            (MARCH, april - 1, 2)
        ]


def test_a_closed_month_never_changes_and_late_records_are_reported(record: Builder, tmp_path: Path) -> None:
    out = tmp_path / "public"
    source = make_ledger(tmp_path / "data", sample_observations(record))
    assert take_snapshots(source, out).notes == ()
    old = snapshot_files(out)
    make_ledger(tmp_path / "data", [(record("late", "1.0", observed_at=MARCH + 5), None)])
    run = take_snapshots(source, out)
    assert [note for note in run.notes if note.startswith("1 records of 2024-03 arrived after")]
    assert {n: c for n, c in snapshot_files(out).items() if "2024-03." in n} == {
        n: c for n, c in old.items() if "-03." in n
    }
    assert query_rows(out / SNAPSHOTS_FOLDER / "latest.db", "SELECT count(*) FROM packages WHERE package = 'late'") == [
        (1,)
    ]


@pytest.mark.heavy
def test_the_window_contains_whole_days_within_its_limit(record: Builder, tmp_path: Path) -> None:
    source = make_ledger(tmp_path / "data", sample_observations(record, days=40, per_day=60))
    sizes = {}
    for bound in (800_000, 1_000_000, 45 * 1024 * 1024):
        out = tmp_path / str(bound)
        take_snapshots(source, out, replace(POLICY, window_bytes=bound))
        window = out / SNAPSHOTS_FOLDER / "window.db"
        assert window.stat().st_size <= bound
        days = query_rows(window, "SELECT date(observed_at, 'unixepoch'), count(*) FROM records GROUP BY 1 ORDER BY 1")
        assert {count for _, count in days} == {60}
        newest = [utc_day(MARCH + day * DAY_S) for day in range(40)][-len(days) :]
        assert [day for day, _ in days] == newest
        assert query_rows(window, "SELECT count(*) FROM logs") == [(0,)]
        assert query_rows(window, "SELECT count(*) FROM records WHERE log_sha256 <> ''") != [(0,)]
        sizes[bound] = len(days)
    assert 0 < sizes[800_000] < sizes[1_000_000] < sizes[45 * 1024 * 1024] == 40


def test_a_window_in_which_no_day_fits_is_empty(record: Builder, tmp_path: Path) -> None:
    out = tmp_path / "public"
    run = take_snapshots(
        make_ledger(tmp_path / "data", sample_observations(record)), out, replace(POLICY, window_bytes=1000)
    )
    assert [note for note in run.notes if note.startswith("the window is empty, because 2024-04-25 alone")]
    assert query_rows(out / SNAPSHOTS_FOLDER / "window.db", "SELECT count(*) FROM records") == [(0,)]
    assert read_description(out, "window.json")["as_of"] is None


def test_an_empty_ledger_has_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="has no records"):
        take_snapshots(make_ledger(tmp_path / "data", []), tmp_path / "public")
    assert snapshot_files(tmp_path / "public") == {}


@pytest.mark.attack("inert-text")
def test_a_link_out_of_the_folder_is_not_followed(record: Builder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / SNAPSHOTS_FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PublishError, match="leads out of"):
        take_snapshots(make_ledger(tmp_path / "data", sample_observations(record, days=1)), tmp_path / "public")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_obstructing_folder_is_reported(record: Builder, tmp_path: Path) -> None:
    (tmp_path / "public" / SNAPSHOTS_FOLDER / "latest.db").mkdir(parents=True)
    with pytest.raises(PublishError, match=r"latest\.db is in the way"):
        take_snapshots(make_ledger(tmp_path / "data", sample_observations(record, days=1)), tmp_path / "public")
    assert [path.name for path in (tmp_path / "public" / SNAPSHOTS_FOLDER).iterdir()] == ["latest.db"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ppp.publish.snapshots.retention import RetentionPolicy
from ppp.publish.snapshots.take import take

event, left = sys.argv[3], int(sys.argv[4])

def hook(name, args):
    global left
    if name == event:
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

sys.addaudithook(hook)
take(Path(sys.argv[1]), Path(sys.argv[2]), RetentionPolicy(days=14, weeks=8, window_bytes=45 << 20))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """A ledger that grew, and public folders: with the snapshots before that, and with those of a run undisturbed."""

    source: Path
    before: Path
    undisturbed: Path


@pytest.fixture(scope="module")
def grown(record: Builder, tmp_path_factory: pytest.TempPathFactory) -> Grown:
    """Such a ledger with its folders, made once: each test copies the folder that it changes."""
    folder = tmp_path_factory.mktemp("grown")
    source = make_ledger(folder / "data", sample_observations(record, days=50))
    take_snapshots(source, folder / "before")
    make_ledger(folder / "data", sample_observations(record))
    take_snapshots(source, folder / "undisturbed")
    return Grown(source=source, before=folder / "before", undisturbed=folder / "undisturbed")


@pytest.mark.heavy
@pytest.mark.attack("crash-safe")
@pytest.mark.parametrize(
    ("event", "left"), [("sqlite3.connect", 0), ("sqlite3.connect", 5), *(("os.rename", n) for n in (1, 2, 5, 8, 10))]
)
def test_a_kill_leaves_complete_files_only(event: str, left: int, grown: Grown, tmp_path: Path) -> None:
    source, out = grown.source, Path(shutil.copytree(grown.before, tmp_path / "public"))
    old, new = snapshot_files(grown.before), snapshot_files(grown.undisturbed)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(source), str(out), event, str(left)], check=False, env=dict(os.environ)
    )
    assert killed.returncode == -9
    for name, content in snapshot_files(out).items():
        if not name.startswith("."):
            assert content in (old.get(name), new.get(name)), name
    # Each description matches the database that is there.
    for snapshot in complete_snapshots(out):
        assert sha256_hex((out / SNAPSHOTS_FOLDER / snapshot.file).read_bytes()) == snapshot.sha256
    take_snapshots(source, out)
    kept = {name: content for name, content in snapshot_files(out).items() if not re.match(r"ppp-2024-04-19", name)}
    assert kept == new


@pytest.mark.attack("crash-safe")
@pytest.mark.mount
@pytest.mark.parametrize("options", ["size=1m", "ro"])
def test_a_full_or_read_only_disk_leaves_the_old_snapshots(options: str, record: Builder, tmp_path: Path) -> None:
    source, out = make_ledger(tmp_path / "data", sample_observations(record)), tmp_path / "public"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", out], check=True)
    try:
        take_snapshots(source, out)
        old = snapshot_files(out)
        make_ledger(tmp_path / "data", [(record("six", "1.0", observed_at=APRIL_25 + 9), None)])
        if options == "ro":
            subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        else:
            with pytest.raises(OSError, match="No space"):
                (out / "filler").write_bytes(b"x" * 8_000_000)
        with pytest.raises(DataReadOnlyError if options == "ro" else DiskFullError):
            take_snapshots(source, out)
        assert snapshot_files(out) == old
        if options != "ro":
            (out / "filler").unlink()
            take_snapshots(source, out)
            assert verifies(out / SNAPSHOTS_FOLDER)
    finally:
        subprocess.run(["umount", out], check=True)
