"""What ends a command: every signal that would kill it ends it in order instead, so that it leaves nothing behind.

A signal that was ignored when the command began stays ignored: `nohup` and shells mean it.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

#: The signals of terminals, shells and service managers that end a process.
ENDING: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Make every ending signal raise `KeyboardInterrupt` in the block, so that it removes what it created."""

    def interrupt(_number: int, _frame: object) -> None:
        # A terminal that is closed sends several of these, and the first one is enough.
        if signal.getsignal(signal.SIGHUP) is interrupt:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise KeyboardInterrupt

    with _handled_by(interrupt):
        yield


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Make the first ending signal request an orderly stop; a second one, but SIGHUP, raises `KeyboardInterrupt`."""

    def request_stop(number: int, _frame: object) -> None:
        if stop.is_set():
            if number != signal.SIGHUP:
                raise KeyboardInterrupt
            return
        stop.set()
        # The terminal may be what has gone.
        with suppress(OSError):
            print("\nstopping: finished cells are kept, running ones are ended", file=sys.stderr, flush=True)  # noqa: T201

    with _handled_by(request_stop):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDING}
    handled = [number for number, former in before.items() if former is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
