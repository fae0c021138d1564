import os
import socket
import struct

# host:port of each listener that stands on the machine; what it answers; its sockets in the file system and outside it.
LISTENERS = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in "@LISTENERS@".split())]
MARK = b"@MARK@"
SOCKET, ABSTRACT = "@SOCKET@", "\0@ABSTRACT@"
INDEX = ("127.0.0.1", 8080)
QUESTION = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\x06secret\x07hostile\x07example\0" + struct.pack(">2H", 1, 1)


def answered(where, request, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    data = b""
    with socket.socket(family, kind) as connection:
        connection.settimeout(1)
        try:
            connection.connect(where)
            connection.send(request)
            while part := connection.recv(4096):
                data += part
                if MARK in data or kind == socket.SOCK_DGRAM:
                    break
        except OSError:
            pass
    return MARK in data


def reached():
    for host, port in LISTENERS:
        get = b"GET /secret HTTP/1.0\r\n\r\n"
        if answered((host, port), get):
            yield "http"
        if answered((host, port), QUESTION, kind=socket.SOCK_DGRAM):
            yield "dns"
        there = f"{host}:{port}"
        # The index's gateway must not lead anywhere else.
        for request in (
            f"GET http://{there}/secret HTTP/1.1\r\nHost: {there}\r\nConnection: close\r\n\r\n",
            f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\nGET /secret HTTP/1.0\r\n\r\n",
            f"GET /-/0@{there}/secret HTTP/1.1\r\nHost: {there}\r\nConnection: close\r\n\r\n",
            f"GET @{there}/secret HTTP/1.1\r\nHost: {there}\r\nConnection: close\r\n\r\n",
            f"GET //{there}/secret HTTP/1.1\r\nHost: {there}\r\nConnection: close\r\n\r\n",
            f"POST /secret HTTP/1.1\r\nHost: {there}\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret",
        ):
            if answered(INDEX, request.encode()):
                yield "through the gateway"
    for where, told in ((SOCKET, "socket"), (ABSTRACT, "abstract socket")):
        if answered(where, get, family=socket.AF_UNIX):
            yield told
    try:
        socket.getaddrinfo("secret.hostile.example", 80)
        yield "a resolver"
    except OSError:
        pass
    for engine in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"):
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(engine)
            yield engine
        except OSError:
            pass


if found := sorted(set(reached())):
    raise RuntimeError("reached: " + ", ".join(found))
