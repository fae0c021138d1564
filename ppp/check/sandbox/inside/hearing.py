"""How the keeper hears what runs in the cell: what it prints, and the proof of an import."""

import contextlib
import os
import socket
import struct

#: What is kept of an output that is longer than its limit: this many bytes of its end, beside its beginning.
TAIL_BYTES = 64 * 1024
#: What the answer is made of, beside the word: 32 bytes that `importing` has too.
PROOF = b"ppp: the import has come back.  \n"[:32]


class Output:
    """Collects an output up to a limit in bytes: its beginning and its end, with a line that says what was cut."""

    def __init__(self, limit):
        self.head_limit = max(limit - TAIL_BYTES, 0)
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0

    def feed(self, data):
        """Take some more of the output."""
        self.total += len(data)
        room = max(self.head_limit - len(self.head), 0)
        self.head += data[:room]
        self.tail += data[room:]
        del self.tail[:-TAIL_BYTES]

    def take(self, reading):
        """Take what is there to be read; say whether there may be more."""
        try:
            data = os.read(reading, 1 << 16)
        except BlockingIOError:
            return True
        self.feed(data)
        return bool(data)

    def take_rest(self, reading):
        """Take what is still in a pipe to which nobody writes any more."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(reading, 1 << 16):
                self.feed(data)

    def data(self):
        """Give what was kept."""
        cut = self.total - len(self.head) - len(self.tail)
        middle = b"\n[%d bytes of output cut here]\n" % cut if cut else b""
        return bytes(self.head + middle + self.tail)


class Proof:
    """Asks the process that was started, and no other, whether it came back from the import.

    It is to connect to a socket in the file system, for which it needs nothing that the import could have closed. What
    it must answer is not in that process before it has come back, and the kernel vouches for who connects.
    """

    def __init__(self, path):
        self.path = path
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self.listening.bind(path)
        os.chmod(path, 0o666)
        self.listening.listen(16)
        self.word = os.urandom(32)
        self.talk = None
        self.given = False

    def admit(self, pid):
        """Take whoever has connected; give the socket of the process that was started, hang up on any other."""
        with contextlib.suppress(OSError):
            connection, _ = self.listening.accept()
            peer = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            if peer == pid and self.talk is None:
                os.set_blocking(connection.fileno(), False)
                connection.send(self.word)
                self.talk = connection
                return connection
            connection.close()
        return None

    def hear(self):
        """Take the one answer that there may be."""
        with contextlib.suppress(OSError):
            self.given = self.talk is not None and self.talk.recv(64) == bytes(a ^ b for a, b in zip(self.word, PROOF))

    def close(self):
        """Listen no more."""
        self.listening.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        if self.talk is not None:
            self.talk.close()
