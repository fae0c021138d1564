"""One build of an output folder: whose files they are is told as they are written, then `commit` makes them the whole.

What was published before and is no more is removed before any list changes, so that a kill in between orphans no file.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ppp.model.record import sha256_hex
from ppp.publish import lists
from ppp.publish.files import CURRENT, DIGEST, MANIFEST, Entry, Folder
from ppp.publish.later import Later
from ppp.publish.memory import Kind, Memory, place_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a commit did, by path within the folder, each tuple sorted; how many files now stand there, and bytes."""

    current_sha256: str
    files_sha256: str
    written: tuple[str, ...]
    removed: tuple[str, ...]
    files: int
    bytes: int


class Output:
    """Add and put files, then `commit`; all of it raises what `Folder.write` raises.

    Files of packages and batches that are not told of stay as they are remembered; those of the site do not.
    """

    def __init__(self, folder: Folder, memory: Memory, *, afresh: bool) -> None:
        """Take the folder, and what is remembered of it; afresh, that is nothing but what its lists say."""
        self._folder = folder
        self._memory = memory
        self._before: set[str] = set()
        self._stale_lists: set[str] = set()
        if afresh:
            memory.forget()
            self._before, self._stale_lists = lists.before(folder)
        self._lists = lists.Lists(memory)
        self._site = {entry.path: entry for entry in memory.files_in(Kind.SITE, "")}
        self._left = set(self._site)
        self._put: set[str] = set()
        self._written: list[str] = []

    def owners(self, kind: Kind) -> set[str]:
        """Give those of a kind whose files stand there."""
        return set(self._memory.owners(kind))

    def add(self, kind: Kind, owner: str, files: Sequence[Entry], written: Iterable[str]) -> None:
        """Tell of all files of an owner, which are written already."""
        before = self._memory.own(kind, owner, files)
        now = {entry.path for entry in files}
        if now & self._put or len(now) < len(files):
            raise ValueError(f"a file of {owner} is written twice")
        self._put |= now
        self._before.update(entry.path for entry in before)
        self._written.extend(written)
        self._lists.touch(kind, place_of(owner))

    def put(self, path: str, content: bytes) -> None:
        """Write one file of the site (`index.html`)."""
        if path in self._put:
            raise ValueError(f"{path!r} is written twice")
        self._put.add(path)
        self._left.discard(path)
        entry, is_written = self._folder.write(path, content)
        if is_written:
            self._written.append(path)
        if is_written or self._site.get(path) != entry:
            self._memory.own(Kind.SITE, path, [entry])
            self._lists.touch(Kind.SITE, place_of(path))

    def put_all(self, contents: Iterable[tuple[str, bytes | Later]], news: Collection[str] | None) -> None:
        """Put files of the site; `news` names the packages that have any, None: all."""
        for path, content in contents:
            if isinstance(content, Later):
                self.put_later(path, content, news)
            else:
                self.put(path, content)

    def put_later(self, path: str, later: Later, news: Collection[str] | None) -> None:
        """Write one file of the site if it is not there as it would be: none of its packages is among the news."""
        key = later.key
        stands = path in self._site and news is not None and self._memory.key(path) == key
        if stands and news is not None and not any(package in news for package in later.packages):
            self._put.add(path)
            self._left.discard(path)
            return
        self.put(path, later.make())
        self._memory.keep_key(path, key)

    def commit(self, current: bytes) -> Committed:
        """Remove what is no more, list what is, and let `current.json` and its digest change together."""
        for path in self._left:
            self._memory.own(Kind.SITE, path, [])
            self._lists.touch(Kind.SITE, place_of(path))
        gone = (self._before | self._left) - self._put
        removed = [path for path in sorted(gone) if self._folder.remove(path)]
        manifest, written, stale = self._lists.write(self._folder)
        stale = sorted((self._stale_lists | {*stale}) - {entry.path for entry in self._memory.lists()})
        digest = sha256_hex(current)
        written += self._folder.write_last({MANIFEST: manifest})
        removed += [path for path in stale if self._folder.remove(path)]
        # The two cannot change in one step, so both lie ready before either does.
        written += self._folder.write_last({DIGEST: f"{digest}  {CURRENT}\n".encode(), CURRENT: current})
        self._folder.settle()
        totals = [self._memory.total(kind) for kind in Kind]
        return Committed(
            current_sha256=digest,
            files_sha256=sha256_hex(manifest),
            written=tuple(sorted((*self._written, *written))),
            removed=tuple(sorted(removed)),
            files=sum(files for _, files, _ in totals),
            bytes=sum(size for *_, size in totals),
        )
