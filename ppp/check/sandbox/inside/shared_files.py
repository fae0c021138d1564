"""Finds the files that several installed distributions own, by their files RECORD, which anybody may have written.

pip installs a file over another distribution's without a word: whoever comes last has overwritten it, and whoever is
uninstalled first removes it. What is read and returned is limited; what the lists claim is compared outside.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from .inspection import MAX_DISTRIBUTIONS, MAX_FILE_BYTES, MAX_NAME_CHARS, MAX_RECORD_CHARS, open_regular, read_text

#: Of how many files in all files RECORD the owners are looked up.
MAX_PATHS = 400_000
#: How many shared files are looked at, and returned, those with different hashes first.
MAX_SHARED = 10_000
MAX_RETURNED = 500
#: How many owners of a file are returned, and how long a path, a hash or a size may be, in characters.
MAX_OWNERS = 8
MAX_PATH_CHARS = 1024
MAX_VALUE_CHARS = 200
#: Of how many files with different hashes the content is read.
MAX_READ = 16
#: How many bytes of them together: some shared libraries are large.
MAX_READ_BYTES = 512 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024


def shared_files(site: str) -> list[list[Any]]:
    """Return [path, owners, sha256 of what is there or None] of each file that several distributions in `site` name.

    An owner is [name of its dist-info, hash, size], as its RECORD says. Paths are relative to `site`.
    """
    shared = shared_paths(site)
    owners: dict[str, dict[str, list[str]]] = {}
    for folder, path, digest, size in recorded_files(site) if shared else ():
        if path in shared:
            owners.setdefault(path, {})[folder] = [digest[:MAX_VALUE_CHARS], size[:MAX_VALUE_CHARS]]
    rows = [(path, by_folder, are_equal(by_folder)) for path, by_folder in owners.items()]
    rows.sort(key=lambda row: (row[2], row[0]))
    left = MAX_READ_BYTES
    found: list[list[Any]] = []
    for number, (path, by_folder, equal) in enumerate(rows[:MAX_RETURNED]):
        sha256, length = (None, 0) if equal or number >= MAX_READ else content_hash(os.path.join(site, path), left)
        left -= length
        found.append([path, owner_rows(by_folder), sha256])
    return found


def shared_paths(site: str) -> set[str]:
    """Return the paths that more than one distribution names."""
    first: dict[str, str] = {}
    shared: set[str] = set()
    for folder, path, _, _ in recorded_files(site):
        if len(shared) == MAX_SHARED:
            break
        if (path in first or len(first) < MAX_PATHS) and first.setdefault(path, folder) != folder:
            shared.add(path)
    return shared


def recorded_files(site: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield dist-info, path, hash and size of each file that is named; bytecode and too long paths are left out."""
    csv.field_size_limit(MAX_FILE_BYTES)
    unread = MAX_RECORD_CHARS
    for folder in sorted(name for name in os.listdir(site) if name.endswith(".dist-info"))[:MAX_DISTRIBUTIONS]:
        text = read_text(os.path.join(site, folder, "RECORD"))[:unread]
        unread -= len(text)
        try:
            for row in csv.reader(text.splitlines()):
                path, digest, size = (*row, "", "", "")[:3]
                if path and len(path) <= MAX_PATH_CHARS and not path.endswith((".pyc", "/")):
                    yield folder[:MAX_NAME_CHARS], os.path.normpath(path), digest, size
        except csv.Error:
            # What follows in this list cannot be read.
            continue


def are_equal(by_folder: dict[str, list[str]]) -> bool:
    """Return whether all owners of a file claim the same hash and size, as they are written."""
    return len(set(map(tuple, by_folder.values()))) == 1


def owner_rows(by_folder: dict[str, list[str]]) -> list[list[str]]:
    """Return the owners of a file as they are returned."""
    return [[folder, *claimed] for folder, claimed in sorted(by_folder.items())[:MAX_OWNERS]]


def content_hash(path: str, most: int) -> tuple[str | None, int]:
    """Return the sha256 (hex) of a regular file and its size; None where there is none, or it has more bytes."""
    descriptor = open_regular(path)
    if descriptor is None:
        return None, 0
    with open(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > most:
            return None, 0
        found, size = hashlib.sha256(), 0
        while size <= most and (data := file.read(CHUNK_BYTES)):
            found.update(data)
            size += len(data)
    return (found.hexdigest() if size <= most else None), size
