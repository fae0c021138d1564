"""A declared set, as a person writes it in TOML: packages with their versions, files and what they need.

What a file says is checked for its form here, all mistakes together; what it claims is checked by `rules`.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ppp.index_files.file import is_plain_filename
from ppp.model.canonical import Json
from ppp.model.content_id import InvalidContentIdError, raw_content_sha256
from ppp.model.errors import DeclarationError
from ppp.model.matrix import EnvironmentId
from ppp.model.printable import first_of, printable_reason
from ppp.model.release import InvalidReleaseError, Release
from ppp.schemas import schema_errors

SCHEMA: Final = "site/schemas/declared-set.schema.json"
MAX_BYTES: Final = 1_000_000
MAX_MISTAKES: Final = 20
#: How many tags of one wheel's name are read: a name may have any number.
MAX_TAGS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredFile:
    """A wheel by its name and sha256 (hex)."""

    filename: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPackage:
    """One version of a package; `requires_python` and `dependencies` are in the form in which packaging writes them.

    `extras` are those that belong to the set: what they need has to be in it too.
    """

    release: Release
    files: tuple[DeclaredFile, ...]
    requires_python: str = ""
    extras: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """The requirement that pins it, with its extras."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.release.package}{extras}=={self.release.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSet:
    """A set: its name, the environments that it is for, and its packages by name and version."""

    name: str
    environments: tuple[str, ...]
    packages: tuple[DeclaredPackage, ...]


def read_declaration(path: Path) -> DeclaredSet:
    """Return the set that a file declares; raise `DeclarationError` that names all mistakes."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DeclarationError(f"cannot read {path}: {error.strerror}", hint="name a TOML file") from error
    return parse_declaration(content, str(path))


def parse_declaration(content: bytes, place: str) -> DeclaredSet:
    """Return the set that TOML declares; `place` names it in errors. Raise `DeclarationError`."""
    if len(content) > MAX_BYTES:
        raise DeclarationError(f"{place} is larger than {MAX_BYTES:,} bytes", hint="split it into several sets")
    try:
        data = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise DeclarationError(f"{place} is not TOML: {error}", hint="fix the line it names") from error
    mistakes = schema_errors(SCHEMA, data, limit=MAX_MISTAKES) or [*_mistakes(data)]
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        shown = first_of([printable_reason(one, 300) for one in mistakes], MAX_MISTAKES, separator="; ")
        raise DeclarationError(f"{place} has {count}: {shown}", hint="docs/declared-releases.md has an example")
    return _declared(data)


def _mistakes(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a schema cannot express."""
    for environment in data["environments"]:
        try:
            EnvironmentId.parse(environment)
        except ValueError:
            yield f"environments: {environment!r} is no environment: write one such as py312-slim"
    seen: set[str] = set()
    for number, row in enumerate(data["package"]):
        place = f"package[{number}] ({row['name']} {row['version']})"
        try:
            release = Release.parse(row["name"], row["version"])
        except InvalidReleaseError as error:
            yield f"{place}: {error}"
            continue
        if str(release) in seen:
            yield f"{place}: {release} is declared twice: leave one of the two out"
        seen.add(str(release))
        yield from (f"{place}: {mistake}" for mistake in _package_mistakes(release, row))


def _package_mistakes(release: Release, row: Mapping[str, Any]) -> Iterator[str]:
    try:
        SpecifierSet(row.get("requires-python", ""))
    except InvalidSpecifier:
        yield f"requires-python {row['requires-python']!r} is no specifier: write one such as >=3.9"
    for text in row.get("dependencies", []):
        try:
            if Requirement(text).url:
                yield f"the dependency {text!r} has a URL: name a package of the set"
        except (InvalidRequirement, RecursionError):
            yield f"the dependency {text!r} is no requirement: write it as in METADATA"
    for source in row["sources"]:
        yield from _source_mistakes(release, source)


def _source_mistakes(release: Release, source: Mapping[str, str]) -> Iterator[str]:
    name = source["file"]
    if not (is_plain_filename(name) and name.endswith(".whl")):
        yield f"{name!r} is no wheel: declare a wheel, as what a build results in is not known before"
        return
    try:
        package, version, _, tags = parse_wheel_filename(name)
    except (InvalidWheelFilename, ValueError):
        yield f"{name!r} is not the name of a wheel: write it as the index lists it"
        return
    if len(tags) > MAX_TAGS:
        yield f"{name[:80]!r} has {len(tags)} tags, and at most {MAX_TAGS} are read"
    if (package, str(version)) != (release.package, release.version):
        yield f"{name} is a wheel of {package} {version}, not of {release}: declare it there"
    if "cid" in source:
        try:
            raw_content_sha256(source["cid"])
        except InvalidContentIdError as error:
            yield f"{name}: {error}"


def _declared(data: Mapping[str, Any]) -> DeclaredSet:
    packages = [_package(row) for row in data["package"]]
    return DeclaredSet(
        name=data["name"],
        environments=tuple(sorted(data["environments"])),
        packages=tuple(sorted(packages, key=lambda one: (one.release.package, one.release.version))),
    )


def _package(row: Mapping[str, Any]) -> DeclaredPackage:
    files = [DeclaredFile(filename=source["file"], sha256=_sha256(source)) for source in row["sources"]]
    return DeclaredPackage(
        release=Release.parse(row["name"], row["version"]),
        files=tuple(sorted(files, key=lambda file: file.filename)),
        requires_python=str(SpecifierSet(row.get("requires-python", ""))),
        extras=tuple(sorted({canonicalize_name(extra) for extra in row.get("extras", [])})),
        dependencies=normal_requirements(row.get("dependencies", [])),
    )


def _sha256(source: Mapping[str, str]) -> str:
    return source["sha256"] if "sha256" in source else raw_content_sha256(source["cid"])


def normal_requirements(texts: Sequence[str]) -> tuple[str, ...]:
    """Return requirements in one form, each once, sorted; raise `InvalidRequirement`."""
    return tuple(sorted({normal_requirement(text) for text in texts}))


def normal_requirement(text: str) -> str:
    """Return a requirement as packaging writes it, with a normalized name; raise `InvalidRequirement`."""
    requirement = Requirement(text)
    requirement.name = canonicalize_name(requirement.name)
    requirement.extras = {canonicalize_name(extra) for extra in requirement.extras}
    return str(requirement)


def declared_json(package: DeclaredPackage) -> dict[str, Json]:
    """Return what is declared of a package, without its files, as JSON."""
    return {
        "name": package.release.package,
        "version": package.release.version,
        "requires_python": package.requires_python,
        "extras": [*package.extras],
        "dependencies": [*package.dependencies],
    }
