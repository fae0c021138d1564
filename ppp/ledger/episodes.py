"""Stored episodes: narrate writes one for each day that it narrates, and publish renders them.

An episode is stored in one transaction. Narrating a day again replaces its episode.
"""

import json
from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.model.errors import LedgerDamagedError
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEpisode:
    """A row of `episodes`: the UTC day, and what is needed to rebuild it; `facts` and `script` are JSON arrays."""

    period: str
    seed: int
    writer: str
    facts: str
    script: str

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Return the script as (speaker, sentence) pairs in order; raise `LedgerDamagedError` if it is not a script."""
        try:
            return tuple((str(line["speaker"]), str(line["text"])) for line in json.loads(self.script))
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerDamagedError(
                f"the episode of {self.period} has no valid script",
                hint=f"create it again with `ppp narrate --day {self.period}`",
            ) from error


def store_episode(store: Store, episode: StoredEpisode) -> None:
    """Store an episode in one transaction; it replaces any other of the same day."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.table("episodes").insert(
            {
                "period": episode.period,
                "seed": episode.seed,
                "writer": episode.writer,
                "facts": episode.facts,
                "script": episode.script,
            },
            replace=True,
        )


def newest_episode(db: Database) -> StoredEpisode | None:
    """Return the episode of the newest day that has one, or None."""
    row = db.execute("SELECT period, seed, writer, facts, script FROM episodes ORDER BY period DESC LIMIT 1").fetchone()
    if row is None:
        return None
    period, seed, writer, facts, script = row
    return StoredEpisode(period=period, seed=seed, writer=writer, facts=facts, script=script)
