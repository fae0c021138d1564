"""Licensed sentences about what has just come in: one about each new record of a ledger, while a run goes on.

1. The ledger is only read, a few records at a time; what is more than a person can follow is counted.
2. A sentence is a licensed wording, and its slots are validated before they are filled: no text of a package is shown.
3. Which wording is chosen follows from the record's id: the same record is said in the same words.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from ppp.model.errors import LedgerDamagedError
from ppp.model.matrix import ENVIRONMENT_ID
from ppp.model.record import Result
from ppp.model.release import InvalidReleaseError, Release

#: How many results are said after one look at the ledger.
MAX_SAID: Final = 20
_MORE: Final = "more"
_CAUSE: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSentence:
    """A sentence and who says it: the `speaker` of a presenter."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveResult:
    """What is said of a new record; its place in the ledger is `row`."""

    row: int
    record: str
    package: str
    version: str
    environment: str
    result: Result
    cause: str | None


def _load(path: Path) -> Mapping[str, tuple[LiveSentence, ...]]:
    return {
        result: tuple(LiveSentence(speaker=speaker, text=text) for speaker, texts in by.items() for text in texts)
        for result, by in tomllib.loads(path.read_text("utf-8")).items()
    }


WORDINGS: Final = _load(Path(__file__).with_name("live.toml"))


def newest_row(db: Database) -> int:
    """Return the place of the newest record in a ledger, 0 without any."""
    (row,) = db.execute("SELECT coalesce(max(rowid), 0) FROM records").fetchone()
    return int(row)


def read_new(db: Database, after: int) -> list[LiveResult]:
    """Return the records after a place in the ledger, oldest first, at most `MAX_SAID`.

    Raises `LedgerDamagedError` for a record that has no valid name, version, environment or cause.
    """
    rows = db.query(
        "SELECT rowid AS row, record, package, version, environment, result, cause FROM records NOT INDEXED"
        " WHERE rowid > ? ORDER BY rowid LIMIT ?",
        (after, MAX_SAID),
    )
    return [_result(row) for row in rows]


def sentences(found: list[LiveResult], *, left: int) -> Iterator[LiveSentence]:
    """Yield a sentence for each result, and one that counts the `left` others."""
    yield from map(sentence, found)
    if left:
        (more,) = WORDINGS[_MORE]
        yield LiveSentence(speaker=more.speaker, text=more.text.format(count=f"{left:,}"))


def sentence(result: LiveResult) -> LiveSentence:
    """Return the licensed sentence about a result."""
    choices = [one for one in WORDINGS[result.result] if result.cause or "{cause}" not in one.text]
    chosen = choices[int(result.record[:8], 16) % len(choices)]
    slots = {"package": result.package, "version": result.version, "environment": result.environment}
    return LiveSentence(speaker=chosen.speaker, text=chosen.text.format(**slots, cause=result.cause))


def _result(row: Mapping[str, Any]) -> LiveResult:
    package, version, cause = row["package"], row["version"], row["cause"]
    try:
        is_release = Release.parse(package, version) == Release(package=package, version=version)
    except InvalidReleaseError:
        is_release = False
    is_cause = cause is None or _CAUSE.fullmatch(cause)
    if not (is_release and is_cause and ENVIRONMENT_ID.fullmatch(row["environment"]) and row["result"] in {*Result}):
        raise LedgerDamagedError(
            f"the record {row['record'][:64]!r} has no valid release, environment, result or cause",
            hint="restore the ledger from a snapshot or a peer",
        )
    return LiveResult(**{**row, "result": Result(row["result"])})
