"""The index gateway: nginx as a read-through cache of the index and its files, on a socket in the file system.

A cell that is lent this socket, and has no network, reaches the index and nothing else: neither the internet nor this
machine. The cache is nginx's alone, so no cell can put anything into what another one is served.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import SplitResult, urlsplit

#: What the cache may grow to; what is used least goes first.
MAX_CACHE: Final = "8g"
START_TIMEOUT_S: Final = 10
#: From Linux's <sys/prctl.h>.
PR_SET_PDEATHSIG: Final = 1
#: Where distributions keep nginx, beside PATH.
PLACES: Final = "/usr/sbin:/usr/local/sbin"
CA_FILES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

_FILES: Final = Template("""\
    location /-/$number/ {
      limit_except GET { deny all; }
      proxy_pass $origin/;
      proxy_set_header Host "$host";
      proxy_ssl_name "$name";
      proxy_cache_key "$$uri";
      proxy_cache_valid 200 365d;
    }
""")


#: Becomes nginx, and is ended by the kernel with the thread that started it: a killed run leaves none behind.
_LAUNCH: Final = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {int(signal.SIGTERM)})
os.execv(sys.argv[1], sys.argv[1:])
"""


class GatewayError(Exception):
    """A gateway that cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway: the socket that it listens on, and the path of the index behind it."""

    socket: Path
    path: str

    @contextmanager
    def door(self) -> Iterator[Path]:
        """Give one cell a way of its own to the socket, alone in a folder; removing the file shuts that way."""
        with tempfile.TemporaryDirectory(dir=self.socket.parent, prefix="cell-") as folder:
            Path(folder).chmod(0o755)
            door = Path(folder, "socket")
            door.hardlink_to(self.socket)
            yield door

    def index_url(self, port: int) -> str:
        """Give the index's address for whoever reaches the socket by a port of their own loopback."""
        return f"http://127.0.0.1:{port}{self.path}"


@contextmanager
def gateway(
    index_url: str,
    file_origins: Iterable[str],
    *,
    cache: Path,
    environ: Mapping[str, str],
    max_cache: str = MAX_CACHE,
    places: str = PLACES,
) -> Iterator[Gateway]:
    """Run a gateway before an index for as long as the context lasts; raise `GatewayError` if there can be none.

    `file_origins` (`https://host`) are where the files are that the index's pages name; `cache` outlives the gateway.
    """
    nginx = shutil.which("nginx", path=f"{environ.get('PATH', '')}:{places}")
    if nginx is None:
        raise GatewayError("no nginx on this machine")
    cache.mkdir(parents=True, exist_ok=True)
    index = urlsplit(index_url)
    # The path of a socket is limited to about a hundred bytes, so it cannot lie just anywhere.
    with tempfile.TemporaryDirectory(prefix="ppp-gateway-") as temporary:
        run = Path(temporary)
        socket, log = run / "socket", run / "error.log"
        config = run / "nginx.conf"
        config.write_text(_config(index, sorted(set(file_origins)), run, cache.resolve(), max_cache), "utf-8")
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, nginx, "-c", str(config), "-p", str(run), "-e", str(log)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(process, socket, log)
            yield Gateway(socket=socket, path=index.path)
        finally:
            process.terminate()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", socket: Path, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            told = log.read_text("utf-8", "replace").split("\n") if log.exists() else []
            raise GatewayError(f"nginx did not start: {next(filter(None, told), 'it said nothing')}")
        time.sleep(0.02)
    socket.chmod(0o666)


def _config(index: SplitResult, origins: list[str], run: Path, cache: Path, max_cache: str) -> str:
    return Template(files("ppp.check").joinpath("nginx.conf.template").read_text("utf-8")).substitute(
        # As root it would else become a user that cannot write the cache.
        user="user root;" if os.geteuid() == 0 else "",
        run=run,
        socket=run / "socket",
        cache=cache,
        max_cache=max_cache,
        ca=next((path for path in CA_FILES if os.access(path, os.R_OK)), CA_FILES[0]),
        origin=f"{index.scheme}://{index.netloc}",
        path=index.path,
        host=index.netloc,
        name=index.hostname,
        rewrites="\n".join(f'      sub_filter "{origin}/" "/-/{n}/";' for n, origin in enumerate(origins)),
        files="".join(
            _FILES.substitute(number=n, origin=origin, host=urlsplit(origin).netloc, name=urlsplit(origin).hostname)
            for n, origin in enumerate(origins)
        ),
    )
