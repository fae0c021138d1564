"""File contents that may be rendered later by another process: a build renders thousands of pages by prefix."""

from functools import partial
from typing import TypeAlias

#: A picklable call that returns the bytes of a page.
DeferredContent: TypeAlias = "partial[bytes]"
#: The content of a file, available now or deferred; None means that the file is to be removed.
Content: TypeAlias = "bytes | DeferredContent | None"
