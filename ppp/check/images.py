"""References to container images: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, and the one place where images are pulled.

The grammar is that of the distribution project's `reference` package, by which Docker engines read these names. Where
there is a digest, it alone selects the image: the tag beside it is for people to read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import docker
import requests
from docker.errors import DockerException, ImageNotFound

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


def find_or_pull(client: docker.DockerClient, text: str, *, on_pull: Callable[[], None] = lambda: None) -> Any:  # noqa: ANN401 - docker's Image, untyped attributes
    """Return an engine's image by its reference; pull it if it is not here, after calling `on_pull`.

    Raises `ImageUnavailableError` if the reference is not valid, the engine does not answer, or the pull fails.
    """
    try:
        reference = ImageReference.parse(text)
    except ValueError as error:
        raise ImageUnavailableError(str(error)) from error
    try:
        found = find_image(client, reference)
    except (DockerException, requests.RequestException) as error:
        raise ImageUnavailableError(f"the Docker engine does not answer: {error_text(error)}") from error
    if found is not None:
        return found
    on_pull()
    try:
        return client.images.pull(reference.repository, tag=reference.version)
    except (DockerException, requests.RequestException) as error:
        raise ImageUnavailableError(f"{reference} is not here and cannot be pulled: {error_text(error)}") from error


def error_text(error: Exception) -> str:
    """Return what an engine says of an error, or the error's own text, as one line of at most 300 characters."""
    return " ".join(str(getattr(error, "explanation", None) or error).split())[:300]
