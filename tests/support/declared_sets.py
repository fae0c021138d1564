"""Declared sets for tests: a package `app` that needs `lib`, and what an index and the wheels say of their files."""

from collections.abc import Mapping
from typing import Any, Final

import tomli_w
from sample_lock import indexed_files, sample_pass

from ppp.declared.declaration import DeclaredSet, parse_declaration
from ppp.declared.rules import SourceFacts, WheelMetadata
from ppp.index_files.file import IndexedFile
from ppp.locks.lock import JointClaim, Lock
from ppp.locks.make import make_joint_lock, make_lock

ARCH: Final = "x86_64"
APP: Final[dict[str, Any]] = {
    "name": "app",
    "version": "1.0",
    "requires-python": ">=3.9",
    "dependencies": ["lib[fast]>=2"],
    "sources": [{"file": "app-1.0-py3-none-any.whl", "sha256": "a" * 64}],
}
LIB: Final[dict[str, Any]] = {
    "name": "lib",
    "version": "2.0",
    "extras": ["fast"],
    "dependencies": ["extra-lib; extra == 'fast' and python_version < '3'"],
    "sources": [
        {"file": "lib-2.0-cp312-cp312-manylinux_2_17_x86_64.whl", "sha256": "b" * 64},
        {"file": "lib-2.0-cp311-cp311-musllinux_1_2_x86_64.whl", "sha256": "c" * 64},
    ],
}
SET: Final[dict[str, Any]] = {"name": "demo", "environments": ["py312-slim", "py311-alpine"], "package": [APP, LIB]}
NEEDED: Final = "extra-lib; extra == 'fast' and python_version < '3'"


def declared_set(**changes: Any) -> DeclaredSet:
    """Return the set, with other values at its top."""
    return parse_declaration(tomli_w.dumps(SET | changes).encode(), "demo.toml")


def with_package(package: Mapping[str, Any], **changes: Any) -> DeclaredSet:
    """Return the set, in which one of its packages has other values."""
    return declared_set(package=[{**one, **changes} if one is package else one for one in (APP, LIB)])


def source_facts(declared: DeclaredSet, **metadata: Any) -> SourceFacts:
    """Return facts that agree with a set, but for what METADATA of `app` says."""
    indexed = {
        (file.sha256, package.release.package): IndexedFile(
            sha256=file.sha256,
            project=package.release.package,
            version=package.release.version,
            filename=file.filename,
            url=f"https://files.example/{file.filename}",
            seen_at=5,
            size=7,
        )
        for package in declared.packages
        for file in package.files
    }
    said = {
        "app": {
            "name": "App",
            "version": "1.0",
            "requires_python": ">=3.9",
            "requires_dist": ("Lib[Fast] (>=2)",),
            **metadata,
        },
        "lib": {
            "name": "lib",
            "version": "2.0",
            "requires_dist": (NEEDED, "slow-lib; extra == 'slow'"),
            "extras": ("fast", "slow"),
        },
    }
    wheels = {key: WheelMetadata(**said[key[1]]) for key in indexed}
    return SourceFacts(indexed=indexed, metadata=wheels)


def sample_joint_lock() -> Lock:
    """Return a lock of a joint cell."""
    record = sample_pass("needed")
    origin = make_lock(record, "cd" * 32, indexed_files()).origin
    return make_joint_lock(
        record.installed, indexed_files(), origin, JointClaim(requirements=("lib",), imported=("lib",))
    )
