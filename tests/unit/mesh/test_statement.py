"""The chain of statements: when one is issued, and when one is accepted."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ppp.ledger.statements import newest_statement, statement_files
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.mesh.statement import (
    LIFETIME_S,
    MAX_LIFETIME_S,
    ForkedError,
    LastSeen,
    Statement,
    check_expiry,
    check_sequence,
    issue,
    open_envelope,
    sign_statement,
)
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import RejectedDataError
from ppp.schemas import schema_errors

NOW = 1_714_089_600
KEY = NodeKey.from_seed(b"k" * 32)
OTHER = NodeKey.from_seed(b"o" * 32)


def a_statement(**changes: Any) -> Statement:
    fields: dict[str, Any] = {
        "node": KEY.id,
        "sequence": 5,
        "previous": "04" * 32,
        "issued_at": NOW,
        "expires_at": NOW + LIFETIME_S,
        "current_sha256": "aa" * 32,
        "files_sha256": "bb" * 32,
        "root": "cc" * 32,
        "records": 7,
        "images": {"py312-slim": f"sha256:{'dd' * 32}"},
        "pip_version": "26.0.1",
    }
    return Statement(**{**fields, **changes})


def issued(store: Store, *, now: int = NOW, key: NodeKey = KEY, **changes: Any) -> bytes | None:
    facts: dict[str, Any] = {
        "current_sha256": "aa" * 32,
        "files_sha256": "bb" * 32,
        "root": "cc" * 32,
        "records": 7,
        "images": {},
        "pip_version": "26.0.1",
    }
    return issue(store, key, now=now, **{**facts, **changes})


def test_an_envelope_of_a_trusted_node_is_accepted() -> None:
    data = sign_statement(a_statement(), KEY)
    assert open_envelope(data, trusted={KEY.id}) == a_statement()
    assert schema_errors("site/schemas/statement.schema.json", json.loads(data)) == []
    assert sha256_hex(canonical_json(json.loads(data)["signed"])) == a_statement().digest


@pytest.mark.attack("history")
def test_a_statement_of_an_untrusted_node_is_rejected() -> None:
    with pytest.raises(RejectedDataError, match=f"node {KEY.id} is not trusted"):
        open_envelope(sign_statement(a_statement(), KEY), trusted={OTHER.id})


@pytest.mark.attack("history")
def test_a_statement_signed_by_another_key_is_rejected() -> None:
    with pytest.raises(RejectedDataError, match=f"its signature is not that of node {KEY.id}"):
        open_envelope(sign_statement(a_statement(), OTHER), trusted={KEY.id, OTHER.id})


@pytest.mark.attack("history")
def test_a_changed_statement_is_rejected() -> None:
    document = json.loads(sign_statement(a_statement(), KEY))
    document["signed"]["records"] = 8
    with pytest.raises(RejectedDataError, match="its signature is not that of node"):
        open_envelope(json.dumps(document).encode(), trusted={KEY.id})


@pytest.mark.attack("history")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "ppp-statement-2"}, "signed.schema: 'ppp-statement-1' was expected"),
        ({"extra": 1}, "signed: Additional properties"),
        ({"sequence": 0}, "signed.sequence"),
        ({"previous": "x"}, "signed.previous"),
        ({"images": {"x": f"sha256:{'dd' * 32}"}}, "signed.images"),
        ({"root": f"{'cc' * 32}\n"}, r"signed\.root: .* does not match"),
        ({"node": 1}, "signed.node"),
    ],
)
def test_a_malformed_statement_is_rejected(change: dict[str, object], reason: str) -> None:
    signed = {**a_statement().to_json(), **change}
    data = canonical_json({"signed": signed, "signature": KEY.sign(canonical_json(signed))})
    with pytest.raises(RejectedDataError, match=reason):
        open_envelope(data, trusted={KEY.id})


@pytest.mark.attack("history")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x" * 65_537, "larger than 65,536 bytes"),
        (b"not json", "not valid JSON"),
        (b"{}", "'signed' is a required property"),
        (b'{"signed": {}, "signed": {}}', "an object has a duplicate key"),
        (b"[" * 60_000, "nests deeper"),
        (b'{"signed": 1, "signature": ""}', "is invalid by statement.schema.json"),
    ],
)
def test_an_invalid_statement_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(RejectedDataError, match=reason):
        open_envelope(data, trusted={KEY.id})


@pytest.mark.attack("history")
def test_rollbacks_forks_and_broken_chains_are_rejected() -> None:
    seen = LastSeen(sequence=5, digest=a_statement().digest)
    for follower in (
        a_statement(),
        a_statement(sequence=6, previous=seen.digest),
        a_statement(sequence=9, previous="00" * 32),
    ):
        check_sequence(follower, last_seen=seen)
        check_sequence(follower, last_seen=None)
    with pytest.raises(RejectedDataError, match=r"statement 4 .* rollback, because number 5 was seen before"):
        check_sequence(a_statement(sequence=4), last_seen=seen)
    with pytest.raises(RejectedDataError, match=f"it follows {'00' * 32}, but the last one was {seen.digest}"):
        check_sequence(a_statement(sequence=6, previous="00" * 32), last_seen=seen)
    with pytest.raises(RejectedDataError, match="it follows nothing"):
        check_sequence(a_statement(sequence=6, previous=None), last_seen=seen)
    with pytest.raises(ForkedError, match=r"signed another statement with this number .both are kept"):
        check_sequence(a_statement(records=8), last_seen=seen)


@pytest.mark.attack("history")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"expires_at": NOW}, f"it expired at {NOW}"),
        ({"issued_at": NOW - LIFETIME_S, "expires_at": NOW - 1}, "it expired"),
        ({"issued_at": NOW + 121}, "issued in the future"),
        ({"expires_at": NOW + MAX_LIFETIME_S + 1}, "claims a lifetime of"),
        ({"issued_at": NOW, "expires_at": NOW - 1}, "claims a lifetime of -1"),
    ],
)
def test_a_statement_outside_its_lifetime_is_rejected(change: dict[str, int], reason: str) -> None:
    with pytest.raises(RejectedDataError, match=reason):
        check_expiry(a_statement(**{"issued_at": NOW - 1, **change}), now=NOW)


def test_a_statement_within_its_lifetime_is_accepted() -> None:
    check_expiry(a_statement(), now=NOW)
    check_expiry(a_statement(), now=NOW - 120)
    check_expiry(a_statement(), now=NOW + LIFETIME_S - 1)


def test_a_chain_links_each_statement_to_the_one_before(store: Store) -> None:
    one = issued(store)
    two = issued(store, current_sha256="a2" * 32, now=NOW + 1)
    three = issued(store, files_sha256="b2" * 32, current_sha256="a2" * 32, now=NOW + 2)
    assert one
    assert two
    assert three
    opened = [open_envelope(data, trusted={KEY.id}) for data in (one, two, three)]
    assert [s.sequence for s in opened] == [1, 2, 3]
    assert [s.previous for s in opened] == [None, opened[0].digest, opened[1].digest]
    assert [s.expires_at - s.issued_at for s in opened] == [LIFETIME_S] * 3
    assert dict(statement_files(store.db)) == {
        "statements/1.json": one,
        "statements/2.json": two,
        "statements/3.json": three,
        "statement.json": three,
    }


def test_no_statement_is_repeated_in_the_first_half_of_its_lifetime(store: Store, dumped: Callable[..., str]) -> None:
    assert issued(store)
    before = dumped(store.db)
    for now in (NOW, NOW - 100, NOW + LIFETIME_S // 2):
        assert issued(store, now=now) is None
    assert dumped(store.db) == before
    assert issued(store, now=NOW + LIFETIME_S // 2 + 1)


def test_another_key_starts_its_own_chain(store: Store) -> None:
    issued(store)
    data = issued(store, key=OTHER)
    assert data
    statement = open_envelope(data, trusted={OTHER.id})
    assert (statement.sequence, statement.previous) == (2, None)
    newest = newest_statement(store.db)
    assert newest
    assert newest.digest == statement.digest
