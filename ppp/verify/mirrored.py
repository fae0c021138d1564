"""Check copies of files below `mirror/`: they are named by their sha256, so they need nothing else that confirms them.

Clients believe what stands beside a wheel as its METADATA, so that must be the wheel's own, byte for byte.
"""

from pathlib import Path
from typing import Final

from ppp.check.wheel_contents import read_headers
from ppp.model.canonical import is_sha256
from ppp.model.simple_index import MIRROR_FOLDER
from ppp.publish.snapshots.description import file_sha256
from ppp.publish.verified_index.pages import METADATA_SUFFIX, mirror_path
from ppp.verify.result import fail

#: The copies in a web root.
PATTERN: Final = f"{MIRROR_FOLDER}/??/*/*"


def is_copy(path: Path) -> bool:
    """Return whether a path is that of a copy: `mirror/<two digits>/<sha256>/<name>`."""
    digest = path.parent.name
    return is_sha256(digest) and path.as_posix().endswith(mirror_path(digest, path.name))


def check_copy(path: Path) -> str:
    """Return what a copy is if it is valid; raise `InvalidFileError` if not."""
    if path.name.endswith(METADATA_SUFFIX):
        return _check_metadata(path)
    if (digest := file_sha256(path)) != path.parent.name:
        fail(f"it hashes to {digest}, its folder says {path.parent.name}")
    return "a copy that hashes to the name of its folder"


def _check_metadata(path: Path) -> str:
    wheel = path.with_name(path.name.removesuffix(METADATA_SUFFIX))
    headers = read_headers(wheel)
    if headers is None or headers.metadata is None:
        fail(f"{wheel.name}, beside which it stands, has no METADATA that can be read")
    if headers.metadata != path.read_bytes():
        fail(f"it is not the METADATA of {wheel.name}")
    return "the METADATA of the wheel beside it"
