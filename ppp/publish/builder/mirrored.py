"""The files that a site has copies of, as they are in its folder: by sha256, below `mirror/`."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import parse_email
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from ppp.model.canonical import is_sha256, sha256_hex
from ppp.model.simple_index import MIRROR_FOLDER
from ppp.publish.verified_index.pages import METADATA_SUFFIX, mirror_path


def mirrored_files(out: Path) -> frozenset[tuple[str, str]]:
    """Return the copies in a public folder as pairs of sha256 and name; a copy in progress has another kind of name.

    METADATA beside a wheel is a pair of its own.
    """
    return frozenset(_copies(out / MIRROR_FOLDER))


def with_metadata(found: frozenset[tuple[str, str]], copies: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return, of what a folder has, these copies and the METADATA beside them."""
    return frozenset((sha256, name) for sha256, name in found if (sha256, name.removesuffix(METADATA_SUFFIX)) in copies)


def _copies(root: Path) -> Iterator[tuple[str, str]]:
    for folder, _, names in os.walk(root):
        digest = os.path.basename(folder)  # noqa: PTH119 - there may be many
        if is_sha256(digest):
            yield from ((digest, name) for name in names if name[0] != ".")


def projects_of(filenames: Iterable[str]) -> set[str]:
    """Return the normalized names of the projects of files, by the files' names."""
    return {project for name in filenames if (project := _project_of(name)) is not None}


def _project_of(filename: str) -> str | None:
    filename = filename.removesuffix(METADATA_SUFFIX)
    try:
        if filename.endswith(".whl"):
            return str(parse_wheel_filename(filename)[0])
        return str(parse_sdist_filename(filename)[0])
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedMetadata:
    """The METADATA of files that the site has copies of; `out` is the public folder, None: it has none."""

    out: Path | None = None

    def requirements(self, sha256: str, filename: str, metadata_sha256: str | None) -> tuple[str, ...] | None:
        """Return the Requires-Dist of a file, None where there is no copy with the sha256 that the index gave."""
        if self.out is None or metadata_sha256 is None:
            return None
        try:
            content = (self.out / (mirror_path(sha256, filename) + METADATA_SUFFIX)).read_bytes()
        except OSError:
            return None
        if sha256_hex(content) != metadata_sha256:
            return None
        metadata, _ = parse_email(content)
        return tuple(metadata.get("requires_dist", ()))
