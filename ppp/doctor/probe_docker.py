"""Looking at the Docker engine and its images. Nothing is pulled, and a container that is asked something is removed.

The engine's socket is knocked at first: docker-py says of a dead engine neither why it is dead nor closes its sockets.
"""

import errno
import os
import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import docker
import requests
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, ImageNotFound

from ppp.check.sandbox.docker import DEFAULT_ENGINE, STANDIN_LABEL
from ppp.doctor.machine import EngineFacts, ImageAvailability, ImageFacts, Reachability
from ppp.model.matrix import Environment

#: By whom a container was asked, should one be left behind.
LABEL: Final = "ppp.doctor"
KNOCK_TIMEOUT_S: Final = 3
ENGINE_TIMEOUT_S: Final = 8
#: A container starts within a second, but not on a machine that is busy with cells.
START_TIMEOUT_S: Final = 20
PORT: Final = 2375
NOBODY: Final = "65534:65534"
PYTHON_VERSION_PROGRAM: Final = "import platform; print(platform.python_version(), platform.machine())"
#: What the engine says of itself, and the limit of a cell that hangs on it.
LIMITS: Final = {"MemoryLimit": "memory", "PidsLimit": "processes"}


def engine(environ: Mapping[str, str]) -> EngineFacts:
    """Ask the engine that the environment names, or this machine's own, what it is."""
    address = environ.get("DOCKER_HOST") or DEFAULT_ENGINE
    reach, detail = try_connect(address)
    told: dict[str, Any] = {}
    if reach is Reachability.ANSWERED:
        try:
            told = _account(environ)
        except requests.Timeout:
            reach = Reachability.TIMED_OUT
        except (DockerException, requests.RequestException, ValueError, KeyError) as error:
            reach, detail = Reachability.UNEXPECTED, error_line(error)
    return EngineFacts(
        address=address,
        configured=bool(environ.get("DOCKER_HOST")),
        reach=reach,
        detail=detail,
        other_socket=None if reach is Reachability.ANSWERED else _rootless(environ, address),
        **told,
    )


def try_connect(address: str) -> tuple[Reachability, str]:
    """Open a connection to an engine's address, and say how that went."""
    scheme, _, rest = address.partition("://")
    try:
        if scheme == "unix":
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(KNOCK_TIMEOUT_S)
                door.connect(rest)
        elif scheme in {"tcp", "http", "https"}:
            parts = urlsplit(address)
            socket.create_connection((parts.hostname or "", parts.port or PORT), timeout=KNOCK_TIMEOUT_S).close()
        elif scheme not in {"ssh", "npipe"}:
            return Reachability.UNEXPECTED, "neither unix:// nor tcp://"
    except TimeoutError:
        return Reachability.TIMED_OUT, ""
    except (OSError, ValueError) as error:
        return _reach(error), getattr(error, "strerror", None) or str(error)
    return Reachability.ANSWERED, ""


def _reach(error: OSError | ValueError) -> Reachability:
    if isinstance(error, socket.gaierror):
        return Reachability.NOT_FOUND
    match getattr(error, "errno", None):
        case errno.ENOENT | errno.ENOTDIR:
            return Reachability.NOT_FOUND
        case errno.ECONNREFUSED | errno.ECONNRESET:
            return Reachability.REFUSED
        case errno.EACCES | errno.EPERM:
            return Reachability.FORBIDDEN
        case errno.EHOSTUNREACH | errno.ENETUNREACH | errno.ETIMEDOUT | errno.EAGAIN:
            return Reachability.TIMED_OUT
    return Reachability.UNEXPECTED


def _account(environ: Mapping[str, str]) -> dict[str, Any]:
    # A client that finds out the version by itself leaves a socket open where what answers is no engine.
    with closing(_client(environ, MINIMUM_DOCKER_API_VERSION)) as client:
        version = client.api.version(api_version=False)
        known = str(version["Version"]), str(version["ApiVersion"])
    with closing(_client(environ, "auto")) as client:
        info = client.info()
    return {
        "version": known[0],
        "api_version": known[1],
        "cgroups": str(info.get("CgroupVersion") or ""),
        "memory_bytes": int(info.get("MemTotal") or 0),
        "root": Path(info["DockerRootDir"]) if info.get("DockerRootDir") else None,
        "unheld": tuple(limit for name, limit in LIMITS.items() if info.get(name) is False),
    }


def _client(environ: Mapping[str, str], version: str, timeout_s: int = ENGINE_TIMEOUT_S) -> docker.DockerClient:
    return docker.from_env(version=version, timeout=timeout_s, environment=dict(environ))


def _rootless(environ: Mapping[str, str], address: str) -> str | None:
    """Give the socket of a user's own engine, or of the machine's, where that is not the address already."""
    places = [f"{environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/docker.sock"]
    places.append(DEFAULT_ENGINE.removeprefix("unix://"))
    others = (place for place in places if f"unix://{place}" != address)
    return next((place for place in others if Path(place).is_socket() and os.access(place, os.W_OK)), None)


def image(environ: Mapping[str, str], environment: Environment) -> ImageFacts:
    """Look for an environment's image here, then in its registry; ask the Python of one that is here."""
    try:
        with closing(_client(environ, "auto", START_TIMEOUT_S)) as client:
            try:
                found = client.images.get(environment.image)
            except ImageNotFound:
                return _registered(client, environment.image)
            said = _ask(client, str(found.id))
            python, _, arch = said.partition(" ")
            standin = found.labels.get(STANDIN_LABEL) == "true"
            return ImageFacts(availability=ImageAvailability.LOCAL, python=python, arch=arch, standin=standin)
    except _NoAnswerError as error:
        return ImageFacts(availability=ImageAvailability.LOCAL, detail=str(error))
    except (DockerException, requests.RequestException) as error:
        return ImageFacts(availability=ImageAvailability.UNAVAILABLE, detail=error_line(error))


def image_availability(environ: Mapping[str, str], name: str) -> tuple[ImageAvailability, str]:
    """Say where an image is, and why it is nowhere; nothing of it runs."""
    reach, _ = try_connect(environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    if reach is not Reachability.ANSWERED:
        return ImageAvailability.UNAVAILABLE, "no Docker engine answers"
    try:
        with closing(_client(environ, "auto")) as client:
            try:
                client.images.get(name)
            except ImageNotFound:
                found = _registered(client, name)
                return found.availability, found.detail
    except (DockerException, requests.RequestException) as error:
        return ImageAvailability.UNAVAILABLE, error_line(error)
    return ImageAvailability.LOCAL, ""


class _NoAnswerError(Exception):
    """An image whose Python gave no account of itself; the text says what it gave instead."""


def _registered(client: docker.DockerClient, name: str) -> ImageFacts:
    try:
        client.images.get_registry_data(name)
    except requests.Timeout:
        return ImageFacts(availability=ImageAvailability.UNAVAILABLE, detail="its registry does not answer in time")
    except (DockerException, requests.RequestException) as error:
        return ImageFacts(availability=ImageAvailability.UNAVAILABLE, detail=error_line(error))
    return ImageFacts(availability=ImageAvailability.PULLABLE)


def _ask(client: docker.DockerClient, image_id: str) -> str:
    container = client.containers.create(
        image_id,
        ["-I", "-S", "-c", PYTHON_VERSION_PROGRAM],
        entrypoint="python",
        user=NOBODY,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="256m",
        pids_limit=16,
        labels={LABEL: str(os.getpid())},
    )
    try:
        container.start()
        container.wait(timeout=START_TIMEOUT_S)
        said = bytes(container.logs(tail=1)).decode("ascii", "replace").strip()
    except (DockerException, requests.RequestException) as error:
        raise _NoAnswerError(error_line(error)) from error
    finally:
        with suppress(APIError, requests.RequestException):
            container.remove(force=True, v=True)
    if not said[:1].isdigit():
        raise _NoAnswerError(f"it said {said[-80:]!r}")
    return said


def error_line(error: Exception) -> str:
    """Give an error of the engine's, or of the way to it, in a line."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:200]
