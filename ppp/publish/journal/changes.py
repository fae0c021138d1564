"""Find the days of the journal that are written again: those whose releases, states, notices or results changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.published_journal import day_fingerprints, days_of_packages, is_followed
from ppp.model.canonical import sha256_hex
from ppp.publish.cache.build_cache import BuildCache

_FACT = "journal fingerprints"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalChanges:
    """What changed since the last build: days (since the epoch) to write, and days that no longer have anything."""

    fingerprints: Mapping[int, str]
    changed: Sequence[int]
    removed: Sequence[int]

    @property
    def digest(self) -> str:
        """Return a digest (hex) of what is published of the journal apart from results."""
        return sha256_hex(repr(sorted(self.fingerprints.items())).encode())


def find_journal_changes(db: Database, cache: BuildCache, packages: Iterable[str] | None) -> JournalChanges | None:
    """Return what changed of the journal, or None where none is followed.

    `packages` are those with new records; None: everything is written again.
    """
    if not is_followed(db):
        return None
    now = day_fingerprints(db)
    if packages is None:
        return JournalChanges(fingerprints=now, changed=[*now], removed=())
    before = cache.fact(_FACT)
    known = {int(day): digest for day, digest in before.items()} if isinstance(before, dict) else {}
    tested = days_of_packages(db, packages)
    return JournalChanges(
        fingerprints=now,
        changed=[day for day, digest in now.items() if known.get(day) != digest or day in tested],
        removed=sorted(known.keys() - now.keys()),
    )


def remember_fingerprints(cache: BuildCache, changes: JournalChanges) -> None:
    """Store what this build covers, for the next one."""
    cache.set_fact(_FACT, {str(day): digest for day, digest in changes.fingerprints.items()})
