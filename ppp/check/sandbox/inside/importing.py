"""Imports one module, then proves that it came back: `importing MODULE SOCKET`, run with `-S`.

What has to be answered is not in this process before the import is over. All that is needed afterwards is held before
anything of the package's is run, its `.pth` files too: what it replaces, closes or forgets makes no difference.
"""

import _socket
import importlib
import site
import sys

PROOF = b"ppp: the import has come back.  \n"[:32]


def held():
    """Give a function that imports, and one that proves, both of parts that are held from now on."""
    load, made, answer, pairs = importlib.import_module, _socket.socket, bytes, zip
    connect, receive, send = made.connect, made.recv, made.send
    family, kind = _socket.AF_UNIX, _socket.SOCK_SEQPACKET

    def prove(path):
        near = made(family, kind)
        connect(near, path)
        # Whoever is not the one that was started is hung up on.
        if word := receive(near, 64):
            send(near, answer([a ^ b for a, b in pairs(word, PROOF)]))

    return load, prove


def imported(module, path):
    """Import, then tell."""
    load, prove = held()
    del sys.argv[1:]
    site.main()
    load(module)
    prove(path)


if __name__ == "__main__":
    imported(*sys.argv[1:])
