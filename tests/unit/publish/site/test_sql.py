"""The files of the SQL page, and the digests of the vendored SQLite."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.publish.datasette.definition import saved_queries
from ppp.publish.folder import is_build_path
from ppp.publish.site.sql import WINDOW_DATABASE, described_window_tables, sql_files, sql_page
from ppp.publish.snapshots.database import RecordSelection, extract
from ppp.resources import resource


def test_the_page_loads_only_its_own_files() -> None:
    files = dict(sql_files(""))
    assert all(is_build_path(path) for path in files)
    page = files["sql/index.html"].decode()
    for name in re.findall(r'(?:src|href)="([a-z.]+\.(?:js|css|txt))"', page):
        assert f"sql/{name}" in files
    for path, content in files.items():
        if path in {"sql/page.js", "sql/worker.js", "sql/text.js"}:
            for name in re.findall(r'"\./([a-z0-9]+\.js)"', content.decode()):
                assert f"sql/{name}" in files, path
    assert b'"sqlite3.wasm"' in files["sql/sqlite3.js"]
    assert {"sql/sqlite3.wasm", "sql/LICENSE.txt", "sql/worker.js"} <= files.keys()


def test_the_page_is_small_and_strict() -> None:
    page = sql_page("")[1].decode()
    assert len(page) < 50_000
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert rules["worker-src"] == rules["connect-src"] == rules["style-src"] == "'self'"
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page)
    assert f'data-database="../{WINDOW_DATABASE}"' in page


def test_it_shows_every_saved_query_with_examples(page: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(sql_page("")[1])
    read = page(tmp_path / "page.html")
    queries = [query for query in saved_queries() if query.name != "coverage_by_day"]
    assert len(queries) >= 10
    for query in queries:
        assert query.sql in read.text, query.name
        assert query.title in read.text
        assert all(f":{name}" in read.text and example in read.text for name, example in query.params.items())


def test_every_listed_table_is_in_a_window(small: Store, tmp_path: Path) -> None:
    extract(small.path / "ppp.db", tmp_path / "window.db", RecordSelection(logs=False))
    with closing(sqlite3.connect(tmp_path / "window.db")) as window:
        for table in described_window_tables():
            found = [row[0] for row in window.execute(f"SELECT * FROM [{table.name}] LIMIT 0").description]  # noqa: S608
            assert [column.name for column in table.columns] == found
            assert table.description
        for query in saved_queries():
            window.execute(query.sql, dict(query.params)).fetchall()
        assert window.execute("SELECT count(*) FROM records").fetchone() == (19,)
    names = {table.name for table in described_window_tables()}
    assert {"current", "judged", "failures", "newly_broken", "records", "packages"} <= names
    assert not {"peers", "queue", "pending", "logs", "given_up"} & names


def test_the_vendored_files_have_the_documented_digests() -> None:
    folder = resource("site/vendor/sqlite-wasm")
    noted = dict(re.findall(r"\| `([a-z0-9.]+)` \| `([0-9a-f]{64})` \|", (folder / "README.md").read_text()))
    assert noted.keys() == {"index.mjs", "sqlite3.wasm"}
    for name, digest in noted.items():
        assert sha256_hex((folder / name).read_bytes()) == digest
    assert "Apache License" in (folder / "LICENSE.txt").read_text()
