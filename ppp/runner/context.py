"""What every step of a command is given: the settings, a reporter, the clock, requests to stop, and the open node."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from ppp.config import Config
from ppp.ledger.lock import writer_lock
from ppp.ledger.store import Store
from ppp.ledger.upgrade import list_upgrade_backups
from ppp.mesh.node import NodeKey, load_or_create_key
from ppp.model.record import Record

#: How long, in seconds, a command waits for another one that writes: a synchronization does so for moments only.
LOCK_WAIT_S: Final = 2.0


class Reporter(Protocol):
    """Shows a person how a run proceeds."""

    def note(self, text: str) -> None:
        """Show a remark."""

    def warn(self, text: str) -> None:
        """Show what went wrong without stopping the run."""

    def begin(self, total: int) -> None:
        """Start to show progress: `total` cells are about to be checked."""

    def running(self, jobs: Sequence[str]) -> None:
        """Show what is running now: cells and canaries, a line of text each, in the order in which they began."""

    def checked(self, record: Record) -> None:
        """Show that one more cell was checked."""

    def end(self) -> None:
        """Stop showing progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every step is given. `environ` are the environment variables; `stop` is set when a stop is requested."""

    config: Config
    reporter: Reporter
    environ: Mapping[str, str]
    stop: threading.Event
    clock: Callable[[], float] = time.time

    @property
    def now(self) -> int:
        """The time in epoch seconds."""
        return int(self.clock())


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLedger:
    """The ledger of a data folder, open and locked against other writers."""

    context: Context
    store: Store


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode(OpenLedger):
    """The node of this machine: its ledger, and its key."""

    key: NodeKey


@contextmanager
def open_ledger(context: Context, *, wait_s: float = LOCK_WAIT_S) -> Iterator[OpenLedger]:
    """Lock and open the ledger of the data folder, without the node's key; create it where it is missing.

    Raise `LedgerBusyError` if another command holds the lock for `wait_s` seconds.
    """
    data = context.config.data
    # The lock first: opening may migrate the ledger, which two commands must not do at once.
    with writer_lock(data, wait_s=wait_s), _open_store(context) as store:
        yield OpenLedger(context=context, store=store)


def _open_store(context: Context) -> Store:
    data = context.config.data
    before = list_upgrade_backups(data)
    store = Store.open(data)
    for made in list_upgrade_backups(data):
        if made not in before:
            context.reporter.note(f"the ledger now has the schema of this version; as it was before: {made.path}")
    return store


@contextmanager
def open_node(context: Context, *, wait_s: float = LOCK_WAIT_S) -> Iterator[LocalNode]:
    """Lock and open the ledger of the data folder, and load the node's key; create them where they are missing.

    Raise `LedgerBusyError` if another command holds the lock for `wait_s` seconds.
    """
    data = context.config.data
    with open_ledger(context, wait_s=wait_s) as ledger:
        key, created = load_or_create_key(data, context.config.node_seed)
        if created:
            context.reporter.note(f"this node is {key.id}; keep its key safe: {data / 'node.key'}")
        yield LocalNode(context=context, store=ledger.store, key=key)
