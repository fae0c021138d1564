"""The keeper's side of the proof that an import returned: a challenge, and the response of the importing process.

The process connects to a socket in the file system, for which it needs nothing that the import could have closed. The
right response is not in that process before its import has returned, and the kernel says who connects. After the
response the process says which of the watched modules its import loaded: its own word, which proves nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct

#: The response is the challenge, XORed with these 32 bytes; `importer` has them too.
RESPONSE_KEY = b"ppp: the import has come back.  \n"[:32]
#: How long the names of loaded modules may be together, in bytes.
MAX_LOADED_BYTES = 64 * 1024


class Proof:
    """Challenges one process, and no other, to prove that its import returned. `given` says whether it did.

    `loaded` are those of the `watched` names that it then named.
    """

    def __init__(self, path: str, watched: list[str]) -> None:
        self.path = path
        self.watched = watched
        self.loaded: list[str] = []
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self.listening.bind(path)
        os.chmod(path, 0o666)
        self.listening.listen(16)
        self.challenge = os.urandom(32)
        self.connection: socket.socket | None = None
        self.given = False

    def accept_from(self, pid: int) -> None:
        """Accept one connection: challenge it if it is the first from the process `pid`, else close it."""
        with contextlib.suppress(OSError):
            connection, _ = self.listening.accept()
            peer = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            if peer == pid and self.connection is None:
                os.set_blocking(connection.fileno(), False)
                connection.send(self.challenge)
                self.connection = connection
            else:
                connection.close()

    def read_response(self) -> None:
        """Read one response, if there is one; any but the right one takes the proof away again."""
        with contextlib.suppress(OSError):
            right = bytes(a ^ b for a, b in zip(self.challenge, RESPONSE_KEY))
            self.given = self.connection is not None and self.connection.recv(64) == right
            if self.given and self.connection is not None:
                named = self.connection.recv(MAX_LOADED_BYTES).decode("ascii", "replace").split(",")
                self.loaded = [name for name in self.watched if name in named]

    def close(self) -> None:
        """Close the sockets, and remove the path."""
        self.listening.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        if self.connection is not None:
            self.connection.close()
