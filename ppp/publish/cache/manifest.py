"""`files.json` and the lists that it names: every published file with its size and sha256, in pieces that stay small.

`files.json` lists the lists under `files/`; each of these lists files. Whoever trusts the one trusts them all. Which
list a file stands in follows from its owner's name and from how many owners there are, so one more changes one list.
"""

import json
from collections.abc import Iterable
from typing import Final

from ppp.publish.cache.build_cache import BuildCache, OwnerKind, line_of
from ppp.publish.folder import LISTS_FOLDER, MANIFEST, FileEntry, OutputFolder, is_build_path, is_list_path

SCHEMA: Final = "ppp-files-1"
#: How many owners a list is meant for: past that, each is cut into sixteen.
OWNERS_PER_LIST: Final = 64


def list_bytes(lines: Iterable[str]) -> bytes:
    """Give a list's one serialisation, of a line for each file; they come by path."""
    # One file a line, so that a difference between two builds reads well.
    rows = ",\n".join(lines)
    return f'{{"schema": "{SCHEMA}", "files": [\n{rows}\n]}}\n'.encode()


def previously_published(folder: OutputFolder) -> tuple[set[str], set[str]]:
    """Give the paths that the last build of a folder listed, and its lists; none where that cannot be read."""
    named = _paths(folder, MANIFEST)
    held = {path for path in named if is_list_path(path)}
    listed = {path for each in sorted(held) for path in _paths(folder, each)} | set(named)
    return {path for path in listed if is_build_path(path)}, held


def _paths(folder: OutputFolder, path: str) -> list[str]:
    # A list that cannot be read owns nothing: rather a file too many than one too few.
    try:
        rows = json.loads(folder.read(path) or b"")["files"]
        return [path for path, _, _ in rows if isinstance(path, str)]
    except (ValueError, LookupError, TypeError):
        return []


def files_in_list(memory: BuildCache, path: str) -> list[FileEntry]:
    """Give the files that a list of ours was last written with, by path."""
    name, _, prefix = path.removeprefix(f"{LISTS_FOLDER}/").removesuffix(".json").partition("-")
    return memory.files_in(OwnerKind(name), prefix)


class FileLists:
    """The lists of one build: `touch` what changed, then `write`."""

    def __init__(self, memory: BuildCache) -> None:
        """Take the memory that knows whose the files are."""
        self._memory = memory
        self._changed: dict[OwnerKind, set[str]] = {kind: set() for kind in OwnerKind}

    def mark_changed(self, kind: OwnerKind, place: str) -> None:
        """Note that the list in which an owner at this place stands is to be written, changed or not."""
        self._changed[kind].add(place)

    def write(self, folder: OutputFolder) -> tuple[bytes, list[str], list[str]]:
        """Write the lists that were touched; give `files.json`, the lists that changed, and those that are no more."""
        known = {entry.path for entry in self._memory.lists()}
        changed: list[str] = []
        gone: list[str] = []
        for path, prefix, kind in self._due(known):
            lines = self._memory.lines_in(kind, prefix) if prefix is not None else []
            if not lines:
                self._memory.set_list(path, None)
                gone.append(path)
                continue
            entry, is_written = folder.write(path, list_bytes(lines))
            self._memory.set_list(path, entry)
            if is_written:
                changed.append(path)
        return list_bytes(map(line_of, self._memory.lists())), changed, gone

    def _due(self, known: set[str]) -> Iterable[tuple[str, str | None, OwnerKind]]:
        for kind in OwnerKind:
            depth = _depth(self._memory.file_totals(kind)[0])
            if self._memory.fact(f"depth of {kind}") == depth:
                prefixes = {place[:depth] for place in self._changed[kind]}
                stale: set[str] = set()
            else:
                prefixes = {place[:depth] for place in self._memory.owner_hashes(kind)}
                stale = {
                    path for path in known if path.startswith((f"{LISTS_FOLDER}/{kind}-", f"{LISTS_FOLDER}/{kind}."))
                }
                self._memory.set_fact(f"depth of {kind}", depth)
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
