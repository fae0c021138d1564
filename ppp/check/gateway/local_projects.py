"""Projects of our own, which the gateway serves in place of the index's: a folder `PROJECT/FILES`.

A file's URL contains its hash, so that a cached copy stays valid for ever.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ppp.check.gateway.pages import PageFile, is_distribution
from ppp.model.record import sha256_hex

#: The path below which the gateway serves these files. Names of origins are 16 hexadecimal digits, so none is `local`.
LOCAL_PATH: Final = "/-/local"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProjects:
    """The files of each project, the files on disk by the path that each is served at, and a hash over all of them."""

    projects: Mapping[str, tuple[PageFile, ...]] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    name: str = ""


def read_local_projects(folder: Path | None) -> LocalProjects:
    """Read a folder with a folder for each project, by normalized name; for None, return no projects."""
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
