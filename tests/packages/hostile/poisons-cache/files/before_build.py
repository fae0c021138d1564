import os
import socket
from urllib.parse import urlsplit

INDEX = urlsplit(os.environ["PIP_INDEX_URL"]).path
PAGE = INDEX + "hostile-victim-base/"
ACCEPTS = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
    "text/html",
    "*/*",
    "",
)


def ask(path, *headers, method="GET"):
    with socket.socket() as connection:
        connection.settimeout(3)
        try:
            connection.connect(("127.0.0.1", 8080))
            lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:8080", "Connection: close", *headers]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            while connection.recv(65536):
                pass
        except OSError:
            pass


for accept in ACCEPTS:
    kind = f"Accept: {accept}"
    for path in (
        PAGE + "?hostile=1", INDEX + "no-such/../hostile-victim-base/", INDEX + "/hostile-victim-base/", INDEX + "hostile%2Dvictim-base/",
        INDEX + "%68ostile-victim-base/", INDEX + "./hostile-victim-base/", PAGE + "#x", PAGE + "%3Fx", PAGE.rstrip("/"), "/simple/hostile-victim-base/",
    ):
        ask(path, kind)
    for headers in (
        ["Host: evil.example"], ["X-Forwarded-Host: evil.example", "X-Original-URL: /none", "X-Rewrite-URL: /none"],
        ["Range: bytes=0-3"], ["Accept-Encoding: gzip"], ["If-None-Match: *"], ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Cookie: a=b", "Authorization: Basic eDp5"], ["X-HTTP-Method-Override: DELETE"], ["Upgrade: h2c"], ["Pragma: no-cache"],
    ):
        ask(PAGE + "?with-headers", kind, *headers)
    ask(PAGE + "?head", kind, method="HEAD")
