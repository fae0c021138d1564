"""Whose batches are published at an address: what a person is shown before any of these keys is trusted.

Nobody trusts the node yet, so nothing is parsed but its statement and its lists of files, whose sizes are limited. Of a
batch, the signature is verified, and its records are counted in its bytes. At most `MAX_EXAMINED` batches are fetched,
and no more than `MAX_PACKED_BYTES` and `MAX_UNPACKED_BYTES` of them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ppp.mesh.batch import claimed_node, decompress_batch
from ppp.mesh.chain import SignedStatement
from ppp.mesh.fetch import PeerConnection, UnavailableFileError
from ppp.mesh.files import PublishedFile, batch_ids
from ppp.mesh.node import verify_signature
from ppp.mesh.receive import fetch_batch_files, fetch_file_lists
from ppp.mesh.statement import MAX_STATEMENT_BYTES, Statement, read_envelope
from ppp.model.canonical import sha256_hex
from ppp.model.errors import PeerError, RejectedDataError

MAX_EXAMINED: Final = 100
MAX_PACKED_BYTES: Final = 32 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 256 * 1024 * 1024
#: How long, in seconds, all of it may take.
EXAMINE_DEADLINE_S: Final = 60.0

#: Once in each record of a batch: in canonical JSON a quote within a string is escaped, so this is always a key.
_OBSERVED_AT: Final = re.compile(rb'"observed_at":(\d{1,15})[,}]')


@dataclass(kw_only=True)
class PublishedKey:
    """What is published of one node, as its batches say: batches, records, and the newest time (epoch seconds).

    `invalid` counts batches that name the node and that it did not sign; they count nowhere else.
    """

    node: str
    batches: int = 0
    records: int = 0
    newest: int | None = None
    invalid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKeys:
    """What was found at a URL: the statement, which is signed by the node that it names, and the keys.

    `keys` begin with that node, and go on with those of most records. `listed` is how many batches the node lists,
    `examined` how many were looked at. `failure` is why these are fewer than the limits allow, or None.
    """

    url: str
    statement: Statement
    keys: tuple[PublishedKey, ...]
    listed: int
    examined: int
    failure: str | None

    @property
    def node(self) -> str:
        """The node that publishes there."""
        return self.statement.node


def find_keys(connection: PeerConnection, url: str) -> PublishedKeys:
    """Return the keys of the nodes whose batches are published at a URL that ends with `/`.

    Raises `PeerError` if nothing can be fetched there, and `RejectedDataError` if there is no valid statement.
    """
    data = connection.get(f"{url}statement.json", max_bytes=MAX_STATEMENT_BYTES)
    node = read_envelope(data).statement.node
    statement = SignedStatement.open(data, trusted={node}).statement
    files = fetch_file_lists(connection, url, sha256=statement.files_sha256)
    ids = batch_ids(files)
    count = _Count(keys={node: PublishedKey(node=node)})
    try:
        for batch_id in _within_limits(ids, files):
            if count.unpacked > MAX_UNPACKED_BYTES:
                break
            count.examine(connection, url, files, batch_id)
    except PeerError as error:
        count.failure = error.message
    others = sorted((key for key in count.keys.values() if key.node != node), key=lambda k: (-k.records, k.node))
    return PublishedKeys(
        url=url,
        statement=statement,
        keys=(count.keys[node], *others),
        listed=len(ids),
        examined=count.examined,
        failure=count.failure,
    )


def _within_limits(ids: Iterable[str], files: Mapping[str, PublishedFile]) -> Iterator[str]:
    """Yield the ids of the first batches that are small enough together, by the sizes that their node lists."""
    room = MAX_PACKED_BYTES
    for _, batch_id in zip(range(MAX_EXAMINED), ids, strict=False):
        room -= files[f"batches/{batch_id}.json.gz"].size
        if room < 0:
            return
        yield batch_id


@dataclass(kw_only=True)
class _Count:
    keys: dict[str, PublishedKey]
    examined: int = 0
    unpacked: int = 0
    failure: str | None = None

    def examine(self, connection: PeerConnection, url: str, files: Mapping[str, PublishedFile], batch_id: str) -> None:
        """Count a batch for the node that it names; leave out one that is not there, or that cannot be read."""
        try:
            packed, signature = fetch_batch_files(connection, url, files, batch_id)
            data = decompress_batch(packed, what=f"batch {batch_id}")
            self.unpacked += len(data)
            node = claimed_node(data, what=f"batch {batch_id}")
        except (UnavailableFileError, RejectedDataError) as error:
            self.failure = error.message
            return
        self.examined += 1
        key = self.keys.setdefault(node, PublishedKey(node=node))
        signed = verify_signature(node, data, signature.decode("ascii", "replace").strip())
        if not signed or sha256_hex(data) != batch_id:
            key.invalid += 1
            return
        times = [int(found[1]) for found in _OBSERVED_AT.finditer(data)]
        key.batches += 1
        key.records += len(times)
        key.newest = max([*times, *([] if key.newest is None else [key.newest])], default=None)
