"""References to container images: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, and the one place where images are pulled.

The grammar is that of the distribution project's `reference` package, by which Docker engines read these names. Where
there is a digest, it alone selects the image: the tag beside it is for people to read.

A tag can be moved to another image. So the digest under which an image was found is remembered (`ImagePins`): if the
image is missing later, that digest is pulled, whatever the tag names then.
"""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import docker
import requests
from docker.errors import DockerException, ImageNotFound

#: The name of the file in a data folder that remembers the digests of images.
PINS_FILE: Final = "images.json"
#: The longest repository, host included, that an engine accepts, in characters.
MAX_REPOSITORY: Final = 255
DEFAULT_TAG: Final = "latest"
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_PATH: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile("[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}")


class ImageUnavailableError(Exception):
    """An image that is not here and cannot be pulled, or whose reference is not valid; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """A reference, in parts. `repository` includes the registry's host where one is named: `host:5000/group/name`."""

    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the reference that a text is; raise `ValueError` if it is none."""
        rest, at, digest = text.partition("@")
        # A colon before the last slash belongs to the host's port.
        path, colon, tag = rest, "", ""
        if ":" in rest.rpartition("/")[2]:
            path, colon, tag = rest.rpartition(":")
        valid = (
            _is_repository(path)
            and (not colon or _TAG.fullmatch(tag) is not None)
            and (not at or _DIGEST.fullmatch(digest) is not None)
        )
        if not valid:
            raise ValueError(f"{text!r} is not a valid image reference")
        return cls(repository=path, tag=tag or None, digest=digest or None)

    @property
    def version(self) -> str:
        """What selects one image of the repository: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def name(self) -> str:
        """The reference with exactly one of digest and tag, as an engine looks it up."""
        return f"{self.repository}{'@' if self.digest else ':'}{self.version}"

    def __str__(self) -> str:
        """Return the reference as it was written."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"


def _is_repository(text: str) -> bool:
    if len(text) > MAX_REPOSITORY:
        return False
    first, slash, rest = text.partition("/")
    # Engines take the first component for a host only if it cannot be part of a path.
    if slash and (first == "localhost" or first != first.lower() or {".", ":"} & set(first)):
        return _HOST.fullmatch(first) is not None and _PATH.fullmatch(rest) is not None
    return _PATH.fullmatch(text) is not None


def find_image(client: docker.DockerClient, reference: ImageReference) -> Any:  # noqa: ANN401 - docker's Image, untyped attributes
    """Return an image that an engine has, or None; raise as docker-py does if the engine does not answer."""
    try:
        return client.images.get(reference.name)
    except ImageNotFound:
        return None


def has_image(client: docker.DockerClient, digest: str) -> bool:
    """Return whether an engine has the image with this digest; raise `ImageUnavailableError` if it does not answer."""
    try:
        return find_image(client, ImageReference.parse(digest)) is not None
    except (DockerException, requests.RequestException) as error:
        raise ImageUnavailableError(f"the Docker engine does not answer: {error_text(error)}") from error


class ImagePins:
    """The digest of each image that was found by a tag, in a JSON file: `{REFERENCE: DIGEST}`."""

    def __init__(self, file: Path) -> None:
        """Use a file, which need not exist; its folder must by the time that something is remembered."""
        self._file = file
        self._lock = threading.Lock()

    def pinned(self, reference: ImageReference) -> ImageReference:
        """Return the reference by digest if one is remembered for it, else the reference itself."""
        digest = None if reference.digest else self._read().get(str(reference))
        return replace(reference, digest=digest) if digest else reference

    def remember(self, reference: ImageReference, image: Any) -> None:  # noqa: ANN401 - docker's Image, untyped attributes
        """Remember the digest of an image that an engine has, if it came from a registry."""
        digest = registry_digest(reference, image)
        if reference.digest or digest is None:
            return
        with self._lock:
            pins = self._read()
            if pins.get(str(reference)) == digest:
                return
            partial = self._file.with_name(f".{self._file.name}.part")
            text = json.dumps({**pins, str(reference): digest}, indent=1, sort_keys=True)
            try:
                partial.write_text(f"{text}\n", "utf-8")
                partial.replace(self._file)
            except OSError as error:
                raise ImageUnavailableError(f"the digest of {reference} cannot be remembered: {error}") from error

    def _read(self) -> dict[str, str]:
        try:
            pins = json.loads(self._file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ImageUnavailableError(f"{self._file} cannot be read: {error}; remove it") from error
        if not isinstance(pins, dict) or not all(isinstance(d, str) and _DIGEST.fullmatch(d) for d in pins.values()):
            raise ImageUnavailableError(f"{self._file} holds other things than digests; remove it")
        return pins


def registry_digest(reference: ImageReference, image: Any) -> str | None:  # noqa: ANN401 - docker's Image, untyped attributes
    """Return the digest by which a registry knows an image of this repository; None for one that was built here."""
    for name in image.attrs.get("RepoDigests") or ():
        repository, _, digest = name.rpartition("@")
        # Some engines write the registry's host in full.
        if f"/{repository}".endswith(f"/{reference.repository}") and _DIGEST.fullmatch(digest):
            return str(digest)
    return None


def find_or_pull(
    client: docker.DockerClient,
    text: str,
    *,
    pins: ImagePins | None = None,
    on_pull: Callable[[], None] = lambda: None,
) -> Any:  # noqa: ANN401 - docker's Image, untyped attributes
    """Return an engine's image by its reference; pull it if it is not here, after calling `on_pull`.

    With `pins` it is pulled by the digest that it had before, and its digest is remembered. Raises
    `ImageUnavailableError` if the reference is not valid, the engine does not answer, or the pull fails.
    """
    try:
        reference = ImageReference.parse(text)
    except ValueError as error:
        raise ImageUnavailableError(str(error)) from error
    try:
        image = find_image(client, reference)
    except (DockerException, requests.RequestException) as error:
        raise ImageUnavailableError(f"the Docker engine does not answer: {error_text(error)}") from error
    if image is None:
        on_pull()
        image = _pull(client, reference, pins.pinned(reference) if pins else reference)
    if pins:
        pins.remember(reference, image)
    return image


def _pull(client: docker.DockerClient, reference: ImageReference, pinned: ImageReference) -> Any:  # noqa: ANN401 - docker's Image, untyped attributes
    """Pull an image by the second reference, and give it the name of the first."""
    try:
        image = client.images.pull(pinned.repository, tag=pinned.version)
        if pinned != reference:
            image.tag(reference.repository, reference.version)
    except (DockerException, requests.RequestException) as error:
        raise ImageUnavailableError(f"{pinned} is not here and cannot be pulled: {error_text(error)}") from error
    return image


def error_text(error: Exception) -> str:
    """Return what an engine says of an error, or the error's own text, as one line of at most 300 characters."""
    return " ".join(str(getattr(error, "explanation", None) or error).split())[:300]
