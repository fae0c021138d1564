"""What a Python has in its site-packages before anything is installed: describes it, and copies it.

As a program, `preinstalled [FOLDER ...]` prints a description as JSON, of this interpreter's own site-packages or of
the folders that are given. The keeper copies the same files into each virtual environment, as the cell's user, so that
pip can upgrade and uninstall them; nothing of them is ever imported by the keeper.

Bytecode is not copied: the official images ship none, and an interpreter derives what it needs.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import json
import os
import re
import site
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution

BYTECODE = "__pycache__"
#: How many modules of a distribution are named, how many of its requirements, and how long each may be.
MAX_MODULES = 64
MAX_REQUIREMENTS = 1000
MAX_CHARS = 1000


def entries(folders: list[str]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield what lies below folders, with its path relative to its own one; what is in an earlier one comes first.

    A folder comes before what is in it. Of a path that is in two of the folders, the first counts, as it does for
    imports.
    """
    seen = set()
    for top in folders:
        waiting = [""]
        while waiting:
            below = waiting.pop()
            with os.scandir(os.path.join(top, below)) as found:
                for entry in found:
                    if entry.name == BYTECODE:
                        continue
                    path = os.path.join(below, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
                    if path not in seen:
                        seen.add(path)
                        yield entry, path


def copy_into(target: str, folders: list[str]) -> None:
    """Copy what lies below folders into another one. A link to a folder stays a link; to a file, it becomes one.

    What this user may not read is left out: it could not be imported either.
    """
    for entry, path in entries(folders):
        copy = os.path.join(target, path)
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(copy)
        elif entry.is_dir():
            os.symlink(os.path.realpath(entry.path), copy)
        elif entry.is_file():
            with contextlib.suppress(PermissionError):
                copy_file(entry.path, copy)


def copy_file(source: str, target: str) -> None:
    """Copy a file's content, and whether it can be executed."""
    reading = os.open(source, os.O_RDONLY)
    try:
        mode = os.fstat(reading).st_mode & 0o111 | 0o644
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            while data := os.read(reading, 1024 * 1024):
                while data:
                    data = data[os.write(writing, data) :]
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def describe(folders: list[str]) -> dict[str, Any]:
    """Return what site-packages folders hold, as an object for JSON.

    `files` and `bytes` are what a copy takes; `distributions` are `name`, `version`, `modules` and `requires` of each
    distribution. What has no readable metadata is copied, but is no distribution.
    """
    present = [folder for folder in folders if os.path.isdir(folder)]
    sizes = [entry.stat().st_size for entry, _ in entries(present) if entry.is_file()]
    return {"folders": present, "files": len(sizes), "bytes": sum(sizes), "distributions": distributions(present)}


def distributions(folders: list[str]) -> list[dict[str, Any]]:
    """Return the distributions in folders, by dist-info or egg-info; of two with one name, the first."""
    from importlib import metadata

    found: dict[str, dict[str, Any]] = {}
    for distribution in metadata.distributions(path=folders):
        # An image may hold anything: a folder `-ip.dist-info` without metadata is what a failed upgrade leaves.
        with contextlib.suppress(Exception):
            name, version = str(distribution.metadata["Name"]), str(distribution.version)
            described = {
                "name": name,
                "version": version,
                "modules": modules_of(distribution),
                "requires": [line[:MAX_CHARS] for line in (distribution.requires or [])[:MAX_REQUIREMENTS]],
            }
            if distribution.metadata["Name"] and distribution.metadata["Version"]:
                found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), described)
    return list(found.values())


def modules_of(distribution: Distribution) -> list[str]:
    """Return the dotted names of a distribution's modules, without those inside a package of it."""
    paths = [str(path) for path in distribution.files or []]
    names = real_modules(paths) or (distribution.read_text("top_level.txt") or "").split()
    return sorted(name for name in names if name.isascii() and len(name) <= MAX_CHARS)[:MAX_MODULES]


def real_modules(paths: list[str]) -> list[str]:
    """Return the shortest dotted names that paths, relative to site-packages, make importable; no bare namespaces."""
    suffixes = sorted(importlib.machinery.all_suffixes(), key=len, reverse=True)
    modules = set()
    for path in paths:
        suffix = next((suffix for suffix in suffixes if path.endswith(suffix)), None)
        parts = path[: -len(suffix)].split("/") if suffix else []
        if parts and parts[-1] == "__init__":
            parts.pop()
        if parts and all(part.isidentifier() for part in parts):
            modules.add(tuple(parts))
    return [".".join(m) for m in modules if not any(m[:depth] in modules for depth in range(1, len(m)))]


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1:] or site.getsitepackages())))
