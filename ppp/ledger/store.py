"""All writes of observations: records, current results, skipped releases; the queue is in `ppp.ledger.queue`.

Records are never changed or deleted. Each public method is one transaction: after a kill, all of it is stored or
nothing.
"""

from pathlib import Path
from typing import Self

from sqlite_utils import Database

from ppp.ledger.dependents import note_installation
from ppp.ledger.queries import record_from_row
from ppp.ledger.queue import Queue, QueuedCell
from ppp.ledger.rows import INSERT_RECORD, record_row
from ppp.ledger.schema import open_ledger
from ppp.model.canonical import sha256_hex
from ppp.model.current import current_rank
from ppp.model.matrix import Cell, EnvironmentId
from ppp.model.record import Record, Result
from ppp.model.release import Release, version_key
from ppp.record_rules import require_valid
from ppp.storage_errors import translate_storage_errors


class Store:
    """The ledger, open for writing. Close it, or use it as a context manager."""

    def __init__(self, db: Database, path: Path) -> None:
        """Wrap an open ledger; `path` is for error messages."""
        self.db = db
        self.path = path
        self.queue = Queue(db, path)

    @classmethod
    def open(cls, data: Path) -> Self:
        """Open the ledger of a data folder, create or migrate it if necessary; see `open_ledger` for the errors."""
        return cls(open_ledger(data), data)

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the ledger."""
        self.db.close()

    def add_record(
        self, record: Record, log: str | None = None, *, retry: QueuedCell | None = None, now: int | None = None
    ) -> bool:
        """Add a record with its log and remove its cell from the queue; return whether the record was new.

        With `retry`, the cell as it was queued, the cell is queued again instead, with a delay counted from `now` (or
        from the observation). An `ERROR` without `retry` does not change the queue. Adding a record again changes no
        record. Raise `InvalidRecordError` if the record is invalid (nothing is stored then), and `ValueError` unless
        `log` hashes to `record.log_sha256`.
        """
        require_valid(record)
        with translate_storage_errors(self.path), self.db.atomic():
            if retry is not None:
                self.queue.requeue(retry, now=record.observed_at if now is None else now)
            elif record.result is not Result.ERROR:
                self.queue.remove(Cell.of(record), observed_at=record.observed_at)
            return self.insert_record(record, log)

    def insert_record(self, record: Record, log: str | None) -> bool:
        """Add a record that was found valid, with its log, within an open transaction; see `add_record`."""
        if (record.log_sha256 is None) != (log is None) or (
            log is not None and sha256_hex(log.encode()) != record.log_sha256
        ):
            raise ValueError("the log is not the one that the record names")
        record_id = record.id
        if self.db.execute("SELECT 1 FROM records WHERE record = ?", (record_id,)).fetchone():
            return False
        self._insert_names(record)
        if log is not None:
            self.db.table("logs").insert({"log_sha256": record.log_sha256, "log": log}, ignore=True)
        self.db.execute(INSERT_RECORD, record_row(record.to_json(), record_id))
        self._make_current(record, record_id)
        note_installation(self.db, record, record_id)
        return True

    def _insert_names(self, record: Record) -> None:
        package, version = record.release.package, record.release.version
        environment = EnvironmentId.parse(record.environment)
        self.db.table("packages").insert({"package": package}, ignore=True)
        self.db.table("releases").insert(
            {"package": package, "version": version, "version_key": version_key(version)}, ignore=True
        )
        self.db.table("environments").insert(
            {
                "environment": record.environment,
                "python": environment.python_version,
                "platform": str(environment.platform),
                "python_key": environment.python_key,
            },
            ignore=True,
        )
        self.db.table("nodes").insert({"node": record.node}, ignore=True)

    def _make_current(self, record: Record, record_id: str) -> None:
        key = (record.release.package, record.release.version, record.environment)
        row = self.db.execute(
            "SELECT c.* FROM results AS r JOIN records AS c ON c.record = r.record"
            " WHERE r.package = ? AND r.version = ? AND r.environment = ?",
            key,
        )
        if found := row.fetchone():
            current = record_from_row(dict(zip([d[0] for d in row.description], found, strict=True)))
            if current_rank(current) > current_rank(record):
                return
        self.db.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", (*key, record_id))

    def skip(self, release: Release, environment: str, *, reason: str, detail: str, now: int) -> None:
        """Store why a release is not tested, in one environment or in any (`""`).

        `reason` is one of `ppp.watch.queue.SkipReason`; `detail` says more, in free text.
        """
        with translate_storage_errors(self.path), self.db.atomic():
            self.db.table("skips").insert(
                {
                    "package": release.package,
                    "version": release.version,
                    "environment": environment,
                    "reason": reason,
                    "detail": detail,
                    "skipped_at": now,
                },
                replace=True,
            )
