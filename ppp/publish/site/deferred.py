"""Pages of many packages that are handed over to be made by other processes, as there are thousands of them."""

from functools import partial
from typing import TypeAlias

#: A function of ours with plain values: it gives a page's bytes.
DeferredContent: TypeAlias = "partial[bytes]"
#: A file's bytes, now or later; None: it is no more.
Content: TypeAlias = "bytes | DeferredContent | None"
