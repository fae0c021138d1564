"""Collects what a command prints, up to a limit."""

from __future__ import annotations

import contextlib
import os

#: How much of the end of an output that exceeds its limit is kept, in bytes; the rest of the limit is its beginning.
TAIL_BYTES = 64 * 1024


class Output:
    """An output up to `limit` bytes: its beginning and its end, with a line between them that says how much was cut."""

    def __init__(self, limit: int) -> None:
        self.head_limit = max(limit - TAIL_BYTES, 0)
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Add some more of the output."""
        self.total += len(data)
        room = max(self.head_limit - len(self.head), 0)
        self.head += data[:room]
        self.tail += data[room:]
        del self.tail[:-TAIL_BYTES]

    def read_some(self, descriptor: int) -> bool:
        """Add what a non-blocking pipe holds now; return whether more may follow."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        self.add(data)
        return bool(data)

    def read_rest(self, descriptor: int) -> None:
        """Add all that a non-blocking pipe still holds once nobody writes to it any more."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(descriptor, 1 << 16):
                self.add(data)

    def data(self) -> bytes:
        """Return what was kept."""
        cut = self.total - len(self.head) - len(self.tail)
        notice = b"\n[%d bytes of output cut here]\n" % cut if cut else b""
        return bytes(self.head + notice + self.tail)
