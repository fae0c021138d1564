"""One build of an output folder: whose files they are is told as they are written, then `commit` makes them the whole.

What was published before and is no more is removed before any list changes, so that a kill in between orphans no file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ppp.model.record import sha256_hex
from ppp.publish.builder.workers import WorkerPool
from ppp.publish.cache import manifest
from ppp.publish.cache.build_cache import BuildCache, OwnedFiles, OwnerKind, owned_files, paths_in
from ppp.publish.folder import CURRENT, DIGEST, MANIFEST, FileEntry, OutputFolder
from ppp.publish.site.deferred import Content, DeferredContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a commit did, by path within the folder, each tuple sorted; how many files now stand there, and bytes."""

    current_sha256: str
    files_sha256: str
    written: tuple[str, ...]
    removed: tuple[str, ...]
    files: int
    bytes: int


class OutputWriter:
    """Add and put files, then `commit`; all of it raises what `Folder.write` raises.

    Files that are not told of stay as they are remembered; afresh, nothing but what is told of stays.
    """

    def __init__(self, folder: OutputFolder, memory: BuildCache, *, afresh: bool) -> None:
        """Take the folder, and what is remembered of it; afresh, that is nothing but what its lists say."""
        self._folder = folder
        self._memory = memory
        self._gone: set[str] = set()
        self._stale_lists: set[str] = set()
        if afresh:
            memory.clear()
            self._gone, self._stale_lists = manifest.previously_published(folder)
        self._lists = manifest.FileLists(memory)
        self._put: set[str] = set()
        self._written: list[str] = []

    def add(self, owned: Sequence[OwnedFiles], written: Iterable[str]) -> None:
        """Tell of all files of owners, which are written already."""
        if self._gone:
            self._gone.difference_update(*(paths_in(each.lines) for each in owned))
        self._gone |= self._memory.replace_files(owned)
        self._written.extend(written)
        for each in owned:
            self._lists.mark_changed(each.kind, each.owner_hash)

    def put(self, path: str, content: bytes | None) -> None:
        """Write one file of the site (`index.html`); None: it is no more."""
        self._once(path)
        files: list[FileEntry] = []
        written = False
        if content is not None:
            entry, written = self._folder.write(path, content)
            files.append(entry)
        if written or self._memory.files_of(OwnerKind.SITE, path) != files:
            self.add([owned_files(OwnerKind.SITE, path, files)], [path] if written else [])

    def put_all(self, contents: Iterable[tuple[str, Content]], by: WorkerPool) -> None:
        """Put files of the site; those that come later are made and written by others."""
        for share in by.write_pages(self._later(contents)):
            self.add(share.owned, share.written)

    def _later(self, contents: Iterable[tuple[str, Content]]) -> Iterator[tuple[str, DeferredContent]]:
        for path, content in contents:
            if isinstance(content, partial):
                self._once(path)
                yield path, content
            else:
                self.put(path, content)

    def _once(self, path: str) -> None:
        if path in self._put:
            raise ValueError(f"{path!r} is written twice")
        self._put.add(path)

    def commit(self, current: bytes) -> Committed:
        """Remove what is no more, list what is, and let `current.json` and its digest change together."""
        removed = [path for path in sorted(self._gone) if self._folder.remove(path)]
        manifest, written, stale = self._lists.write(self._folder)
        stale = sorted((self._stale_lists | {*stale}) - {entry.path for entry in self._memory.lists()})
        digest = sha256_hex(current)
        line = digest_line(digest)
        written += self._folder.write_last({MANIFEST: manifest})
        removed += [path for path in stale if self._folder.remove(path)]
        # The two cannot change in one step, so both lie ready before either does.
        written += self._folder.write_last({DIGEST: line, CURRENT: current})
        self._folder.sync()
        # All that stands there: what the lists name, the lists, and the three that are written last.
        totals = [self._memory.file_totals(kind) for kind in OwnerKind]
        sizes = [entry.size for entry in self._memory.lists()]
        sizes += map(len, (manifest, current, line))
        return Committed(
            current_sha256=digest,
            files_sha256=sha256_hex(manifest),
            written=tuple(sorted((*self._written, *written))),
            removed=tuple(sorted(removed)),
            files=sum(files for _, files, _ in totals) + len(sizes),
            bytes=sum(size for *_, size in totals) + sum(sizes),
        )


def digest_line(digest: str) -> bytes:
    """Give what stands beside `current.json`, as `sha256sum -c` reads it."""
    return f"{digest}  {CURRENT}\n".encode()
