"""A declared release as a document: named by its content, signed, on top of the one before.

- Its id is the sha256 of its canonical JSON, and `previous` is the id of the release before; so an id stands for all of
  them. A node signs the same bytes in a DSSE envelope.
- It names wheels by sha256 and by their addresses at the index, and holds none: releases share what they have alike.
- The locks of its joint cells are files beside it, named by their sha256.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from ppp.declared.declaration import DeclaredFile, DeclaredPackage, DeclaredSet, declared_json
from ppp.index_files.file import IndexedFile
from ppp.locks.lock import Lock
from ppp.locks.pylock import write_pylock
from ppp.mesh.envelope import EnvelopeError, open_envelope, seal_envelope
from ppp.mesh.node import NodeKey
from ppp.model.canonical import Json, plain_canonical_json, sha256_hex
from ppp.model.content_id import raw_content_id
from ppp.model.errors import DeclaredReleaseError
from ppp.model.printable import printable_reason
from ppp.model.release import Release
from ppp.schemas import schema_errors

SCHEMA_NAME: Final = "ppp-declared-release-1"
SCHEMA: Final = "site/schemas/declared-release.schema.json"
PAYLOAD_TYPE: Final = "application/vnd.ppp.declared-release+json"
#: The largest document and envelope that are read, in bytes.
MAX_BYTES: Final = 8 * 1024 * 1024
_HINT: Final = "get it again from where it was published"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRelease:
    """A release: its id, its document, and the set that it consists of."""

    id: str
    document: Mapping[str, Json]
    declared: DeclaredSet

    @property
    def number(self) -> int:
        """Its place in the chain of its set, from 1 on."""
        return int(self.document["number"])

    @property
    def content(self) -> bytes:
        """Its canonical JSON, of which the id is the sha256."""
        return plain_canonical_json(self.document)

    @property
    def lock_hashes(self) -> dict[str, str]:
        """The sha256 of the lock of each environment."""
        return {environment: row["lock_sha256"] for environment, row in self.document["environments"].items()}


def make_release(
    declared: DeclaredSet,
    indexed: Mapping[tuple[str, str], IndexedFile],
    locks: Mapping[str, Lock],
    previous: DeclaredRelease | None,
) -> DeclaredRelease:
    """Return the release of a set that was checked, on top of the one before.

    `indexed` is what the index says of its files, by sha256 and package; `locks` are those of its joint cells.
    """
    document: dict[str, Json] = {
        "schema": SCHEMA_NAME,
        "name": declared.name,
        "number": 1 if previous is None else previous.number + 1,
        "previous": None if previous is None else previous.id,
        "environments": {environment: _environment_json(locks[environment]) for environment in declared.environments},
        "packages": [
            {**declared_json(package), "files": [_file_json(package, file, indexed) for file in package.files]}
            for package in declared.packages
        ],
    }
    return parse_release(plain_canonical_json(document))


def _environment_json(lock: Lock) -> dict[str, Json]:
    origin = lock.origin
    return {
        "lock_sha256": sha256_hex(write_pylock(lock)),
        "image_digest": origin.image_digest,
        "standin": origin.standin,
        "python": origin.python,
        "arch": origin.arch,
        "pip_version": origin.pip_version,
        "observed_at": origin.observed_at,
    }


def _file_json(
    package: DeclaredPackage, file: DeclaredFile, indexed: Mapping[tuple[str, str], IndexedFile]
) -> dict[str, Json]:
    known = indexed[file.sha256, package.release.package]
    return {
        "filename": file.filename,
        "sha256": file.sha256,
        "cid": raw_content_id(file.sha256),
        "size": known.size,
        "url": known.url,
    }


def parse_release(content: bytes) -> DeclaredRelease:
    """Return the release of a document; raise `DeclaredReleaseError`."""
    if len(content) > MAX_BYTES:
        raise _invalid(f"it is larger than {MAX_BYTES:,} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"it is not JSON: {error}") from error
    if mistakes := schema_errors(SCHEMA, document, limit=1):
        raise _invalid(mistakes[0])
    if plain_canonical_json(document) != content:
        raise _invalid("it is not in canonical form, in which its id is known")
    return DeclaredRelease(id=sha256_hex(content), document=document, declared=_declared(document))


def _declared(document: Mapping[str, Json]) -> DeclaredSet:
    packages = [
        DeclaredPackage(
            release=Release(package=row["name"], version=row["version"]),
            files=tuple(DeclaredFile(filename=file["filename"], sha256=file["sha256"]) for file in row["files"]),
            requires_python=row["requires_python"],
            extras=tuple(row["extras"]),
            dependencies=tuple(row["dependencies"]),
        )
        for row in document["packages"]
    ]
    return DeclaredSet(
        name=document["name"], environments=tuple(sorted(document["environments"])), packages=tuple(packages)
    )


def sign_release(release: DeclaredRelease, key: NodeKey) -> bytes:
    """Return the envelope in which a node signs a release."""
    return seal_envelope(release.content, PAYLOAD_TYPE, key)


def check_signature(release: DeclaredRelease, envelope: bytes, trusted: Collection[str]) -> str:
    """Return the trusted node that signed a release; raise `DeclaredReleaseError` if none did."""
    if len(envelope) > 2 * MAX_BYTES:
        raise _invalid(f"its envelope is larger than {2 * MAX_BYTES:,} bytes")
    try:
        opened = open_envelope(envelope, PAYLOAD_TYPE, "a declared release", trusted)
    except EnvelopeError as error:
        raise _invalid(f"its signature is not valid: {error}") from error
    if opened.payload != release.content:
        raise _invalid("what was signed is another release")
    return opened.node


def _invalid(problem: str) -> DeclaredReleaseError:
    return DeclaredReleaseError(f"not a valid declared release: {printable_reason(problem, 300)}", hint=_HINT)
