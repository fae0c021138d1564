"""Each query in the documentation has rows in the ledger of this repository, and prints what the page says."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
#: A query, and what it prints if the page says so.
QUERY: Final = re.compile(r"^```sql\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def queries() -> Iterator[tuple[str, str, str]]:
    for page in sorted((ROOT / "docs").glob("*.md")):
        for number, (sql, printed) in enumerate(QUERY.findall(page.read_text("utf-8")), 1):
            yield f"{page.stem}-{number}", sql, printed


def answer(sql: str) -> str:
    """Return the rows as a table of aligned columns, numbers to the right."""
    with closing(sqlite3.connect(f"file:{ROOT / 'data' / 'ppp.db'}?mode=ro&immutable=1", uri=True)) as ledger:
        cursor = ledger.execute(sql)
        rows = cursor.fetchall()
    heads = [column[0] for column in cursor.description]
    texts = [heads, *([str(value) for value in row] for row in rows)]
    widths = [max(len(row[n]) for row in texts) for n in range(len(heads))]
    numbers = [bool(rows) and not isinstance(rows[0][n], str) for n in range(len(heads))]
    return "".join(
        "  ".join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        + "\n"
        for row in texts
    )


@pytest.mark.parametrize(("sql", "printed"), [pytest.param(*rest, id=name) for name, *rest in queries()])
def test_a_query_prints_what_the_page_says(sql: str, printed: str) -> None:
    found = answer(sql)
    # The ledger of this repository follows no journal.
    if not re.search(r"\b(coverage|journal)_", sql):
        assert found.count("\n") > 1, "the query has no rows"
    assert printed in {"", found}
