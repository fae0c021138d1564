"""The canary's files, built from `canaries.toml`, and what must be found when its releases are checked.

The same sources give the same bytes everywhere: the compiled modules are in the repository (scripts/canary-extension
builds them).
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

from packaging.requirements import Requirement

from ppp.check.canary.distributions import Distribution
from ppp.check.index.choose import IndexFile
from ppp.check.runtime import PreparedEnvironment
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Platform
from ppp.model.record import Blame, Phase, Result
from ppp.model.release import Release

#: The platforms of the wheels with the compiled module, by C library: any that the matrix's images can have.
WHEEL_PLATFORMS: Final = {"glibc": "manylinux_2_17", "musl": "musllinux_1_1"}
ARCHES: Final = ("x86_64", "aarch64")
#: What takes the compiled module's place where there is none for the processor.
PURE_EXTENSION: Final = b'def sing(song):\n    return "{} notes in pure".format(len(song.encode()))\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryFile:
    """A file of the canary, as an index lists it, and its content. pip has to find those with `is_dependency`."""

    package: str
    version: str
    index_file: IndexFile
    content: bytes
    is_dependency: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRelease:
    """A `[[release]]` of `canaries.toml`: a release, and what must be found in a healthy environment."""

    release: Release
    result: Result
    phase: Phase | None
    cause: str | None
    blame: Blame | None
    imports: tuple[str, ...]
    installed: tuple[Requirement, ...]
    prints: str | None
    arches: frozenset[str] | None

    def applies_to(self, prepared: PreparedEnvironment) -> bool:
        """Return whether it has files for an environment's processor."""
        return self.arches is None or prepared.arch in self.arches

    def expected_installed(self, prepared: PreparedEnvironment) -> list[str]:
        """Return the names of the distributions that must be installed in an environment."""
        facts = {"python_version": prepared.environment.python}
        return [r.name for r in self.installed if r.marker is None or r.marker.evaluate(facts)]

    def expected_output(self, prepared: PreparedEnvironment) -> str | None:
        """Return what its command must print in an environment; None if it has no command."""
        return None if self.prints is None else self.prints.format(libc=_extension_for(prepared))

    def expected_filename(self, prepared: PreparedEnvironment) -> str | None:
        """Return the name of the file that must be chosen in an environment; None where there is no choice."""
        if self.prints is None:
            return None
        stem = f"{self.release.package.replace('-', '_')}-{self.release.version}"
        return f"{stem}-{_tag(_extension_for(prepared), prepared.arch)}.whl"


def _extension_for(prepared: PreparedEnvironment) -> str:
    if prepared.arch not in ARCHES:
        return "pure"
    match prepared.environment.platform:
        case Platform.SLIM:
            return "glibc"
        case Platform.ALPINE:
            return "musl"
        case Platform.HOST:
            return "musl" if any("-musllinux_" in tag for tag in prepared.tags) else "glibc"


def _tag(extension: str, arch: str) -> str:
    return "py3-none-any" if extension == "pure" else f"cp39-abi3-{WHEEL_PLATFORMS[extension]}_{arch}"


@cache
def _load_toml() -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath("canaries.toml").read_text("utf-8"))


@cache
def canary_releases() -> tuple[CanaryRelease, ...]:
    """Return the releases in the order in which they are checked."""
    return tuple(
        CanaryRelease(
            release=Release.parse(row["package"], row["version"]),
            result=Result(row["result"]),
            phase=Phase(row["phase"]) if "phase" in row else None,
            cause=row.get("cause"),
            blame=Blame(row["blame"]) if "blame" in row else None,
            imports=tuple(row.get("imports", ())),
            installed=tuple(map(Requirement, row.get("installed", ()))),
            prints=row.get("prints"),
            arches=frozenset(row["arches"]) if "arches" in row else None,
        )
        for row in _load_toml()["release"]
    )


@cache
def canary_files() -> tuple[CanaryFile, ...]:
    """Return all files of the canary."""
    return tuple(file for row in _load_toml()["distribution"] for file in _build_files(row))


def _build_files(row: Mapping[str, Any]) -> Iterator[CanaryFile]:
    extra = {"compiled", "is_dependency", "announced_sha256", "files", "backend"}
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items() if key not in extra}
    plain = Distribution(
        **given,
        backend=row.get("backend", "").encode(),
        files={path: text.lstrip("\n").encode() for path, text in row.get("files", {}).items()},
    )
    for distribution in _with_extensions(plain) if row.get("compiled") else [plain]:
        content = distribution.build()
        yield CanaryFile(
            package=distribution.name,
            version=distribution.version,
            index_file=IndexFile(
                filename=distribution.filename,
                url=f"canary:{distribution.filename}",
                sha256=row.get("announced_sha256", sha256_hex(content)),
                requires_python=distribution.requires_python,
                yanked=False,
            ),
            content=content,
            is_dependency=row.get("is_dependency", False),
        )


def _with_extensions(plain: Distribution) -> Iterator[Distribution]:
    package = plain.name.replace("-", "_")
    yield replace(plain, files={**plain.files, f"{package}/_voice.py": PURE_EXTENSION})
    for libc in WHEEL_PLATFORMS:
        for arch in ARCHES:
            extension = files(__package__).joinpath("extensions", f"{libc}-{arch}.so").read_bytes()
            added = {**plain.files, f"{package}/_voice.abi3.so": extension}
            yield replace(plain, tag=_tag(libc, arch), purelib=False, files=added)
