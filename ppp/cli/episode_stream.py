"""`ppp narrate --stream` and `--follow`: sentences appear on a terminal out of noise, at reading speed.

Elsewhere than on a terminal they are plain lines, at once.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from sqlite_utils import Database

from ppp.ledger.episodes import PRESENTERS, StoredEpisode, newest_episode, read_episode
from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.model.errors import LedgerBusyError
from ppp.model.printable import printable_line
from ppp.narrate.glitch import glitch_frames, reading_s
from ppp.narrate.live import MAX_SAID, LiveResult, newest_row, read_new, sentences
from ppp.storage_errors import translate_storage_errors

#: Where one of them is set, or where the terminal cannot do it, nothing moves.
_STILL: Final = ("NO_COLOR", "PREFERS_REDUCED_MOTION")
_STYLES: Final = {"play-by-play": "green", "colour": "magenta"}
#: How often the ledger is looked at, in seconds.
POLL_S: Final = 1.0


class SpokenLine(NamedTuple):
    """A sentence, the name of who says it, and the role that decides the colour of the name."""

    name: str
    role: str
    text: str


class SentenceScreen:
    """Shows sentences on a console; `sleep` waits for some seconds. Nothing of a sentence is markup."""

    def __init__(self, console: Console, *, moves: bool, sleep: Callable[[float], None] = time.sleep) -> None:
        """Use a console; where nothing moves, each sentence appears as a whole."""
        self._console = console
        self._moves = moves and console.is_terminal
        self._sleep = sleep

    def title(self, title: str) -> None:
        """Show a heading."""
        self._console.print(Text(printable_line(title), style="bold"), highlight=False)

    def say(self, line: SpokenLine) -> None:
        """Show a sentence, and wait as long as reading it takes; without a terminal nobody waits."""
        sentence = printable_line(line.text)
        seconds = reading_s(sentence) if self._console.is_terminal else 0.0
        if not self._moves:
            self._console.print(self._line(line, sentence), highlight=False, soft_wrap=not self._console.is_terminal)
            self._sleep(seconds)
            return
        frames = [*glitch_frames(sentence, sentence)]
        live = Live(console=self._console, auto_refresh=False, transient=False)
        try:
            with live:
                for frame in frames:
                    live.update(self._line(line, frame), refresh=True)
                    self._sleep(seconds / 2 / len(frames))
        except BaseException:
            # The cursor is shown again however this ends: interrupted while it starts, it does not end by itself.
            if live.is_started:
                self._console.show_cursor(show=True)
            raise
        self._sleep(seconds / 2)

    def _line(self, line: SpokenLine, shown: str) -> RenderableType:
        name = Text(f"{printable_line(line.name):>6} > ", style=_STYLES.get(line.role, ""))
        if not self._console.is_terminal:
            return Text.assemble(name, shown)
        # Lines of a long sentence begin below each other.
        grid = Table.grid()
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(name, Text(shown))
        return grid


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChoice:
    """What the options of `stream_options` say."""

    play: bool
    follow: bool
    plain: bool

    def __post_init__(self) -> None:
        """Raise `UsageError` if both were asked for."""
        if self.play and self.follow:
            raise click.UsageError("--stream and --follow exclude each other: choose one")

    def show(self, data: Path, period: str | None) -> bool:
        """Follow the ledger, or play the stored episode of a period (None: the newest); return whether that was done.

        It is not done where neither was asked for, or where the period has no episode yet.
        """
        screen = SentenceScreen(Console(), moves=moves_here(os.environ, plain=self.plain))
        if self.follow:
            follow(screen, data)
        if not self.play or (episode := stored_episode(data, period)) is None:
            return self.follow
        play(screen, episode)
        return True


def stream_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--stream` (as `play`), `--follow` and `--plain` to a command."""
    options = (
        click.option("--stream", "play", is_flag=True, help="Play the stored episode at reading speed."),
        click.option("--follow", is_flag=True, help="Narrate results as they come in, until Ctrl-C."),
        click.option("--plain", is_flag=True, help="With --stream or --follow: nothing moves."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def moves_here(environ: Mapping[str, str], *, plain: bool) -> bool:
    """Return whether text may move: not where somebody asked for calm, or where the terminal cannot do it."""
    return not (plain or any(environ.get(name) for name in _STILL) or environ.get("TERM", "") in {"", "dumb"})


def stored_episode(data: Path, period: str | None) -> StoredEpisode | None:
    """Return the stored episode of a period, or the newest for None; None where there is none. Nothing is written."""
    with closing(read_ledger(data)) as db:
        return newest_episode(db) if period is None else read_episode(db, period)


def spoken_lines(episode: StoredEpisode) -> Iterator[SpokenLine]:
    """Yield the sentences of an episode, with who says them."""
    cast = {one.speaker: one for one in episode.cast}
    for speaker, sentence in episode.lines:
        one = cast.get(speaker)
        yield SpokenLine(name=one.name if one else speaker, role=one.role if one else "", text=sentence)


def play(screen: SentenceScreen, episode: StoredEpisode) -> None:
    """Show an episode."""
    screen.title(f"THE PYPI PLACE // {episode.title or episode.period}")
    for line in spoken_lines(episode):
        screen.say(line)


def follow(screen: SentenceScreen, data: Path, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Show a sentence about each result that comes into a ledger from now on, until `KeyboardInterrupt`.

    The ledger is only read: a run goes on beside it. Raises `LedgerDamagedError` where there is no ledger.
    """
    cast = {one.speaker: one for one in PRESENTERS}
    with closing(read_ledger(data)) as db:
        last = newest_row(db)
        while True:
            found, left, last = _look(db, data / LEDGER_NAME, last)
            for said in sentences(found, left=left):
                one = cast[said.speaker]
                screen.say(SpokenLine(name=one.name, role=one.role, text=said.text))
            wait(POLL_S)


def _look(db: Database, path: Path, last: int) -> tuple[list[LiveResult], int, int]:
    """Return the records after a place that are said, how many more there are, and the place of the newest."""
    try:
        with translate_storage_errors(path):
            found, newest = read_new(db, last), newest_row(db)
    except LedgerBusyError:
        # A run is writing just now: the next look finds it.
        return [], 0, last
    if len(found) < MAX_SAID:
        return found, 0, found[-1].row if found else last
    return found, newest - found[-1].row, newest
