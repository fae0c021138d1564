"""Probe the Docker engine and its images. Nothing is pulled, and every container that a probe starts is removed.

The engine's socket is tried first: for a dead engine, docker-py neither reports the reason nor closes its sockets.
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
from docker.errors import APIError, DockerException

from ppp.check.images import ImageReference, find_image
from ppp.check.sandbox.docker import DEFAULT_ENGINE, STANDIN_LABEL
from ppp.doctor.machine import EngineFacts, ImageAvailability, ImageFacts, Reachability
from ppp.model.matrix import Environment

#: Marks the containers of a probe with its process id, in case one is left behind.
LABEL: Final = "ppp.doctor"
CONNECT_TIMEOUT_S: Final = 3
ENGINE_TIMEOUT_S: Final = 8
#: A container usually starts within a second, but not on a machine that is busy with cells.
START_TIMEOUT_S: Final = 20
DEFAULT_PORT: Final = 2375
NOBODY: Final = "65534:65534"
PYTHON_VERSION_PROGRAM: Final = "import platform; print(platform.python_version(), platform.machine())"
#: Fields of the engine's own information, and the limit of a cell that depends on each.
LIMITS: Final = {"MemoryLimit": "memory", "PidsLimit": "processes"}


def engine(environ: Mapping[str, str]) -> EngineFacts:
    """Ask the engine that DOCKER_HOST names, or this machine's own, for its version and limits."""
    address = environ.get("DOCKER_HOST") or DEFAULT_ENGINE
    reach, detail = try_connect(address)
    details: dict[str, Any] = {}
    if reach is Reachability.ANSWERED:
        try:
            details = _engine_details(environ)
        # A subclass of `RequestException`, so it must come first.
        except requests.Timeout:
            reach = Reachability.TIMED_OUT
        except (DockerException, requests.RequestException, ValueError, KeyError) as error:
            reach, detail = Reachability.UNEXPECTED, error_line(error)
    return EngineFacts(
        address=address,
        configured=bool(environ.get("DOCKER_HOST")),
        reach=reach,
        detail=detail,
        other_socket=None if reach is Reachability.ANSWERED else _other_socket(environ, address),
        **details,
    )


def try_connect(address: str) -> tuple[Reachability, str]:
    """Open a connection to an engine's address; return the result, and the system's reason if it failed."""
    scheme, _, rest = address.partition("://")
    try:
        if scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(CONNECT_TIMEOUT_S)
                connection.connect(rest)
        elif scheme in {"tcp", "http", "https"}:
            parts = urlsplit(address)
            socket.create_connection(
                (parts.hostname or "", parts.port or DEFAULT_PORT), timeout=CONNECT_TIMEOUT_S
            ).close()
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


def _engine_details(environ: Mapping[str, str]) -> dict[str, Any]:
    # First with a fixed version: with "auto", docker-py leaves a socket open if the server is not a Docker engine.
    with closing(_client(environ, MINIMUM_DOCKER_API_VERSION)) as client:
        version = client.api.version(api_version=False)
    with closing(_client(environ, "auto")) as client:
        info = client.info()
    return {
        "version": str(version["Version"]),
        "api_version": str(version["ApiVersion"]),
        "cgroups": str(info.get("CgroupVersion") or ""),
        "memory_bytes": int(info.get("MemTotal") or 0),
        "data_root": Path(info["DockerRootDir"]) if info.get("DockerRootDir") else None,
        "unenforced_limits": tuple(limit for name, limit in LIMITS.items() if info.get(name) is False),
    }


def _client(environ: Mapping[str, str], version: str, timeout_s: int = ENGINE_TIMEOUT_S) -> docker.DockerClient:
    return docker.from_env(version=version, timeout=timeout_s, environment=dict(environ))


def _other_socket(environ: Mapping[str, str], address: str) -> str | None:
    """Return the socket of the user's own engine, or of the machine's, whichever exists and is not `address`."""
    paths = [f"{environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/docker.sock"]
    paths.append(DEFAULT_ENGINE.removeprefix("unix://"))
    # A rootless engine has a socket of its own, which users often forget to name.
    others = (path for path in paths if f"unix://{path}" != address)
    return next((path for path in others if Path(path).is_socket() and os.access(path, os.W_OK)), None)


def image(environ: Mapping[str, str], environment: Environment) -> ImageFacts:
    """Look for an environment's image here, then in its registry; ask a local image's Python for its version."""
    try:
        reference = ImageReference.parse(environment.image)
    except ValueError as error:
        return ImageFacts(availability=ImageAvailability.UNAVAILABLE, detail=str(error))
    try:
        with closing(_client(environ, "auto", START_TIMEOUT_S)) as client:
            found = find_image(client, reference)
            if found is None:
                return _registry_facts(client, reference)
            python, _, arch = _run_python(client, str(found.id)).partition(" ")
            standin = found.labels.get(STANDIN_LABEL) == "true"
            return ImageFacts(availability=ImageAvailability.LOCAL, python=python, arch=arch, standin=standin)
    except _NoPythonError as error:
        return ImageFacts(availability=ImageAvailability.LOCAL, detail=str(error))
    except (DockerException, requests.RequestException) as error:
        return ImageFacts(availability=ImageAvailability.UNAVAILABLE, detail=error_line(error))


def image_availability(environ: Mapping[str, str], name: str) -> tuple[ImageAvailability, str]:
    """Return where an image can be had, and the reason if it cannot; the image is not run."""
    reach, _ = try_connect(environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    if reach is not Reachability.ANSWERED:
        return ImageAvailability.UNAVAILABLE, "no Docker engine answers"
    try:
        reference = ImageReference.parse(name)
    except ValueError as error:
        return ImageAvailability.UNAVAILABLE, str(error)
    try:
        with closing(_client(environ, "auto")) as client:
            if find_image(client, reference) is None:
                found = _registry_facts(client, reference)
                return found.availability, found.detail
    except (DockerException, requests.RequestException) as error:
        return ImageAvailability.UNAVAILABLE, error_line(error)
    return ImageAvailability.LOCAL, ""


class _NoPythonError(Exception):
    """An image whose Python did not report its version; the message says what happened instead."""


def _registry_facts(client: docker.DockerClient, reference: ImageReference) -> ImageFacts:
    try:
        # Asks for the manifest only; a pull would change the machine.
        client.images.get_registry_data(reference.name)
    except requests.Timeout:
        return ImageFacts(availability=ImageAvailability.UNAVAILABLE, detail="its registry does not answer in time")
    except (DockerException, requests.RequestException) as error:
        return ImageFacts(availability=ImageAvailability.UNAVAILABLE, detail=error_line(error))
    return ImageFacts(availability=ImageAvailability.PULLABLE)


def _run_python(client: docker.DockerClient, image_id: str) -> str:
    """Return the version and architecture that the image's Python prints."""
    # An image may be anything at all: its interpreter gets what a cell gets, and no network.
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
        output = bytes(container.logs(tail=1)).decode("ascii", "replace").strip()
    except (DockerException, requests.RequestException) as error:
        raise _NoPythonError(error_line(error)) from error
    finally:
        with suppress(APIError, requests.RequestException):
            container.remove(force=True, v=True)
    if not output[:1].isdigit():
        raise _NoPythonError(f"it printed {output[-80:]!r}")
    return output


def error_line(error: Exception) -> str:
    """Return an error of the engine, or of the connection to it, as one line of at most 200 characters."""
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:200]
