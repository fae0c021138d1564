"""Compiled templates, kept in the build cache: compiling them again takes as long as the rest of a small build.

They are dropped with the cache, which no other version of PPP, of its libraries or of Python takes over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jinja2.bccache import Bucket, BytecodeCache

from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.site.templates import jinja_environment

#: How deep pages are, `env/<id>/<prefix>/index.html` being the deepest: each depth has templates of its own.
_DEPTHS: Final = 4


class _CachedBytecode(BytecodeCache):
    """The compiled templates of one depth; `root` leads from its pages to the root of the site (`../`)."""

    def __init__(self, cache: BuildCache, root: str) -> None:
        self._cache = cache
        self._root = root

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill a bucket, if the cache has code for it."""
        if code := self._cache.template_code(f"{self._root}{bucket.key}"):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Store a bucket's code in the cache."""
        self._cache.set_template_code(f"{self._root}{bucket.key}", bucket.bytecode_to_string())


@contextmanager
def cached_templates(cache: BuildCache) -> Iterator[None]:
    """Use the cache's compiled templates for every page that is rendered in the meantime."""
    roots = ["../" * depth for depth in range(_DEPTHS)]
    for root in roots:
        jinja_environment(root).bytecode_cache = _CachedBytecode(cache, root)
    try:
        yield
    finally:
        for root in roots:
            jinja_environment(root).bytecode_cache = None
