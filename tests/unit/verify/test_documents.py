"""Verification of published documents and pages: valid as built and signed, INVALID after any change."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mesh_nodes import chain_of
from snapshot_ledgers import publish_signed, sample_observations

from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.mesh.peers_file import peers_document
from ppp.model.canonical import sha256_hex
from ppp.model.errors import InvalidFileError
from ppp.model.record import Record
from ppp.verify.documents import check_peers
from ppp.verify.examine import VerifyOptions, examine
from ppp.verify.result import Verification

KEY = NodeKey.from_seed(b"\7" * 32)
NOW = 1_720_000_000


@pytest.fixture(scope="module")
def published(record: Callable[..., Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with its public folder, which is copied for each test."""
    data = tmp_path_factory.mktemp("published") / "data"
    with Store.open(data) as store:
        for made, log in sample_observations(record, days=3):
            store.add_record(Record.from_json(made.to_json() | {"node": KEY.id}), log)
        publish_signed(store, data, KEY, now=NOW)
    return data


@pytest.fixture
def public(published: Path, tmp_path: Path) -> Path:
    """A public folder as a node leaves it: built, signed, with batches and snapshots."""
    return Path(shutil.copytree(published, tmp_path / "data")) / "public"


def verify_all(path: Path, *nodes: str, now: int = NOW) -> list[Verification]:
    found = list(examine(path, VerifyOptions(now=now, nodes=nodes)))
    assert all(each.message.isprintable() for each in found)
    return found


def fails(path: Path, *nodes: str) -> str:
    (found,) = verify_all(path, *nodes)
    assert not found.valid, found
    return found.message


def test_all_parts_of_a_folder_are_valid(public: Path) -> None:
    found = verify_all(public)
    assert [each for each in found if not each.valid] == []
    told = {Path(each.path).name: each.message for each in found}
    assert told["current.json"].startswith("current.json of 9 records, root ")
    assert f"of node {KEY.id}, of 9 records" in told["statement.json"]
    assert told["index.json"] == "a list of 2 snapshots, all present with their size and sha256"
    assert told["window.db.gz"] == "window.db, compressed"
    batch = next((public / "batches").glob("*.json.gz"))
    assert told[batch.name] == f"batch of 9 records, signed by node {KEY.id}"
    assert len(found) == 9
    assert [each.valid for each in verify_all(public.parent)] == [True] * 10, "with the ledger, of the data folder"


@pytest.mark.heavy
def test_every_published_file_is_valid(public: Path) -> None:
    files = [path for path in sorted(public.rglob("*")) if path.is_file()]
    kinds = ("index.html", "feed.xml", "style.css", "current.json.sha256", ".sig", "record.schema.json")
    for kind in kinds:
        assert any(str(path).endswith(kind) for path in files), kind
    for path in files:
        if "/snapshots/" not in str(path):
            (found,) = verify_all(path)
            assert found.valid, found


@pytest.mark.heavy
@pytest.mark.attack("valid-records")
@pytest.mark.parametrize("name", ["current.json", "style.css", "p/package-0/index.html", "data/index.html"])
def test_an_additional_byte_is_invalid(name: str, public: Path) -> None:
    with (public / name).open("ab") as file:
        file.write(b" ")
    assert fails(public / name)
    assert any(not each.valid for each in verify_all(public))


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize("name", ["latest.json", "window.json"])
@pytest.mark.parametrize("change", [{"sqlite": "340.1"}, {"gzip": None}])
def test_a_description_that_differs_from_the_list_is_invalid(
    name: str, change: dict[str, object], public: Path
) -> None:
    path = public / "snapshots" / name
    described = json.loads(path.read_text())
    different = {**described, **change}
    if different == described:
        different["sqlite"] = "3"
    path.write_text(json.dumps(different, indent=1, sort_keys=True) + "\n")
    assert f"{name} describes {described['file']} otherwise" in fails(public / "snapshots" / "index.json")


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b" ", b"\n"])
def test_a_description_with_other_bytes_is_invalid(before: bytes, public: Path) -> None:
    path = public / "snapshots" / "window.json"
    path.write_bytes(before + path.read_bytes())
    assert fails(path)
    assert "window.json is not the description of a snapshot" in fails(public / "snapshots" / "index.json")


@pytest.mark.attack("valid-records")
def test_missing_and_unknown_files_are_invalid(public: Path, tmp_path: Path) -> None:
    (public / "style.css").unlink()
    assert fails(public / "style.css") == "it does not exist"
    assert "style.css is listed but missing" in fails(public / "files.json")
    told = {fails(path) for path in (public / "files").iterdir() if not verify_all(path)[0].valid}
    assert told == {"style.css is listed but missing"}, "and in the one list that names it"
    (public / "mine.html").write_text("mine")
    assert "does not list it" in fails(public / "mine.html")
    (tmp_path / "mine.html").write_text("mine")
    assert "nothing confirms its content" in fails(tmp_path / "mine.html")
    (found,) = examine(tmp_path / "mine.html", VerifyOptions(now=NOW, sha256=sha256_hex(b"mine")))
    assert found.valid
    (public / "current.json").unlink()
    assert [each.message for each in verify_all(public) if each.path.endswith("current.json")] == ["it does not exist"]


def test_current_json_alone_needs_its_digest(public: Path, tmp_path: Path) -> None:
    alone = tmp_path / "current.json"
    shutil.copy(public / "current.json", alone)
    assert fails(alone) == "current.json.sha256 is not there"
    (found,) = examine(alone, VerifyOptions(now=NOW, sha256=sha256_hex(alone.read_bytes())))
    assert found.valid


@pytest.mark.attack("valid-records")
def test_a_current_json_with_inconsistent_numbers_is_invalid(public: Path, tmp_path: Path) -> None:
    document = json.loads((public / "current.json").read_text())
    document["counts"]["records"] += 1
    data = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
    (tmp_path / "current.json").write_bytes(data)
    (tmp_path / "current.json.sha256").write_text(f"{sha256_hex(data)}  current.json\n")
    assert fails(tmp_path / "current.json") == "the records of its days do not add up to its records"


@pytest.mark.attack("valid-records")
def test_a_statement_is_valid_for_its_node_only(public: Path, tmp_path: Path) -> None:
    (found,) = verify_all(public / "statement.json", KEY.id)
    assert found.valid
    assert "is not trusted" in fails(public / "statement.json", "ab" * 32)
    (late,) = verify_all(public / "statement.json", now=NOW + 10**8)
    assert late.valid
    assert "it expired at" in late.message
    document = json.loads((public / "statement.json").read_text())
    document["signed"]["records"] += 1
    (tmp_path / "statement.json").write_text(json.dumps(document))
    assert "its signature is not that of node" in fails(tmp_path / "statement.json")
    (public / "files.json").write_text("{}")
    assert "files.json hashes to" in fails(public / "statement.json")


@pytest.mark.attack("valid-records")
def test_a_batch_is_valid_for_its_node_only(public: Path) -> None:
    batch = next((public / "batches").glob("*.json.gz"))
    assert "it was signed by node" in fails(batch, "ab" * 32)
    signature = batch.with_name(f"{batch.name.partition('.')[0]}.sig")
    plain = batch.with_suffix("")
    plain.write_bytes(gzip.decompress(batch.read_bytes()))
    assert [found.valid for found in verify_all(plain)] == [True]
    signature.write_text("0" * 128)
    for path in (batch, plain, signature):
        assert "its signature is not that of node" in fails(path)
    batch.write_bytes(gzip.compress(plain.read_bytes().replace(b'"PASS"', b'"FAIL"', 1)))
    assert "its bytes hash to" in fails(batch)


def test_the_list_of_snapshots_is_checked(public: Path) -> None:
    (public / "snapshots" / "window.db.gz").write_bytes(b"x")
    assert "window.db.gz has 1 bytes" in fails(public / "snapshots" / "index.json")


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{", b"[" * 100_000, b'{"schema": ["ppp-current-1"]}', b'{"schema": "ppp-current-1"}',
        b'{"schema": "ppp-snapshot-1"}', b'{"schema": "ppp-files-1", "files": [["../../etc/passwd", 1, "ab"]]}',
        b'{"signed": {"schema": "ppp-statement-1"}}', b'{"schema": "ppp-batch-1"}', b'{"schema": "ppp-snapshots-1"}',
        b'{"schema": "\xff"}', b'{"signed": 5, "schema": {"a": 1}}',
    ],
)  # fmt: skip
def test_malformed_documents_are_invalid(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert fails(tmp_path / "x.json")


def test_what_a_node_saw_of_its_peers(tmp_path: Path) -> None:
    one, two = (NodeKey.from_seed(bytes([n]) * 32) for n in (1, 2))
    texts = [signed.text for key in (one, two) for signed in chain_of(key, 2)]
    path = tmp_path / "peers.json"
    path.write_bytes(peers_document(texts))
    assert check_peers(path, nodes=()) == "4 statements, each signed by the node that it names"
    assert check_peers(path, nodes={one.id, two.id})
    with pytest.raises(InvalidFileError, match=r"2 of its 4 statements are not .* by a node that is accepted"):
        check_peers(path, nodes={one.id})
    path.write_bytes(path.read_bytes().replace(b'"records":1', b'"records":3', 1))
    with pytest.raises(InvalidFileError, match=r"1 of its 4 statements are not .* by the node that it names"):
        check_peers(path, nodes=())
    (found,) = examine(path, VerifyOptions(now=NOW))
    assert not found.valid
