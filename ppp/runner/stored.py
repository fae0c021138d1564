"""Find a record of the ledger as a person names it: by its id, or as the current one of a cell."""

from contextlib import closing
from typing import Final

from sqlite_utils import Database

from ppp.check.cell import Observation
from ppp.ledger import queries
from ppp.ledger.schema import read_ledger
from ppp.model.canonical import is_sha256
from ppp.model.errors import UnknownRecordError
from ppp.model.record import Record
from ppp.model.release import Release
from ppp.runner.context import Context

MIN_ID_CHARS: Final = 8


def is_record_id(text: str) -> bool:
    """Return whether a text can be a record's id or the beginning of one."""
    return len(text) >= MIN_ID_CHARS and is_sha256(text.ljust(64, "0"))


def find_by_id(context: Context, record_id: str) -> Observation:
    """Return the record whose id is or begins with some hexadecimal digits, and its log; raise `UnknownRecordError`."""
    with closing(read_ledger(context.config.data)) as db:
        found = queries.records_by_id(db, record_id, limit=2)
        if len(found) != 1:
            problem = "several records whose ids begin with" if found else "no record"
            raise UnknownRecordError(
                f"the ledger has {problem} {record_id}", hint="`ppp show --json PACKAGE` shows the ids in full"
            )
        return _with_log(db, found[0])


def find_current(context: Context, release: Release, environment: str) -> Observation:
    """Return the current record of a cell, with its log; raise `UnknownRecordError` if there is none."""
    with closing(read_ledger(context.config.data)) as db:
        found = queries.current_by_environment(db, release).get(environment)
        if found is None:
            raise UnknownRecordError(
                f"the ledger has no record of {release} in {environment}",
                hint=f"`ppp check {environment} {release}` makes one",
            )
        return _with_log(db, found)


def _with_log(db: Database, record: Record) -> Observation:
    log = queries.read_log(db, record.log_sha256) if record.log_sha256 else None
    return Observation(record=record, log=log)
