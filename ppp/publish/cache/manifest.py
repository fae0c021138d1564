"""`files.json` and the lists that it names: every published file with its size and sha256, in pieces that stay small.

`files.json` lists the lists under `files/`, and each of these lists files: whoever trusts the first can check them
all. The list that a file is in follows from its owner's name and the number of owners, so one more owner changes one
list.
"""

import json
from collections.abc import Iterable
from typing import Final

from ppp.publish.cache.build_cache import BuildCache, OwnerKind, line_of
from ppp.publish.folder import LISTS_FOLDER, MANIFEST, FileEntry, OutputFolder, is_build_path, is_list_path

SCHEMA: Final = "ppp-files-1"
#: How many owners a list is meant for: where there are more on average, each list is split into sixteen.
OWNERS_PER_LIST: Final = 64
#: The bytes of a file's line, on the high side.
LINE_BYTES: Final = 160


def list_bytes(lines: Iterable[str]) -> bytes:
    """Return a list's only serialization, from a line for each file, sorted by path."""
    # One file a line, so that two builds can be compared with a line diff.
    rows = ",\n".join(lines)
    return f'{{"schema": "{SCHEMA}", "files": [\n{rows}\n]}}\n'.encode()


def lists_at_most(owners: int) -> int:
    """Return how many lists the files of so many owners of one kind are in, at most."""
    lists: int = 16 ** _depth(owners)
    return min(owners, lists)


def previously_published(folder: OutputFolder) -> tuple[set[str], set[str]]:
    """Return the paths that the last build of a folder listed, and those of its lists; what is unreadable is left out.

    Only paths that a build may write are returned, whatever the lists say.
    """
    named = _paths(folder, MANIFEST)
    lists = {path for path in named if is_list_path(path)}
    listed = {path for name in sorted(lists) for path in _paths(folder, name)} | set(named)
    return {path for path in listed if is_build_path(path)}, lists


def _paths(folder: OutputFolder, path: str) -> list[str]:
    # A list that cannot be read names no file: better to leave a file behind than to remove a wrong one.
    try:
        rows = json.loads(folder.read(path) or b"")["files"]
        return [path for path, _, _ in rows if isinstance(path, str)]
    except (ValueError, LookupError, TypeError):
        return []


def files_in_list(cache: BuildCache, path: str) -> list[FileEntry]:
    """Return the files that a list of the last build named, by path."""
    name, _, prefix = path.removeprefix(f"{LISTS_FOLDER}/").removesuffix(".json").partition("-")
    return cache.files_in(OwnerKind(name), prefix)


class FileLists:
    """The lists of one build: `mark_changed` while files are written, then `write`."""

    def __init__(self, cache: BuildCache) -> None:
        """Use the cache that knows every owner's files."""
        self._cache = cache
        self._changed: dict[OwnerKind, set[str]] = {kind: set() for kind in OwnerKind}

    def mark_changed(self, kind: OwnerKind, owner_hash: str) -> None:
        """Record that an owner's files may have changed, and with them the list that they are in."""
        self._changed[kind].add(owner_hash)

    def write(self, folder: OutputFolder) -> tuple[bytes, list[str], list[str]]:
        """Write the lists that may have changed.

        Return the bytes of `files.json`, the paths of the lists that changed, and those of lists that have become
        empty.
        """
        known = {entry.path for entry in self._cache.lists()}
        changed: list[str] = []
        empty: list[str] = []
        for path, prefix, kind in self._due(known):
            lines = self._cache.lines_in(kind, prefix) if prefix is not None else []
            if not lines:
                self._cache.set_list(path, None)
                empty.append(path)
                continue
            entry, is_written = folder.write(path, list_bytes(lines))
            self._cache.set_list(path, entry)
            if is_written:
                changed.append(path)
        return list_bytes(map(line_of, self._cache.lists())), changed, empty

    def _due(self, known: set[str]) -> Iterable[tuple[str, str | None, OwnerKind]]:
        # Lists to write, by path, prefix of their owners' hashes, kind; the prefix is None where a list goes.
        for kind in OwnerKind:
            # Owners are counted, so the depth changes rarely; when it does, all lists of the kind are written again.
            depth = _depth(self._cache.file_totals(kind)[0])
            if self._cache.fact(f"depth of {kind}") == depth:
                prefixes = {owner_hash[:depth] for owner_hash in self._changed[kind]}
                stale: set[str] = set()
            else:
                prefixes = {owner_hash[:depth] for owner_hash in self._cache.owner_hashes(kind)}
                names = (f"{LISTS_FOLDER}/{kind}-", f"{LISTS_FOLDER}/{kind}.")
                stale = {path for path in known if path.startswith(names)}
                self._cache.set_fact(f"depth of {kind}", depth)
            paths = {_path(kind, prefix): prefix for prefix in sorted(prefixes)}
            yield from ((path, prefix, kind) for path, prefix in paths.items())
            yield from ((path, None, kind) for path in sorted(stale - paths.keys()))


def _depth(owners: int) -> int:
    depth = 0
    while owners > OWNERS_PER_LIST * 16**depth:
        depth += 1
    return depth


def _path(kind: OwnerKind, prefix: str) -> str:
    return f"{LISTS_FOLDER}/{kind}-{prefix}.json" if prefix else f"{LISTS_FOLDER}/{kind}.json"
