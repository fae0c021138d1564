"""Fetch the snapshot that a state starts from: a file whose size and hash this node signed."""

from http import HTTPStatus
from pathlib import Path
from typing import Final

from ppp.bounded_http.limits import TransferError, TransferLimits
from ppp.bounded_http.session import BoundedSession, keeps_tls
from ppp.model.credentials import origin_of
from ppp.model.errors import InvalidFileError
from ppp.model.printable import printable_reason
from ppp.state.manifest import BaseSnapshot

#: An asset of a release has up to 2 GiB.
_LIMITS: Final = TransferLimits(total_s=3600.0)
#: The address of an asset of a release leads to another host.
_MAX_REDIRECTS: Final = 5
_HINT: Final = "look whether the release has it; or fetch it yourself, and name the file with --snapshot"


def is_address(place: str) -> bool:
    """Return whether a place is an address, and not a file."""
    return place.startswith(("http://", "https://"))


def fetch_snapshot(url: str, base: BaseSnapshot, folder: Path, *, user_agent: str) -> Path:
    """Fetch a snapshot into a folder, no more bytes than it should have; its hash is checked by whoever uses it.

    Raises `InvalidFileError` if it is not there.
    """
    place, target = printable_reason(url), folder / base.file
    if origin_of(url) is None:
        raise InvalidFileError(f"{place} is not an address", hint=_HINT)
    try:
        with target.open("wb") as file, BoundedSession(user_agent, limits=_LIMITS) as session:
            response = session.get(
                url, max_bytes=base.size, max_redirects=_MAX_REDIRECTS, allow_redirect=keeps_tls, write=file.write
            )
    except TransferError as error:
        raise InvalidFileError(f"{place} {error}", hint=_HINT) from error
    if response.status != HTTPStatus.OK:
        raise InvalidFileError(f"{place} answered {response.status}", hint=_HINT)
    return target
