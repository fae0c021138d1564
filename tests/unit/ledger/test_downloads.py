"""How often packages are downloaded: what is read, what is refused, and what is current."""

import json

import pytest
from known_downloads import SOURCE, know_downloads

from ppp.ledger.downloads import downloads_of, most_downloaded, newest_period, parse_downloads, store_downloads
from ppp.ledger.store import Store
from ppp.model.errors import InvalidFileError


def listed(*rows: object, last_update: object = "2026-11-01 08:05:12") -> bytes:
    return json.dumps({"last_update": last_update, "query": {}, "rows": rows}).encode()


def test_the_monthly_list_counts_the_thirty_days_before() -> None:
    (row,) = parse_downloads(listed({"project": "Ruamel.Yaml", "download_count": 12}))
    assert (row.package, row.period, row.downloads) == ("ruamel-yaml", "2026-10-02/2026-11-01", 12)


def test_a_list_by_calendar_month_counts_the_month_before() -> None:
    content = json.loads(listed({"project": "six", "download_count": 12}, last_update="2027-01-02 08:05:12"))
    (row,) = parse_downloads(json.dumps({**content, "source": "ClickHouse"}).encode())
    assert row.period == "2026-12"
    (row,) = parse_downloads(listed({"project": "six", "download_count": 12}), period="2026-10-11/2026-11-01")
    assert row.period == "2026-10-11/2026-11-01"
    with pytest.raises(InvalidFileError, match="the period 'October'"):
        parse_downloads(listed({"project": "six", "download_count": 12}), period="October")
    with pytest.raises(InvalidFileError, match="no object"):
        parse_downloads(b"[1]", period="2026-10")


def test_rows_by_python_version_are_read_from_csv_and_json() -> None:
    rows = parse_downloads(b"package,period,downloads,python_version\nsix,2026-10,7,3.12\nsix,2026-10,9,\n")
    assert [(row.python_version, row.downloads) for row in rows] == [("3.12", 7), ("", 9)]
    assert rows == parse_downloads(
        json.dumps(
            [
                {"package": "six", "period": "2026-10", "downloads": 7, "python_version": "3.12"},
                {"package": "six", "period": "2026-10", "downloads": 9, "python_version": None},
            ]
        ).encode()
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (listed({"project": "six", "download_count": -1}), "row 1: -1 is no number"),
        (listed({"project": "six", "download_count": 10**30}), "row 1: 'a huge number' is no number"),
        (listed({"project": "six", "download_count": True}), "row 1: True"),
        (listed({"project": "six", "download_count": 1.5}), r"row 1: 1\.5"),
        (listed({"project": "../six", "download_count": 1}), "row 1: '../six' is not a package name"),
        (listed({"project": ["six"], "download_count": 1}), "row 1:"),
        (listed("six"), "row 1 is no object"),
        (
            listed({"project": "a.b", "download_count": 1}, {"project": "A-B", "download_count": 1}),
            "row 2: a-b is there",
        ),
        (listed({"project": "six", "download_count": 1}, last_update=None), "last_update"),
        (listed({"project": "six", "download_count": 1}, last_update="0001-01-02"), "last_update"),
        (listed(), "no rows"),
        (b'{"rows": 1}', "no list of rows"),
        (b"", "no column"),
        (b"\xff\xfe", "neither JSON nor CSV"),
        (b"[" * 100_000, "neither JSON nor CSV"),
        (b"package,period,downloads\nsix,2026-13,1\n", "row 1: the period '2026-13'"),
        (b"package,period,downloads\nsix,2026-10\n", "row 1: None is no number"),
        (b"package,period,downloads,python_version\nsix,2026-10,1,three\n", "row 1: 'three' is no Python"),
    ],
)
def test_what_is_no_file_of_downloads_is_one_clear_error(content: bytes, why: str) -> None:
    with pytest.raises(InvalidFileError, match=why):
        parse_downloads(content)


def test_a_newer_period_is_current_and_importing_again_changes_nothing(store: Store) -> None:
    old = parse_downloads(b"package,period,downloads\nsix,2026-09,5\nold,2026-09,4\n")
    new = parse_downloads(b"package,period,downloads\nsix,2026-10,7\nnumpy,2026-10,9\n")
    assert newest_period(store.db) is None
    for rows in (old, new, new, old):
        store_downloads(store.db, store.path, rows, SOURCE)
    assert [row.package for row in most_downloaded(store.db, limit=9)] == ["numpy", "six"]
    assert [(row.period, row.downloads) for row in downloads_of(store.db, "six")] == [("2026-10", 7), ("2026-09", 5)]
    store_downloads(store.db, store.path, new[:1], SOURCE)
    assert [row.package for row in most_downloaded(store.db, limit=9)] == ["six"], (
        "a corrected file replaces its period"
    )


def test_the_source_of_each_period_is_kept_and_places_are_those_of_the_newest(store: Store) -> None:
    know_downloads(store, "2026-09", {"old": 9})
    know_downloads(store, "2026-10", {"six": 7, "numpy": 7, "attrs": 9, "rare": 1})
    know_downloads(store, "2026-10", {"six": 3}, python_version="3.12")
    places = store.db.execute("SELECT place, package FROM popularity ORDER BY place, package").fetchall()
    assert places == [(1, "attrs"), (2, "numpy"), (2, "six"), (4, "rare")]
    sources = store.db.execute("SELECT period, by_python, source, file_sha256 FROM download_sources").fetchall()
    of_file = (SOURCE.source, SOURCE.file_sha256)
    assert sources == [("2026-09", 0, *of_file), ("2026-10", 0, *of_file), ("2026-10", 1, *of_file)]
