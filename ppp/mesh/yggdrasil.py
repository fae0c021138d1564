"""What follows from a Yggdrasil node's key, and what its daemon says of itself. Nothing here runs the daemon.

https://yggdrasil-network.github.io/implementation.html
"""

import json
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from ppp.mesh.node import is_node_id
from ppp.model.errors import RejectedDataError

#: The first version that can join today's network: its protocol is not that of any version before.
NEEDED_VERSION: Final = "0.5"
#: The first byte of every node's address; the second is how many leading ones the inverted key has.
_PREFIX: Final = 0x02
_KEY_BITS: Final = 256
#: The bits of an address after these two bytes.
_REST_BITS: Final = 112
#: An option that came with 0.5. Versions do not tell: some distributions build a daemon that calls itself `unknown`.
_NEW_OPTION: Final = "-exportkey"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSelf:
    """What a daemon says of itself: its version, key (64 hex digits) and address."""

    version: str
    key: str
    address: IPv6Address


def address_of(key: str) -> IPv6Address:
    """Return the address of the Yggdrasil node with a public key (64 hex digits).

    It is the byte 02, how many ones the inverted key begins with, and its bits after the first zero, cut to 128 bits.
    Raises `ValueError` for what is no such key, or one that begins with more zeros than an address can count.
    """
    if not is_node_id(key):
        raise ValueError(f"{key[:80]!r} is not a key of 64 hex digits")
    zeros = _KEY_BITS - int(key, 16).bit_length()
    if zeros > _KEY_BITS - _REST_BITS - 1:
        raise ValueError(f"a key that begins with {zeros} zeros has no address")
    inverted = ~int(key, 16) & ((1 << _KEY_BITS) - 1)
    after = _KEY_BITS - zeros - 1
    rest = (inverted & ((1 << after) - 1)) >> (after - _REST_BITS)
    return IPv6Address((_PREFIX << 120) | (zeros << _REST_BITS) | rest)


def read_getself(text: str) -> DaemonSelf:
    """Return what `yggdrasilctl -json getself` printed; raise `RejectedDataError` if it is not such an answer."""
    try:
        answer = json.loads(text)
        # The socket itself wraps the answer.
        fields = answer.get("response", answer)
        found = DaemonSelf(
            version=str(fields.get("build_version", ""))[:40],
            key=str(fields["key"]).lower(),
            address=IPv6Address(str(fields["address"])),
        )
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise RejectedDataError("yggdrasilctl gave no key and address", hint="is the daemon running?") from error
    if not is_node_id(found.key):
        raise RejectedDataError("yggdrasilctl gave a key that is not of 64 hex digits", hint="is it of version 0.5?")
    return found


def address_mistake(found: DaemonSelf) -> str | None:
    """Return why a daemon's address is not that of its key, or None if it is."""
    try:
        expected = address_of(found.key)
    except ValueError as error:
        return str(error)
    if found.address == expected:
        return None
    return f"its daemon says {found.address}, but the address of its key {found.key} is {expected}"


def is_new_enough(usage: str) -> bool:
    """Return whether a daemon can join today's network, by what `yggdrasil -help` prints."""
    return _NEW_OPTION in usage.split()
