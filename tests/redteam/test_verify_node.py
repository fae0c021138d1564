"""`ppp verify --node X` on what somebody else made: nothing that X has not signed is valid, however well-formed."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from snapshot_ledgers import publish_signed, query_rows, sample_observations

from ppp.ledger.batches import seal
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.record import Record
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER
from ppp.verify.examine import VerifyOptions, examine

X: Final = NodeKey.from_seed(b"x" * 32)
MALLORY: Final = NodeKey.from_seed(b"m" * 32)
NOW: Final = 1_720_000_000
FORGED: Final = "forged-package"

Builder: TypeAlias = Callable[..., Record]

pytestmark = pytest.mark.attack("valid-records")


def publish(data: Path, key: NodeKey) -> None:
    """Build a public folder from a ledger with records of node X, and sign it and its batches with a key."""
    with Store.open(data) as store:
        publish_signed(store, data, key, node=X.id, now=NOW)


def fill(data: Path, record: Builder, *names: str) -> None:
    """Add records that say that they are of node X to a ledger."""
    with Store.open(data) as store:
        for made, log in sample_observations(record, days=3):
            store.add_record(Record.from_json(made.to_json() | {"node": X.id}), log)
        for name in names:
            store.add_record(record(name, node=X.id))


@pytest.fixture(scope="module", name="made")
def _made(record: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data folders with records of node X: `x`, published and signed by X, and `m`, by Mallory."""
    folder = tmp_path_factory.mktemp("made")
    for name, key, packages in (("x", X, ()), ("m", MALLORY, (FORGED,))):
        fill(folder / name, record, *packages)
        publish(folder / name, key)
    return folder


@pytest.fixture(name="honest")
def _honest(made: Path, tmp_path: Path) -> Path:
    """The data folder of node X."""
    return shutil.copytree(made / "x", tmp_path / "x")


@pytest.fixture(name="forged")
def _forged(made: Path, tmp_path: Path) -> Path:
    """A data folder whose records say that they are of node X, published and signed by Mallory."""
    return shutil.copytree(made / "m", tmp_path / "m")


def invalid(path: Path, *, sha256: str | None = None) -> list[str]:
    """Return why files are invalid where only node X is accepted."""
    found = examine(path, VerifyOptions(now=NOW, sha256=sha256, nodes=(X.id,)))
    return [each.message for each in found if not each.valid]


def test_what_x_published_is_valid(honest: Path) -> None:
    assert invalid(honest) == []
    assert invalid(honest / "public") == []
    public = honest / "public"
    for name in ("p/package-0/index.html", "style.css", "snapshots/index.json", "snapshots/latest.db", "files.json"):
        assert invalid(public / name) == [], name
    lists = [*(public / "files").iterdir(), *(public / SNAPSHOTS_FOLDER).glob("*.json"), *public.glob("batches/*.sig")]
    assert [invalid(path) for path in lists] == [[]] * len(lists)


PUBLISHED: Final = (
    "current.json", "current.json.sha256", "files.json", "style.css", "p/forged-package/index.html", "api/v1",
    "snapshots/index.json", "snapshots/latest.db", "snapshots/latest.json", "snapshots/window.db",
    "snapshots/window.db.gz", "statement.json", "statements/1.json",
)  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("statement", ["mallory", "absent", "x"])
def test_what_mallory_published_is_not(honest: Path, forged: Path, name: str, statement: str) -> None:
    public = forged / "public"
    path = public / name
    if path.is_dir():
        path = next(each for each in sorted(path.rglob("*.json")))
    if statement == "absent":
        (public / "statement.json").unlink()
    if statement == "x":
        # X's own statement beside files that it does not name.
        shutil.copy(honest / "public" / "statement.json", public / "statement.json")
    assert invalid(path), "not X's"
    if path.exists():
        assert invalid(path, sha256=sha256_hex(path.read_bytes())), "not even where its hash is known"


SWAPPED: Final = ("current.json", "files.json", "style.css", "snapshots/index.json", "snapshots/latest.db")


@pytest.mark.parametrize("name", SWAPPED)
def test_a_swapped_file_among_those_of_x_is_not(honest: Path, forged: Path, name: str) -> None:
    source, target = forged / "public" / name, honest / "public" / name
    target.write_bytes(source.read_bytes() + (b"/* */" if name == "style.css" else b""))
    if name == "current.json":
        shutil.copy(f"{source}.sha256", f"{target}.sha256")
    if name.endswith(".db"):
        shutil.copy(source.with_suffix(".json"), target.with_suffix(".json"))
    assert invalid(target)
    assert invalid(honest / "public")


def test_a_file_that_only_lies_among_those_of_x_is_not(honest: Path) -> None:
    mine = honest / "public" / "p" / "mine.html"
    mine.write_text("mine")
    assert invalid(mine)
    assert invalid(mine, sha256=sha256_hex(b"mine")), "its hash says who sent it, not who signed it"


def change(ledger: Path, *statements: str) -> None:
    """Change a ledger as whoever hands it out can."""
    with closing(sqlite3.connect(ledger)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def add_forged(data: Path, record: Builder) -> str:
    """Add a record that says that it is of node X, in no batch; return its id."""
    with Store.open(data) as store:
        made = record(FORGED, node=X.id)
        store.add_record(made)
        return made.id


def test_a_ledger_with_a_record_in_no_batch_is_not(honest: Path, record: Builder) -> None:
    add_forged(honest, record)
    assert "is in no signed batch" in invalid(honest / "ppp.db")[0]


def test_a_ledger_whose_rows_add_a_record_to_a_batch_is_not(honest: Path, record: Builder) -> None:
    forged = add_forged(honest, record)
    ((batch,),) = query_rows(honest / "ppp.db", "SELECT batch FROM batches")
    change(honest / "ppp.db", f"INSERT INTO batch_records VALUES ('{batch}', '{forged}')")  # noqa: S608 - hex digits
    assert "does not have the records that its rows say" in invalid(honest / "ppp.db")[0]
    change(honest / "ppp.db", "UPDATE batches SET records = records + 1")
    assert invalid(honest / "ppp.db")


def test_a_ledger_with_a_batch_of_another_node_is_not(honest: Path, record: Builder) -> None:
    add_forged(honest, record)
    with Store.open(honest) as store:
        seal(store, node=X.id, sign=MALLORY.sign, verify=lambda _: None)
    assert "is not signed by node" in invalid(honest / "ppp.db")[0]
    # The row says whose signature it is; the bytes still say that the record is of node X.
    change(
        honest / "ppp.db",
        f"INSERT OR IGNORE INTO nodes VALUES ('{MALLORY.id}')",  # noqa: S608 - hex digits
        f"UPDATE batches SET node = '{MALLORY.id}' WHERE records = 1",  # noqa: S608 - hex digits
    )
    assert invalid(honest / "ppp.db")


def test_a_ledger_of_mallory_is_not(forged: Path) -> None:
    assert invalid(forged / "ppp.db")


def test_a_ledger_with_a_statement_of_another_node_is_not(honest: Path, forged: Path) -> None:
    ((text, digest),) = query_rows(forged / "ppp.db", "SELECT statement, digest FROM statements")
    with closing(sqlite3.connect(honest / "ppp.db")) as db:
        db.execute("UPDATE statements SET statement = ?, digest = ?", (text, digest))
        db.commit()
    assert "is not trusted" in invalid(honest / "ppp.db")[0]


@pytest.mark.parametrize("kept", [True, False], ids=["with-digest", "own-digest"])
def test_a_ledger_with_a_changed_statement_is_not(honest: Path, *, kept: bool) -> None:
    ((text, digest),) = query_rows(honest / "ppp.db", "SELECT statement, digest FROM statements")
    document = json.loads(str(text))
    document["signed"]["records"] += 1
    with closing(sqlite3.connect(honest / "ppp.db")) as db:
        changed = (json.dumps(document), digest if kept else "0" * 64)
        db.execute("UPDATE statements SET statement = ?, digest = ?", changed)
        db.commit()
    assert "its signature is not that of node" in invalid(honest / "ppp.db")[0]
    (found,) = examine(honest / "ppp.db", VerifyOptions(now=NOW))
    assert not found.valid, "whoever is accepted"


def test_a_snapshot_without_its_folder_is_not(honest: Path, tmp_path: Path) -> None:
    for name in ("latest.db", "latest.json"):
        shutil.copy(honest / "public" / SNAPSHOTS_FOLDER / name, tmp_path / name)
    assert "no statement.json beside it" in invalid(tmp_path / "latest.db")[0]
    (tmp_path / "latest.json").unlink()
    assert "is in no signed batch" in invalid(tmp_path / "latest.db")[0]


def test_a_batch_that_x_did_not_sign_is_not(forged: Path) -> None:
    for path in (forged / "public" / "batches").iterdir():
        assert invalid(path)
