"""Declared releases as files: `NAME/ID/` for each, and `NAME/latest.json`, which names the newest.

A release's folder is written under another name and renamed when it is complete, and never changed. `latest.json` is
replaced last, so whoever reads it finds the release that it names.
"""

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from ppp.declared.release import MAX_BYTES, DeclaredRelease, check_signature, parse_release
from ppp.durability import replace_file, sync_to_disk
from ppp.model.canonical import is_sha256, plain_canonical_json, sha256_hex
from ppp.model.errors import DeclaredReleaseError
from ppp.storage_errors import translate_storage_errors

RELEASE_NAME: Final = "release.json"
ENVELOPE_NAME: Final = "release.dsse.json"
LATEST_NAME: Final = "latest.json"
LATEST_SCHEMA: Final = "ppp-declared-latest-1"
_HINT: Final = "get the folder again from where it was published"


def lock_name(environment: str) -> str:
    """Return the name of the lock of an environment beside a release."""
    return f"pylock.{environment}.toml"


def write_release(folder: Path, release: DeclaredRelease, envelope: bytes, locks: Mapping[str, bytes]) -> Path:
    """Write a release, and that it is the newest of its set; return its folder."""
    place = folder / release.declared.name
    target = place / release.id
    with translate_storage_errors(folder):
        if not target.exists():
            partial = place / f".{release.id}"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            files = {RELEASE_NAME: release.content, ENVELOPE_NAME: envelope}
            files |= {lock_name(environment): content for environment, content in locks.items()}
            for name, content in files.items():
                replace_file(partial / name, content)
            partial.rename(target)
            sync_to_disk(place)
        latest = {"schema": LATEST_SCHEMA, "name": release.declared.name, "id": release.id, "number": release.number}
        replace_file(place / LATEST_NAME, plain_canonical_json(latest) + b"\n")
    return target


def read_latest(folder: Path, name: str, trusted: Collection[str]) -> DeclaredRelease | None:
    """Return the newest release of a set in a folder, None if there is none; raise `DeclaredReleaseError`.

    All releases before it have to be there, too, each signed by one of some trusted nodes.
    """
    place = folder / name
    try:
        latest = json.loads((place / LATEST_NAME).read_bytes())
        id_ = latest["id"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DeclaredReleaseError(f"{place / LATEST_NAME} cannot be read: {error}", hint=_HINT) from error
    newest = found = read_signed(place, id_, trusted)
    while (previous := found.document["previous"]) is not None:
        before = read_signed(place, previous, trusted)
        if before.number != found.number - 1:
            raise DeclaredReleaseError(
                f"release {found.id} has the number {found.number}, and the one before {before.number}", hint=_HINT
            )
        found = before
    if found.number != 1:
        raise DeclaredReleaseError(
            f"release {found.id} has the number {found.number}, and names none before it", hint=_HINT
        )
    return newest


def read_signed(place: Path, id_: object, trusted: Collection[str]) -> DeclaredRelease:
    """Return the release with an id that one of some trusted nodes signed; `place` is the folder of its set.

    Raise `DeclaredReleaseError`: also if it is another one, or a lock beside it is not the one that it names.
    """
    if not is_sha256(id_):
        raise DeclaredReleaseError(f"{str(id_)[:80]!r} is not the id of a release", hint=_HINT)
    release = read_release(place / id_ / RELEASE_NAME)
    if release.id != id_ or release.declared.name != place.name:
        raise DeclaredReleaseError(
            f"{place / id_} has the release {release.id} of the set {release.declared.name}", hint=_HINT
        )
    check_signature(release, _read(place / id_ / ENVELOPE_NAME), trusted)
    for environment, sha256 in release.lock_hashes.items():
        path = place / id_ / lock_name(environment)
        if (found := sha256_hex(_read(path))) != sha256:
            raise DeclaredReleaseError(f"{path} has the sha256 {found}, and its release says {sha256}", hint=_HINT)
    return release


def read_release(path: Path) -> DeclaredRelease:
    """Return the release in a file, whoever made it; raise `DeclaredReleaseError`."""
    return parse_release(_read(path))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(2 * MAX_BYTES + 1)
    except OSError as error:
        raise DeclaredReleaseError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from error
