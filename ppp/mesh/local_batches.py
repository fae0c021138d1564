"""Merge batches from files on this machine: those that a peer no longer publishes, wherever they were fetched.

A batch is named by its content and signed by its node, so it does not matter where it comes from: it is verified as
one from a peer is, and merged only if its node is trusted.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from ppp.ledger.batches import list_batch_ids
from ppp.ledger.quarantines import quarantined
from ppp.mesh.batch import MAX_BATCH_BYTES, Batch, UntrustedBatch, decompress_batch, verify_batch
from ppp.mesh.merge import merge
from ppp.mesh.receive import SIGNATURE_BYTES
from ppp.mesh.sync import LedgerAccess, UntrustedNode
from ppp.mesh.trust import trusted_nodes
from ppp.model.errors import RejectedDataError

_NAME: Final = re.compile(r"([0-9a-f]{64})\.json\.gz")


class BatchFile(NamedTuple):
    """A batch by its id (sha256, hex), as published: compressed, and with its signature."""

    id: str
    packed: bytes
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """How many batches and records are new here, and how many batches were `known` before.

    `untrusted` are the nodes that are not trusted here; `rejections` are reasons why others are invalid.
    """

    batches: int
    records: int
    known: int
    untrusted: tuple[UntrustedNode, ...]
    rejections: tuple[str, ...]


def read_batch_files(folder: Path) -> Iterator[BatchFile]:
    """Yield the batches in a folder, by name, as they are read; one without a signature file has an empty signature."""
    for path in sorted(folder.iterdir()):
        if (match := _NAME.fullmatch(path.name)) and path.is_file():
            # Beyond the limit a byte is read, so that what is too large is seen to be.
            packed = _read(path, MAX_BATCH_BYTES)
            signature = path.with_name(f"{match[1]}.sig")
            text = _read(signature, SIGNATURE_BYTES) if signature.is_file() else b""
            yield BatchFile(match[1], packed, text.decode("ascii", "replace").strip())


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most + 1)


def import_batches(ledger: LedgerAccess, found: Iterable[BatchFile], *, now: int) -> ImportReport:
    """Verify and merge batches that the ledger lacks, one after the other; `now` is in epoch seconds.

    The ledger is locked only while one is stored. Raises the errors of the ledger.
    """
    with ledger.open() as store:
        here, trusted = set(list_batch_ids(store.db)), trusted_nodes(store.db, ledger.own, ledger.shipped)
        held = quarantined(store.db)
    new: list[int] = []
    untrusted: Counter[str] = Counter()
    rejections: list[str] = []
    known = 0
    for file in found:
        if file.id in here:
            known += 1
            continue
        try:
            batch = _verified(file, trusted, now)
        except RejectedDataError as error:
            rejections.append(error.message)
            continue
        if isinstance(batch, UntrustedBatch):
            untrusted[batch.node] += 1
            continue
        with ledger.open() as store:
            new.append(merge(store, batch, now=now))
        here.add(batch.id)
    return ImportReport(
        batches=len(new),
        records=sum(new),
        known=known,
        untrusted=tuple(
            UntrustedNode(node=node, batches=count, quarantined=node in held)
            for node, count in sorted(untrusted.items())
        ),
        rejections=tuple(rejections),
    )


def _verified(file: BatchFile, trusted: frozenset[str], now: int) -> Batch | UntrustedBatch:
    data = decompress_batch(file.packed, what=f"batch {file.id}")
    return verify_batch(data, file.signature, batch_id=file.id, trusted=trusted, now=now)
