"""The cell's one way out: from a port of its own loopback to the gateway's socket."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import struct
import threading
import time

from .processes import exiting


class Forwarder:
    """Forwards connections from a loopback port to the gateway's socket, in a process of its own, and counts.

    It counts the bytes that came from the gateway, and the microseconds that requests waited for a response.
    """

    RECEIVED, WAITED_US = 0, 8
    #: How many connections are forwarded at a time; others wait. Each takes two threads, which the cell's limits count.
    MAX_CONNECTIONS = 8

    def __init__(self, path: str, port: int) -> None:
        self.path = path
        # Shared with the forked process, and with nothing that executes another program.
        self.counts = mmap.mmap(-1, 16)
        self.lock = threading.Lock()
        self.slots = threading.Semaphore(self.MAX_CONNECTIONS)
        listening = socket.create_server(("127.0.0.1", port))
        self.pid = os.fork()
        if self.pid == 0:
            with exiting(1):
                os.dup2(listening.detach(), 3)
                os.closerange(4, 256)
                self.serve(socket.socket(fileno=3))
        listening.close()

    def serve(self, listening: socket.socket) -> None:
        """Accept connections for ever. Once the gateway's socket is gone, a connection is closed at once."""
        while True:
            self.slots.acquire()
            near, _ = listening.accept()
            far = socket.socket(socket.AF_UNIX)
            last_request_at = [0.0]
            try:
                far.connect(self.path)
                threading.Thread(target=self.forward_requests, args=(near, far, last_request_at), daemon=True).start()
                threading.Thread(target=self.forward_responses, args=(far, near, last_request_at), daemon=True).start()
            except (OSError, RuntimeError):
                # There is no gateway any more, or no room for a thread.
                for end in (near, far):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                    end.close()
                self.slots.release()

    def forward_requests(self, near: socket.socket, far: socket.socket, last_request_at: list[float]) -> None:
        """Forward what the cell sends, to the end of it."""
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 18):
                last_request_at[0] = time.monotonic()
                far.sendall(data)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def forward_responses(self, far: socket.socket, near: socket.socket, last_request_at: list[float]) -> None:
        """Forward what the gateway sends, to the end of it, and count; then the connection has ended."""
        with contextlib.suppress(OSError):
            started = time.monotonic()
            while data := far.recv(1 << 18):
                self.add(self.RECEIVED, len(data))
                # Time between two requests is not time spent waiting.
                self.add(self.WAITED_US, int((time.monotonic() - max(started, last_request_at[0])) * 1e6))
                near.sendall(data)
                started = time.monotonic()
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.slots.release()

    def add(self, counter: int, number: int) -> None:
        """Add to `RECEIVED` or `WAITED_US`."""
        with self.lock:
            struct.pack_into("Q", self.counts, counter, self.count(counter) + number)

    def count(self, counter: int) -> int:
        """Return the value of `RECEIVED`, in bytes, or `WAITED_US`, in microseconds."""
        return int(struct.unpack_from("Q", self.counts, counter)[0])

    def end(self) -> None:
        """End the process; the counters can still be read."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
