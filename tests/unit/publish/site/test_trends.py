"""Trends: the results of each day as a chart, as a table, as a file, and as SQL."""

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from ppp.ledger.digests import DayDigest, read_day_digests
from ppp.ledger.store import Store
from ppp.model.record import Record, Result
from ppp.model.release import Release
from ppp.publish.build import build
from ppp.publish.datasette.definition import permalink, saved_queries
from ppp.publish.site.trends import MAX_DAYS, draw_trend, passed_percent, trends_file
from ppp.schemas import schema_errors

FIRST = date(2024, 4, 25)
DAY = 1_714_003_200
SCHEMA = "site/schemas/trends.schema.json"


def day(number: int = 0, *came_to: int) -> DayDigest:
    passed, failed, timed_out, errors, not_claimed = (*came_to, 0, 0, 0, 0, 0)[:5]
    return DayDigest(
        day=(FIRST + timedelta(days=number)).isoformat(),
        records=sum(came_to),
        sha256="0" * 64,
        passed=passed,
        failed=failed,
        timed_out=timed_out,
        errors=errors,
        not_claimed=not_claimed,
    )


def heights(path: str) -> list[int]:
    return [int(foot) - int(head) for foot, head in re.findall(r"M\d+ (\d+)V(\d+)", path)]


def section(out: Path) -> str:
    html = (out / "index.html").read_text()
    return html.partition('<section aria-labelledby="trends">')[2].partition("</section>")[0]


@pytest.mark.parametrize(
    ("came_to", "expected"),
    [
        ((1, 1), 50.0),
        ((1, 15), 6.3),
        ((2, 0, 1), 66.7),
        ((1, 0, 0, 9, 9), 100.0),
        ((0, 3), 0.0),
        ((0, 0, 0, 2, 1), None),
    ],
)
def test_passed_percent_is_a_share_of_decided_cells(came_to: tuple[int, ...], expected: float | None) -> None:
    assert passed_percent(day(0, *came_to)) == expected


def test_bars_are_stacked_and_scaled_to_the_busiest_day() -> None:
    trend = draw_trend([day(0, 10, 5), day(1, 54, 30, 6)])
    assert trend is not None
    assert trend.bars.keys() == {Result.PASS, Result.FAIL, Result.TIMEOUT}
    assert trend.bars[Result.PASS] == "M5 150V140M15 150V96"
    assert trend.bars[Result.FAIL] == "M5 140V135M15 96V66"
    assert trend.bars[Result.TIMEOUT] == "M15 66V60"
    assert (trend.busiest.day, trend.width) == ("2024-04-26", 20)
    assert trend.gridlines == "M0 6h20M0 46h20"


def test_small_counts_remain_visible() -> None:
    trend = draw_trend([day(0, 100_000, 1, 1, 1, 1)])
    assert trend is not None
    assert [heights(path) for path in trend.bars.values()] == [[90], [3], [3], [3], [3]]
    assert trend.bars[Result.NA] == "M5 51V48"


def test_the_line_has_gaps_without_decided_cells() -> None:
    trend = draw_trend([day(0, 1), day(1, 1, 1), day(2, 0, 0, 0, 7), day(3, 0, 1)])
    assert trend is not None
    assert trend.line == "M0 6.0h10V26.0h10M30 46.0h10"
    assert [percent for _, percent in trend.days] == [100.0, 50.0, None, 0.0]
    nothing = draw_trend([day(0, 0, 0, 0, 7)])
    assert nothing is not None
    assert nothing.line == ""


def test_only_the_newest_days_are_drawn_and_the_file_has_all() -> None:
    every = [day(number, number + 1) for number in range(MAX_DAYS + 5)]
    trend = draw_trend(every)
    assert trend is not None
    assert [shown for shown, _ in trend.days] == every[5:]
    assert (trend.older, trend.busiest) == (5, every[-1])
    path, data = trends_file(every, DAY)
    document = json.loads(data)
    assert path == "api/v1/trends.json"
    assert schema_errors(SCHEMA, document) == []
    assert [row["records"] for row in document["days"]] == [one.records for one in every]


def test_a_long_trend_stays_small() -> None:
    trend = draw_trend([day(number, 99_999, 99_998, 99_997, 99_996, 99_995) for number in range(MAX_DAYS)])
    assert trend is not None
    assert sum(map(len, trend.bars.values())) + len(trend.line) < 5_000


def test_the_front_page_lists_each_day(
    small: Store, record: Callable[..., Record], tmp_path: Path, page: Callable[[Path], object]
) -> None:
    for number in range(2, 7):
        small.add_record(record("daily", f"1.{number}", result="ERROR", observed_at=DAY - number * 86_400))
    build(small.db, tmp_path / "public")
    shown = section(tmp_path / "public")
    assert '<svg viewBox="0 0 70 151" width="336"' in shown
    assert "On 2024-04-25: 9 PASS, 3 FAIL, 1 TIMEOUT, 1 ERROR, 1 NA, 15 in all." in shown
    assert "the tallest has 15 (2024-04-25)" in shown
    rows = re.findall(r'<tr><th scope="row">([\d-]+)</th>(.*?)</tr>', shown)
    assert [(name, re.findall("<td>(.*?)</td>", row)) for name, row in rows] == [
        ("2024-04-25", ["9", "3", "1", "1", "1", "69.2 %"]),
        ("2024-04-24", ["4", "0", "0", "0", "0", "100.0 %"]),
        *((f"2024-04-{number}", ["0", "0", "0", "1", "0", "–"]) for number in range(23, 18, -1)),  # noqa: RUF001 - wide
    ]
    assert '<a href="api/v1/trends.json">' in shown
    assert f'<a href="sql/index.html{permalink("results_by_day")}">' in shown
    read = page(tmp_path / "public" / "index.html")
    assert {"svg", "desc", "figcaption", "details"} <= read.tags  # type: ignore[attr-defined]


def test_a_single_day_and_no_day(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    build(store.db, tmp_path / "none")
    assert section(tmp_path / "none") == ""
    assert json.loads((tmp_path / "none" / "api/v1/trends.json").read_text()) == {
        "schema": "ppp-trends-1",
        "as_of": None,
        "days": [],
    }
    store.add_record(record("six", "1.0", result="ERROR", observed_at=DAY))
    build(store.db, tmp_path / "one")
    # Fewer than seven days are no trend.
    assert section(tmp_path / "one") == ""
    trend = draw_trend([day(0, 0, 0, 0, 1)])
    assert trend is not None
    assert (trend.bars[Result.ERROR], trend.line) == ("M5 150V60", "")


def test_sql_gives_the_same_numbers(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    for number in range(40):
        for each in range(number % 7 + 1):
            result = list(Result)[(number * each) % 5]
            store.add_record(record(f"p-{each}", "1.0", result=result, observed_at=DAY + number // 3 * 86_400 + number))
    store.skip(Release(package="three", version="1"), "", reason="expired", detail="", now=DAY - 90_000)
    (query,) = (query for query in saved_queries() if query.name == "results_by_day")
    assert parse_qs(permalink("results_by_day").removeprefix("#")) == {"sql": [query.sql]}
    build(store.db, tmp_path / "public")
    text = json.loads((tmp_path / "public" / "api/v1/trends.json").read_text())["days"]
    assert len(text) == 14
    assert store.db.execute(query.sql).fetchall() == [
        (row["day"], row["records"], *(row["results"][word] for word in Result), row["passed_percent"])
        for row in reversed(text)
    ]


def test_halves_are_rounded_up_as_in_sql(store: Store) -> None:
    for decided in range(1, 130):
        for passed in range(decided + 1):
            (reported,) = store.db.execute("SELECT round(100.0 * ? / ?, 1)", (passed, decided)).fetchone()
            assert passed_percent(day(0, passed, decided - passed)) == reported, (passed, decided)


def test_a_build_reads_only_new_records_for_days(small: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    out, memory = tmp_path / "public", tmp_path / "memory.db"
    build(small.db, out, cache_path=memory)
    (last,) = small.db.execute("SELECT max(rowid) FROM records").fetchone()
    small.add_record(record("late", "1.0", result="FAIL", observed_at=DAY - 400 * 86_400))
    asked: list[str] = []
    small.db.conn.set_trace_callback(asked.append)
    build(small.db, out, cache_path=memory)
    small.db.conn.set_trace_callback(None)
    of_days = [sql for sql in asked if "sum(result = 'PASS')" in sql]
    assert len(of_days) == 1
    assert f"FROM records WHERE rowid > {last} " in of_days[0]
    text = json.loads((out / "api/v1/trends.json").read_text())["days"]
    assert [(row["day"], row["records"]) for row in text] == [("2023-03-22", 1), ("2024-04-24", 4), ("2024-04-25", 15)]
    assert sum(one.failed for one in read_day_digests(small.db)) == 4
