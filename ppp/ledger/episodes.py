"""Stored episodes: narrate writes one for each night or week that it narrates; they are voiced and published from here.

An episode is stored in one transaction. Narrating a period again replaces its episode.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.model.canonical import canonical_json
from ppp.model.errors import LedgerDamagedError
from ppp.model.period import Period, PeriodKind
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Presenter:
    """Who speaks: the `speaker` of a script's lines, with a name and a role (play-by-play, colour)."""

    speaker: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLine:
    """One sentence of a stored script: it states the facts with these ids (one or none); it may begin a chapter."""

    speaker: str
    text: str
    pattern: str = ""
    facts: tuple[str, ...] = ()
    chapter: str | None = None


PRESENTERS: Final = (
    Presenter(speaker="relay", name="Relay", role="play-by-play"),
    Presenter(speaker="static", name="Static", role="colour"),
)
_COLUMNS: Final = ("period", "kind", "title", "seed", "writer", "fallback", "presenters", "facts", "script")


def encode_presenters(presenters: tuple[Presenter, ...]) -> str:
    """Return presenters as the JSON that is stored."""
    return canonical_json([{"speaker": p.speaker, "name": p.name, "role": p.role} for p in presenters]).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEpisode:
    """A row of `episodes`: a UTC day or an ISO week, and what is needed to rebuild its episode.

    `presenters`, `facts` and `script` are JSON arrays; `fallback` says why a model that was asked to write did not.
    """

    period: str
    kind: PeriodKind = PeriodKind.NIGHT
    title: str = ""
    seed: int
    writer: str
    fallback: str | None = None
    presenters: str = encode_presenters(PRESENTERS)
    facts: str
    script: str

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Return the script as (speaker, sentence) pairs in order; raise `LedgerDamagedError` if it is not a script."""
        return tuple((line.speaker, line.text) for line in self.script_lines)

    @property
    def script_lines(self) -> tuple[StoredLine, ...]:
        """Return the script's sentences in order; raise `LedgerDamagedError` if it is not a script."""
        try:
            return tuple(_line(line) for line in json.loads(self.script))
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged("script") from error

    @property
    def cast(self) -> tuple[Presenter, ...]:
        """Return the presenters; raise `LedgerDamagedError` if they are not stored as such."""
        try:
            return tuple(
                Presenter(speaker=str(one["speaker"]), name=str(one["name"]), role=str(one["role"]))
                for one in json.loads(self.presenters)
            )
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged("list of presenters") from error

    def _damaged(self, part: str) -> LedgerDamagedError:
        return LedgerDamagedError(
            f"the episode of {self.period} has no valid {part}",
            hint=f"create it again with `ppp narrate --{self.kind} {self.period}`",
        )


def _line(line: dict[str, Any]) -> StoredLine:
    chapter = dict(line).get("chapter")
    return StoredLine(
        speaker=str(line["speaker"]),
        text=str(line["text"]),
        pattern=str(line.get("pattern", "")),
        facts=tuple(str(fact) for fact in line.get("facts", ())),
        chapter=None if chapter is None else str(chapter),
    )


def store_episode(store: Store, episode: StoredEpisode) -> None:
    """Store an episode in one transaction; it replaces any other of the same period."""
    period = Period.parse(episode.period)
    row = {name: getattr(episode, name) for name in _COLUMNS}
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.table("episodes").insert(
            row | {"kind": str(episode.kind), "starts_at": period.start, "ends_at": period.end}, replace=True
        )


def newest_episode(db: Database) -> StoredEpisode | None:
    """Return the episode of the newest night that has one, else that of the newest week, or None."""
    return next(_select(db, "ORDER BY kind, ends_at DESC LIMIT 1"), None)


def read_episode(db: Database, period: str) -> StoredEpisode | None:
    """Return the episode of a period such as `2026-11-28` or `2026-W48`, or None."""
    return next(_select(db, "WHERE period = :period", {"period": period}), None)


def read_episodes(db: Database) -> Iterator[StoredEpisode]:
    """Return all episodes, the newest first; a week counts as newer than its last night."""
    return _select(db, "ORDER BY ends_at DESC, kind DESC")


def _select(db: Database, clause: str, params: dict[str, str] | None = None) -> Iterator[StoredEpisode]:
    for row in db.execute(f"SELECT {', '.join(_COLUMNS)} FROM episodes {clause}", params or {}):  # noqa: S608 - our own
        stored = dict(zip(_COLUMNS, row, strict=True))
        yield StoredEpisode(**stored | {"kind": PeriodKind(stored["kind"])})
