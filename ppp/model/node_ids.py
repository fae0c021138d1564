"""The ids of nodes that a setting names: each an Ed25519 public key, as 64 hex digits."""

import re
from typing import Final

#: How many nodes may share the work.
MAX_NODES: Final = 999
_NODE_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SEPARATOR: Final = re.compile(r"[\s,]+")


def parse_node_ids(text: str) -> tuple[str, ...]:
    """Return the ids, in lower case and in their order, that a text names, separated by commas or spaces.

    Raises `ValueError`, which says what is wrong: one that is no id, one that is there twice, or too many of them.
    """
    ids = [one for one in _SEPARATOR.split(text.lower()) if one]
    for one in ids:
        if _NODE_ID.fullmatch(one) is None:
            raise ValueError(f"names {one[:70]!r}, which is no key of 64 hex digits: `ppp node show` shows a node's")
        if ids.count(one) > 1:
            raise ValueError(f"names {one} twice")
        if len(ids) > MAX_NODES:
            raise ValueError(f"names {len(ids)} nodes, more than {MAX_NODES}")
    return tuple(ids)
