"""A verdict as an in-toto statement: as a stock library verifies it, and refused in any other form."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_record import SAMPLE_RECORD
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from ppp.mesh.attestation import PAYLOAD_TYPE, attest, read_attestation
from ppp.mesh.envelope import pre_authentication_encoding
from ppp.mesh.node import NodeKey
from ppp.model.errors import InvalidAttestationError, NotAttestedError
from ppp.model.record import DistributionFile, Outcome, Record, Result

KEY = NodeKey.from_seed(b"k" * 32)
OTHER = NodeKey.from_seed(b"o" * 32)
FILE = DistributionFile(filename="six-1.17.0-py2.py3-none-any.whl", sha256="ab" * 32, size=11_050)


def observed(result: Result = Result.PASS, **fields: Any) -> Record:
    last = {Result.PASS: Outcome.PASS, Result.FAIL: Outcome.FAIL}.get(result, Outcome.SKIP)
    outcomes = (Outcome.PASS, Outcome.PASS, Outcome.PASS, last)
    return replace(SAMPLE_RECORD, **{"result": result, "outcomes": outcomes, "file": FILE, "node": KEY.id, **fields})


def failed() -> Record:
    return observed(Result.FAIL, cause="no-compiler")


def stock_key(key: NodeKey) -> SSlibKey:
    return SSlibKey(key.id, "ed25519", "ed25519", {"public": key.id})


def sealed(statement: object, *, key: NodeKey = KEY, kind: str = PAYLOAD_TYPE) -> bytes:
    payload = json.dumps(statement).encode()
    signature = bytes.fromhex(key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload)))
    return json.dumps(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind,
            "signatures": [{"keyid": key.id, "sig": base64.b64encode(signature).decode()}],
        }
    ).encode()


@pytest.mark.parametrize("record", [observed(), failed()], ids=["PASS", "FAIL"])
def test_a_stock_library_verifies_it(record: Record) -> None:
    envelope = Envelope.from_dict(json.loads(attest(record, KEY)))
    assert envelope.payload_type == "application/vnd.in-toto+json"
    assert [*envelope.verify([stock_key(KEY)], 1)] == [KEY.id]
    with pytest.raises(VerificationError):
        envelope.verify([stock_key(OTHER)], 1)
    envelope.payload = envelope.payload.replace(b"FAILED", b"PASSED").replace(b"1.17.0", b"1.17.1")
    with pytest.raises(VerificationError):
        envelope.verify([stock_key(KEY)], 1)


def test_it_says_what_the_record_says() -> None:
    record = failed()
    statement = json.loads(base64.b64decode(json.loads(attest(record, KEY))["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": FILE.filename, "digest": {"sha256": FILE.sha256}}]
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = statement["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["failedTests"] == [str(record.failed_phase)]
    assert set(predicate["passedTests"]).isdisjoint(predicate["failedTests"])
    described = {one["name"]: one for one in predicate["configuration"]}
    assert described["record"]["digest"] == {"sha256": record.id}
    assert described["record"]["annotations"]["cause"] == "no-compiler"
    assert described["py312-slim"]["annotations"]["arch"] == record.arch
    assert f"pip=={record.pip_version}" in described


def test_the_same_record_and_key_give_the_same_bytes() -> None:
    assert attest(observed(), KEY) == attest(observed(), KEY)
    assert attest(observed(), KEY) != attest(observed(observed_at=1), KEY)


def test_what_was_signed_is_read_back() -> None:
    found = read_attestation(attest(observed(), KEY), {OTHER.id, KEY.id})
    assert (found.node, found.filename, found.sha256, found.result) == (KEY.id, FILE.filename, FILE.sha256, "PASSED")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (observed(node=OTHER.id), f"observation of node {OTHER.id}"),
        (observed(file=None), "names no file"),
        *((observed(result), "no verdict") for result in (Result.ERROR, Result.TIMEOUT, Result.NA)),
    ],
    ids=["of-another-node", "without-file", "ERROR", "TIMEOUT", "NA"],
)
def test_what_is_no_own_verdict_is_not_signed(record: Record, why: str) -> None:
    with pytest.raises(NotAttestedError, match=why):
        attest(record, KEY)


@given(st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    content = bytearray(attest(observed(), KEY))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        found = read_attestation(bytes(content), {KEY.id})
    except InvalidAttestationError:
        return
    # What an envelope says of its key is not signed, and decides nothing.
    assert found == read_attestation(attest(observed(), KEY), {KEY.id})


@given(st.one_of(st.binary(max_size=300), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists)))
def test_anything_else_is_refused(value: object) -> None:
    content = value if isinstance(value, bytes) else json.dumps({"payload": value, "signatures": value}).encode()
    with pytest.raises(InvalidAttestationError):
        read_attestation(content, {KEY.id})


def test_a_node_that_is_not_trusted_is_named() -> None:
    with pytest.raises(InvalidAttestationError, match=rf"{KEY.id}.*not trusted here.*ppp peer trust"):
        read_attestation(attest(observed(), KEY), {OTHER.id})


def _without(*path: str) -> object:
    statement = json.loads(base64.b64decode(json.loads(attest(observed(), KEY))["payload"]))
    part = statement
    for step in path[:-1]:
        part = part[step]
    del part[path[-1]]
    return statement


@pytest.mark.parametrize(
    "make",
    [
        list,
        dict,
        lambda: _without("subject"),
        lambda: _without("_type"),
        lambda: _without("predicate", "result"),
        lambda: {**_statement(), "predicateType": "https://slsa.dev/provenance/v1"},
        lambda: {**_statement(), "subject": [{"name": "a", "digest": {"sha256": "short"}}]},
        lambda: {**_statement(), "subject": []},
        lambda: {**_statement(), "predicate": {"result": "WARNED"}},
    ],
)
def test_a_signed_statement_of_another_kind_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidAttestationError, match="valid attestation"):
        read_attestation(sealed(make()), {KEY.id})


def _statement() -> dict[str, Any]:
    statement: dict[str, Any] = json.loads(base64.b64decode(json.loads(attest(observed(), KEY))["payload"]))
    return statement


def test_another_type_of_payload_is_refused() -> None:
    with pytest.raises(InvalidAttestationError, match="not an in-toto statement"):
        read_attestation(sealed(_statement(), kind="application/json"), {KEY.id})


def test_the_encoding_is_that_of_the_specification() -> None:
    # The example of the specification, protocol.md.
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
