"""What every step of a run is given: settings, who hears of it, the world's clock, a wish to stop; and the node."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from ppp.config import Config
from ppp.ledger.lock import writer_lock
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey, load_or_create_key
from ppp.model.record import Record


class Reporter(Protocol):
    """Who hears how a run goes."""

    def note(self, text: str) -> None:
        """Something to know."""

    def warn(self, text: str) -> None:
        """Something that went wrong and did not stop the run."""

    def begin(self, total: int) -> None:
        """So many cells are about to be checked."""

    def checked(self, record: Record) -> None:
        """One more cell was checked."""

    def end(self) -> None:
        """No cell is being checked any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every step is given: the settings, who hears of it, the world's environment and clock, a wish to stop."""

    config: Config
    reporter: Reporter
    environ: Mapping[str, str]
    stop: threading.Event
    clock: Callable[[], float] = time.time

    @property
    def now(self) -> int:
        """Epoch seconds."""
        return int(self.clock())


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """A node at work: its ledger, open for writing and locked against others, and its key."""

    context: Context
    store: Store
    key: NodeKey


@contextmanager
def open_node(context: Context) -> Iterator[LocalNode]:
    """Lock and open the data folder's ledger, and load the node's key; both are made on first need."""
    data = context.config.data
    with writer_lock(data), Store.open(data) as store:
        key, created = load_or_create_key(data)
        if created:
            context.reporter.note(f"this node is {key.id}; its key is {data / 'node.key'}: keep it")
        yield LocalNode(context=context, store=store, key=key)
