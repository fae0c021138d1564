"""Read what passed of packages: current results of the ledger, joined with what the index said about their files.

A file whose address is unknown, or that the index lists under another name, is left out and counted: nothing about a
file is made up.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from packaging.utils import canonicalize_name
from sqlite_utils import Database

from ppp.index_files.file import IndexedFile
from ppp.index_files.store import IndexFiles
from ppp.model.record import Outcome
from ppp.publish.verified_index.listing import (
    NO_FILE,
    QUARANTINED,
    UNKNOWN_ADDRESS,
    VerifiedFile,
    VerifiedPackage,
    VerifiedProject,
    in_order,
)

#: What the site's own copy of a file's METADATA asks for; None where the site has no such copy.
Requirements = Callable[[str, str, str | None], tuple[str, ...] | None]

# ruff: noqa: S608 - our own words
_AMONG: Final = "IN (SELECT value FROM json_each(?))"
# What is current is decided in one place: the table `results` has it.
_PASSED: Final = (
    "SELECT r.package, r.version, r.environment, c.record, c.observed_at, c.phase_import, c.filename, c.file_sha256,"
    " c.file_size, c.installed, c.arch, c.standin, c.yanked"
    " FROM results AS r CROSS JOIN records AS c"
    f" WHERE r.package {_AMONG} AND c.record = r.record AND c.result = 'PASS' ORDER BY r.package"
)
_STATUS: Final = (
    # Of the other columns, SQLite takes the values from the row with the greatest of these, of which there is one.
    "SELECT package, project_status, max(printf('%012d', observed_at) || record) FROM records"
    f" WHERE package {_AMONG} AND result <> 'ERROR' GROUP BY package"
)


class _PassedRow(NamedTuple):
    package: str
    version: str
    environment: str
    record: str
    observed_at: int
    phase_import: str
    filename: str | None
    sha256: str | None
    size: int | None
    installed: str
    arch: str
    standin: int
    yanked: str | None


class CopiesOfFiles(NamedTuple):
    """What the site has copies of: files as pairs of sha256 and name, and a function to what METADATA asks for."""

    files: frozenset[tuple[str, str]]
    requirements: Requirements


def no_requirements(_sha256: str, _filename: str, _metadata_sha256: str | None) -> None:
    """Return that there is no copy of a file's METADATA."""


NO_COPIES: Final = CopiesOfFiles(files=frozenset(), requirements=no_requirements)


def read_verified(
    db: Database, index_files: IndexFiles | None, packages: Sequence[str], copies: CopiesOfFiles = NO_COPIES
) -> Iterator[VerifiedPackage]:
    """Yield what passed of each of some packages, by name; one of which nothing passed is empty."""
    names = json.dumps(packages)
    quarantined = {package for package, status, _ in db.execute(_STATUS, (names,)) if status == QUARANTINED}
    rows: defaultdict[str, list[_PassedRow]] = defaultdict(list)
    for row in map(_PassedRow._make, db.execute(_PASSED, (names,))):
        rows[row.package].append(row)
    wanted = {(row.sha256, row.package) for of_package in rows.values() for row in of_package if row.sha256}
    known = index_files.get_many(wanted) if index_files else {}
    for package in sorted(packages):
        by_environment: defaultdict[str, list[_PassedRow]] = defaultdict(list)
        for row in rows.get(package, ()):
            by_environment[row.environment].append(row)
        projects = {
            environment: _project(found, known, copies, quarantined=package in quarantined)
            for environment, found in by_environment.items()
        }
        yield VerifiedPackage(package=package, projects=projects)


def _project(
    rows: Sequence[_PassedRow],
    known: dict[tuple[str, str], IndexedFile],
    copies: CopiesOfFiles,
    *,
    quarantined: bool,
) -> VerifiedProject:
    files: list[VerifiedFile] = []
    left_out: Counter[str] = Counter()
    for row in rows:
        file = known.get((row.sha256 or "", row.package))
        if quarantined:
            left_out[QUARANTINED] += 1
        elif row.sha256 is None:
            left_out[NO_FILE] += 1
        elif file is None or (file.filename, file.version) != (row.filename, row.version):
            left_out[UNKNOWN_ADDRESS] += 1
        else:
            files.append(_file(row, file, copies))
    return VerifiedProject(files=in_order(files), left_out=dict(left_out))


def _file(row: _PassedRow, file: IndexedFile, copies: CopiesOfFiles) -> VerifiedFile:
    asked = copies.requirements(file.sha256, file.filename, file.metadata_sha256)
    mirrored = (file.sha256, file.filename) in copies.files
    return VerifiedFile(
        version=row.version,
        filename=file.filename,
        sha256=file.sha256,
        size=row.size or 0,
        url=file.url,
        record=row.record,
        uploaded=None if file.upload_time is None else _utc_text(file.upload_time),
        requires_python=file.requires_python,
        # Whoever saw it: another node may have read the index later than this one.
        yanked=row.yanked if file.yanked is None else file.yanked,
        # To clients, METADATA that is missing beside a file, or another one, is an error that ends the installation.
        metadata_sha256=None if mirrored and asked is None else file.metadata_sha256,
        imported=row.phase_import == Outcome.PASS,
        standin=bool(row.standin),
        arch=row.arch,
        mirrored=mirrored,
        needs=_installed_with(row) if asked is None else asked,
    )


def _utc_text(time: datetime) -> str:
    # With the index's precision.
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _installed_with(row: _PassedRow) -> tuple[str, ...]:
    needs = {(canonicalize_name(name), version) for name, version, *_ in json.loads(row.installed)}
    return tuple(f"{name}=={version}" for name, version in sorted(needs) if name != row.package)
