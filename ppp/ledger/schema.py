"""The ledger's tables, views and migrations, and the one way to open it.

One SQLite file with a rollback journal: a kill at any moment leaves a file that the next reader can open, and a copy
of that one file is a whole ledger. STRICT tables, readable keys, foreign keys that Datasette turns into links.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from sqlite_utils import Database, Migrations

from ppp.ledger import failures, judged
from ppp.model.errors import (
    LedgerDamagedError,
    LedgerTooNewError,
)
from ppp.storage_errors import translate_storage_errors

LEDGER_NAME: Final = "ppp.db"
BUSY_TIMEOUT_S: Final = 10.0
#: After how long a cell that came to `ERROR` is tried again, in seconds, by how often it did: a hiccup, an outage.
RETRY_DELAYS_S: Final = (60, 3600)
#: How often a cell may come to `ERROR` before it is left to a person.
MAX_ATTEMPTS: Final = len(RETRY_DELAYS_S) + 1

migrations: Final = Migrations("ppp")

TABLES: Final = """
CREATE TABLE packages (
    package TEXT PRIMARY KEY
) STRICT;
CREATE TABLE releases (
    package TEXT NOT NULL REFERENCES packages(package),
    version TEXT NOT NULL,
    version_key TEXT NOT NULL,          -- sorts as PEP 440 orders versions
    PRIMARY KEY (package, version)
) STRICT;
CREATE TABLE environments (
    environment TEXT PRIMARY KEY,
    python TEXT NOT NULL,
    platform TEXT NOT NULL,
    python_key INTEGER NOT NULL         -- 309, 311, 312
) STRICT;
CREATE TABLE nodes (
    node TEXT PRIMARY KEY               -- an Ed25519 public key, hex
) STRICT;
CREATE TABLE logs (
    log_sha256 TEXT PRIMARY KEY,
    log TEXT NOT NULL
) STRICT;
CREATE TABLE records (
    record TEXT PRIMARY KEY,            -- sha256 of the canonical JSON
    package TEXT NOT NULL REFERENCES packages(package),
    version TEXT NOT NULL,
    environment TEXT NOT NULL REFERENCES environments(environment),
    result TEXT NOT NULL CHECK (result IN ('PASS','FAIL','TIMEOUT','ERROR','NA')),
    phase_download TEXT NOT NULL, phase_nodeps TEXT NOT NULL, phase_full TEXT NOT NULL, phase_import TEXT NOT NULL,
    observed_at INTEGER NOT NULL,       -- epoch seconds, UTC
    node TEXT NOT NULL REFERENCES nodes(node),
    arch TEXT NOT NULL,
    python TEXT,
    image_digest TEXT,
    standin INTEGER NOT NULL CHECK (standin IN (0, 1)),
    network TEXT NOT NULL,
    pip_version TEXT NOT NULL,
    filename TEXT, file_sha256 TEXT, file_size INTEGER,
    imports TEXT NOT NULL,              -- JSON array of module names
    installed TEXT NOT NULL,            -- JSON array of [name, version, sha256]
    download_ms INTEGER, nodeps_ms INTEGER, full_ms INTEGER, import_ms INTEGER,
    download_bytes INTEGER, nodeps_bytes INTEGER, full_bytes INTEGER, import_bytes INTEGER,
    grounds TEXT NOT NULL,              -- JSON: on what ground a phase was not paid a second time
    cause TEXT, blame TEXT, detail TEXT,
    log_sha256 TEXT REFERENCES logs(log_sha256),
    FOREIGN KEY (package, version) REFERENCES releases(package, version)
) STRICT;
CREATE INDEX records_by_cell ON records (package, version, environment);
CREATE INDEX records_by_time ON records (observed_at, record);
CREATE TABLE results (                  -- the current record of each cell
    package TEXT NOT NULL REFERENCES packages(package),
    version TEXT NOT NULL,
    environment TEXT NOT NULL REFERENCES environments(environment),
    record TEXT NOT NULL REFERENCES records(record),
    PRIMARY KEY (package, version, environment)
) STRICT;
CREATE TABLE batches (
    batch TEXT PRIMARY KEY,             -- sha256 of the batch file
    node TEXT NOT NULL REFERENCES nodes(node),
    signature TEXT NOT NULL,            -- Ed25519 over the batch file, hex
    records INTEGER NOT NULL,
    first_observed_at INTEGER NOT NULL,
    last_observed_at INTEGER NOT NULL
) STRICT;
CREATE TABLE batch_files (              -- as they are published
    batch TEXT PRIMARY KEY REFERENCES batches(batch),
    packed BLOB NOT NULL                -- gzip of the very bytes that were signed
) STRICT;
CREATE TABLE batch_records (
    batch TEXT NOT NULL REFERENCES batches(batch),
    record TEXT NOT NULL REFERENCES records(record),
    PRIMARY KEY (batch, record)
) STRICT;
CREATE INDEX batch_records_by_record ON batch_records (record);
CREATE TABLE queue (
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    environment TEXT NOT NULL,
    source TEXT NOT NULL,               -- feed, watchlist, requirements, named
    enqueued_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,        -- how often it came to ERROR
    not_before INTEGER NOT NULL DEFAULT 0,      -- epoch seconds: when it may be tried again
    lease TEXT, leased_until INTEGER,   -- the run that has it in hand, and until when
    PRIMARY KEY (package, version, environment),
    CHECK ((lease IS NULL) = (leased_until IS NULL))
) STRICT;
CREATE INDEX queue_in_turn ON queue (attempts, source <> 'named', enqueued_at);
CREATE TABLE pending (                  -- observed, and not believed before the canary agrees: never published
    record TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    document TEXT NOT NULL,             -- the record's canonical JSON
    log TEXT,
    source TEXT, attempts INTEGER,      -- as it was queued; NULL where it was not
    first TEXT, look TEXT,              -- the record that this is a second look at, and why
    staged_at INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_by_environment ON pending (environment);
CREATE TABLE pairs (                    -- this node looked at one cell twice, to know its own noise
    first TEXT NOT NULL REFERENCES records(record),
    second TEXT NOT NULL REFERENCES records(record),
    look TEXT NOT NULL CHECK (look IN ('confirmation', 'aa')),
    PRIMARY KEY (first, second)
) STRICT;
CREATE TABLE skips (                    -- what was named and not tested, with the reason
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    environment TEXT NOT NULL,          -- '' = in no environment
    reason TEXT NOT NULL,
    skipped_at INTEGER NOT NULL,
    PRIMARY KEY (package, version, environment)
) STRICT;
CREATE TABLE sources (
    source TEXT PRIMARY KEY,            -- sha256 of a feed's address
    etag TEXT, last_modified TEXT,
    fetched_at INTEGER NOT NULL,
    releases INTEGER NOT NULL
) STRICT;
CREATE TABLE statements (               -- this node's own chain
    sequence INTEGER PRIMARY KEY,
    statement TEXT NOT NULL,            -- the signed envelope as published
    digest TEXT NOT NULL                -- sha256 of the signed part
) STRICT;
CREATE TABLE peers (
    node TEXT PRIMARY KEY,              -- the pinned Ed25519 public key, hex
    url TEXT NOT NULL UNIQUE,
    added_at INTEGER NOT NULL,
    sequence INTEGER, digest TEXT, statement TEXT,
    synced_at INTEGER,
    trouble TEXT                        -- why the last sync failed, NULL when it did not
) STRICT;
CREATE TABLE forks (                    -- two different statements of one sequence by one node: evidence, kept
    node TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    digest TEXT NOT NULL,
    statement TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (node, sequence, digest)
) STRICT;
CREATE TABLE episodes (
    period TEXT PRIMARY KEY,            -- the UTC day told, 2026-11-20
    seed INTEGER NOT NULL,
    writer TEXT NOT NULL,               -- 'seeded', or the model file's name and sha256
    facts TEXT NOT NULL,                -- JSON: each fact with the SQL that gave it
    script TEXT NOT NULL                -- JSON: the sentences, each with its pattern and its fact
) STRICT;
"""

#: The columns of the `matrix` view: the environments of the shipped matrices.
MATRIX_VIEW_ENVIRONMENTS: Final = tuple(f"py{p}-{s}" for s in ("slim", "alpine", "host") for p in ("39", "311", "312"))

_MATRIX_COLUMNS: Final = ", ".join(
    f"max(CASE c.environment WHEN '{e}' THEN c.result END) AS [{e}]" for e in MATRIX_VIEW_ENVIRONMENTS
)

VIEWS: Final = f"""
CREATE VIEW current AS
    SELECT c.*, s.version_key, e.platform, e.python AS environment_python, e.python_key
    FROM results AS r
    -- By the whole cell, so that either side's index serves.
    JOIN records AS c ON c.record = r.record AND c.package = r.package AND c.version = r.version
                     AND c.environment = r.environment
    JOIN releases AS s ON s.package = c.package AND s.version = c.version
    JOIN environments AS e ON e.environment = c.environment;
{judged.VIEW}
CREATE VIEW newest AS                   -- the newest release of each package that holds a result
    SELECT package, version FROM (
        SELECT s.package, s.version,
               row_number() OVER (PARTITION BY s.package ORDER BY s.version_key DESC) AS place
        FROM releases AS s
        WHERE EXISTS (SELECT 1 FROM results AS r WHERE r.package = s.package AND r.version = s.version))
    WHERE place = 1;
CREATE VIEW matrix AS
    SELECT c.package, c.version,
           {_MATRIX_COLUMNS}
    FROM newest AS n JOIN current AS c ON c.package = n.package AND c.version = n.version
    GROUP BY c.package, c.version;
CREATE VIEW alpine_only AS              -- fails on Alpine, passes on slim with the same Python
    SELECT a.package, a.version, a.environment, a.environment_python AS python,
           a.cause, a.blame, a.detail, a.record
    FROM judged AS a
    JOIN current AS s ON s.package = a.package AND s.version = a.version AND s.python_key = a.python_key
    WHERE a.platform = 'alpine' AND a.result = 'FAIL' AND s.platform = 'slim' AND s.result = 'PASS';
CREATE VIEW python_regressions AS       -- fails on a newer Python than it passes on, on the same platform
    SELECT f.package, f.version, f.environment AS fails_in,
           (SELECT p.environment FROM current AS p
            WHERE p.package = f.package AND p.version = f.version AND p.platform = f.platform
              AND p.result = 'PASS' AND p.python_key < f.python_key
            ORDER BY p.python_key DESC LIMIT 1) AS passes_in,
           f.cause, f.blame, f.detail, f.record
    FROM judged AS f
    WHERE f.result = 'FAIL' AND passes_in IS NOT NULL;
CREATE VIEW phantom_successes AS        -- installs, does not import
    SELECT package, version, environment, cause, blame, detail, record
    FROM judged WHERE phase_full = 'PASS' AND phase_import = 'FAIL';
CREATE VIEW given_up AS                 -- queued cells that are left to a person: to name one tries it anew
    SELECT package, version, environment, source, attempts FROM queue WHERE attempts >= {MAX_ATTEMPTS};
CREATE VIEW noise AS                    -- second looks that came to something else than the first, by UTC day
    SELECT date(b.observed_at, 'unixepoch') AS day, p.look, count(*) AS pairs,
           sum(a.result <> b.result) AS other_result,
           sum(a.result = b.result AND a.cause IS NOT b.cause) AS other_cause
    FROM pairs AS p JOIN records AS a ON a.record = p.first JOIN records AS b ON b.record = p.second
    GROUP BY day, p.look;
{failures.VIEWS}
"""  # noqa: S608 - only our own constants


@migrations()
def m001_founding(db: Database) -> None:
    """Lay the founding tables and views."""
    # execute() one by one: executescript() would commit the migration's own transaction.
    for statement in _statements(TABLES + VIEWS):
        db.execute(statement)


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending.strip()
            pending = ""


def open_ledger(data: Path) -> Database:
    """Open `data`'s ledger for writing; make the folder and the ledger, and migrate it, if need be.

    Raises `LedgerTooNewError`, `LedgerDamagedError`, `LedgerBusyError`, `DiskFullError` or `DataReadOnlyError`, and
    leaves the file as it was then.
    """
    path = data / LEDGER_NAME
    with translate_storage_errors(path):
        data.mkdir(parents=True, exist_ok=True)
        if path.exists():
            # Look before touching: a refused ledger keeps its bytes.
            _finish_rollback(path)
            with closing(_connect(path, mode="ro")) as connection:
                _refuse_newer(Database(connection), path)
        with ExitStack() as undo:
            db = Database(undo.enter_context(closing(_connect(path, mode="rwc"))))
            db.execute("PRAGMA foreign_keys = ON")
            migrations.apply(db)
            undo.pop_all()
            return db


def read_ledger(data: Path) -> Database:
    """Open `data`'s ledger for reading only; raise `LedgerDamagedError` where there is none."""
    path = data / LEDGER_NAME
    if not path.exists():
        raise LedgerDamagedError(f"no ledger at {path}", hint="run `ppp run` first, or name another folder with --data")
    with translate_storage_errors(path), ExitStack() as undo:
        _finish_rollback(path)
        db = Database(undo.enter_context(closing(_connect(path, mode="ro"))))
        _refuse_newer(db, path)
        if migrations.pending(db):
            raise LedgerDamagedError(
                f"{path} is from an older PPP",
                hint="any command that writes, such as `ppp run`, brings it up to date",
            )
        undo.pop_all()
        return db


def _finish_rollback(path: Path) -> None:
    # A kill in the middle of a commit leaves a journal behind; only a connection that may write can roll it back.
    if path.with_name(f"{path.name}-journal").exists():
        with closing(_connect(path, mode="rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema")


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def _refuse_newer(db: Database, path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as none_applied:
        ours = {m.name for m in migrations.pending(Database(none_applied))}
    if unknown := sorted({m.name for m in migrations.applied(db)} - ours):
        raise LedgerTooNewError(
            f"{path} was written by a newer PPP (it has {', '.join(unknown)})",
            hint="upgrade PPP, or name another folder with --data",
        )
