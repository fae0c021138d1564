"""Make an episode: a period's facts are written up by a writer, checked by the verifier, and only then stored.

The same ledger and seed (and model) result in the same episode, byte for byte. No clock is read: the newest period is
that of the ledger's newest record.
"""

import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ppp.ledger.episodes import PRESENTERS, StoredEpisode, store_episode
from ppp.ledger.store import Store
from ppp.model.canonical import canonical_json
from ppp.model.errors import ConfigError
from ppp.model.model_options import ModelOptions
from ppp.model.period import Period, PeriodKind
from ppp.model.release import Release
from ppp.narrate.fact_values import Fact
from ppp.narrate.facts import gather_facts, resolve_period
from ppp.narrate.model import MAX_SEED, ModelWriter
from ppp.narrate.model_process import SubprocessChooser
from ppp.narrate.script import ScriptLine, SeededWriter, Writer
from ppp.narrate.verify import verify_script
from ppp.watch.exhibits import shipped_exhibits

COLUMNS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A verified script of a night or a week, its facts, and who wrote it; `fallback` says why the model did not."""

    period: Period
    seed: int
    writer: str
    fallback: str | None
    facts: tuple[Fact, ...]
    lines: tuple[ScriptLine, ...]

    @property
    def title(self) -> str:
        """What the episode is called: `The night of 28 November 2026`, or `Week 48 of 2026`."""
        if self.period.kind is PeriodKind.WEEK:
            year, _, week = self.period.id.partition("-W")
            return f"Week {int(week)} of {year}"
        day = datetime.fromtimestamp(self.period.start, UTC)
        return f"The night of {day.day} {day:%B %Y}"

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `ppp narrate --json` prints."""
        return {
            "period": self.period.id,
            "kind": str(self.period.kind),
            "title": self.title,
            "seed": self.seed,
            "writer": self.writer,
            "fallback": self.fallback,
            "facts": [fact.to_json() for fact in self.facts],
            "script": [line.to_json() for line in self.lines],
        }


def narrate(
    store: Store,
    *,
    seed: int,
    period: str | None = None,
    kind: PeriodKind = PeriodKind.NIGHT,
    model: Path | None = None,
    options: ModelOptions | None = None,
) -> Episode:
    """Narrate a period such as `2026-11-28` or `2026-W48` (None for the newest with a record), and store the episode.

    Raises `NoRecordsError` if there is nothing to narrate, `ScriptRejectedError` if the script fails verification, and
    `ConfigError` for a seed out of range; then nothing is stored. A model that fails is not an error: the seeded writer
    is used instead, and the episode says why.
    """
    writer = ModelWriter(model, SubprocessChooser(options), options) if model else SeededWriter()
    return narrate_with(store, writer, seed=seed, period=period, kind=kind)


def narrate_with(
    store: Store,
    writer: Writer,
    *,
    seed: int,
    period: str | None = None,
    kind: PeriodKind = PeriodKind.NIGHT,
    exhibits: Collection[Release] | None = None,
) -> Episode:
    """Do the same as `narrate` with any writer; no writer is trusted. `exhibits` are the shipped ones if None."""
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"the seed {seed} is out of range", hint=f"choose one from 0 to {MAX_SEED}")
    shown = shipped_exhibits() if exhibits is None else exhibits
    rundown = gather_facts(store.db, resolve_period(store.db, period, kind), shown)
    draft = writer.write(rundown.stories, seed=seed)
    # With the ledger, so that every fact is queried again before anything is stored.
    lines = verify_script(draft.texts, rundown.facts, rundown.period, exhibits=shown, db=store.db)
    episode = Episode(
        period=rundown.period,
        seed=seed,
        writer=draft.writer,
        fallback=draft.fallback,
        facts=rundown.facts,
        lines=lines,
    )
    store_episode(store, _stored(episode))
    return episode


def _stored(episode: Episode) -> StoredEpisode:
    return StoredEpisode(
        period=episode.period.id,
        kind=episode.period.kind,
        title=episode.title,
        seed=episode.seed,
        writer=episode.writer,
        fallback=episode.fallback,
        facts=canonical_json([fact.to_json() for fact in episode.facts]).decode(),
        script=canonical_json([line.to_json() for line in episode.lines]).decode(),
    )


def format_episode(episode: Episode) -> str:
    """Return an episode as text for a terminal: its title, chapters and lines, at most `COLUMNS` wide."""
    return "".join(f"{line}\n" for line in _screen(episode))


def _screen(episode: Episode) -> Iterator[str]:
    count = len(episode.facts)
    names = {presenter.speaker: presenter.name for presenter in PRESENTERS}
    yield f"THE PYPI PLACE // {episode.period.id} // {episode.title}"
    yield f"{count} {'fact' if count == 1 else 'facts'}, verified; seed {episode.seed}, writer {episode.writer}"
    if episode.fallback:
        yield f"the model did not write: {episode.fallback}"
    for line in episode.lines:
        if line.chapter:
            yield ""
            yield f"-- {line.chapter}"
        yield from textwrap.wrap(
            line.text,
            COLUMNS,
            initial_indent=f"{names[line.speaker]:>6} > ",
            subsequent_indent=" " * 9,
            break_long_words=False,
            break_on_hyphens=False,
        )
