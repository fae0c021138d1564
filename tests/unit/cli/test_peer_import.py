"""`ppp peer import`: batches from a folder and from the snapshot of a state, and what is wrong with others."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ppp.cli import main
from ppp.ledger.batches import list_batches, published_batch_files, seal
from ppp.ledger.schema import LEDGER_NAME
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey, create_key
from ppp.mesh.peer import trust
from ppp.model.errors import RejectedDataError
from ppp.model.record import Record
from ppp.state.snapshot import write_snapshot

THEIRS, STRANGER = (NodeKey.from_seed(bytes([n]) * 32) for n in (7, 8))
Run = Callable[[Path], tuple[int, dict[str, object], str]]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A node that trusts another one, and has nothing."""
    data = tmp_path / "here"
    key = create_key(data)
    with Store.open(data) as store:
        trust(store, key, THEIRS.id, now=1)
    return data


@pytest.fixture
def there(tmp_path: Path, record: Callable[..., Record]) -> Path:
    """The ledger of the other node, with a batch of its own and one of a stranger."""
    with Store.open(tmp_path / "there") as store:
        for key, package in ((THEIRS, "alpha"), (STRANGER, "beta")):
            store.add_record(record(package, node=key.id))
            seal(store, node=key.id, sign=key.sign, verify=lambda _: None)
    return tmp_path / "there"


@pytest.fixture
def run(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(source: Path) -> tuple[int, dict[str, object], str]:
        monkeypatch.setattr(sys, "argv", ["ppp", "peer", "import", str(source), "--data", str(here), "--json"])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), json.loads(out or "{}"), err

    return run


def test_a_folder_and_a_snapshot_bring_the_same(run: Run, there: Path, tmp_path: Path) -> None:
    folder = tmp_path / "batches"
    folder.mkdir()
    with Store.open(there) as store:
        for batch in list_batches(store.db):
            for path, content in published_batch_files(store.db, batch.id):
                (folder / Path(path).name).write_bytes(content)
    write_snapshot(there / LEDGER_NAME, tmp_path / "state.db")
    code, answer, _ = run(folder)
    untrusted = [{"node": STRANGER.id, "batches": 1, "quarantined": False}]
    assert code == 0
    assert answer == {"batches": 1, "records": 1, "known": 0, "untrusted": untrusted, "rejections": []}
    code, answer, _ = run(tmp_path / "state.db")
    assert (code, answer["batches"], answer["known"], answer["untrusted"]) == (0, 0, 1, untrusted)


def test_what_is_no_batch_is_named(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "batches"
    folder.mkdir()
    (folder / f"{'a' * 64}.json.gz").write_bytes(b"no gzip")
    code, answer, err = run(folder)
    assert code == RejectedDataError.exit_code
    assert answer["batches"] == 0
    assert f"batch {'a' * 64} rejected: it is not gzip" in err
    (tmp_path / "other.db").write_bytes(b"no database")
    code, _, err = run(tmp_path / "other.db")
    assert code > 0
    assert "it is not an SQLite database" in err
