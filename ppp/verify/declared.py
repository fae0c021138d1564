"""Verify a declared release: its id, its signature, the locks beside it. See `ppp.declared`."""

from collections.abc import Collection
from pathlib import Path

from ppp.declared.folder import ENVELOPE_NAME, RELEASE_NAME, read_signed
from ppp.declared.release import MAX_BYTES
from ppp.mesh.envelope import named_signers
from ppp.model.errors import DeclaredReleaseError
from ppp.verify.documents import read
from ppp.verify.result import fail


def check_declared_release(path: Path, *, nodes: Collection[str]) -> str:
    """Check a `release.json` in the folder of its id, in that of its set; without `nodes`, any node may sign."""
    if path.name != RELEASE_NAME:
        fail(f"a declared release is NAME/ID/{RELEASE_NAME}, with its signature and its locks beside it")
    place = path.absolute().parent
    trusted = nodes or named_signers(read(place / ENVELOPE_NAME, most=2 * MAX_BYTES))
    try:
        release = read_signed(place.parent, place.name, trusted)
    except DeclaredReleaseError as error:
        fail(error.message)
    what = f"release {release.number} of {release.declared.name}"
    count = len(release.lock_hashes)
    locks = "1 lock" if count == 1 else f"{count} locks"
    return f"{what}, with {locks}, signed by {' or '.join(sorted(trusted))}"
