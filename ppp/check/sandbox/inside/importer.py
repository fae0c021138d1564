"""Imports one module, then proves that the import returned: `importer MODULE SOCKET`, run with `-I -S`.

In place of a module's name there may be `MODULE:ATTRIBUTE`, as in an entry point: then the attribute must be there too.

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
    create, to_bytes, pairs = _socket.socket, bytes, zip
    connect, receive, send = create.connect, create.recv, create.send
    family, kind = _socket.AF_UNIX, _socket.SOCK_SEQPACKET

    def prove(path: str) -> None:
        connection = create(family, kind)
        connect(connection, path)
        # The keeper closes the connection of any process but the one that it started.
        if challenge := receive(connection, 64):
            send(connection, to_bytes([a ^ b for a, b in pairs(challenge, RESPONSE_KEY)]))

    return loader(), prove


def loader() -> Callable[[str], object]:
    """Return a function that imports what a name of the form `MODULE` or `MODULE:ATTRIBUTE` stands for.

    It raises `SystemExit` with a line that says so if the attribute is not there, or cannot be called.
    """
    import_module, import_from, look_up, can_call = importlib.import_module, __import__, getattr, callable
    absent, end = AttributeError, SystemExit

    def load(target: str) -> None:
        module, _, attribute = target.partition(":")
        if not attribute:
            import_module(module)
            return
        names = attribute.split(".")
        # Like a script's `from MODULE import NAME`, which finds submodules too.
        found = import_from(module, None, None, names[:1])
        try:
            for name in names:
                found = look_up(found, name)
        except absent:
            raise end(f"{module} has no attribute {attribute}") from None
        if not can_call(found):
            raise end(f"{target} cannot be called")

    return load


def main(module: str, path: str) -> None:
    """Import a module, and prove it."""
    load, prove = captured()
    del sys.argv[1:]
    site.main()
    load(module)
    prove(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
