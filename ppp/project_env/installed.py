"""Read what an environment has, and what synchronizations left in it: `ppp-environment.json`.

That file says `syncing` from before the first change until the environment was verified; so an environment whose
synchronization was killed is known, and is made anew.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ppp.durability import replace_file
from ppp.project_env.locked import LockedWheel, LockSelection
from ppp.project_env.plan import InstalledDistribution, Origin

STATE_NAME: Final = "ppp-environment.json"
_FORMAT: Final = 1
_SYNCING: Final = "syncing"
_SYNCED: Final = "synced"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFile:
    """What synchronizations left: whether the last one ended, its Python, and where each distribution is from."""

    is_complete: bool
    python: str
    selection: LockSelection = field(default_factory=LockSelection)
    origins: Mapping[str, Origin] = field(default_factory=dict)


def read_installed(site_packages: Path) -> list[InstalledDistribution]:
    """Return what is installed in a folder, by name; one thing may be there twice."""
    folders = [*site_packages.glob("*.dist-info"), *site_packages.glob("*.egg-info")]
    return sorted(map(_installed, folders), key=lambda one: (one.name, one.version))


def _installed(folder: Path) -> InstalledDistribution:
    headers = BytesHeaderParser().parsebytes(_read(folder / "METADATA") or b"")
    record = _read(folder / "RECORD")
    # Without METADATA, the name of its folder is all there is to know it by.
    name, _, version = folder.name.removesuffix(folder.suffix).partition("-")
    is_whole = bool(record and headers["Name"] and headers["Version"])
    return InstalledDistribution(
        name=canonicalize_name(str(headers["Name"] or name)),
        version=normal_version(str(headers["Version"] or version)),
        record_sha256=hashlib.sha256(record or b"").hexdigest() if is_whole else None,
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def normal_version(text: str) -> str:
    """Return a version as PEP 440 normalizes it; as it is if it is none."""
    try:
        return str(Version(text))
    except InvalidVersion:
        return text


def origins_of(wheels: Sequence[LockedWheel], installed: Sequence[InstalledDistribution]) -> dict[str, Origin]:
    """Return where each distribution is from, once all are installed."""
    records = {one.name: one.record_sha256 for one in installed}
    return {
        wheel.name: Origin(file_sha256=wheel.sha256, record_sha256=record)
        for wheel in wheels
        if (record := records.get(wheel.name)) is not None
    }


def read_environment_file(environment: Path) -> EnvironmentFile | None:
    """Return what synchronizations left in an environment, None if there was none; an invalid file is incomplete."""
    try:
        document = json.loads((environment / STATE_NAME).read_bytes())
        return EnvironmentFile(
            is_complete=document["state"] == _SYNCED and document["format"] == _FORMAT,
            python=str(document["python"]),
            selection=LockSelection(extras=tuple(document["extras"]), groups=tuple(document["groups"])),
            origins={
                name: Origin(file_sha256=row["sha256"], record_sha256=row["record_sha256"])
                for name, row in document["distributions"].items()
            },
        )
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError):
        return EnvironmentFile(is_complete=False, python="")


def write_environment_file(environment: Path, content: EnvironmentFile) -> None:
    """Write it, so that it is on the disk before anything that is done later."""
    document = {
        "format": _FORMAT,
        "state": _SYNCED if content.is_complete else _SYNCING,
        "python": content.python,
        "extras": sorted(content.selection.extras),
        "groups": sorted(content.selection.groups),
        "distributions": {
            name: {"sha256": origin.file_sha256, "record_sha256": origin.record_sha256}
            for name, origin in sorted(content.origins.items())
        },
    }
    replace_file(environment / STATE_NAME, (json.dumps(document, indent=1) + "\n").encode())
