"""DSSE envelopes: a payload with its type, signed by a node; other tools verify them with the node's key.

Format: https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md). The same payload and key give the same
bytes. What an envelope says of keys is a hint, and not signed.
"""

import base64
import binascii
import json
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from ppp.mesh.node import NodeKey, is_node_id, verify_signature
from ppp.model.canonical import plain_canonical_json

MAX_SIGNATURES: Final = 16
_SIGNATURE_BYTES: Final = 64


class EnvelopeError(Exception):
    """An envelope that is not valid; the message is a clause that says why."""


class UntrustedSignerError(EnvelopeError):
    """An envelope that names as its signer a node that is not trusted; `node` is its id."""

    def __init__(self, node: str) -> None:
        """Store the id of the node."""
        super().__init__(f"node {node} says to have signed it, which is not trusted here")
        self.node = node


class OpenedEnvelope(NamedTuple):
    """The trusted node whose signature is valid, and what it signed."""

    node: str
    payload: bytes


def seal_envelope(payload: bytes, payload_type: str, key: NodeKey) -> bytes:
    """Return the signed envelope of a payload, as JSON that ends with a line feed."""
    signature = base64.b64encode(bytes.fromhex(key.sign(pre_authentication_encoding(payload_type, payload)))).decode()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [{"keyid": key.id, "sig": signature}],
    }
    return plain_canonical_json(envelope) + b"\n"


def open_envelope(content: bytes, payload_type: str, what: str, trusted: Collection[str]) -> OpenedEnvelope:
    """Return what one of some trusted nodes signed; `what` names a payload of this type. Raise `EnvelopeError`."""
    try:
        envelope = json.loads(content)
        kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"], validate=True)
        signatures = [(str(one.get("keyid", "")), _hex(one["sig"])) for one in envelope["signatures"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise EnvelopeError(f"it is not a DSSE envelope ({type(error).__name__}: {error})") from error
    if kind != payload_type:
        raise EnvelopeError(f"it holds {str(kind)[:100]!r}, not {what}")
    return OpenedEnvelope(_signer(signatures, pre_authentication_encoding(payload_type, payload), trusted), payload)


def named_signers(content: bytes) -> frozenset[str]:
    """Return the ids of the nodes that an envelope says have signed it; none if it is malformed."""
    try:
        signatures = json.loads(content)["signatures"]
        keys = {one.get("keyid") for one in signatures[:MAX_SIGNATURES]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return frozenset()
    return frozenset(key for key in keys if is_node_id(key))


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: DSSE's encoding of a payload and its type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _hex(text: object) -> str:
    """Return the hex digits of a signature in base64; raise `ValueError` if it has another length."""
    signature = base64.b64decode(str(text), validate=True)
    if len(signature) != _SIGNATURE_BYTES:
        raise ValueError(f"a signature has {len(signature)} bytes instead of {_SIGNATURE_BYTES}")
    return signature.hex()


def _signer(signatures: Sequence[tuple[str, str]], message: bytes, trusted: Collection[str]) -> str:
    """Return the trusted node whose signature is valid."""
    if len(signatures) > MAX_SIGNATURES:
        raise EnvelopeError(f"it has more than {MAX_SIGNATURES} signatures")
    for keyid, signature in signatures:
        candidates = [keyid] if keyid in trusted else [] if is_node_id(keyid) else sorted(trusted)
        for node in candidates:
            if verify_signature(node, message, signature):
                return node
    if named := sorted({keyid for keyid, _ in signatures if is_node_id(keyid)} - set(trusted)):
        raise UntrustedSignerError(named[0])
    raise EnvelopeError("no trusted node has signed it, or it was changed since")
