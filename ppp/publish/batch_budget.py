"""Decide which batches a site with a bound publishes: the newest ones, as many as its share of the bound holds.

Batches only grow, a bound does not. Without a share they would take the room of everything else one day, and no site
would be published any more. Everything here is pure: the same batches and bound give the same decision.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ppp.ledger.batches import PackedBatch
from ppp.model.site_bound import SiteBound
from ppp.publish.page_budget import Room, lookup_estimate, site_reserve

#: How many older batches are listed: peers read no longer list.
MAX_LISTED: Final = 50_000
#: The bytes of a batch's signature file, and those of its row in the list of older batches, at most.
_SIGNATURE_BYTES: Final = 129
_ROW_BYTES: Final = 220


class BatchChoice(NamedTuple):
    """The batches that a site publishes, and the `older` ones that it only lists: newest first."""

    kept: Sequence[PackedBatch]
    older: Sequence[PackedBatch]

    @property
    def room(self) -> Room:
        """The room that they take, with their signatures and the list of the older ones."""
        size = sum(batch.size + _SIGNATURE_BYTES for batch in self.kept)
        listed = Room.of(_ROW_BYTES * min(len(self.older), MAX_LISTED), 1) if self.older else Room(0, 0)
        return Room.of(size, 2 * len(self.kept)).plus(listed)


def batch_share(bound: SiteBound, packages: int) -> Room:
    """Return the room for batches: half of what is left beside pages about many packages and the lookup of them all."""
    left = Room(bound.max_bytes, bound.max_files).minus(site_reserve(bound)).minus(lookup_estimate(packages))
    return Room(left.bytes // 2, left.files // 2)


def choose_batches(batches: Sequence[PackedBatch], bound: SiteBound | None, packages: int) -> BatchChoice:
    """Return which of all batches, newest first, are published where there are so many packages; without a bound, all.

    None that is newer than the first without room is left out, so that who synchronizes often enough misses nothing.
    """
    if bound is None:
        return BatchChoice(batches, ())
    room = batch_share(bound, packages)
    for number, batch in enumerate(batches):
        taken = Room.of(batch.size + _SIGNATURE_BYTES, 2)
        if not room.has(taken):
            return BatchChoice(batches[:number], batches[number:])
        room = room.minus(taken)
    return BatchChoice(batches, ())
