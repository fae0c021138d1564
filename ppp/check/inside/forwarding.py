"""Passes connections on from a port of the cell's own loopback to the gateway's socket: `forwarding SOCKET PORT`.

Says `ready` once it listens. Where the socket is gone, a connection is closed as soon as it is made.
"""

import contextlib
import socket
import sys
import threading


def pump(source, sink):
    """Pass on what comes from one end until it has no more."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def serve(path, port):
    """Take connections for ever."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        print("ready", flush=True)
        while True:
            near, _ = listening.accept()
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(path)
            except OSError:
                near.close()
                continue
            for ends in ((near, far), (far, near)):
                threading.Thread(target=pump, args=ends, daemon=True).start()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
