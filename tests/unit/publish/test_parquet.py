"""The public tables as Parquet: as the ledger has them, typed, the same bytes again, and nothing half written."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.ledger.store import Store
from ppp.model.errors import ExportError
from ppp.model.record import Record
from ppp.publish.parquet import export_parquet

APRIL = 1_714_003_200
MAY = APRIL + 30 * 86_400
HOSTILE = "'; DROP TABLE records; -- é <b> =1+1"


@pytest.fixture(name="data")
def _data(tmp_path: Path, record: Callable[..., Record]) -> Path:
    with Store.open(tmp_path / "data") as store:
        for number in range(7):
            store.add_record(record(f"package-{number}", "1.0", "py312-slim", observed_at=APRIL + number))
        store.add_record(record("package-0", "2.0", "py39-alpine", observed_at=MAY, standin=True))
        store.add_record(record("package-0", "2.0", "py312-slim", observed_at=MAY, result="FAIL", detail=HOSTILE))
    return tmp_path / "data"


def rows_of(path: Path) -> list[dict[str, object]]:
    return list(pq.ParquetFile(path).read().to_pylist())


def test_every_value_is_that_of_the_ledger(data: Path, tmp_path: Path) -> None:
    files = export_parquet(data / LEDGER_NAME, tmp_path / "out")
    assert [(file.path, file.rows) for file in files] == [
        ("current.parquet", 9),
        ("environments.parquet", 2),
        ("records/month=2024-04/records.parquet", 7),
        ("records/month=2024-05/records.parquet", 2),
        ("releases.parquet", 8),
    ]
    assert all((tmp_path / "out" / file.path).stat().st_size == file.size for file in files)
    with closing(read_ledger(data)) as db:
        expected = {row["record"]: row for row in db.query("SELECT * FROM judged")}
    found = {str(row["record"]): row for row in rows_of(tmp_path / "out" / "current.parquet")}
    assert found.keys() == expected.keys()
    for id_, row in found.items():
        at = row.pop("observed_at")
        assert at == datetime.fromtimestamp(expected[id_].pop("observed_at"), UTC)
        assert row.pop("standin") is bool(expected[id_].pop("standin"))
        assert row == expected[id_]
    assert HOSTILE in {row["detail"] for row in found.values()}


def test_a_reader_of_partitions_finds_all_observations(data: Path, tmp_path: Path) -> None:
    export_parquet(data / LEDGER_NAME, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "records")
    assert table.num_rows == 9
    assert sorted(set(table["month"].to_pylist())) == ["2024-04", "2024-05"]
    assert table.schema.field("observed_at").type == pa.timestamp("s", tz="UTC") or table.schema.field(
        "observed_at"
    ).type == pa.timestamp("ms", tz="UTC")


def test_each_file_says_its_licence(data: Path, tmp_path: Path) -> None:
    for file in export_parquet(data / LEDGER_NAME, tmp_path / "out"):
        metadata = pq.read_schema(tmp_path / "out" / file.path).metadata
        assert metadata[b"license"] == b"CC0-1.0"
        assert metadata[b"title"].startswith(b"The PyPI Place")


def test_the_same_ledger_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_parquet(data / LEDGER_NAME, tmp_path / name)
    one, two = (
        {str(p.relative_to(tmp_path / name)): p.read_bytes() for p in (tmp_path / name).rglob("*.parquet")}
        for name in ("one", "two")
    )
    assert one == two


@pytest.mark.parametrize("portion", [1, 2, 7, 100])
def test_portions_lose_nothing(data: Path, tmp_path: Path, portion: int) -> None:
    export_parquet(data / LEDGER_NAME, tmp_path / "whole")
    export_parquet(data / LEDGER_NAME, tmp_path / "out", portion=portion)
    path = "records/month=2024-04/records.parquet"
    assert rows_of(tmp_path / "out" / path) == rows_of(tmp_path / "whole" / path)
    groups = pq.ParquetFile(tmp_path / "out" / path)
    assert max(groups.metadata.row_group(n).num_rows for n in range(groups.num_row_groups)) <= portion


def test_nothing_is_overwritten(data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("out", "file"):
        with pytest.raises(ExportError, match=r"not an empty folder.*name a new one"):
            export_parquet(data / LEDGER_NAME, tmp_path / name)
    assert (tmp_path / "out" / "mine.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert export_parquet(data / LEDGER_NAME, tmp_path / "empty")


def test_without_the_library_it_says_what_to_install(data: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['pyarrow'] = None; from ppp.cli.main import main; main()"
    arguments = ["export", str(tmp_path / "out"), "--data", str(data)]
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 65
    assert "pyarrow cannot be imported" in ended.stderr
    assert "the-pypi-place[parquet]" in ended.stderr
    assert not (tmp_path / "out").exists()
