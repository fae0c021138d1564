"""Projects of our own, which the gateway serves before it asks the real index: a folder `PROJECT/FILES`.

A file is served at an address that names its content, so that what a cache keeps of it is right for ever.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ppp.check.gateway.pages import PageFile, is_distribution
from ppp.model.record import sha256_hex

#: Where the gateway serves these files: no origin's name is this long.
LOCAL_PATH: Final = "/-/overlay"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProjects:
    """The files of each project, where each lies by the path that it is served at, and a name for them all."""

    projects: Mapping[str, tuple[PageFile, ...]] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    name: str = ""


def read_local_projects(folder: Path | None) -> LocalProjects:
    """Read an overlay's folder, whose own folders have normalized names of projects; None is an empty overlay."""
    if folder is None:
        return LocalProjects()
    projects: dict[str, tuple[PageFile, ...]] = {}
    paths: dict[str, Path] = {}
    for project in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = []
        for path in sorted(path for path in project.iterdir() if path.is_file() and is_distribution(path.name)):
            with path.open("rb") as opened:
                sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            served = f"{LOCAL_PATH}/{sha256}/{path.name}"
            paths[served] = path
            files.append(PageFile(url=quote(served), hashes={"sha256": sha256}))
        projects[project.name] = tuple(files)
    return LocalProjects(projects=projects, paths=paths, name=sha256_hex("\n".join([*projects, *paths]).encode()))
