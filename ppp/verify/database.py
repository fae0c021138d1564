"""Verify an untrusted database: read-only, within limits, and only if its schema is exactly that of PPP.

Before any query, the SQL of its tables, views, indexes and triggers must equal, word for word, what PPP's migrations
create, so that no untrusted SQL is ever run. Then all rows must follow from the records, and records from their ids.
"""

import json
import sqlite3
import stat
from collections.abc import Collection, Iterator
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
from ppp.mesh.statement import authenticate, read_envelope
from ppp.model.canonical import sha256_hex
from ppp.model.errors import PPPError
from ppp.model.matrix import EnvironmentId
from ppp.model.record import Record
from ppp.model.release import Release, version_key
from ppp.publish.snapshots.database import MIGRATIONS_APPLIED_AT, PUBLIC_TABLES, current_sql
from ppp.verify.result import fail

_MAGIC: Final = b"SQLite format 3\x00"
#: Bytes 18 and 19 of a file with a rollback journal, which all ledgers have.
_ROLLBACK: Final = b"\x01\x01"
#: An upper bound for any value, in bytes: a log has 5 MiB at most.
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
    """Open a database after checking its schema; `immutable` means that no process writes to it.

    Raise `InvalidFileError` if the schema is not PPP's, and for any SQLite error until the database is closed.
    """
    _check_head(path)
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            for limit, value in _LIMITS.items():
                connection.setlimit(limit, value)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            # A transaction gives a consistent view, in case the ledger is in use.
            connection.execute("BEGIN")
            db = Database(connection)
            _check_schema(db)
            yield db
    except sqlite3.Error as error:
        fail(f"SQLite cannot read it: {error}")
    except UnicodeDecodeError:
        # The message of an SQLite error quotes what it could not read.
        fail("SQLite cannot read it: its schema is damaged, and holds text that is not UTF-8")


def _check_head(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        fail("it is not a regular file")
    with path.open("rb") as file:
        head = file.read(100)
    if not head.startswith(_MAGIC):
        fail("it is not an SQLite database")
    if head[18:20] != _ROLLBACK:
        fail("it has a write-ahead log, which no ledger or snapshot of PPP has")


@cache
def _our_schemas() -> tuple[frozenset[tuple[str, ...]], ...]:
    """Return the current schema and those before each migration: old snapshots keep the schema they had."""
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
        fail(f"its {kind} {name} is not part of this PPP's schema: it is from another version or another program")
    kind, name, *_ = min(ours - theirs)
    fail(f"its {kind} {name} is missing")


def check_rows(db: Database, *, logs: bool) -> int:
    """Raise `InvalidFileError` unless all rows follow from the records; return the number of records.

    If `logs` is false, the logs that records name may be missing.
    """
    for (answer,) in db.execute("PRAGMA integrity_check(1)"):
        if answer != "ok":
            fail(f"it is damaged: {answer}")
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
        stored = row["record"]
        try:
            record = record_from_row(row)
            # PPP writes only normalized names and versions.
            if Release.parse(record.release.package, record.release.version) != record.release:
                fail(f"the record {stored} is not in normal form")
            record_id = record.id
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            fail(f"the record {stored} is invalid: {error}")
        except PPPError as error:
            fail(f"the record {stored}: {error.message}")
        if record_id != stored:
            fail(f"the record {stored} hashes to {record_id}")
        count += 1
    return count


def _check_logs(db: Database) -> None:
    for stored, log in db.execute("SELECT log_sha256, log FROM logs"):
        if (digest := sha256_hex(log.encode())) != stored:
            fail(f"the log {stored} hashes to {digest}")
    for (stored,) in db.execute("SELECT log_sha256 FROM logs EXCEPT SELECT log_sha256 FROM records"):
        fail(f"no record names the log {stored}")


def _check_names(db: Database) -> None:
    for package, version, key in db.execute("SELECT package, version, version_key FROM releases"):
        if key != version_key(version):
            fail(f"{package} {version} has the wrong sort key {key}")
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
            fail(f"no record has {name}, which is in the table {table}")


_NAMED: Final = {
    "packages": "package",
    "releases": "package, version",
    "environments": "environment",
    "nodes": "node",
}


def _check_current(db: Database) -> None:
    actual = "SELECT package, version, environment, record FROM results"
    expected = f"SELECT * FROM ({current_sql('records')})"  # noqa: S608 - our own words
    for one, other in ((actual, expected), (expected, actual)):
        for package, version, environment, record in db.execute(f"{one} EXCEPT {other}"):
            fail(f"by the records, {record} is not the current record of {package} {version} in {environment}")


def _check_batches(db: Database) -> None:
    query = (
        "SELECT batch, node, signature, records, first_observed_at, last_observed_at, packed"
        " FROM batches LEFT JOIN batch_files USING (batch)"
    )
    for batch, node, signature, *described, packed in db.execute(query):
        if packed is None:
            fail(f"the bytes of the batch {batch} are missing")
        data = decompress_batch(packed, what=f"batch {batch}")
        if (digest := sha256_hex(data)) != batch:
            fail(f"the batch {batch} hashes to {digest}")
        if not verify_signature(node, data, signature):
            fail(f"the batch {batch} is not signed by node {node}")
        _check_content(db, batch, data, node=node, described=described)


def _check_content(db: Database, batch: str, data: bytes, *, node: str, described: list[int]) -> None:
    """Raise `InvalidFileError` unless a batch's rows say of it what its bytes say: a signature covers only these."""
    try:
        records = [Record.from_json(row) for row in json.loads(data)["records"]]
        inside = {record.id: record.observed_at for record in records}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        fail(f"the batch {batch} is invalid: {error}")
    if strange := next((record for record in records if record.node != node), None):
        fail(f"the batch {batch} of node {node} has a record of node {strange.node}")
    times = inside.values()
    if described != [len(records), min(times, default=None), max(times, default=None)]:
        fail(f"the batch {batch} does not have the number of records, or the times, that its row says")
    stored = {record for (record,) in db.execute("SELECT record FROM batch_records WHERE batch = ?", (batch,))}
    if stored != inside.keys():
        fail(f"the batch {batch} does not have the records that its rows say, first {min(stored ^ inside.keys())}")


def check_signed_records(db: Database, *, nodes: Collection[str]) -> None:
    """Raise `InvalidFileError` unless each record is in a batch of one of these nodes, whose signatures are checked."""
    for batch, node in db.execute("SELECT batch, node FROM batches"):
        if node not in nodes:
            fail(f"the batch {batch} is signed by node {node}")
    unsigned = "SELECT record, node FROM records WHERE record NOT IN (SELECT record FROM batch_records)"
    for record, node in db.execute(unsigned):
        fail(f"the record {record} is in no signed batch; it says that it is of node {node}")


def check_statements(db: Database, *, nodes: Collection[str]) -> None:
    """Raise unless the stored statements are signed by the nodes that they name; these must be among `nodes`, if any.

    Raises `InvalidFileError` or `RejectedDataError`.
    """
    for sequence, text, digest in db.execute("SELECT sequence, statement, digest FROM statements"):
        envelope = read_envelope(text.encode())
        statement = authenticate(envelope, trusted=nodes or {envelope.statement.node})
        if (statement.sequence, statement.digest) != (sequence, digest):
            fail(f"the statement {sequence} is not the one that its row says")


def check_private(db: Database) -> None:
    """Raise `InvalidFileError` if a snapshot has rows in a private table, or the time of its creation."""
    schema = sorted(_schema(db))
    virtual = [name for kind, name, _, sql in schema if kind == "table" and sql.startswith("CREATE VIRTUAL")]
    for kind, name, *_ in schema:
        derived = name.startswith(("sqlite_", "_sqlite_", *virtual))
        if kind != "table" or name in PUBLIC_TABLES or derived:
            continue
        for _ in db.execute(f"SELECT 1 FROM [{name}] LIMIT 1"):  # noqa: S608 - our own names
            fail(f"its table {name} is private to a node and should be empty")
    for (at,) in db.execute(
        "SELECT applied_at FROM _sqlite_migrations WHERE applied_at <> ?", (MIGRATIONS_APPLIED_AT,)
    ):
        fail(f"it contains the time of its creation, {at}")
