"""`peers.json`: the newest statements that a node has seen of its peers, by which split views are found.

A node that shows one history to us and another to a third node is found as soon as that third node publishes what it
saw. The file is no list of trust and needs no signature: it consists of envelopes, and each counts only if it is of a
node that is trusted here, and signed by it.
"""

import json
from collections.abc import Container, Iterable, Iterator
from typing import Final

from ppp.mesh.chain import SignedStatement
from ppp.mesh.statement import MAX_STATEMENT_BYTES
from ppp.mesh.untrusted import canonical_bytes, parse_document
from ppp.model.canonical import Json, canonical_json, sha256_hex
from ppp.model.errors import RejectedDataError

PEERS_NAME: Final = "peers.json"
PEERS_SCHEMA: Final = "ppp-peers-1"
MAX_PEERS_BYTES: Final = 4 * 1024 * 1024
#: How many statements a node publishes, and how many of one node another one looks at.
MAX_STATEMENTS: Final = 1000
MAX_OF_ONE_NODE: Final = 8

_SCHEMA: Final = "site/schemas/peers.schema.json"


def peers_document(envelopes: Iterable[str]) -> bytes:
    """Return `peers.json` as canonical JSON, of the envelopes (JSON text) of valid statements.

    They are sorted and each is there once; beyond `MAX_STATEMENTS`, or beyond `MAX_PEERS_BYTES`, the last are left out.
    """
    unique = {_sort_key(document): document for document in map(json.loads, envelopes)}
    chosen: list[Json] = []
    room = MAX_PEERS_BYTES - 1024
    for key in sorted(unique)[:MAX_STATEMENTS]:
        room -= len(canonical_json(unique[key])) + 1
        if room < 0:
            break
        chosen.append(unique[key])
    return canonical_json({"schema": PEERS_SCHEMA, "statements": chosen})


def _sort_key(document: Json) -> tuple[str, int, str]:
    signed = document["signed"]
    return signed["node"], signed["sequence"], sha256_hex(canonical_json(signed))


def read_peers_document(data: bytes, *, trusted: Container[str]) -> tuple[SignedStatement, ...]:
    """Return the statements of trusted nodes in a `peers.json`; raise `RejectedDataError` if the file is malformed.

    A statement that is invalid is left out, and so is all beyond `MAX_OF_ONE_NODE` of one node: they are no fault of
    whoever publishes the file, who may follow other rules, and prove nothing.
    """
    document = parse_document(data, what=PEERS_NAME, schema=_SCHEMA, max_bytes=MAX_PEERS_BYTES)
    return tuple(_trusted_statements(document["statements"], trusted))


def _trusted_statements(documents: Iterable[Json], trusted: Container[str]) -> Iterator[SignedStatement]:
    counts: dict[str, int] = {}
    for document in documents:
        node = document["signed"]["node"]
        # Cheap checks first: only a trusted node's statements cost a schema and a signature.
        if node not in trusted or counts.get(node, 0) == MAX_OF_ONE_NODE:
            continue
        counts[node] = counts.get(node, 0) + 1
        try:
            data = canonical_bytes(document, what=PEERS_NAME)
            if len(data) <= MAX_STATEMENT_BYTES:
                yield SignedStatement.open(data, trusted={node})
        except RejectedDataError:
            continue
