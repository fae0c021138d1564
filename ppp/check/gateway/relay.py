"""A cell's own socket, from which a few connections at a time are forwarded to nginx, with the cell's address.

nginx admits a number of connections in all, and knows who sent a request only once it has read its header: a cell that
opens thousands of connections, and says nothing in them, would take them all. So connections are counted here, before
nginx, for each cell: those above the limit wait in the queue of the cell's own socket.
"""

import errno
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: How many connections a cell may have at a time. pip has one or two, and as many for each build it starts.
MAX_CONNECTIONS: Final = 8
CHUNK: Final = 256 * 1024
#: How long to wait if this process has no room for another connection, in seconds.
RETRY_S: Final = 0.05
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED})


@contextmanager
def relay(path: Path, target: Path, *, address: str, limit: int = MAX_CONNECTIONS) -> Iterator[None]:
    """Listen at `path`, and forward to the socket `target`, until the context ends; then every connection is closed.

    `target` gets each connection with a header of the PROXY protocol (version 1) that names `address`, an IPv6 address.
    Raises `OSError` if `target` accepts no connections, or `path` cannot be created.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(target))
    greeting = f"PROXY TCP6 {address} :: 0 0\r\n".encode()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen(limit)
        forwarding = _Relay(listening, target, greeting, limit)
        thread = threading.Thread(target=forwarding.accept_all, name=f"relay {address}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            forwarding.close()
            thread.join()


class _Relay:
    """The connections of one cell."""

    def __init__(self, listening: socket.socket, target: Path, greeting: bytes, limit: int) -> None:
        self._listening = listening
        self._target = target
        self._greeting = greeting
        self._slots = threading.Semaphore(limit)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    def accept_all(self) -> None:
        """Accept connections, each when there is a slot for it, until `close`."""
        while True:
            self._slots.acquire()
            try:
                near, _ = self._listening.accept()
            except OSError as error:
                if self._closed or error.errno not in _NO_ROOM:
                    return
                self._slots.release()
                time.sleep(RETRY_S)
                continue
            try:
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()
            except RuntimeError:
                # No room for another thread.
                near.close()
                self._slots.release()

    def close(self) -> None:
        """End all connections, and accept no more."""
        with self._lock:
            self._closed = True
            for one in [self._listening, *self._open]:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self._slots.release()

    def _serve(self, near: socket.socket) -> None:
        try:
            with near, socket.socket(socket.AF_UNIX) as far, self._registered(near, far), suppress(OSError):
                far.connect(str(self._target))
                far.sendall(self._greeting)
                _forward(near, far)
        except OSError:
            # No room for another socket.
            pass
        finally:
            self._slots.release()

    @contextmanager
    def _registered(self, *sockets: socket.socket) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("the cell has ended")
            self._open |= {*sockets}
        try:
            yield
        finally:
            with self._lock:
                self._open -= {*sockets}


def _forward(near: socket.socket, far: socket.socket) -> None:
    """Copy in both directions until `far` has sent everything."""
    others = {near: far, far: near}
    with selectors.PollSelector() as selector:
        for one in others:
            selector.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                source = near if key.fileobj is near else far
                if data := source.recv(CHUNK):
                    others[source].sendall(data)
                elif source is far:
                    return
                else:
                    selector.unregister(near)
                    far.shutdown(socket.SHUT_WR)
