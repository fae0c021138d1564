"""How often packages are downloaded, as an imported file says: parse it, store it, read it.

Two forms are read: the monthly list of the most downloaded packages (JSON: `last_update` and `rows` of `project` and
`download_count`, which count the 30 days before, or the month before where `source` is ClickHouse), and rows of
package, period, downloads and, where the source has it, Python version (CSV with a header, or a JSON array of objects).
A file is stored whole or not at all, with whose numbers they are.
"""

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from ppp.model.errors import InvalidFileError
from ppp.model.release import InvalidReleaseError, parse_package
from ppp.storage_errors import translate_storage_errors

MAX_BYTES: Final = 64_000_000
MAX_ROWS: Final = 1_000_000
#: More than all downloads of all packages in a year; SQLite's integers hold it.
MAX_DOWNLOADS: Final = 10**13
#: The most characters of the words that say whose numbers they are.
MAX_SOURCE: Final = 200
#: The monthly list counts so many days, up to its last update.
LISTED_DAYS: Final = 30

#: The `source` of monthly lists that count the calendar month before they were made.
_BY_MONTH: Final = "ClickHouse"
_OF_PERIOD: Final = (
    "SELECT package, period, python_version, downloads FROM downloads WHERE period = ? AND python_version = ''"
)
_OF_PACKAGES: Final = f"{_OF_PERIOD} AND package IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own words
_PERIOD: Final = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2}/[0-9]{4}-[0-9]{2}-[0-9]{2})?", re.ASCII)
_PYTHON: Final = re.compile(r"([0-9]{1,2}(\.[0-9]{1,3})?)?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,14}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    """How often a package was downloaded in a period; `python_version` is "" for all versions together."""

    package: str
    period: str
    python_version: str
    downloads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadsSource:
    """Where numbers come from: `source` says whose they are, with their licence; `file_sha256` is that of the file."""

    source: str
    file_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodSource(DownloadsSource):
    """Where the numbers of a period come from."""

    period: str


def parse_downloads(content: bytes, *, period: str | None = None) -> list[Downloads]:
    """Return the rows of a file; raise `InvalidFileError` that names the first invalid row.

    `period` is what the file counts, where that is known better than it says itself.
    """
    if len(content) > MAX_BYTES:
        raise _invalid(f"it is larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
        rows = _json_rows(json.loads(text)) if text.lstrip()[:1] in {"{", "["} else _csv_rows(text)
        return _checked(rows if period is None else ({**row, "period": period} for row in map(_object, rows)))
    except (UnicodeDecodeError, RecursionError, csv.Error, ValueError) as error:
        raise _invalid(f"it is neither JSON nor CSV: {str(error)[:200]}") from error


def store_downloads(db: Database, path: Path, rows: Iterable[Downloads], source: DownloadsSource) -> None:
    """Store rows in one transaction; they replace what is stored of the same periods. `path` is the ledger's."""
    values = [(row.period, row.package, row.python_version, row.downloads) for row in rows]
    kinds = sorted({(period, python != "") for period, _, python, _ in values})
    sources = [(*kind, source.source, source.file_sha256) for kind in kinds]
    with translate_storage_errors(path), db.atomic():
        db.conn.executemany("DELETE FROM downloads WHERE period = ? AND (python_version <> '') = ?", kinds)
        db.conn.executemany("INSERT INTO downloads VALUES (?, ?, ?, ?)", values)
        db.conn.executemany("INSERT OR REPLACE INTO download_sources VALUES (?, ?, ?, ?)", sources)


def newest_period(db: Database) -> str | None:
    """Return the period whose numbers are the current ones; None if no file was imported."""
    period: str | None = db.execute("SELECT max(period) FROM downloads WHERE python_version = ''").fetchone()[0]
    return period


def newest_source(db: Database) -> PeriodSource | None:
    """Return the newest period and where its numbers come from; None if no file was imported."""
    period = newest_period(db)
    row = db.execute(
        "SELECT source, file_sha256 FROM download_sources WHERE period = ? AND NOT by_python", (period,)
    ).fetchone()
    return None if period is None or row is None else PeriodSource(period=period, source=row[0], file_sha256=row[1])


def newest_downloads(db: Database, packages: Collection[str] | None = None) -> dict[str, Downloads]:
    """Return the numbers of the newest period by package, those of some packages or of all."""
    which, names = (_OF_PERIOD, ()) if packages is None else (_OF_PACKAGES, (json.dumps([*packages]),))
    rows = db.execute(which, (newest_period(db), *names))
    return {row[0]: _row(*row) for row in rows}


def most_downloaded(db: Database, *, limit: int) -> list[Downloads]:
    """Return the most downloaded packages of the newest period, the most downloaded first."""
    rows = db.execute(f"{_OF_PERIOD} ORDER BY downloads DESC, package LIMIT ?", (newest_period(db), limit))
    return [_row(*row) for row in rows]


def packages_by_downloads(db: Database) -> Iterator[str]:
    """Return the packages that have a number in the newest period, the most downloaded first."""
    rows = db.execute(
        "SELECT package FROM downloads WHERE python_version = '' AND period = ? ORDER BY downloads DESC, package",
        (newest_period(db),),
    )
    return (package for (package,) in rows)


def downloads_of(db: Database, package: str) -> list[Downloads]:
    """Return all that is stored of a package, the newest period first."""
    rows = db.execute(
        # By period: the table's key begins with it.
        "SELECT package, period, python_version, downloads FROM (SELECT DISTINCT period FROM download_sources)"
        " CROSS JOIN downloads USING (period) WHERE package = ? ORDER BY period DESC, python_version",
        (package,),
    )
    return [_row(*row) for row in rows]


def _row(package: str, period: str, python_version: str, downloads: int) -> Downloads:
    return Downloads(package=package, period=period, python_version=python_version, downloads=downloads)


def _invalid(why: str) -> InvalidFileError:
    return InvalidFileError(f"this is no file of downloads: {why}", hint="nothing was imported; correct the file")


def _json_rows(data: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 (what JSON holds)
    if isinstance(data, list):
        yield from data
        return
    rows = data.get("rows")
    if not isinstance(rows, list):
        raise _invalid("it has no list of rows")
    period = _listed_period(data.get("last_update"), whole_month=data.get("source") == _BY_MONTH)
    for row in rows:
        is_row = isinstance(row, dict)
        yield (
            {"package": row.get("project"), "downloads": row.get("download_count"), "period": period} if is_row else row
        )


def _listed_period(last_update: object, *, whole_month: bool) -> str:
    try:
        end = date.fromisoformat(str(last_update)[:10])
        if whole_month:
            return f"{end.replace(day=1) - timedelta(days=1):%Y-%m}"
        return f"{end - timedelta(days=LISTED_DAYS)}/{end}"
    except (ValueError, OverflowError) as error:
        raise _invalid(f"its last_update is no date: {str(last_update)[:40]!r}") from error


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if missing := {"package", "period", "downloads"} - set(reader.fieldnames or ()):
        raise _invalid(f"it has no column {', '.join(sorted(missing))}")
    yield from reader


def _checked(rows: Iterable[Mapping[str, Any]]) -> list[Downloads]:
    found: dict[tuple[str, str, str], Downloads] = {}
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise _invalid(f"it has more than {MAX_ROWS} rows")
        one = _parsed(number, row)
        if found.setdefault((one.package, one.period, one.python_version), one) is not one:
            raise _invalid(f"row {number}: {one.package} is there twice for {one.period}")
    if not found:
        raise _invalid("it has no rows")
    return [*found.values()]


def _object(row: object) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise _invalid("a row is no object")
    return row


def _parsed(number: int, row: object) -> Downloads:
    if not isinstance(row, dict):
        raise _invalid(f"row {number} is no object")
    package, period, python = row.get("package"), row.get("period"), row.get("python_version") or ""
    if not (isinstance(period, str) and _PERIOD.fullmatch(period) and _are_dates(period)):
        raise _invalid(f"row {number}: the period {_shown(period)} is neither a month (2026-10) nor two days with a /")
    if not (isinstance(python, str) and _PYTHON.fullmatch(python)):
        raise _invalid(f"row {number}: {_shown(python)} is no Python version such as 3.12")
    try:
        name = parse_package(package if isinstance(package, str) else "")
    except InvalidReleaseError as error:
        raise _invalid(f"row {number}: {_shown(package)} is not a package name") from error
    return _row(name, period, python, _count(number, row.get("downloads")))


def _are_dates(period: str) -> bool:
    try:
        days = [date.fromisoformat(part if len(part) > len("2026-10") else f"{part}-01") for part in period.split("/")]
    except ValueError:
        return False
    return days == sorted(days)


def _count(number: int, value: object) -> int:
    count = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MAX_DOWNLOADS:
        raise _invalid(f"row {number}: {_shown(value)} is no number of downloads from 0 to {MAX_DOWNLOADS}")
    return count


def _shown(value: object) -> str:
    return ascii(value if not isinstance(value, int) or abs(value) < 10**20 else "a huge number")[:80]
