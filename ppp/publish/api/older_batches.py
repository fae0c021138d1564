"""`batches/older.json`: the batches for which a site's bound leaves no room, and where they are.

Peers that lack some of them learn from it what they miss: see `ppp.mesh.older`.
"""

from collections.abc import Sequence
from typing import Final

from ppp.ledger.batches import PackedBatch
from ppp.model.canonical import Json
from ppp.publish.api.encoding import EncodedJson, compact_json, document_bytes
from ppp.publish.batch_budget import MAX_LISTED

OLDER_SCHEMA: Final = "ppp-older-batches-1"
#: The file's path, and the name under which the list of batches has it.
OLDER_PATH: Final = "batches/older.json"
OLDER_BATCHES: Final = "older"


def older_batches_file(older: Sequence[PackedBatch], url: str | None) -> tuple[str, bytes | None]:
    """Return the file with a batch on each line, by id; None in place of its bytes: every batch is on the site.

    `older` are newest first: of more than `MAX_LISTED`, these are listed, and all are counted. `url` is the address at
    which people find the older batches; None: none is known.
    """
    if not older:
        return OLDER_PATH, None
    lines = ",\n".join(compact_json([*batch]) for batch in sorted(older[:MAX_LISTED]))
    document: dict[str, Json] = {
        "schema": OLDER_SCHEMA,
        "url": url,
        "older": len(older),
        "records": sum(batch.records for batch in older),
        "bytes": sum(batch.size for batch in older),
        "last_observed_at": max(batch.last_observed_at for batch in older),
        "batches": EncodedJson(f"[\n{lines}\n]"),
    }
    return OLDER_PATH, document_bytes(document)
