"""Imports one module, then proves that the import returned: `importer MODULE SOCKET`, run with `-I -S`.

The response to the keeper's challenge is computed only after the import. All that it takes is captured before any of
the package's code runs, its `.pth` files included: what the package replaces or closes makes no difference.
"""

from __future__ import annotations

import _socket
import importlib
import site
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: See `proof`.
RESPONSE_KEY = b"ppp: the import has come back.  \n"[:32]


def captured() -> tuple[Callable[[str], object], Callable[[str], None]]:
    """Return a function that imports a module, and one that proves it over a socket, made of what exists now."""
    load, create, to_bytes, pairs = importlib.import_module, _socket.socket, bytes, zip
    connect, receive, send = create.connect, create.recv, create.send
    family, kind = _socket.AF_UNIX, _socket.SOCK_SEQPACKET

    def prove(path: str) -> None:
        connection = create(family, kind)
        connect(connection, path)
        # The keeper closes the connection of any process but the one that it started.
        if challenge := receive(connection, 64):
            send(connection, to_bytes([a ^ b for a, b in pairs(challenge, RESPONSE_KEY)]))

    return load, prove


def main(module: str, path: str) -> None:
    """Import a module, and prove it."""
    load, prove = captured()
    del sys.argv[1:]
    site.main()
    load(module)
    prove(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
