"""Templates as they were compiled, kept in the memory: to compile them anew takes as long as the rest of a publish.

They go with the memory, which another PPP, library or Python never takes over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jinja2.bccache import Bucket, BytecodeCache

from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.site.front import jinja_environment

#: How deep pages stand, `env/<id>/<prefix>/index.html` being the deepest: each depth has templates of its own.
_DEPTHS: Final = 4


class _CachedBytecode(BytecodeCache):
    """The templates of one depth."""

    def __init__(self, memory: BuildCache, root: str) -> None:
        self._memory = memory
        self._root = root

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill a bucket if there is anything for it."""
        if code := self._memory.template_code(f"{self._root}{bucket.key}"):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what is in a bucket."""
        self._memory.set_template_code(f"{self._root}{bucket.key}", bucket.bytecode_to_string())


@contextmanager
def cached_templates(memory: BuildCache) -> Iterator[None]:
    """Let templates be compiled once, for as long as a memory lasts."""
    roots = ["../" * depth for depth in range(_DEPTHS)]
    for root in roots:
        jinja_environment(root).bytecode_cache = _CachedBytecode(memory, root)
    try:
        yield
    finally:
        for root in roots:
            jinja_environment(root).bytecode_cache = None
