"""A database from anywhere, looked into without being trusted: read only, within limits, only if its schema is ours.

Before anything is asked of it, its tables, views, indexes and triggers must be word for word those that we would lay:
so nothing of a stranger's is ever run. Then every row must follow from the records, and every record from its id.
"""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.ledger.queries import record_from_row
from ppp.ledger.schema import migrations
from ppp.mesh.batch import decompress_batch
from ppp.mesh.node import verify_signature
from ppp.model.errors import PPPError
from ppp.model.matrix import EnvironmentId
from ppp.model.record import sha256_hex
from ppp.model.release import Release, version_key
from ppp.publish.snapshots.database import MIGRATIONS_APPLIED_AT, PUBLIC_TABLES, current_sql
from ppp.verify.result import fail

_MAGIC: Final = b"SQLite format 3\x00"
#: Bytes 18 and 19 of a file whose journal is rolled back, as ours are.
_ROLLBACK: Final = b"\x01\x01"
#: No value of ours is longer, in bytes: a log has 5 MiB at most.
MAX_VALUE_BYTES: Final = 16 * 1024 * 1024
_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}
_PRAGMAS: Final = ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "mmap_size = 0")
_MAX_OBJECTS: Final = 1000


@contextmanager
def open_verified(path: Path, *, immutable: bool) -> Iterator[Database]:
    """Open a database that is laid as ours are; `immutable` where nobody writes it.

    Raises `DoesNotHoldError`, also for what SQLite says while it is asked.
    """
    _check_head(path)
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            for limit, value in _LIMITS.items():
                connection.setlimit(limit, value)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            # One moment of it, should it be a ledger at work.
            connection.execute("BEGIN")
            db = Database(connection)
            _check_schema(db)
            yield db
    except sqlite3.Error as error:
        fail(f"SQLite cannot read it: {error}")


def _check_head(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        fail("it is not a file")
    with path.open("rb") as file:
        head = file.read(100)
    if not head.startswith(_MAGIC):
        fail("it is not an SQLite database")
    if head[18:20] != _ROLLBACK:
        fail("it has a write-ahead log, which none of ours has")


@cache
def _our_schemas() -> tuple[frozenset[tuple[str, ...]], ...]:
    """Give what we lay now and what we laid before each migration: an archive stays as it was written."""
    with closing(sqlite3.connect(":memory:")) as connection:
        later = [migration.name for migration in migrations.pending(Database(connection))][1:]
    return tuple(map(_schema_before, (None, *reversed(later))))


def _schema_before(migration: str | None) -> frozenset[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        db = Database(connection)
        migrations.apply(db, stop_before=migration)
        return frozenset(_schema(db))


def _schema(db: Database) -> Iterator[tuple[str, ...]]:
    rows = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema")
    return (tuple(map(str, row)) for row in islice(rows, _MAX_OBJECTS))


def _check_schema(db: Database) -> None:
    theirs = frozenset(_schema(db))
    if theirs in _our_schemas():
        return
    ours = _our_schemas()[0]
    if strange := sorted(theirs - ours):
        kind, name, *_ = strange[0]
        fail(f"its {kind} {name} is not as this PPP lays it: another version's, or a stranger's")
    kind, name, *_ = min(ours - theirs)
    fail(f"its {kind} {name} is missing")


def check_rows(db: Database, *, logs: bool) -> int:
    """Raise `DoesNotHoldError` unless all rows follow from the records; give how many records there are.

    Without `logs`, the logs that records name need not be there.
    """
    for (said,) in db.execute("PRAGMA integrity_check(1)"):
        if said != "ok":
            fail(f"it is damaged: {said}")
    for table, _, parent, _ in db.execute("PRAGMA foreign_key_check"):
        if logs or parent != "logs":
            fail(f"a row of {table} names a row of {parent} that is not there")
    count = _check_records(db)
    _check_logs(db)
    _check_names(db)
    _check_current(db)
    _check_batches(db)
    return count


def _check_records(db: Database) -> int:
    count = 0
    for row in db.query("SELECT * FROM records"):
        held = row["record"]
        try:
            record = record_from_row(row)
            # A name that is not in its normal form is no name of ours.
            if Release.parse(record.release.package, record.release.version) != record.release:
                fail(f"the record {held} is not in normal form")
            record_id = record.id
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            fail(f"the record {held} is none: {error}")
        except PPPError as error:
            fail(f"the record {held}: {error.message}")
        if record_id != held:
            fail(f"the record {held} hashes to {record_id}")
        count += 1
    return count


def _check_logs(db: Database) -> None:
    for held, log in db.execute("SELECT log_sha256, log FROM logs"):
        if (digest := sha256_hex(log.encode())) != held:
            fail(f"the log {held} hashes to {digest}")
    for (held,) in db.execute("SELECT log_sha256 FROM logs EXCEPT SELECT log_sha256 FROM records"):
        fail(f"no record names the log {held}")


def _check_names(db: Database) -> None:
    for package, version, key in db.execute("SELECT package, version, version_key FROM releases"):
        if key != version_key(version):
            fail(f"{package} {version} is sorted by {key}")
    for environment, python, platform, key in db.execute(
        "SELECT environment, python, platform, python_key FROM environments"
    ):
        try:
            parsed = EnvironmentId.parse(environment)
        except ValueError as error:
            fail(str(error))
        if (python, platform, key) != (parsed.python_version, parsed.platform, parsed.python_key):
            fail(f"the environment {environment} is described as Python {python} ({key}) on {platform}")
    for table, columns in _NAMED.items():
        rows = f"SELECT {columns} FROM {table} EXCEPT SELECT {columns} FROM records"  # noqa: S608 - our own names
        for name, *_ in db.execute(rows):
            fail(f"no record is of {name}, which {table} holds")


_NAMED: Final = {
    "packages": "package",
    "releases": "package, version",
    "environments": "environment",
    "nodes": "node",
}


def _check_current(db: Database) -> None:
    held = "SELECT package, version, environment, record FROM results"
    follows = f"SELECT * FROM ({current_sql('records')})"  # noqa: S608 - our own words
    for one, other in ((held, follows), (follows, held)):
        for package, version, environment, record in db.execute(f"{one} EXCEPT {other}"):
            fail(f"{record} is not what is current of {package} {version} in {environment}, by the records")


def _check_batches(db: Database) -> None:
    # Their records need no look: each of those is named by its hash, and these bytes are what was signed.
    held = "SELECT batch, node, signature, packed FROM batches LEFT JOIN batch_files USING (batch)"
    for batch, node, signature, packed in db.execute(held):
        if packed is None:
            fail(f"the bytes of the batch {batch} are missing")
        data = decompress_batch(packed, batch_id=batch)
        if (digest := sha256_hex(data)) != batch:
            fail(f"the batch {batch} hashes to {digest}")
        if not verify_signature(node, data, signature):
            fail(f"the batch {batch} is not signed by node {node}")


def check_private(db: Database) -> None:
    """Raise `DoesNotHoldError` if a snapshot holds what is a node's own, or a time of its making."""
    laid = sorted(_schema(db))
    virtual = [name for kind, name, _, sql in laid if kind == "table" and sql.startswith("CREATE VIRTUAL")]
    for kind, name, *_ in laid:
        derived = name.startswith(("sqlite_", "_sqlite_", *virtual))
        if kind != "table" or name in PUBLIC_TABLES or derived:
            continue
        for _ in db.execute(f"SELECT 1 FROM [{name}] LIMIT 1"):  # noqa: S608 - our own names
            fail(f"its table {name} is a node's own, and should be empty")
    for (at,) in db.execute(
        "SELECT applied_at FROM _sqlite_migrations WHERE applied_at <> ?", (MIGRATIONS_APPLIED_AT,)
    ):
        fail(f"it says that it was made at {at}")
