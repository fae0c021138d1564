"""A lock as `pylock.toml` (PEP 751): written always with the same bytes, and read back without trusting it.

What is specific to PPP stands under `[tool.ppp]`. Its `digest` is the sha256 of everything else in the file, so that a
byte that was changed is noticed before any file is fetched; who can change a lock on purpose can change that too, which
is why each file has a hash of its own. The reader takes only what the writer can have written.
"""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import tomli_w
from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ppp.index_files.file import is_file_url
from ppp.locks.any_lock import file_fault
from ppp.locks.lock import JointClaim, Lock, LockedFile, LockedPackage, LockOrigin, is_plain
from ppp.locks.make import release_of
from ppp.model.canonical import Json, is_sha256, plain_canonical_json, sha256_hex
from ppp.model.errors import InvalidLockError
from ppp.model.matrix import EnvironmentId, Platform
from ppp.model.printable import printable_reason
from ppp.model.release import Release

LOCK_NAME: Final = "pylock.toml"
CREATED_BY: Final = "the-pypi-place"
LOCK_VERSION: Final = "1.0"
#: The version of `[tool.ppp]`.
FORMAT: Final = 1
MAX_LOCK_BYTES: Final = 4 * 1024 * 1024
MAX_PACKAGES: Final = 5_000
MAX_NAMES: Final = 200
MAX_MARKER: Final = 1_000
MAX_TEXT: Final = 200
#: Of a requirement, with all its extras and bounds, and of a module's dotted name.
MAX_REQUIREMENT: Final = 1_000
_IMAGE_DIGEST: Final = re.compile("sha256:[0-9a-f]{64}")
_HINT: Final = "make it again, or get it again from where it was published"


def write_pylock(lock: Lock) -> bytes:
    """Return a lock as the bytes of `pylock.toml`."""
    document = _document(lock)
    document["tool"]["ppp"]["digest"] = _digest(document)
    return tomli_w.dumps(document).encode()


def read_lock(content: bytes) -> Lock:
    """Return the lock that a file holds; raise `InvalidLockError`, which says what is wrong, for any other content."""
    if len(content) > MAX_LOCK_BYTES:
        raise _invalid(f"is larger than {MAX_LOCK_BYTES:,} bytes")
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise _invalid(f"is not TOML: {error}") from error
    digest = _take_digest(document)
    # First: a byte that was changed is the likeliest thing to be wrong.
    if (found := _digest(document)) != digest:
        raise _invalid(f"was changed since it was made: its content has the sha256 {found}, and it says {digest}")
    try:
        lock = _lock(document)
        same = _document(lock) == document
    except (KeyError, TypeError, AttributeError) as error:
        raise _invalid(f"lacks a value, or has one of another kind: {error}") from error
    if not same:
        raise _invalid("has something that no lock of PPP has, or in another form")
    return lock


# ---------------------------------------------------------------- writing


def _document(lock: Lock) -> dict[str, Any]:
    document: dict[str, Any] = {"lock-version": LOCK_VERSION, "requires-python": lock.requires_python}
    for key, names in (
        ("extras", lock.extras),
        ("dependency-groups", lock.dependency_groups),
        ("default-groups", lock.default_groups),
    ):
        if names:
            document[key] = [*names]
    document["created-by"] = CREATED_BY
    document["packages"] = [_package_table(package) for package in lock.packages]
    document["tool"] = {"ppp": _tool_table(lock)}
    return document


def _package_table(package: LockedPackage) -> dict[str, Any]:
    table: dict[str, Any] = {"name": package.name, "version": package.version}
    if package.marker is not None:
        table["marker"] = package.marker
    file = _file_table(package.file)
    return table | ({"wheels": [file]} if package.file.is_wheel else {"sdist": file})


def _file_table(file: LockedFile) -> dict[str, Any]:
    table: dict[str, Any] = {"name": file.filename}
    if file.upload_time is not None:
        table["upload-time"] = file.upload_time
    table["url"] = file.url
    if file.size is not None:
        table["size"] = file.size
    return table | {"hashes": {"sha256": file.sha256}}


def _tool_table(lock: Lock) -> dict[str, Any]:
    origin = lock.origin
    table: dict[str, Any] = {
        "format": FORMAT,
        "strength": str(lock.strength),
        "environment": origin.environment,
        "platform": str(origin.platform),
        "arch": origin.arch,
        "python": origin.python,
        "pip-version": origin.pip_version,
        "image-digest": origin.image_digest,
        "standin": origin.standin,
        "node": origin.node,
        "observed-at": origin.observed_at,
        "evidence": [*origin.evidence],
        "preinstalled": [[*pair] for pair in origin.preinstalled],
    }
    if lock.joint is not None:
        table |= {"joint": True, "requirements": [*lock.joint.requirements], "imported": [*lock.joint.imported]}
    return {key: value for key, value in table.items() if value is not None}


def _digest(document: dict[str, Any]) -> str:
    return sha256_hex(plain_canonical_json(_plain(document)))


def _plain(value: object) -> Json:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case datetime():
            return {"time": value.isoformat()}
        case str() | int():
            return value
    raise _invalid(f"has a value of the kind {type(value).__name__}")


# ---------------------------------------------------------------- reading


def _invalid(what: str) -> InvalidLockError:
    return InvalidLockError(f"the lock {printable_reason(what)}", hint=_HINT)


def _take_digest(document: dict[str, Any]) -> str:
    match document:
        case {"tool": {"ppp": {"digest": str(digest)} as table}}:
            del table["digest"]
            return digest[:MAX_TEXT]
    raise _invalid("is not one of PPP: it has no digest under [tool.ppp]")


def _lock(document: dict[str, Any]) -> Lock:
    packages = document["packages"]
    if not isinstance(packages, list) or not 0 < len(packages) <= MAX_PACKAGES:
        raise _invalid(f"has no packages, or more than {MAX_PACKAGES:,}")
    lock = Lock(
        packages=tuple(_package(table) for table in packages),
        requires_python=_specifier(document["requires-python"]),
        origin=_origin(document["tool"]["ppp"]),
        extras=_names(document, "extras"),
        dependency_groups=_names(document, "dependency-groups"),
        default_groups=_names(document, "default-groups"),
        joint=_joint(document["tool"]["ppp"]),
    )
    names = [package.name for package in lock.packages]
    if names != sorted(set(names)):
        raise _invalid("does not list each package once, by name")
    if unknown := {*lock.default_groups} - {*lock.dependency_groups}:
        raise _invalid(f"installs groups by default that it does not have: {', '.join(sorted(unknown))}")
    return lock


def _package(table: dict[str, Any]) -> LockedPackage:
    match table:
        case {"wheels": [dict(file)]}:
            found = _file(file)
        case {"sdist": dict(file)}:
            found = _file(file)
        case _:
            raise _invalid(f"has not exactly one file of {table.get('name')!r}")
    release = Release(package=_text(table["name"]), version=_text(table["version"]))
    if release_of(found.filename) != release:
        raise _invalid(f"has the file {found.filename} for {release}")
    return LockedPackage(name=release.package, version=release.version, file=found, marker=_marker(table))


def _file(table: dict[str, Any]) -> LockedFile:
    filename, url, sha256 = _text(table["name"], 300), _text(table["url"], 3_000), table["hashes"]["sha256"]
    size, uploaded = table.get("size"), table.get("upload-time")
    if fault := file_fault(filename, sha256, size):
        raise _invalid(fault)
    if not is_file_url(url, filename):
        raise _invalid(f"has an address that is none of {filename}: {url}")
    if uploaded is not None and not (isinstance(uploaded, datetime) and uploaded.utcoffset() == timedelta(0)):
        raise _invalid(f"has a time of upload of {filename} that is not in UTC: {uploaded!r}")
    return LockedFile(
        filename=filename, url=url, sha256=sha256, size=size, upload_time=uploaded and uploaded.astimezone(UTC)
    )


def _marker(table: dict[str, Any]) -> str | None:
    if "marker" not in table:
        return None
    text = _text(table["marker"], MAX_MARKER)
    try:
        return str(Marker(text))
    except (InvalidMarker, RecursionError) as error:
        raise _invalid(f"has a marker that cannot be read: {text}") from error


def _specifier(value: object) -> str:
    text = _text(value)
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise _invalid(f"requires a Python that cannot be read: {text}") from error
    return text


def _names(document: dict[str, Any], key: str) -> tuple[str, ...]:
    names = document.get(key, [])
    if not isinstance(names, list) or len(names) > MAX_NAMES:
        raise _invalid(f"has {key} that are no list, or more than {MAX_NAMES}")
    for name in names:
        if not is_plain(_text(name)) or canonicalize_name(name) != name:
            raise _invalid(f"has {key} with the name {name!r}")
    return tuple(names)


def _joint(table: dict[str, Any]) -> JointClaim | None:
    if "joint" not in table:
        return None
    requirements, imported = (table[key] for key in ("requirements", "imported"))
    for texts in (requirements, imported):
        if not isinstance(texts, list) or len(texts) > MAX_PACKAGES:
            raise _invalid(f"has no list of what was installed together, or one of more than {MAX_PACKAGES:,}")
    try:
        wanted = [str(Requirement(_text(text, MAX_REQUIREMENT))) for text in requirements]
    except (InvalidRequirement, RecursionError) as error:
        raise _invalid(f"names a requirement that cannot be read: {error}") from error
    if wanted != requirements:
        raise _invalid("names requirements in another form than the normal one")
    if not all(part.isidentifier() for module in imported for part in _text(module, MAX_REQUIREMENT).split(".")):
        raise _invalid("names a module that is none")
    return JointClaim(requirements=tuple(requirements), imported=tuple(imported))


def _origin(table: dict[str, Any]) -> LockOrigin:
    environment = _text(table["environment"])
    try:
        EnvironmentId.parse(environment)
        platform = Platform(table["platform"])
    except ValueError as error:
        raise _invalid(f"names an environment that is none: {error}") from error
    evidence, digest = table["evidence"], table.get("image-digest")
    if not isinstance(evidence, list) or len(evidence) > MAX_PACKAGES or not all(map(is_sha256, evidence)):
        raise _invalid("names a record that is none under `evidence`")
    if digest is not None and not _IMAGE_DIGEST.fullmatch(_text(digest)):
        raise _invalid(f"names an image that is none: {digest}")
    return LockOrigin(
        environment=environment,
        platform=platform,
        arch=_plain_text(table["arch"]),
        python=None if "python" not in table else _plain_text(table["python"]),
        pip_version=_plain_text(table["pip-version"]),
        image_digest=digest,
        standin=table["standin"] is True,
        node=_plain_text(table["node"]),
        observed_at=_integer(table["observed-at"]),
        evidence=tuple(evidence),
        preinstalled=tuple(_pair(pair) for pair in table["preinstalled"]),
    )


def _pair(pair: list[Any]) -> tuple[str, str]:
    name, version = map(_plain_text, pair)
    return name, version


def _integer(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise _invalid(f"has a number that is none, or too large: {value!r}")
    return value


def _plain_text(value: object) -> str:
    text = _text(value)
    if not is_plain(text):
        raise _invalid(f"has a text with unusual characters: {text!r}")
    return text


def _text(value: object, longest: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise _invalid(f"has a value where a text is needed: {value!r}")
    if len(value) > longest:
        raise _invalid(f"has a text of more than {longest} characters: {value[:MAX_TEXT]}")
    return value
