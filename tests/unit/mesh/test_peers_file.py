"""`peers.json`: what is written is read again, and nothing counts in it but valid statements of trusted nodes."""

import json

import pytest
from mesh_nodes import chain_of

from ppp.mesh.node import NodeKey
from ppp.mesh.peers_file import MAX_OF_ONE_NODE, MAX_PEERS_BYTES, MAX_STATEMENTS, peers_document, read_peers_document
from ppp.model.canonical import canonical_json
from ppp.model.errors import RejectedDataError
from ppp.schemas import schema_errors

ONE, TWO, THREE = (NodeKey.from_seed(bytes([n]) * 32) for n in (1, 2, 3))


def test_what_is_written_is_read_again() -> None:
    shown = [*chain_of(TWO, 2), *chain_of(ONE, 1)]
    data = peers_document([s.text for s in (*shown, shown[0])])
    document = json.loads(data)
    assert data == canonical_json(document)
    assert schema_errors("site/schemas/peers.schema.json", document) == []
    found = read_peers_document(data, trusted={ONE.id, TWO.id})
    assert sorted(s.key for s in found) == sorted(s.key for s in shown)
    assert {s.text for s in found} == {s.text for s in shown}
    assert peers_document([s.text for s in found]) == data


def test_the_order_does_not_matter() -> None:
    texts = [s.text for s in (*chain_of(ONE, 3), *chain_of(TWO, 2))]
    assert peers_document(texts) == peers_document(texts[::-1])


def test_only_statements_of_trusted_nodes_count() -> None:
    data = peers_document([s.text for s in (*chain_of(ONE, 1), *chain_of(TWO, 1))])
    assert [s.node for s in read_peers_document(data, trusted={TWO.id})] == [TWO.id]


def test_invalid_statements_are_left_out_and_the_others_count() -> None:
    (valid,) = chain_of(ONE, 1)
    forged = json.loads(chain_of(TWO, 1)[0].text)
    forged["signed"]["records"] = 9
    wrong_form = {"signed": {"node": THREE.id}, "signature": "00" * 64}
    oversized = {"signed": {"node": THREE.id, "x": "y" * 70_000}, "signature": "00" * 64}
    document = {"schema": "ppp-peers-1", "statements": [forged, wrong_form, oversized, json.loads(valid.text)]}
    found = read_peers_document(json.dumps(document).encode(), trusted={ONE.id, TWO.id, THREE.id})
    assert [s.key for s in found] == [valid.key]


def test_no_more_than_a_few_of_one_node_are_looked_at() -> None:
    data = peers_document([s.text for s in chain_of(ONE, 30)])
    assert len(read_peers_document(data, trusted={ONE.id})) == MAX_OF_ONE_NODE


def test_no_more_is_written_than_another_node_reads() -> None:
    (one,) = chain_of(ONE, 1)
    document = json.loads(one.text)
    many = [
        json.dumps(document | {"signed": document["signed"] | {"sequence": n, "padding": "x" * 6000}})
        for n in range(MAX_STATEMENTS + 5)
    ]
    data = peers_document(many)
    assert len(data) <= MAX_PEERS_BYTES
    assert len(json.loads(data)["statements"]) < MAX_STATEMENTS
    assert (
        len(json.loads(peers_document(text.replace("x" * 6000, "") for text in many))["statements"]) == MAX_STATEMENTS
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{}", "is invalid by peers.schema.json"),
        (b"[" * 100, "nests deeper"),
        (b'{"schema": "ppp-peers-1", "statements": [1]}', "is invalid by peers.schema.json"),
        (b'{"schema": "ppp-peers-1", "statements": [], "statements": []}', "duplicate key"),
        (b" " * (MAX_PEERS_BYTES + 1), "larger than"),
    ],
)
def test_a_malformed_file_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(RejectedDataError, match=reason):
        read_peers_document(data, trusted={ONE.id})
