"""Fetch the batches that a peer publishes and a ledger lacks, and verify them, without the ledger.

What was read from the ledger before (`LocalState`) goes in, what is to be stored (`Received`) comes out. Each file is
verified before anything in it is used. A batch that is invalid, or that the peer lists and does not have, is left out,
and the others are still received.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ppp.ledger.left_out import LeftOutBatch
from ppp.ledger.peers import Peer
from ppp.mesh.batch import (
    MAX_BATCH_BYTES,
    Batch,
    EarlyBatchError,
    UntrustedBatch,
    decompress_batch,
    verify_batch,
)
from ppp.mesh.fetch import PeerConnection, UnavailableFileError
from ppp.mesh.files import MAX_FILES_BYTES, PublishedFile, batch_ids, batch_lists, read_file_list, read_files
from ppp.mesh.untrusted import reject
from ppp.model.canonical import sha256_hex
from ppp.model.errors import PeerError, RejectedDataError

#: A signature is 128 hex digits and a line feed.
SIGNATURE_BYTES: Final = 129
#: How many bytes of batches are received at a time: they are in memory until they are stored.
ROUND_BYTES: Final = 16 * 1024 * 1024
#: After how many seconds an invalid batch is tried again: its peer, or this program, may have been corrected.
RETRY_S: Final = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalState:
    """What a ledger has before a peer's batches are received.

    `trusted` are the nodes whose batches are merged; `batches` are the ids of those that are here, and `left_out` those
    of this peer that were left out before.
    """

    peer: Peer
    trusted: frozenset[str]
    batches: frozenset[str]
    left_out: Mapping[str, LeftOutBatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedBatch:
    """A batch that was rejected, and why (a line). If `is_final`, its content is invalid, as the peer lists it."""

    id: str
    reason: str
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The batches that one round received, all verified.

    `untrusted` and `rejected` are those that were left out now, `unchanged` those that were left out before and were
    not fetched again. `complete` is false if the peer has more. `error` ended the round; what came before it is valid.
    """

    batches: tuple[Batch, ...]
    untrusted: tuple[LeftOutBatch, ...]
    rejected: tuple[RejectedBatch, ...]
    unchanged: tuple[LeftOutBatch, ...]
    complete: bool
    error: PeerError | None


def fetch_file_lists(connection: PeerConnection, url: str, *, sha256: str) -> dict[str, PublishedFile]:
    """Fetch the lists of the files at a URL, of which a statement gives the hash, and return the files by path.

    Raises `PeerError` or `RejectedDataError`.
    """
    files = read_files(connection.get(f"{url}files.json", max_bytes=MAX_FILES_BYTES), sha256=sha256)
    for listed in batch_lists(files):
        files |= read_file_list(connection.get(f"{url}{listed.path}", max_bytes=listed.size), listed)
    return files


def receive_batches(
    connection: PeerConnection,
    files: Mapping[str, PublishedFile],
    local: LocalState,
    *,
    tried: Container[str],
    now: int,
    max_bytes: int = ROUND_BYTES,
) -> Received:
    """Receive up to about `max_bytes` of the batches among a peer's files that are neither here nor `tried` yet.

    `now` is in epoch seconds. Raises `RejectedDataError` if the files are not those of complete batches.
    """
    ids = [batch_id for batch_id in batch_ids(files) if batch_id not in local.batches and batch_id not in tried]
    unchanged = tuple(each for i in ids if (each := local.left_out.get(i)) and not _is_due(each, local, now))
    skipped = {each.batch for each in unchanged}
    source = _BatchSource(peer=local.peer, files=files, connection=connection, trusted=local.trusted, now=now)
    results, complete, failure = _receive_batches(source, (i for i in ids if i not in skipped), max_bytes=max_bytes)
    return Received(
        batches=tuple(result for result in results if isinstance(result, Batch)),
        untrusted=tuple(result for result in results if isinstance(result, LeftOutBatch)),
        rejected=tuple(result for result in results if isinstance(result, RejectedBatch)),
        unchanged=unchanged,
        complete=complete,
        error=failure,
    )


def _is_due(left_out: LeftOutBatch, local: LocalState, now: int) -> bool:
    """Return whether a batch that was left out is to be fetched again."""
    if left_out.node is not None:
        return left_out.node in local.trusted
    return not left_out.seen_at <= now < left_out.seen_at + RETRY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class _BatchSource:
    """Where batches come from, and what they are verified by."""

    peer: Peer
    files: Mapping[str, PublishedFile]
    connection: PeerConnection
    trusted: Container[str]
    now: int


_Result = Batch | LeftOutBatch | RejectedBatch


def _receive_batches(
    source: _BatchSource, ids: Iterable[str], *, max_bytes: int
) -> tuple[list[_Result], bool, PeerError | None]:
    """Return what became of each batch, whether these are all, and the failure of the connection that ended it."""
    results: list[_Result] = []
    room = max_bytes
    for batch_id in ids:
        if room <= 0:
            return results, False, None
        try:
            result = _receive_batch(source, batch_id)
        except PeerError as error:
            return results, True, error
        results.append(result)
        room -= len(result.data) if isinstance(result, Batch) else 0
    return results, True, None


def _receive_batch(source: _BatchSource, batch_id: str) -> _Result:
    try:
        packed, signature = fetch_batch_files(source.connection, source.peer.url, source.files, batch_id)
    except (UnavailableFileError, RejectedDataError) as error:
        # Of the files that were sent, not of the batch that is listed: the next answer may be another.
        return RejectedBatch(id=batch_id, reason=error.message, is_final=False)
    try:
        batch = verify_batch(
            decompress_batch(packed, what=f"batch {batch_id}"),
            signature.decode("ascii", "replace").strip(),
            batch_id=batch_id,
            trusted=source.trusted,
            now=source.now,
        )
    except EarlyBatchError as error:
        return RejectedBatch(id=batch_id, reason=error.message, is_final=False)
    except RejectedDataError as error:
        return RejectedBatch(id=batch_id, reason=error.message, is_final=True)
    if isinstance(batch, UntrustedBatch):
        return LeftOutBatch(batch=batch_id, node=batch.node, reason="its node is not trusted", seen_at=source.now)
    return batch


def fetch_batch_files(
    connection: PeerConnection, url: str, files: Mapping[str, PublishedFile], batch_id: str
) -> tuple[bytes, bytes]:
    """Fetch a batch and its signature, as published, from the node at a URL; raise `PeerError` or `RejectedDataError`.

    Both have the hashes that the list of files says.
    """
    path, signature_path = f"batches/{batch_id}.json.gz", f"batches/{batch_id}.sig"
    # The size in the list is the peer's claim: it limits the fetch, so it must itself be limited first.
    if files[path].size > MAX_BATCH_BYTES:
        reject(path, f"it is larger than {MAX_BATCH_BYTES:,} bytes")
    packed = connection.get(f"{url}{path}", max_bytes=files[path].size)
    signature = connection.get(f"{url}{signature_path}", max_bytes=SIGNATURE_BYTES)
    for name, content in ((path, packed), (signature_path, signature)):
        if sha256_hex(content) != files[name].sha256:
            reject(name, "it is not the file that the peer's statement covers")
    return packed, signature
