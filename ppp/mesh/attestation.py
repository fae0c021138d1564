"""A verdict as an attestation that programs of others read: an in-toto statement in a DSSE envelope, signed by a node.

- The statement is of version 1, its predicate the in-toto test result 0.1: `PASSED` or `FAILED`, the phases that passed
  and the one that failed. Its subject is the file that was checked, by name and sha256.
- The predicate's configuration names what the result depends on: the record, the environment with its image, pip, and
  the file of every distribution that was installed.
- A node signs what it observed itself, and nothing else. The same record and key give the same bytes.

Formats: https://github.com/in-toto/attestation (spec/v1/statement.md, spec/predicates/test-result.md) and
https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md).
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ppp.mesh.envelope import EnvelopeError, UntrustedSignerError, open_envelope, seal_envelope
from ppp.mesh.node import NodeKey
from ppp.model.canonical import Json, is_sha256, plain_canonical_json
from ppp.model.errors import InvalidAttestationError, NotAttestedError
from ppp.model.printable import printable_reason
from ppp.model.record import PHASES, Outcome, Record, Result

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
#: The predicate's results, by ours; the others are no verdict.
RESULTS: Final = {Result.PASS: "PASSED", Result.FAIL: "FAILED"}
#: The largest envelope that is read, in bytes: one with 2,000 installed distributions has about 500 kB.
MAX_ENVELOPE_BYTES: Final = 2 * 1024 * 1024
_HINT: Final = "get it again from whoever made it; `ppp attest sign` makes them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What an envelope says whose signature is valid: who signed, the file and its sha256 (hex), and the result."""

    node: str
    filename: str
    sha256: str
    result: str
    statement: Json


def attest(record: Record, key: NodeKey) -> bytes:
    """Return the signed envelope (JSON, ends with a line feed) of a record; raise `NotAttestedError` if it has none."""
    if record.node != key.id:
        raise NotAttestedError(
            f"the record is an observation of node {record.node}, and this is {key.id}",
            hint="ask that node for it, or observe it here: `ppp check`",
        )
    if record.result not in RESULTS:
        raise NotAttestedError(f"the result is {record.result}: no verdict", hint="only PASS and FAIL are attested")
    if record.file is None:
        raise NotAttestedError(
            "the record names no file: none could be downloaded", hint="a statement is about a file; there is none"
        )
    payload = plain_canonical_json(statement_of(record))
    return seal_envelope(payload, PAYLOAD_TYPE, key)


def statement_of(record: Record) -> Json:
    """Return the in-toto statement of a record that has a verdict and names its file."""
    file = record.file
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": file.filename, "digest": {"sha256": file.sha256}}] if file else [],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": RESULTS[record.result],
            "configuration": _configuration(record),
            "passedTests": [str(phase) for phase in PHASES if record.outcome(phase) is Outcome.PASS],
            "failedTests": [str(phase) for phase in PHASES if record.outcome(phase) is Outcome.FAIL],
        },
    }


def _configuration(record: Record) -> list[Json]:
    """Return resource descriptors of what the result depends on."""
    digest = (record.image_digest or "").removeprefix("sha256:")
    environment = {
        "name": record.environment,
        **({"digest": {"sha256": digest}} if is_sha256(digest) else {}),
        "annotations": {
            "arch": record.arch,
            "python": record.python or "",
            "standin": record.standin,
            "network": str(record.network),
        },
    }
    why = {name: str(value) for name, value in (("cause", record.cause), ("blame", record.blame)) if value}
    return [
        {
            "name": "record",
            "digest": {"sha256": record.id},
            "annotations": {
                "package": record.release.package,
                "version": record.release.version,
                "observed_at": record.observed_at,
                **why,
            },
        },
        environment,
        {"name": f"pip=={record.pip_version}"},
        *(
            {"name": f"{one.name}=={one.version}", **({"digest": {"sha256": one.sha256}} if one.sha256 else {})}
            for one in record.installed
        ),
    ]


def read_attestation(content: bytes, trusted: Collection[str]) -> Attestation:
    """Return what an envelope says if one of some trusted nodes signed it; raise `InvalidAttestationError`."""
    if len(content) > MAX_ENVELOPE_BYTES:
        raise _invalid(f"it is larger than {MAX_ENVELOPE_BYTES:,} bytes")
    try:
        return _attestation(*open_envelope(content, PAYLOAD_TYPE, "an in-toto statement", trusted))
    except UntrustedSignerError as error:
        raise InvalidAttestationError(
            str(error), hint="name its key with --key if you trust it, or for good with `ppp peer trust`"
        ) from error
    except EnvelopeError as error:
        raise _invalid(str(error)) from error


def _attestation(node: str, payload: bytes) -> Attestation:
    try:
        statement = json.loads(payload)
        (subject,) = statement["subject"]
        found = Attestation(
            node=node,
            filename=subject["name"],
            sha256=subject["digest"]["sha256"],
            result=statement["predicate"]["result"],
            statement=statement,
        )
        kinds = (statement["_type"], statement["predicateType"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _invalid(f"its statement is malformed ({type(error).__name__}: {error})") from error
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE) or found.result not in RESULTS.values():
        raise _invalid("it is signed, but states no result of a test")
    if not (is_sha256(found.sha256) and isinstance(found.filename, str)):
        raise _invalid("its subject is not a file with a sha256")
    return found


def _invalid(problem: str) -> InvalidAttestationError:
    return InvalidAttestationError(f"not a valid attestation: {printable_reason(problem, 200)}", hint=_HINT)
