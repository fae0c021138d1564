"""Pages of many packages that are made only where one of these has news: see `Output.put_later`."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A page that follows from its path, `packages` and their parts, and `more`; `make` gives its bytes."""

    packages: Sequence[str]
    more: str
    make: Callable[[], bytes]

    @property
    def key(self) -> str:
        """Give a digest (hex) of all that it follows from but the parts."""
        return hashlib.sha256("\n".join((self.more, *self.packages)).encode()).hexdigest()
