"""The secret of a node: the seed of its Ed25519 key, as the key file and `PPP_NODE_KEY` write it; nothing shows it.

Pure. `NodeSeed` has no text form, so that no error, log or dump of settings can contain what it holds.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from ppp.model.credentials import HIDDEN

#: The environment variable that holds a key: the content of the key file.
SEED_VARIABLE: Final = "PPP_NODE_KEY"
SEED_BYTES: Final = 32
_SEED: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NodeSeed:
    """The 32 bytes that a node's key pair is made from."""

    seed: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the seed that 64 hex digits in lower case stand for.

        Raises `ValueError`, which says what is wrong without repeating the text.
        """
        if _SEED.fullmatch(text) is None:
            count = f": it has {len(text)} characters" if len(text) != 2 * SEED_BYTES else ""
            raise ValueError(f"is not a key of {2 * SEED_BYTES} hex digits in lower case{count}")
        return cls(seed=bytes.fromhex(text))

    def __repr__(self) -> str:
        """Return a text without the secret."""
        return f"NodeSeed({HIDDEN})"
