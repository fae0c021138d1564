"""All episodes of a ledger in brief, and how they follow each other.

A build reads every episode, but only what is new of it costs more than its digest: the rest is kept in the cache.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlite_utils import Database

from ppp.episode_audio import EpisodeAudio
from ppp.ledger.episodes import StoredEpisode, read_episodes
from ppp.model.canonical import sha256_hex
from ppp.model.period import Period, PeriodKind
from ppp.publish import text
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.episodes.content import episode_page_path, read_content

#: How many sentences of an episode stand for it where many are listed.
TEASER_LINES: Final = 3
_SUMMARIES: Final = "episode summaries"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSummary:
    """An episode in brief: `teaser` are its first sentences, each with its presenter; `digest` (hex) is of its text."""

    period: Period
    title: str
    teaser: tuple[tuple[str, str], ...]
    sentences: int
    digest: str
    audio: EpisodeAudio | None = None

    @property
    def month(self) -> str:
        """Return the month in which its period ends, as 2026-11."""
        return text.day(self.period.end - 1)[:7]

    @property
    def dated(self) -> int:
        """Return when it is dated, in epoch seconds: at 23:00 UTC of its last day, when nodes publish it."""
        return self.period.end - 3600

    @property
    def path(self) -> str:
        """Return the path of its page within the site."""
        return episode_page_path(self.period.id)

    @property
    def estimated_bytes(self) -> int:
        """Return an upper estimate of the size of its HTML in a list, in bytes."""
        said = sum(60 + text.html_size(speaker) + text.html_size(sentence) for speaker, sentence in self.teaser)
        return 200 + text.html_size(self.title) + said


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The episodes of the same kind before and after one, and the week that a night is in; None where there is none."""

    before: str | None
    after: str | None
    week: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeListing:
    """All episodes in brief, the newest first."""

    episodes: Sequence[EpisodeSummary]

    @property
    def audible(self) -> list[EpisodeSummary]:
        """Return those with audio, the newest first."""
        return [episode for episode in self.episodes if episode.audio]

    @property
    def digest(self) -> str:
        """Return a digest (hex) of all episodes."""
        return sha256_hex(repr(self.episodes).encode())

    def audio_of(self, period: str) -> EpisodeAudio | None:
        """Return the audio of an episode that is published, or None."""
        return next((episode.audio for episode in self.episodes if episode.period.id == period), None)

    @property
    def months(self) -> dict[str, list[EpisodeSummary]]:
        """Return the episodes by month, the newest first."""
        months: dict[str, list[EpisodeSummary]] = {}
        for episode in self.episodes:
            months.setdefault(episode.month, []).append(episode)
        return dict(sorted(months.items(), reverse=True))

    def neighbours(self) -> dict[str, Neighbours]:
        """Return what comes before and after each episode, by period."""
        found: dict[str, Neighbours] = {}
        weeks = {one.period.id for one in self.episodes if one.period.kind is PeriodKind.WEEK}
        for kind in PeriodKind:
            ids = [one.period.id for one in self.episodes if one.period.kind is kind]
            for before, id_, after in zip([*ids[1:], None], ids, [None, *ids[:-1]], strict=False):
                week = Period.at(PeriodKind.WEEK, Period.parse(id_).start).id
                whole = week if kind is PeriodKind.NIGHT and week in weeks else None
                found[id_] = Neighbours(before=before, after=after, week=whole)
        return found


def read_listing_of_episodes(db: Database, cache: BuildCache, audios: Iterable[EpisodeAudio] = ()) -> EpisodeListing:
    """Return all episodes of a ledger in brief, with the audio that is published; those known are not parsed."""
    known, by_period = cache.fact(_SUMMARIES), {audio.period: audio for audio in audios}
    summaries = _summaries(read_episodes(db), known if isinstance(known, dict) else {})
    return EpisodeListing(episodes=tuple(replace(one, audio=by_period.get(one.period.id)) for one in summaries))


def keep_listing(cache: BuildCache, listing: EpisodeListing) -> None:
    """Keep what the next build needs to know of all episodes."""
    rows = {e.period.id: [e.digest, e.title, [*map(list, e.teaser)], e.sentences] for e in listing.episodes}
    cache.set_fact(_SUMMARIES, rows)


def _summaries(episodes: Iterator[StoredEpisode], known: Mapping[str, Any]) -> Iterator[EpisodeSummary]:
    for stored in episodes:
        digest = sha256_hex(repr(stored).encode())
        match known.get(stored.period):
            case [kept, str(title), list(teaser), int(sentences)] if kept == digest:
                said = tuple((str(speaker), str(sentence)) for speaker, sentence in teaser)
                yield _summary(stored, digest, title, said, sentences)
            case _:
                content = read_content(stored)
                said = tuple((line.speaker, line.text) for line in content.lines[:TEASER_LINES])
                yield _summary(stored, digest, content.title, said, len(content.lines))


def _summary(
    stored: StoredEpisode, digest: str, title: str, teaser: tuple[tuple[str, str], ...], sentences: int
) -> EpisodeSummary:
    period = Period.parse(stored.period)
    return EpisodeSummary(period=period, title=title, teaser=teaser, sentences=sentences, digest=digest)
