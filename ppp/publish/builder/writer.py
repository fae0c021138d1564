"""The write phase of a build: collect the files of an output folder as they are written, then `commit` them.

Files that are no longer published are removed before any list changes, so a build that is killed in between leaves no
file that nothing lists.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ppp.model.canonical import sha256_hex
from ppp.publish.builder.workers import BuildWorkers
from ppp.publish.cache import manifest
from ppp.publish.cache.build_cache import BuildCache, OwnedFiles, Owner, OwnerKind, owned_files, paths_in
from ppp.publish.folder import CURRENT, DIGEST, MANIFEST, FileEntry, OutputFolder, digest_line
from ppp.publish.page_budget import Room
from ppp.publish.site.deferred import Content, DeferredContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a commit changed, as sorted paths within the folder; how many files the folder now has, and their bytes."""

    current_sha256: str
    files_sha256: str
    written: tuple[str, ...]
    removed: tuple[str, ...]
    files: int
    bytes: int


class OutputWriter:
    """Add files, then `commit`; all of it raises what `OutputFolder.write` raises.

    Files that are not added stay as the cache describes them; from scratch, only what is added stays.
    """

    def __init__(self, folder: OutputFolder, cache: BuildCache, *, from_scratch: bool) -> None:
        """Write into a folder that the cache describes; from scratch, the cache is cleared first."""
        self._folder = folder
        self._cache = cache
        self._from_scratch = from_scratch
        self._removed: set[str] = set()
        self._stale_lists: set[str] = set()
        if from_scratch:
            cache.clear()
            self._removed, self._stale_lists = manifest.previously_published(folder)
        self._lists = manifest.FileLists(cache)
        self._put: set[str] = set()
        self._written: list[str] = []

    def add(self, owned: Sequence[OwnedFiles], written: Iterable[str]) -> None:
        """Add all files of some owners, which workers have written already; `written` are those that changed."""
        if self._removed:
            self._removed.difference_update(*(paths_in(files.lines) for files in owned))
        self._removed |= self._cache.replace_files(owned)
        self._written.extend(written)
        for files in owned:
            # From scratch, who has no files is in no list yet: on a partial site, these are most packages.
            if files.files or not self._from_scratch:
                self._lists.mark_changed(files.kind, files.owner_hash)

    def put(self, path: str, content: bytes | None, owner: Owner | None = None) -> None:
        """Write one file of the site (`index.html`), or of another owner; None: the site no longer has it."""
        self._check_once(path)
        files: list[FileEntry] = []
        written = False
        if content is not None:
            entry, written = self._folder.write(path, content)
            files.append(entry)
        owner = owner or Owner(OwnerKind.SITE, path)
        if written or self._cache.files_of(owner) != files:
            self.add([owned_files(owner, files)], [path] if written else [])

    def put_all(self, contents: Iterable[tuple[str, Content]], workers: BuildWorkers) -> None:
        """Write files of the site; workers render and write the deferred ones."""
        for result in workers.write_pages(self._put_immediate(contents)):
            self.add(result.owned, result.written)

    def _put_immediate(self, contents: Iterable[tuple[str, Content]]) -> Iterator[tuple[str, DeferredContent]]:
        for path, content in contents:
            if isinstance(content, partial):
                self._check_once(path)
                yield path, content
            else:
                self.put(path, content)

    def _check_once(self, path: str) -> None:
        if path in self._put:
            raise ValueError(f"{path!r} is written twice")
        self._put.add(path)

    def taken(self, current: bytes) -> Room:
        """Return the room that all files take once `current` is committed, estimated on the high side.

        The lists of files are among them, and so are the three files that are written last.
        """
        room = Room(0, 0)
        for kind in OwnerKind:
            room = room.plus(self.taken_by(kind))
        line = digest_line(sha256_hex(current))
        return room.plus(Room.of(len(current) + len(line) + manifest.LINE_BYTES * len(OwnerKind), 3))

    def taken_by(self, kind: OwnerKind) -> Room:
        """Return the room that the files of one kind of owner take now, with the lists that they are in."""
        owners, files, size = self._cache.file_totals(kind)
        lists = manifest.lists_at_most(owners)
        # Each file has a line in a list, and each list one in `files.json`.
        return Room.of(size + manifest.LINE_BYTES * (files + lists), files + lists)

    def commit(self, current: bytes) -> Committed:
        """Remove files that are no longer published, write the lists, then replace `current.json` and its digest."""
        removed = [path for path in sorted(self._removed) if self._folder.remove(path)]
        top_list, written, stale = self._lists.write(self._folder)
        stale = sorted((self._stale_lists | {*stale}) - {entry.path for entry in self._cache.lists()})
        digest = sha256_hex(current)
        line = digest_line(digest)
        written += self._folder.write_last({MANIFEST: top_list})
        removed += [path for path in stale if self._folder.remove(path)]
        # The two cannot change in one step, so both are complete on disk before either is renamed into place.
        written += self._folder.write_last({DIGEST: line, CURRENT: current})
        self._folder.sync()
        # All files of the folder: what the lists name, the lists, and the three that are written last.
        totals = [self._cache.file_totals(kind) for kind in OwnerKind]
        sizes = [entry.size for entry in self._cache.lists()]
        sizes += map(len, (top_list, current, line))
        return Committed(
            current_sha256=digest,
            files_sha256=sha256_hex(top_list),
            written=tuple(sorted((*self._written, *written))),
            removed=tuple(sorted(removed)),
            files=sum(files for _, files, _ in totals) + len(sizes),
            bytes=sum(size for *_, size in totals) + sum(sizes),
        )
