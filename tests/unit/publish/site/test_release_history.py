"""The grid of all versions: the newest with their causes, then releases with the same results in one row each."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from memory_store import store_in_memory

from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build

AT = 1_714_100_000


def grid(store: Store, out: Path) -> list[tuple[str, str]]:
    """Return the rows of the grid of `many`: heading and results, as text."""
    build(store.db, out)
    page = (out / "p" / "many" / "index.html").read_text("utf-8")
    table = page[page.index('<table class="history"') : page.index("</table>", page.index('<table class="history"'))]
    rows = re.findall(r'<tr id="v[^"]*"><th scope="row">(.*?)</th>(.*?)</tr>', table)
    return [tuple(" ".join(re.sub("<[^>]+>", " ", part).split()) for part in row) for row in rows]  # type: ignore[misc]


@pytest.fixture
def many(record: Callable[..., Record], tmp_path: Path) -> list[tuple[str, str]]:
    """The grid of forty versions, of which some fail on Alpine."""
    with store_in_memory() as store:
        for number in range(40):
            for environment in ("py39-slim", "py39-alpine"):
                fails = environment == "py39-alpine" and (number < 5 or number == 20)
                values = {"result": "FAIL", "cause": "no-compiler"} if fails else {}
                store.add_record(record("many", f"{number}.0", environment, observed_at=AT + number, **values))
        return grid(store, tmp_path / "public")


def test_every_version_is_in_the_grid(many: list[tuple[str, str]]) -> None:
    assert [heading for heading, _ in many[:10]] == [f"{number}.0" for number in range(38, 28, -1)]
    assert many[10:] == [
        ("28.0 to 21.0 8 releases", "PASS PASS"),
        ("20.0", "PASS FAIL"),
        ("19.0 to 5.0 15 releases", "PASS PASS"),
        ("4.0 to 0.0 5 releases", "PASS FAIL"),
    ]


def test_where_results_alternate_the_grid_stays_small(record: Callable[..., Record], tmp_path: Path) -> None:
    with store_in_memory() as store:
        for number in range(120):
            values = {"result": "FAIL"} if number % 2 else {}
            store.add_record(record("many", f"{number}.0", "py39-slim", observed_at=AT + number, **values))
        rows = grid(store, tmp_path / "public")
    assert 40 < len(rows) < 60
    page = (tmp_path / "public" / "p" / "many" / "index.html").read_text("utf-8")
    assert f"{119 - len(rows)} older releases are in the ledger." in page
