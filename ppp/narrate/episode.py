"""Make an episode: a day's facts are written up by a writer, checked by the verifier, and only then stored.

The same ledger and seed (and model) result in the same episode, byte for byte. No clock is read: the newest day is that
of the ledger's newest record.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.ledger.episodes import StoredEpisode, store_episode
from ppp.ledger.store import Store
from ppp.model.canonical import canonical_json
from ppp.model.errors import ConfigError
from ppp.model.model_options import ModelOptions
from ppp.narrate.facts import Fact, gather_facts, resolve_period
from ppp.narrate.model import MAX_SEED, ModelWriter
from ppp.narrate.model_process import SubprocessChooser
from ppp.narrate.script import ScriptLine, SeededWriter, Writer
from ppp.narrate.verify import verify_script

COLUMNS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A verified script of one UTC day, its facts, and who wrote it; `fallback` says why the model did not."""

    period: str
    seed: int
    writer: str
    fallback: str | None
    facts: tuple[Fact, ...]
    lines: tuple[ScriptLine, ...]

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `ppp narrate --json` prints."""
        return {
            "period": self.period,
            "seed": self.seed,
            "writer": self.writer,
            "fallback": self.fallback,
            "facts": [fact.to_json() for fact in self.facts],
            "script": [line.to_json() for line in self.lines],
        }


def narrate(
    store: Store, *, seed: int, day: str | None = None, model: Path | None = None, options: ModelOptions | None = None
) -> Episode:
    """Narrate a UTC day (such as `2026-11-20`; None for the newest day with a record), verify the script and store it.

    Raises `NoRecordsError` if there is nothing to narrate, `ScriptRejectedError` if the script fails verification, and
    `ConfigError` for a seed out of range; then nothing is stored. A model that fails is not an error: the seeded writer
    is used instead, and the episode says why.
    """
    writer = ModelWriter(model, SubprocessChooser(options), options) if model else SeededWriter()
    return narrate_with(store, writer, seed=seed, day=day)


def narrate_with(store: Store, writer: Writer, *, seed: int, day: str | None = None) -> Episode:
    """Do the same as `narrate` with any writer; no writer is trusted."""
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"the seed {seed} is out of range", hint=f"choose one from 0 to {MAX_SEED}")
    period = resolve_period(store.db, day)
    facts = gather_facts(store.db, period)
    draft = writer.write(facts, seed=seed)
    # With the ledger, so that every fact is queried again before anything is stored.
    lines = verify_script(draft.texts, facts, period, db=store.db)
    episode = Episode(
        period=period.id, seed=seed, writer=draft.writer, fallback=draft.fallback, facts=facts, lines=lines
    )
    store_episode(store, _stored(episode))
    return episode


def _stored(episode: Episode) -> StoredEpisode:
    return StoredEpisode(
        period=episode.period,
        title=f"The night of {episode.period}",
        seed=episode.seed,
        writer=episode.writer,
        fallback=episode.fallback,
        facts=canonical_json([fact.to_json() for fact in episode.facts]).decode(),
        script=canonical_json([line.to_json() for line in episode.lines]).decode(),
    )


def format_episode(episode: Episode) -> str:
    """Return an episode as text for a terminal: a headline and the presenters' lines, at most `COLUMNS` wide."""
    return "".join(f"{line}\n" for line in _screen(episode))


def _screen(episode: Episode) -> Iterator[str]:
    count = len(episode.lines)
    yield f"THE PYPI PLACE // {episode.period} // {count} {'fact' if count == 1 else 'facts'}, verified"
    yield f"seed {episode.seed}, writer {episode.writer}"
    if episode.fallback:
        yield f"the model did not write: {episode.fallback}"
    yield ""
    for line in episode.lines:
        yield from textwrap.wrap(
            line.text,
            COLUMNS,
            initial_indent=f"{line.speaker:>6} > ",
            subsequent_indent=" " * 9,
            break_long_words=False,
            break_on_hyphens=False,
        )
