"""Projects of our own, which the gateway serves in place of the index's: a folder `PROJECT/FILES`."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ppp.check.gateway.pages import PageFile, is_distribution
from ppp.model.canonical import sha256_hex


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProjects:
    """The files of each project, the files on disk by sha256, and a hash over all of them."""

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
            paths[sha256] = path
            files.append(PageFile(url=quote(path.name), hashes={"sha256": sha256}))
        projects[project.name] = tuple(files)
    return LocalProjects(projects=projects, paths=paths, name=_digest(projects))


def _digest(projects: Mapping[str, Iterable[PageFile]]) -> str:
    lines = [f"{name} {file.url} {file.hashes['sha256']}" for name, files in projects.items() for file in files]
    return sha256_hex("\n".join([*projects, *lines]).encode())
