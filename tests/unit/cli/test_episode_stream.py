"""An episode on a terminal and elsewhere: what moves, what does not, how it ends, and a ledger that is followed."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from told_nights import told_night

from ppp.cli.episode_stream import SentenceScreen, SpokenLine, follow, moves_here, play
from ppp.ledger.episodes import store_episode
from ppp.ledger.store import Store
from ppp.model.record import Record

LINE = SpokenLine(name="Relay", role="play-by-play", text="six 1.17.0 passes, and six is quiet about it.")
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


class Recorded:
    """A screen whose output and pauses are kept."""

    def __init__(self, *, terminal: bool, moves: bool) -> None:
        self.output = StringIO()
        self.pauses: list[float] = []
        console = Console(file=self.output, force_terminal=terminal, width=60, no_color=not moves)
        self.screen = SentenceScreen(console, moves=moves, sleep=self.pauses.append)

    @property
    def text(self) -> str:
        return self.output.getvalue()


def test_elsewhere_than_on_a_terminal_a_sentence_is_one_plain_line_at_once() -> None:
    shown = Recorded(terminal=False, moves=True)
    long = " ".join(["word"] * 40)
    shown.screen.say(LINE._replace(text=long))
    assert shown.text == f" Relay > {long}\n"
    assert shown.pauses == [0.0]


def test_on_a_terminal_it_appears_out_of_noise_at_reading_speed() -> None:
    shown = Recorded(terminal=True, moves=True)
    shown.screen.say(LINE)
    assert shown.text.startswith(HIDE_CURSOR)
    assert shown.text.rstrip().endswith(SHOW_CURSOR)
    assert LINE.text in shown.text
    assert 2 < sum(shown.pauses) < 5
    assert max(shown.pauses[:-1]) < 0.2


def test_where_nothing_moves_the_sentence_waits_and_is_whole() -> None:
    shown = Recorded(terminal=True, moves=False)
    shown.screen.say(LINE)
    assert HIDE_CURSOR not in shown.text
    assert [line.strip() for line in shown.text.splitlines()] == [f"Relay > {LINE.text}"]
    assert len(shown.pauses) == 1


@pytest.mark.parametrize(
    ("environ", "plain", "moves"),
    [
        ({"TERM": "xterm"}, False, True),
        ({"TERM": "xterm"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "PREFERS_REDUCED_MOTION": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_calm_is_given_where_it_is_asked_for(environ: dict[str, str], *, plain: bool, moves: bool) -> None:
    assert moves_here(environ, plain=plain) is moves


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("terminal", [True, False])
def test_a_name_cannot_act_on_the_terminal(*, terminal: bool) -> None:
    shown = Recorded(terminal=terminal, moves=False)
    hostile = "\x1b]0;owned\x07\x1b[2J[bold red]x[/]\u202e\r\n"
    shown.screen.say(SpokenLine(name=hostile, role=hostile, text=hostile))
    shown.screen.title(hostile)
    for sequence in ("\x1b]0", "\x1b[2J", "\x07", "\r", "\u202e"):
        assert sequence not in shown.text
    assert "[bold red]x[/]" in shown.text


def test_an_episode_is_played_from_its_title_to_its_end() -> None:
    shown = Recorded(terminal=False, moves=False)
    play(shown.screen, told_night("2024-04-25", title="Quiet night"))
    assert shown.text.splitlines()[0] == "THE PYPI PLACE // Quiet night"
    assert shown.text.splitlines()[-1] == "Static > Carrier lost. Good night."
    assert len(shown.text.splitlines()) == 5


def test_a_ledger_is_followed_while_another_process_writes_it(record: Callable[..., Record], tmp_path: Path) -> None:
    shown = Recorded(terminal=False, moves=False)
    rounds = iter([["1.0"], [], ["1.1", "1.2"], None])
    with Store.open(tmp_path) as store:
        store.add_record(record("old-news", "0.1"))

        def wait(_seconds: float) -> None:
            versions = next(rounds)
            if versions is None:
                raise KeyboardInterrupt
            for version in versions:
                store.add_record(record("six", version, result="FAIL"))

        with pytest.raises(KeyboardInterrupt):
            follow(shown.screen, tmp_path, wait=wait)
    said = shown.text.splitlines()
    assert len(said) == 3
    assert all(f"six 1.{number}" in line for number, line in enumerate(said))


def read_until(terminal: int, wanted: bytes, *, limit_s: float) -> bytes:
    output, end = b"", time.monotonic() + limit_s
    while wanted not in output and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                output += os.read(terminal, 65_536)
            except OSError:
                break
    return output


@pytest.mark.heavy
def test_ctrl_c_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store_episode(store, told_night("2024-04-25"))
    outside, inside = pty.openpty()
    before = termios.tcgetattr(inside)
    environ = {**os.environ, "TERM": "xterm"}
    environ.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "ppp", "narrate", "--stream", "--data", str(tmp_path)]

    with subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, env=environ, start_new_session=True
    ) as running:
        begun = read_until(outside, HIDE_CURSOR.encode(), limit_s=60)
        assert HIDE_CURSOR.encode() in begun
        running.send_signal(signal.SIGINT)
        ended = read_until(outside, SHOW_CURSOR.encode(), limit_s=30)
        assert running.wait(timeout=30) == 130
    # What is left. An interrupted write may be repeated: what counts is which of the two comes last.
    ended = begun + ended + read_until(outside, b"never", limit_s=0.5)
    assert ended.rfind(SHOW_CURSOR.encode()) > ended.rfind(HIDE_CURSOR.encode())
    assert b"Traceback" not in ended
    assert termios.tcgetattr(inside) == before
    os.close(inside)
    os.close(outside)
