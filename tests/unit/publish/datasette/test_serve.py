"""Datasette's two styles of configuration, generated from one definition, and the process that serves."""

import hashlib
import html
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from datasette_server import fill_ledger
from journal_rows import showcase_journal
from known_downloads import know_downloads

from ppp.ledger.published import observed_environments
from ppp.ledger.store import Store
from ppp.model.errors import DataReadOnlyError, DatasetteError, DiskFullError, LedgerDamagedError
from ppp.model.record import Record
from ppp.publish.datasette.definition import materialized_views, saved_queries
from ppp.publish.datasette.serve import (
    ServeCommand,
    configuration_10a,
    metadata_065,
    metadata_10a,
    prepare,
    run,
)
from ppp.resources import resource
from ppp.web_server import open_socket


def test_a_query_whose_result_may_be_cut_names_the_table_that_has_every_row(store: Store) -> None:
    tables = {name for (name,) in store.db.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")}
    for query in saved_queries():
        if query.rows is None:
            # One row for each of few things: days, environments, reasons.
            assert "LIMIT" in query.sql or "by_day" in query.name or query.params or "GROUP BY" in query.sql, query.name
        else:
            assert query.rows.partition("?")[0] in tables


def test_the_site_is_named_where_it_is_known() -> None:
    known, unknown = metadata_065("https://ppp.example/"), metadata_065()
    assert known["source_url"] == known["plugins"]["look"]["site"] == "https://ppp.example/"
    assert "source_url" not in unknown
    assert configuration_10a("https://ppp.example/")["plugins"] == known["plugins"]
    assert (known["license"].split(";")[0], metadata_10a()["license_url"]) == ("CC0-1.0", known["license_url"])


def test_both_styles_hold_the_same_queries() -> None:
    old = metadata_065()["databases"]["ppp"]["queries"]
    new = configuration_10a()["databases"]["ppp"]["queries"]
    assert old == new
    assert len(old) >= 8
    assert all(query["title"] and query["sql"] for query in old.values())
    assert all(query.get("description") or query.get("description_html") for query in old.values())


def test_1_0_gets_each_setting_where_it_expects_it() -> None:
    said, shown = metadata_10a(), configuration_10a()
    assert "queries" not in said["databases"]["ppp"]
    assert said["databases"]["ppp"]["tables"]["records"]["columns"]["cause"]
    assert "facets" not in said["databases"]["ppp"]["tables"]["records"]
    assert shown["databases"]["ppp"]["tables"]["records"]["facets"]
    assert shown["databases"]["ppp"]["tables"]["peers"] == {"hidden": True}
    assert shown["settings"]["max_returned_rows"] == 500
    assert shown["settings"]["allow_csv_stream"] is False
    json.dumps([said, shown])


def test_every_described_table_and_column_exists(store: Store) -> None:
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


def test_no_query_has_the_name_of_a_table() -> None:
    assert {query.name for query in saved_queries()}.isdisjoint(metadata_065()["databases"]["ppp"]["tables"])


def test_every_parameter_has_an_example() -> None:
    queries = metadata_065()["databases"]["ppp"]["queries"]
    assert [*queries] == [saved.name for saved in saved_queries()]
    for saved in saved_queries():
        query, examples = queries[saved.name], saved.params
        described = html.unescape(query.get("description") or query["description_html"])
        assert list(examples) == query.get("params", [])
        assert all(f":{param}" in query["sql"] and f"{param} = {example}" in described
                   for param, example in examples.items())  # fmt: skip


def test_every_saved_query_has_rows_in_the_ledger_that_tests_serve(
    store: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    fill_ledger(store, record)
    with closing(sqlite3.connect(prepare(store.path, tmp_path / "serve").database)) as copy:
        for query in saved_queries():
            assert copy.execute(query.sql, dict(query.params)).fetchall(), query.name


def test_what_fails_among_the_most_downloaded_is_found_by_indexes(
    store: Store, record: Callable[..., Record], tmp_path: Path
) -> None:
    fill_ledger(store, record)
    others = {f"other-{number}": number for number in range(600)}
    know_downloads(store, "2024-04", {"lxml": 900, "rusty": 800, "elsewhere": 700, **others})
    (query,) = (query for query in saved_queries() if query.name == "fails_among_the_most_downloaded")
    with closing(sqlite3.connect(prepare(store.path, tmp_path / "serve").database)) as copy:
        ask = partial(copy.execute, query.sql)
        assert [row[:5] for row in ask(query.params)] == [
            (1, "lxml", 900, "6.0", "py312-alpine"),
            (2, "rusty", 800, "1.0", "py312-alpine"),
        ]
        assert [row[1] for row in ask({"platform": "alpine", "most": "1"})] == ["lxml"]
        assert [row[1] for row in ask({"platform": "", "most": ""})] == ["lxml", "rusty"]
        assert ask({"platform": "slim", "most": "1000"}).fetchall() == []
        few = {"platform": "alpine", "most": "10"}
        plan = [row[3] for row in copy.execute(f"EXPLAIN QUERY PLAN {query.sql}", few)]
        assert [step.split(" (")[0] for step in plan if step.startswith(("SCAN", "SEARCH"))] == [
            "SEARCH p USING INDEX served_popularity_by_place",
            "SEARCH n USING INDEX served_newest_by_package",
            "SEARCH f USING INDEX served_failures_by_package",
        ]
        assert copy.execute("PRAGMA foreign_key_check('popularity')").fetchall() == []


def test_the_copy_does_not_change_with_the_ledger(small: Store, tmp_path: Path) -> None:
    command = prepare(tmp_path / "data", tmp_path / "serve")
    small.db.execute("DELETE FROM queue")
    copy = sqlite3.connect(command.database)
    assert copy.execute("SELECT count(*) FROM records").fetchone() == (19,)
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()
    assert command.argv == (sys.executable, "-m", "ppp.publish.datasette.worker", str(tmp_path / "serve"))
    first = command.database.read_bytes()
    assert prepare(tmp_path / "data", tmp_path / "serve").database.read_bytes() == first
    written = {
        "ppp.db",
        "requirements.txt",
        "metadata.json",
        "settings.json",
        "inspect-data.json",
        "look.css",
        "plugins",
        "Containerfile",
        "1.0a",
    }
    assert {p.name for p in (tmp_path / "serve").iterdir()} == written


def test_materialized_views_equal_those_of_the_ledger(small: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(prepare(small.path, tmp_path / "serve").database)) as copy:
        for view in materialized_views():
            if view == "matrix":
                continue
            kind = copy.execute("SELECT type FROM sqlite_schema WHERE name = ?", (view,)).fetchone()
            assert kind == ("table",), view
            theirs = copy.execute(f"SELECT * FROM [{view}]")  # noqa: S608 - our own identifiers
            ours = small.db.execute(f"SELECT * FROM [{view}]")  # noqa: S608 - as above
            assert [column[0] for column in theirs.description] == [column[0] for column in ours.description]
            assert sorted(theirs.fetchall(), key=repr) == sorted(ours.fetchall(), key=repr), view
        assert copy.execute("SELECT count(*) FROM alpine_only").fetchone() == (2,)
        leads = {row[3]: row[2] for row in copy.execute("SELECT * FROM pragma_foreign_key_list('alpine_only')")}
        assert leads == {"package": "packages", "environment": "environments", "record": "records"}
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_matrix_has_a_column_for_each_environment_in_the_data(small: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(prepare(small.path, tmp_path / "serve").database)) as copy:
        copy.row_factory = sqlite3.Row
        rows = [dict(row) for row in copy.execute("SELECT * FROM matrix")]
    in_order = [environment.id for environment in observed_environments(small.db)]
    assert [*rows[0]] == ["package", "version", *in_order]
    ours = small.db.execute("SELECT package, version, results FROM matrix").fetchall()
    assert sorted(rows, key=repr) == sorted(
        (
            {"package": package, "version": version} | dict.fromkeys(in_order) | json.loads(results)
            for package, version, results in ours
        ),
        key=repr,
    )


def test_any_three_letters_find_a_package(small: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(prepare(small.path, tmp_path / "serve").database)) as copy:
        asked = "SELECT package FROM packages_fts WHERE packages_fts MATCH ? ORDER BY package"
        assert copy.execute(asked, ('"els"',)).fetchall() == [("wheels-only",)]
        assert copy.execute(asked, ('"gcc"',)).fetchall() == [("needs-gcc",)]
        assert copy.execute(asked, ('"nobody"',)).fetchall() == []


@pytest.mark.attack("credentials")
def test_the_copy_contains_no_private_data(small: Store, tmp_path: Path) -> None:
    with small.db.atomic():
        small.db.execute("INSERT INTO peers (node, url, added_at) VALUES ('ef', 'https://peer-secret.example', 1)")
        small.db.execute(
            "INSERT INTO queue (package, version, environment, source, enqueued_at)"
            " VALUES ('queued-secret', '1', 'py312-slim', 'named', 1)"
        )
    database = prepare(small.path, tmp_path / "serve").database
    assert b"secret" in (small.path / "ppp.db").read_bytes()
    assert b"secret" not in database.read_bytes()


def test_the_copy_says_what_became_of_each_release_though_it_has_no_queue(small: Store, tmp_path: Path) -> None:
    with small.db.atomic():
        showcase_journal(small, 1_714_046_400)
    counted = "SELECT state, count(*) FROM coverage_releases GROUP BY 1 ORDER BY 1"
    expected = small.db.execute(counted).fetchall()
    assert {state for state, _ in expected} == {"lost", "queued", "skipped", "tested"}
    with closing(sqlite3.connect(prepare(small.path, tmp_path / "serve").database)) as copy:
        assert copy.execute(counted).fetchall() == expected
        days = copy.execute("SELECT sum(named), sum(tested + queued + skipped + lost) FROM coverage_days").fetchone()
        assert days[0] == days[1] == sum(count for _, count in expected)
        names = {name for (name,) in copy.execute("SELECT name FROM sqlite_schema")}
    assert names.isdisjoint({"queue", "journal_cursors", "journal_todo"})


def test_no_link_of_the_copy_leads_to_a_row_that_is_not_there(small: Store, tmp_path: Path) -> None:
    with small.db.atomic():
        showcase_journal(small, 1_714_046_400)
    know_downloads(small, "2026-10", {"six": 100, "never-checked": 99})
    with closing(sqlite3.connect(prepare(small.path, tmp_path / "serve").database)) as copy:
        unknown = "SELECT count(*) FROM {} WHERE package NOT IN (SELECT package FROM packages)"
        for table in ("coverage_releases", "popularity"):
            assert copy.execute(unknown.format(table)).fetchone()[0] > 0
        # Datasette makes links of foreign keys.
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_inspect_file_is_written_beside_the_copy(small: Store, tmp_path: Path) -> None:
    database = prepare(small.path, tmp_path / "serve").database
    said = json.loads((tmp_path / "serve" / "inspect-data.json").read_text())["ppp"]
    assert said["hash"] == hashlib.sha256(database.read_bytes()).hexdigest()
    assert (said["file"], said["size"]) == ("ppp.db", database.stat().st_size)
    assert said["tables"]["records"] == {"count": 19}


def test_the_container_gets_the_pinned_datasette_and_all_files() -> None:
    recipe = resource("site/datasette/Containerfile").read_text()
    pinned = [line for line in (resource("pyproject.toml")).read_text().splitlines() if "datasette==" in line]
    (version,) = {line.partition('"')[2].partition('"')[0] for line in pinned}
    assert f"\n{version} " in resource("site/datasette/requirements.txt").read_text()
    assert "--require-hashes --requirement /tmp/requirements.txt" in recipe
    assert "COPY ppp.db metadata.json settings.json inspect-data.json /srv/ppp/" in recipe
    assert "USER nobody" in recipe


def test_without_a_ledger_nothing_is_served(tmp_path: Path) -> None:
    with pytest.raises(LedgerDamagedError, match="no ledger"):
        prepare(tmp_path, tmp_path / "serve")
    assert not (tmp_path / "serve").exists()


def test_an_obstructing_file_is_reported(small: Store, tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("theirs")
    with pytest.raises(DataReadOnlyError, match="serve"):
        prepare(small.path, tmp_path / "serve")


@pytest.mark.attack("crash-safe")
@pytest.mark.mount
def test_a_full_disk_is_reported_and_the_last_copy_is_kept(small: Store, tmp_path: Path) -> None:
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
    return ServeCommand(argv=argv, database=Path("ppp.db"))


def run_command(*argv: str) -> None:
    """Run a program in the place of Datasette."""
    with open_socket("127.0.0.1", 0) as listening:
        run(command(*argv), listening)


def test_a_server_that_fails_is_an_error() -> None:
    with pytest.raises(DatasetteError, match="status 7"):
        run_command(sys.executable, "-c", "raise SystemExit(7)")
    with pytest.raises(DatasetteError, match="cannot be started"):
        run_command("/nonexistent/datasette")


def test_a_server_that_exits_with_zero_is_no_error() -> None:
    assert run_command(sys.executable, "-c", "") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_and_is_no_error(number: signal.Signals) -> None:
    handler = signal.getsignal(number)
    signaller = f"import os, time; os.kill(os.getppid(), {int(number)}); time.sleep(60)"
    started = time.monotonic()
    run_command(sys.executable, "-c", signaller)
    assert time.monotonic() - started < 30
    assert signal.getsignal(number) is handler


@pytest.mark.attack("crash-safe")
def test_a_second_signal_kills_a_server_that_does_not_end() -> None:
    stubborn = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"[(os.kill(os.getppid(), {int(signal.SIGTERM)}), time.sleep(1)) for _ in range(60)]"
    )
    started = time.monotonic()
    run_command(sys.executable, "-c", stubborn)
    assert time.monotonic() - started < 30


def test_a_server_whose_query_does_not_stop_is_started_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = (
        f"import pathlib, sys; file = pathlib.Path({str(count)!r}); file.open('a').write('x');"
        "sys.exit(75 if len(file.read_text()) < 3 else 0)"
    )
    with open_socket("127.0.0.1", 0) as listening:
        run(command(sys.executable, "-c", script), listening, min_life_s=0)
        assert count.read_text() == "xxx"
        with pytest.raises(DatasetteError, match="status 75"):
            run(command(sys.executable, "-c", "raise SystemExit(75)"), listening)
