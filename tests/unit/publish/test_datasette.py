"""Datasette's two styles of configuration, made from one definition, and what is served."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ppp.ledger.store import Store
from ppp.model.errors import DataReadOnlyError, DatasetteError, DiskFullError, LedgerDamagedError
from ppp.publish.datasette import (
    ServeCommand,
    canned_queries,
    configuration_10a,
    metadata_065,
    metadata_10a,
    prepare,
    run,
)


def test_both_styles_hold_the_same_queries() -> None:
    old = metadata_065()["databases"]["ppp"]["queries"]
    new = configuration_10a()["databases"]["ppp"]["queries"]
    assert old == new
    assert len(old) >= 8
    assert all(query["title"] and query["description"] and query["sql"] for query in old.values())


def test_1_0_gets_each_thing_where_it_looks_for_it() -> None:
    said, shown = metadata_10a(), configuration_10a()
    assert "queries" not in said["databases"]["ppp"]
    assert said["databases"]["ppp"]["tables"]["records"]["columns"]["cause"]
    assert "facets" not in said["databases"]["ppp"]["tables"]["records"]
    assert shown["databases"]["ppp"]["tables"]["records"]["facets"]
    assert shown["databases"]["ppp"]["tables"]["peers"] == {"hidden": True}
    assert shown["settings"]["max_returned_rows"] == 500
    assert shown["settings"]["allow_csv_stream"] is False
    json.dumps([said, shown])


def test_every_described_table_and_column_is_there(store: Store) -> None:
    for name, table in metadata_065()["databases"]["ppp"]["tables"].items():
        columns = {row[1] for row in store.db.execute("SELECT * FROM pragma_table_info(?)", (name,))}
        columns |= {row[0] for row in store.db.execute(f"SELECT * FROM [{name}] LIMIT 0").description}  # noqa: S608
        named = {*table.get("columns", {}), *table.get("facets", [])}
        named |= {table[key] for key in ("label_column", "sort_desc") if key in table}
        assert named <= columns, name


def test_every_table_and_view_is_described_or_hidden(store: Store) -> None:
    named = metadata_065()["databases"]["ppp"]["tables"]
    rows = store.db.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
    )
    assert {row[0] for row in rows} == named.keys()
    assert all(table.get("description") or table.get("hidden") for table in named.values())


def test_every_parameter_has_an_example() -> None:
    for name, query in metadata_065()["databases"]["ppp"]["queries"].items():
        examples = canned_queries()[name]
        assert list(examples) == query.get("params", [])
        assert all(f":{param}" in query["sql"] and f"{param} = {example}" in query["description"]
                   for param, example in examples.items())  # fmt: skip


def test_prepares_a_copy_that_later_writes_do_not_change(small: Store, tmp_path: Path) -> None:
    command = prepare(tmp_path / "data", tmp_path / "serve", port=8321)
    small.db.execute("DELETE FROM queue")
    copy = sqlite3.connect(command.database)
    assert copy.execute("SELECT count(*) FROM records").fetchone() == (19,)
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()
    assert command.url == "http://127.0.0.1:8321/ppp"
    assert command.argv[:4] == (sys.executable, "-m", "datasette", "serve")
    assert ("-i", str(command.database)) == command.argv[4:6]
    first = command.database.read_bytes()
    assert prepare(tmp_path / "data", tmp_path / "serve").database.read_bytes() == first
    assert {p.name for p in (tmp_path / "serve").iterdir()} == {"ppp.db", "metadata.json", "1.0a"}


def test_no_ledger_no_server(tmp_path: Path) -> None:
    with pytest.raises(LedgerDamagedError, match="no ledger"):
        prepare(tmp_path, tmp_path / "serve")
    assert not (tmp_path / "serve").exists()


def test_a_file_in_the_way_is_named(small: Store, tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("theirs")
    with pytest.raises(DataReadOnlyError, match="serve"):
        prepare(small.path, tmp_path / "serve")


@pytest.mark.mount
def test_a_full_disk_is_named_and_the_last_copy_stays(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "serve"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", out], check=True)
    try:
        (out / "ppp.db").write_text("old")
        with pytest.raises(DiskFullError, match="serve"):
            prepare(small.path, out)
        assert (out / "ppp.db").read_text() == "old"
    finally:
        subprocess.run(["umount", out], check=True)


def command(*argv: str) -> ServeCommand:
    return ServeCommand(argv=argv, database=Path("ppp.db"), url="http://127.0.0.1:1/ppp")


def test_a_server_that_ends_badly_is_an_error() -> None:
    with pytest.raises(DatasetteError, match="status 7"):
        run(command(sys.executable, "-c", "raise SystemExit(7)"))
    with pytest.raises(DatasetteError, match="cannot be started"):
        run(command("/nonexistent/datasette"))


def test_a_server_that_ends_well_is_none() -> None:
    assert run(command(sys.executable, "-c", "")) is None  # type: ignore[func-returns-value]
