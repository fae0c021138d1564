"""nginx for the gateway: its configuration, and running it: this machine's own, or one from an image.

Either way it ends with the process that started it, even if that is killed, and listens only on a socket in a folder.
"""

import hashlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

import docker
import requests
from docker.errors import DockerException
from docker.models.containers import Container
from docker.types import LogConfig

from ppp.check.images import ImagePins, ImageUnavailableError, error_text, find_or_pull
from ppp.model.canonical import sha256_hex

START_TIMEOUT_S: Final = 20
#: From Linux's <sys/prctl.h>.
PR_SET_PDEATHSIG: Final = 1
#: Where distributions install nginx, besides PATH; separated by colons.
NGINX_FOLDERS: Final = "/usr/sbin:/usr/local/sbin"
#: The label of a gateway's container: a hash of its cache's path. Containers of cells have another one.
LABEL: Final = "ppp.gateway"

#: How many connections nginx has room for, with cells and with the page server.
MAX_CONNECTIONS: Final = 8192
#: How many files it may open: one for each connection, and one for what it sends there.
MAX_OPEN_FILES: Final = 2 * MAX_CONNECTIONS + 256
#: The whole environment of nginx: ours may contain passwords.
ENVIRON: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

#: Becomes nginx, which the kernel ends with the thread that started it: a killed run leaves none behind, not even if it
#: was killed before the kernel knew.
_LAUNCH: Final = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {int(signal.SIGTERM)})
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

#: The same in a container: its standard input comes from us, and is closed when we end.
_LAUNCH_IN_CONTAINER: Final = 'exec 3<&0; (cat <&3 >/dev/null; kill -TERM 1) & exec nginx "$@" 3<&- </dev/null'


class GatewayError(Exception):
    """A gateway that is not possible here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxSite:
    """What nginx serves, and where: `run` is a folder of its own; sizes and times are in nginx's notation.

    `cache` is for pages; `files` is the folder of the index's files, which nginx only reads.
    """

    run: Path
    cache: Path
    files: Path
    max_cache: str
    page_lifetime: str

    @property
    def socket(self) -> Path:
        """The path of the socket that it listens on."""
        return self.run / "socket"

    @property
    def log(self) -> Path:
        """The path of its error log."""
        return self.run / "error.log"

    @property
    def arguments(self) -> list[str]:
        """Its command line, without the program."""
        return ["-c", str(self.run / "nginx.conf"), "-p", str(self.run), "-e", str(self.log)]

    def config(self) -> str:
        """Return the text of its configuration."""
        return Template(files("ppp.check.gateway").joinpath("nginx.conf.template").read_text("utf-8")).substitute(
            # If it starts as root it becomes another user, who could not write to the cache.
            user="user root;" if os.geteuid() == 0 else "",
            run=_quoted(str(self.run)),
            cache=_quoted(str(self.cache)),
            max_cache=self.max_cache,
            page_lifetime=self.page_lifetime,
            files=_quoted(str(self.files)),
            max_connections=MAX_CONNECTIONS,
            max_open_files=_max_open_files(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxImage:
    """nginx from an image, for a machine that has none.

    `engine` connects to a Docker engine; `on_pull` is called with a notice before the image is pulled; `pins` remembers
    its digest.
    """

    name: str
    engine: Callable[[], docker.DockerClient | None]
    on_pull: Callable[[str], None]
    pins: ImagePins | None = None


def cached_page(cache: Path, key: str) -> Path:
    """Return where nginx keeps what it cached under a key; a file that is removed there is one that it never had."""
    # As `levels=2` of proxy_cache_path says.
    name = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return cache / name[-2:] / name


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _max_open_files() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)


def find_nginx(environ: Mapping[str, str], folders: str = NGINX_FOLDERS) -> str | None:
    """Return the path of this machine's nginx, or None."""
    return shutil.which("nginx", path=f"{environ.get('PATH', '')}:{folders}")


@contextmanager
def run_nginx(site: NginxSite, own: str | None, image: NginxImage | None) -> Iterator[None]:
    """Run nginx until the context ends: this machine's own, else an image's; raise `GatewayError` if that fails."""
    with ExitStack() as stack:
        if own:
            alive = stack.enter_context(_process(site, own))
        elif image:
            client = stack.enter_context(_engine(image))
            alive = stack.enter_context(_container(site, client, image))
        else:
            raise GatewayError("no nginx on this machine")
        _wait_until_ready(site, alive)
        yield


@contextmanager
def _process(site: NginxSite, own: str) -> Iterator[Callable[[], bool]]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), own, *site.arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRON,
    )
    try:
        yield lambda: process.poll() is None
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _engine(image: NginxImage) -> Iterator[docker.DockerClient]:
    client = image.engine()
    if client is None:
        raise GatewayError(f"no nginx on this machine, and no Docker engine to run {image.name}")
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _container(site: NginxSite, client: docker.DockerClient, image: NginxImage) -> Iterator[Callable[[], bool]]:
    with ExitStack() as stack:
        try:
            _remove_containers(_leftover_containers(client, site))
            container = _create_container(client, _pulled(client, image), site)
            stack.callback(_remove_containers, [container])
            stream = client.api.attach_socket(str(container.id), params={"stdin": 1, "stream": 1})
            stack.callback(_close_stream, stream)
            container.start()
        except (DockerException, requests.RequestException, OSError) as error:
            raise GatewayError(f"nginx from {image.name} does not start: {error_text(error)}") from error
        yield lambda: _is_running(container)


def _pulled(client: docker.DockerClient, image: NginxImage) -> str:
    """Return the id of nginx's image; pull it if it is not here. Raise `GatewayError` if that fails."""
    notice = f"this machine has no nginx: pulling the image {image.name} for the index gateway"
    try:
        found = find_or_pull(client, image.name, pins=image.pins, on_pull=lambda: image.on_pull(notice))
    except ImageUnavailableError as error:
        raise GatewayError(f"no nginx on this machine, and {error}") from error
    return str(found.id)


def _create_container(client: docker.DockerClient, image: str, site: NginxSite) -> Container:
    shown = {str(path): {"bind": str(path), "mode": "rw"} for path in (site.run, site.cache)}
    shown[str(site.files)] = {"bind": str(site.files), "mode": "ro"}
    return client.containers.create(
        image,
        ["-c", _LAUNCH_IN_CONTAINER, "sh", *site.arguments],
        entrypoint="sh",
        stdin_open=True,
        auto_remove=True,
        user=f"{os.getuid()}:{os.getgid()}",
        cap_drop=["ALL"],
        # nginx sets its workers' user and groups, even if they stay the same.
        cap_add=["SETGID", "SETUID"],
        security_opt=["no-new-privileges"],
        read_only=True,
        network_mode="none",
        # Its output would be kept on disk without a limit.
        log_config=LogConfig(type=LogConfig.types.NONE),
        volumes=shown,
        labels={LABEL: _label(site)},
    )


def _label(site: NginxSite) -> str:
    return sha256_hex(str(site.cache).encode())


def _leftover_containers(client: docker.DockerClient, site: NginxSite) -> Iterable[Container]:
    return client.containers.list(all=True, ignore_removed=True, filters={"label": f"{LABEL}={_label(site)}"})


def _remove_containers(containers: Iterable[Container]) -> None:
    for container in containers:
        with suppress(DockerException, requests.RequestException):
            container.remove(force=True)


def _is_running(container: Container) -> bool:
    try:
        container.reload()
    except (DockerException, requests.RequestException):
        return False
    return bool(container.status == "running")


def _close_stream(stream: Any) -> None:  # noqa: ANN401 - docker-py's, of which nothing public is typed
    # docker-py leaves both of these open.
    for end in (getattr(stream, "_response", None), stream):
        with suppress(OSError, ValueError):
            if end:
                end.close()


def _accepts_connections(path: Path) -> bool:
    # The file is there before nginx listens.
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


def _wait_until_ready(site: NginxSite, alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _accepts_connections(site.socket):
        if not alive() or time.monotonic() > deadline:
            log = site.log.read_text("utf-8", "replace").split("\n") if site.log.exists() else []
            raise GatewayError(f"nginx did not start: {next(filter(None, log), 'it logged nothing')}")
        time.sleep(0.02)
