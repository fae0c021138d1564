"""JSON files: each is valid, agrees with the pages, and is listed in the index."""

import json
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from snapshot_ledgers import take_snapshots
from told_nights import told_night

from ppp.ledger.episodes import store_episode
from ppp.ledger.store import Store
from ppp.model.record import Blame, Installed, Phase, Record
from ppp.model.trigger import Trigger, TriggerKind
from ppp.publish.api.package import API_FILES
from ppp.publish.build import build
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.schemas import schema_errors

Read = Callable[[str], Any]


@pytest.fixture(scope="module")
def public(
    fill_small: Callable[[Store], None], record: Callable[..., Record], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A build of the small ledger, in which a release has broken another package, with its snapshots: to be read."""
    folder = tmp_path_factory.mktemp("api")
    again = Trigger(kind=TriggerKind.DEPENDENCY, name="six", version="1.17.0")
    with Store.open(folder / "data") as store:
        fill_small(store)
        for at, (result, trigger) in enumerate((("PASS", None), ("FAIL", again)), start=1_714_000_000):
            store.add_record(record("leans", "1", "py312-slim", observed_at=at, result=result, triggered_by=trigger))
        store_episode(store, told_night("2024-04-25"))
        take_snapshots(store.path / "ppp.db", folder / "public")
        build(store.db, folder / "public")
    return folder / "public"


@pytest.fixture
def read(public: Path) -> Read:
    """A JSON file of that build."""
    return lambda path: json.loads((public / path).read_text("ascii"))


def pattern(path: str) -> str:
    return re.sub(r"\{\w+\}", "*", path)


@pytest.mark.parametrize(("path", "schema"), [(path, schema) for path, schema, _ in API_FILES if schema])
def test_each_file_is_valid(path: str, schema: str, public: Path) -> None:
    files = [file for file in public.glob(pattern(path)) if file.name != "index.json" or "index.json" in path]
    assert files
    for file in files:
        assert schema_errors(f"site/schemas/{schema}.schema.json", json.loads(file.read_text("ascii"))) == [], file
    assert (public / "schemas" / f"{schema}.schema.json").is_file()


def test_schemas_reject_unknown_fields(read: Read) -> None:
    document = read("api/v1/p/six.json")
    document["cells"][0]["verdict"] = "good"
    assert schema_errors("site/schemas/package.schema.json", document)


def test_the_index_lists_every_api_file(public: Path, read: Read) -> None:
    loaded = read("api/v1/index.json")
    named = [pattern(file["path"]) for file in loaded["files"]]
    for name in named:
        assert list(public.glob(name)), name
    found = [str(file.relative_to(public)) for file in (public / "api").rglob("*.json")]
    assert len(found) > 10
    for path in found:
        assert any(fnmatchcase(path, name) for name in named), path
    assert loaded["findings"] == list(FindingKind)
    assert loaded["environments"] == ["py39-slim", "py312-slim", "py39-alpine", "py312-alpine"]


def test_the_data_of_a_package_page(read: Read) -> None:
    loaded = read("api/v1/p/needs-gcc.json")
    assert (loaded["version"], loaded["results"], loaded["releases"]) == ("1.1", {"PASS": 2, "FAIL": 2}, 2)
    assert loaded["findings"] == ["newly-broken", "alpine-only"]
    assert loaded["worked"] == {"py39-slim": "1.1", "py312-slim": "1.1", "py39-alpine": "1.0", "py312-alpine": "1.0"}
    assert loaded["reproduce"] == 'scripts/nox -s "check({environment})" -- needs-gcc==1.1'
    assert loaded["history"] == [
        {
            "version": "1.1",
            "results": {"PASS": ["py39-slim", "py312-slim"], "FAIL": ["py39-alpine", "py312-alpine"]},
        },
        {"version": "1.0", "results": {"PASS": ["py39-slim", "py312-slim", "py39-alpine", "py312-alpine"]}},
    ]
    failed = next(cell for cell in loaded["cells"] if cell["environment"] == "py312-alpine")
    assert (failed["result"], failed["phase"], failed["cause"]) == ("FAIL", "nodeps", "no-compiler")
    assert (failed["blame"], failed["blamed_by"]) == ("environment", "log")
    assert re.fullmatch("[0-9a-f]{64}", failed["log_sha256"])
    assert failed["phases"] == [["PASS", 10], ["FAIL", 10], ["SKIP", 10], ["SKIP", 10]]
    assert loaded["runs"][failed["run"]]["pip_version"] == "26.0.1"
    assert failed["seen"] == [1, 1, 1]
    passed = next(cell for cell in loaded["cells"] if cell["environment"] == "py312-slim")
    assert not {"cause", "blame", "detail", "phase", "log_sha256", "since"} & passed.keys()


def test_nodes_that_disagree_are_counted(read: Read) -> None:
    cell = next(cell for cell in read("api/v1/p/old.json")["cells"] if cell["environment"] == "py312-slim")
    assert cell["seen"] == [1, 2, 2]


def test_shared_values_are_stored_once(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    one, two = (Installed(name="six", version=version, sha256=None) for version in ("1.0", "1.1"))
    for environment, installed in (("py39-slim", (one,)), ("py311-slim", (one,)), ("py312-slim", (two,))):
        store.add_record(record("lib", "1.0", environment, installed=installed, bytes={Phase.FULL: 7}))
    build(store.db, tmp_path / "public")
    loaded = json.loads((tmp_path / "public" / "api" / "v1" / "p" / "lib.json").read_text())
    assert loaded["installed"] == [[["six", "1.0", None]], [["six", "1.1", None]]]
    assert [cell["installed"] for cell in loaded["cells"]] == [0, 0, 1]
    assert [cell["file"] for cell in loaded["cells"]] == [0, 0, 0]
    assert loaded["cells"][0]["phases"] == [["PASS", 10], ["PASS", 10], ["PASS", 10, 7], ["PASS", 10]]
    assert [cell["run"] for cell in loaded["cells"]] == [0, 0, 0]
    assert schema_errors("site/schemas/package.schema.json", loaded) == []


def test_blame_is_the_same_as_on_the_page(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    store.add_record(record("six", "1.0", "py312-slim"))
    failed = {"result": "FAIL", "cause": "import-error", "blame": Blame.PACKAGE, "detail": "no"}
    store.add_record(record("six", "1.0", "py312-alpine", **failed))
    build(store.db, tmp_path / "public")
    loaded = json.loads((tmp_path / "public" / "api" / "v1" / "p" / "six.json").read_text())
    assert [(cell.get("blame"), cell.get("blamed_by")) for cell in loaded["cells"]] == [
        (None, None),
        ("environment", "siblings"),
    ]


def test_hostile_text_stays_text(hostile: Store, tmp_path: Path) -> None:
    build(hostile.db, tmp_path / "public")
    for file in (tmp_path / "public").rglob("*.json"):
        assert all(byte in b"\n" or 0x20 <= byte < 0x7F for byte in file.read_bytes()), file
    loaded = json.loads((tmp_path / "public" / "api" / "v1" / "alpine-only.json").read_text())
    assert loaded["packages"] == 0
    loaded = json.loads((tmp_path / "public" / "api" / "v1" / "phantom-success.json").read_text())
    details = [cell["detail"] for cell in loaded["affected"]]
    assert len(details) == 2
    assert all(len(detail) <= 200 and detail.isprintable() for detail in details)
