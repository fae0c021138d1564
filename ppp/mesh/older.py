"""The batches that a peer no longer publishes because its host has a bound: what of them is not here, and where it is.

Their list is among the files that the peer's statement covers. Nothing is fetched from the address in it: it is for
people, who decide themselves what they take from where (`ppp peer import`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ppp.mesh.fetch import PeerConnection
from ppp.mesh.files import PublishedFile
from ppp.mesh.receive import LocalState
from ppp.mesh.untrusted import parse_rows, reject
from ppp.model.canonical import Json, is_sha256, sha256_hex

OLDER_PATH: Final = "batches/older.json"
#: The most bytes of a list, and batches in it: with 5,000 records each, these are 500 million records.
MAX_OLDER_BYTES: Final = 20 * 1024 * 1024
MAX_OLDER: Final = 100_000

#: The greatest time that a date can be made of, in epoch seconds: the end of the year 9999.
_LAST_TIME: Final = 253_402_300_799
_SCHEMA: Final = "site/schemas/older-batches.schema.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderBatches:
    """How many batches a peer has and no longer publishes, of those that are trusted and missing here.

    `records` are in them together, the newest of them observed at `last_observed_at` (epoch seconds). `url` is where
    people find them, as the peer says; None: it does not say.
    """

    batches: int
    records: int
    last_observed_at: int
    url: str | None

    def __str__(self) -> str:
        """Return a line that says what is missing, and how to get it."""
        count = "1 batch" if self.batches == 1 else f"{self.batches:,} batches"
        until = datetime.fromtimestamp(self.last_observed_at, UTC).date().isoformat()
        where = f"the node says that they are at {self.url}" if self.url else "ask its operator where they are"
        return (
            f"missing here: {count} with {self.records:,} records until {until}, for which the site has no room;"
            f" {where}, and `ppp peer import` merges what you fetch there"
        )


def fetch_older(
    connection: PeerConnection, files: Mapping[str, PublishedFile], local: LocalState
) -> OlderBatches | None:
    """Return which older batches of a peer's list are missing here; None: none, or it publishes all that it has.

    Raises `PeerError`, or `RejectedDataError` if the list is not valid.
    """
    if (listed := files.get(OLDER_PATH)) is None:
        return None
    if listed.size > MAX_OLDER_BYTES:
        reject(OLDER_PATH, f"it is larger than {MAX_OLDER_BYTES:,} bytes")
    data = connection.get(f"{local.peer.url}{OLDER_PATH}", max_bytes=listed.size)
    if sha256_hex(data) != listed.sha256:
        reject(OLDER_PATH, "it is not the file that the peer's statement covers")
    return missing_here(data, local)


def missing_here(data: bytes, local: LocalState) -> OlderBatches | None:
    """Return which batches of a list, given as bytes, are trusted and missing here; raise `RejectedDataError`."""
    document = parse_rows(
        data,
        what=OLDER_PATH,
        key="batches",
        schema=_SCHEMA,
        max_bytes=MAX_OLDER_BYTES,
        max_rows=MAX_OLDER,
        is_row=_is_row,
    )
    missing = [row for row in document["batches"] if row[0] not in local.batches and row[1] in local.trusted]
    if not missing:
        return None
    return OlderBatches(
        batches=len(missing),
        records=sum(records for _, _, records, *_ in missing),
        last_observed_at=max(last for *_, last, _ in missing),
        url=document["url"],
    )


def _is_row(row: Json) -> bool:
    match row:
        case [str() as batch, str() as node, int() as records, int() as first, int() as last, int() as size]:
            numbers = (records, first, last, size)
            named = is_sha256(batch) and is_sha256(node)
            return named and records > 0 and all(map(_is_count, numbers)) and max(first, last) <= _LAST_TIME
    return False


def _is_count(number: int) -> bool:
    return not isinstance(number, bool) and number >= 0
