"""The descriptions beside snapshots."""

from collections.abc import Callable
from pathlib import Path

from snapshot_ledgers import make_ledger, sample_observations, take_snapshots

from ppp.model.record import Record
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER, complete_snapshots

Builder = Callable[..., Record]


def test_only_complete_snapshots_are_listed(record: Builder, tmp_path: Path) -> None:
    out = tmp_path / "public"
    assert complete_snapshots(out) == ()
    take_snapshots(make_ledger(tmp_path / "data", sample_observations(record)), out)
    assert [snapshot.file for snapshot in complete_snapshots(out)] == [
        "window.db",
        "ppp-2024-04-25.db",
        "ppp-2024-03.db",
    ]
    folder = out / SNAPSHOTS_FOLDER
    (folder / "window.json").write_text('{"schema": "ppp-snapshot-1"}')
    (folder / "ppp-2024-03.db").write_bytes(b"cut")
    (folder / "ppp-2023-03.db").symlink_to("/etc/passwd")
    (folder / "ppp-2023-03.json").write_bytes((folder / "ppp-2024-03.json").read_bytes())
    assert [snapshot.file for snapshot in complete_snapshots(out)] == ["ppp-2024-04-25.db"]
