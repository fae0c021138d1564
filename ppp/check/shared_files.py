"""Which files two distributions both own: what their files RECORD claim, judged by what harms.

- Different contents are a conflict: whoever was installed last has overwritten the others' file. Which of them that is
  shows in what is there.
- Equal contents are a duplicate, which does no harm while both are installed.
- Where a RECORD gives no hash of a kind that both have, sizes can still differ; else nothing is claimed.
- Owners count only if they are known to be installed, and one of them was installed for the release.

What comes out of the sandbox is untrusted: it is parsed, bounded, and made printable. Pure.
"""

import base64
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from packaging.utils import canonicalize_name

from ppp.check.causes import printable_line
from ppp.model.installed_files import SharedFile, SharedFiles

#: How many files are named, and how long a path may be.
MAX_SHARED_FILES: Final = 16
MAX_PATH_CHARS: Final = 255
#: How many owners of a file are named.
MAX_OWNERS: Final = 8
_INFO: Final = ".dist-info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a distribution's RECORD says of a file: its dist-info, hash (`sha256=…`) and size, as written."""

    folder: str
    digest: str
    size: str

    @property
    def name(self) -> str:
        """The normalized name of the distribution, by the name of its dist-info."""
        return canonicalize_name(self.folder.removesuffix(_INFO).rpartition("-")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedFile:
    """A file that several distributions claim; `sha256` (hex) is of what is there, None if that was not read."""

    path: str
    claims: tuple[Claim, ...]
    sha256: str | None


def find_shared_files(
    claimed: Iterable[ClaimedFile], *, installed: Collection[str], preinstalled: Collection[str]
) -> SharedFiles | None:
    """Return what several distributions own; None if there is no such file.

    `installed` are the normalized names of what was installed for the release, `preinstalled` of what was there before.
    """
    judged = (_judge(file, frozenset(installed), frozenset(preinstalled)) for file in claimed)
    files = sorted((file for file in judged if file), key=lambda file: (file.equal, file.path))
    if not files:
        return None
    conflicts = sum(not file.equal for file in files)
    return SharedFiles(conflicts=conflicts, equal=len(files) - conflicts, files=tuple(files[:MAX_SHARED_FILES]))


def _judge(file: ClaimedFile, installed: frozenset[str], preinstalled: frozenset[str]) -> SharedFile | None:
    claims = {claim.name: claim for claim in file.claims if claim.name in installed | preinstalled}
    if len(claims) <= 1 or not installed & claims.keys():
        return None
    differences = {_differ(one, other) for one, other in combinations(claims.values(), 2)}
    path = _printable_path(file.path)
    if not path or (None in differences and True not in differences):
        return None
    equal = differences == {False}
    kept = None if equal else next((name for name in sorted(claims) if _is_there(claims[name], file.sha256)), None)
    return SharedFile(path=path, owners=tuple(sorted(claims)[:MAX_OWNERS]), equal=equal, kept=kept)


def _differ(one: Claim, other: Claim) -> bool | None:
    """Return whether two claims are about different contents; None if they do not say."""
    (kind, _, digest), (other_kind, _, other_digest) = one.digest.partition("="), other.digest.partition("=")
    if digest and kind == other_kind and other_digest:
        return digest.rstrip("=") != other_digest.rstrip("=")
    return True if one.size and other.size and one.size != other.size else None


def _is_there(claim: Claim, sha256: str | None) -> bool:
    if sha256 is None:
        return False
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
    return claim.digest.rstrip("=") == f"sha256={digest}"


def _printable_path(path: str) -> str:
    plain = printable_line(path) or ""
    return plain if len(plain) <= MAX_PATH_CHARS else f"{plain[: MAX_PATH_CHARS - 1]}…"
