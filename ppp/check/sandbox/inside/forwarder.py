"""The cell's one way out: from a port of its own loopback to the gateway's socket."""

import contextlib
import mmap
import os
import signal
import socket
import struct
import threading
import time

from .processes import leaving


class Forwarder:
    """Leads from a port of the cell's own loopback to the gateway's socket, in a process of its own, and counts.

    It counts the bytes that came from the gateway, and the microseconds for which a question had no answer.
    """

    RECEIVED, WAITED_US = 0, 8

    def __init__(self, path, port):
        self.path = path
        # Shared with the forked process, and with nothing that runs another program.
        self.counts = mmap.mmap(-1, 16)
        self.lock = threading.Lock()
        listening = socket.create_server(("127.0.0.1", port))
        self.pid = os.fork()
        if self.pid == 0:
            with leaving(1):
                os.dup2(listening.detach(), 3)
                os.closerange(4, 256)
                self.serve(socket.socket(fileno=3))
        listening.close()

    def serve(self, listening):
        """Take connections for ever. Where the socket is gone, a connection is closed as soon as it is made."""
        while True:
            near, _ = listening.accept()
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.path)
            except OSError:
                near.close()
                continue
            asked = [0.0]
            threading.Thread(target=self.ask, args=(near, far, asked), daemon=True).start()
            threading.Thread(target=self.answer, args=(far, near, asked), daemon=True).start()

    def ask(self, near, far, asked):
        """Pass on what the cell asks until it has no more."""
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 18):
                asked[0] = time.monotonic()
                far.sendall(data)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def answer(self, far, near, asked):
        """Pass on what the gateway answers until it has no more."""
        with contextlib.suppress(OSError):
            begun = time.monotonic()
            while data := far.recv(1 << 18):
                self.add(self.RECEIVED, len(data))
                # Between two questions nothing is waited for.
                self.add(self.WAITED_US, int((time.monotonic() - max(begun, asked[0])) * 1e6))
                near.sendall(data)
                begun = time.monotonic()
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_WR)

    def add(self, place, number):
        """Count."""
        with self.lock:
            struct.pack_into("Q", self.counts, place, self.read(place) + number)

    def read(self, place):
        """Give what was counted."""
        return struct.unpack_from("Q", self.counts, place)[0]

    def end(self):
        """End it; the counts remain known."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
