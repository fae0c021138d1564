"""Read the files that a person gives: what each is called, which release that is, and what it says of itself.

A file is copied once, and the copy is what is read, hashed and installed. What is in it is anybody's: an archive's
headers are read up to a limit, nothing of it is unpacked, and none of its code runs. A release is named as pip and an
index name it, by the file's name; whether its metadata agrees is decided when pip has installed it.
"""

import email.parser
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Final

from packaging.tags import parse_tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ppp.check.causes import printable_line
from ppp.check.index.choose import (
    ARCHIVE_SUFFIXES,
    MAX_WHEEL_TAGS,
    IndexFile,
    file_version,
    has_too_many_tags,
    is_safe_filename,
)
from ppp.check.wheel_contents import LimitedFile, WheelHeaders, read_headers
from ppp.model.errors import PPPError
from ppp.model.printable import first_of, printable_reason
from ppp.model.release import InvalidReleaseError, Release
from ppp.run_folders import remove_leftovers, run_folder

#: How much of an sdist's PKG-INFO is read, and how far into the archive it is searched for, in bytes and files: some
#: tools write it last.
MAX_HEADER_BYTES: Final = 1024 * 1024
MAX_ARCHIVE_BYTES: Final = 256 * 1024 * 1024
MAX_MEMBERS: Final = 20_000
#: The largest part of a tar archive that is read at once, so the largest of its headers: all of them are remembered.
MAX_TAR_READ_BYTES: Final = 256 * 1024
TAR_CHUNK_BYTES: Final = 8192
CHUNK_BYTES: Final = 1024 * 1024
#: The longest name that leaves room for a suffix of ours, in bytes.
MAX_NAME_BYTES: Final = 250
#: The prefix of the folder that holds the copies.
PREFIX: Final = "given-"
#: What an index refuses, although pip installs it: the platform tag of a wheel that was not made portable.
UNPORTABLE: Final = "linux_"
#: The suffixes of compiled modules, on any platform.
COMPILED: Final = (".so", ".pyd", ".dylib")
MAX_SHOWN_TAGS: Final = 3
_TAR_SUFFIXES: Final = (".tar.gz", ".tgz", ".tar")
#: What reading a damaged or hostile archive raises.
_DAMAGED: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class GivenFileError(PPPError):
    """A file to check is missing, cannot be read, or is neither a wheel nor an sdist."""

    exit_code = 57


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFile:
    """A file to check: `shown` is its path as it was typed, `path` that of its copy, whose `sha256` is in hex.

    `release` is None where its name is not that of a wheel or an sdist: `fault` says why, a sentence, and an index
    would refuse it. `notes` are sentences about what its results leave unsaid. `requires_python` is as it is written.
    """

    shown: str
    path: Path
    sha256: str
    size: int
    release: Release | None = None
    fault: str = ""
    requires_python: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel, by its name."""
        return self.filename.endswith(".whl")

    @property
    def listed(self) -> IndexFile:
        """Return it as an index would list it, without an address."""
        return IndexFile(
            filename=self.filename,
            url="",
            sha256=self.sha256,
            requires_python=self.requires_python,
            yanked=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """What an archive's metadata says of it: text as it is written, empty where it is missing."""

    name: str = ""
    version: str = ""
    requires_python: str | None = None


def is_file_argument(text: str) -> bool:
    """Return whether a word of a command line means a file and not a package: by its separators, or its suffix."""
    return os.sep in text or text.endswith((".whl", *ARCHIVE_SUFFIXES))


@contextmanager
def copied_files(paths: Sequence[str], *, parent: Path, max_bytes: int) -> Iterator[tuple[GivenFile, ...]]:
    """Copy files into one folder below `parent` that cells can see, and read them; the folder ends with the context.

    A file that is named twice is read once. Raise `GivenFileError` for all that are missing, are no regular file, are
    larger than `max_bytes`, have another suffix than wheels and sdists, or have the name of another one.
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers([PREFIX], parent)
    with run_folder(PREFIX, parent) as folder:
        folder.chmod(0o755)
        given: list[GivenFile] = []
        faults: list[str] = []
        sources: dict[str, Path] = {}
        for text in dict.fromkeys(paths):
            source = Path(text)
            try:
                if sources.setdefault(source.name, source.resolve()) != source.resolve():
                    raise ValueError("another of the files has this name")  # noqa: TRY301 - all faults become one error
                if source.name not in {file.filename for file in given}:
                    given.append(_copied(text, folder, max_bytes))
            except OSError as error:
                faults.append(f"{printable_reason(text)}: {error.strerror or error}")
            except ValueError as error:
                faults.append(f"{printable_reason(text)}: {error}")
        if faults:
            raise GivenFileError("; ".join(faults), hint="name wheels and sdists that exist, such as ./dist/*.whl")
        yield tuple(given)


def _copied(text: str, folder: Path, max_bytes: int) -> GivenFile:
    source = Path(text)
    if not source.name.endswith((".whl", *ARCHIVE_SUFFIXES)):
        raise ValueError("it has the suffix of neither a wheel nor an sdist")
    if len(os.fsencode(source.name)) > MAX_NAME_BYTES:
        raise ValueError("its name is too long")
    copy, digest, size = folder / source.name, hashlib.sha256(), 0
    # Without O_NONBLOCK, opening a named pipe would wait for a writer.
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as read, copy.open("xb") as out:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        while chunk := read.read(CHUNK_BYTES):
            size += len(chunk)
            if size > max_bytes:
                raise ValueError(f"it has more than {max_bytes} bytes, the limit of the matrix (file_mb)")
            digest.update(chunk)
            out.write(chunk)
    copy.chmod(0o644)
    return read_file(text, copy, sha256=digest.hexdigest(), size=size)


def read_file(shown: str, path: Path, *, sha256: str, size: int) -> GivenFile:
    """Return what a copied file is; see `GivenFile`."""
    inside = read_headers(path) if path.name.endswith(".whl") else None
    headers = _parsed(inside.metadata) if inside else Headers() if path.name.endswith(".whl") else _sdist_headers(path)
    release, fault = named_release(path.name, headers)
    return GivenFile(
        shown=shown,
        path=path,
        sha256=sha256,
        size=size,
        release=release,
        fault=fault,
        requires_python=headers.requires_python,
        notes=tuple(_tag_notes(path.name, inside)) if release and inside else (),
    )


def named_release(filename: str, headers: Headers) -> tuple[Release | None, str]:
    """Return the release that a file is named after, and an empty text; else None, and why there is none.

    Where an sdist's name can be read in several ways, its metadata says in which.
    """
    try:
        if not is_safe_filename(filename) or has_too_many_tags(filename):
            raise ValueError("it has characters that no index admits, or too many tags")  # noqa: TRY301 - as below
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
            return Release.parse(name, str(version)), ""
        return _sdist_release(filename, headers), ""
    except InvalidReleaseError as error:
        why = error.message
    except (InvalidWheelFilename, ValueError) as error:
        why = str(error)
    kind = "a wheel (NAME-VERSION-PYTHON-ABI-PLATFORM.whl)" if filename.endswith(".whl") else "an sdist (NAME-VERSION)"
    return None, printable_line(f"its name is not that of {kind}: {why}")


def _sdist_release(filename: str, headers: Headers) -> Release:
    try:
        stated = Release.parse(headers.name, headers.version)
        version = file_version(_named(filename), stated.package)
        if version is not None and str(version) == stated.version:
            return stated
    except InvalidReleaseError:
        pass
    stem = filename.removesuffix(next(filter(filename.endswith, ARCHIVE_SUFFIXES)))
    name, _, version_text = stem.rpartition("-")
    return Release.parse(name, version_text)


def _named(filename: str) -> IndexFile:
    return IndexFile(filename=filename, url="", sha256=None, requires_python=None, yanked=False)


# ---------------------------------------------------------------- what an archive says of itself


def _sdist_headers(path: Path) -> Headers:
    """Return what PKG-INFO says; nothing where it is missing, further in than is searched, or cannot be read."""
    try:
        with path.open("rb") as file:
            if path.name.endswith(".zip"):
                return _parsed(_zipped_info(file))
            if path.name.endswith(_TAR_SUFFIXES):
                return _parsed(_tarred_info(file, is_packed=not path.name.endswith(".tar")))
    except _DAMAGED:
        pass
    return Headers()


def _zipped_info(file: io.BufferedReader) -> bytes | None:
    with zipfile.ZipFile(LimitedFile(file)) as archive:
        for member in archive.infolist():
            if _is_info(member.filename):
                with archive.open(member) as opened:
                    return opened.read(MAX_HEADER_BYTES)
    return None


def _tarred_info(file: io.BufferedReader, *, is_packed: bool) -> bytes | None:
    # A compressed archive is read forwards only, up to the limit; see `_Bounded`.
    bounded = _Bounded(gzip.GzipFile(fileobj=file) if is_packed else file)
    with tarfile.open(fileobj=bounded, mode="r:") as archive:
        for _ in range(MAX_MEMBERS):
            if (member := archive.next()) is None:
                return None
            is_info = member.isreg() and _is_info(member.name) and member.size <= MAX_HEADER_BYTES
            if is_info and (opened := archive.extractfile(member)):
                return b"".join(iter(partial(opened.read, TAR_CHUNK_BYTES), b""))
    return None


class _Bounded(LimitedFile):
    """A file that is read forwards only and not further than a limit: a small archive can unpack to any size.

    Going back would unpack a compressed file anew, and a damaged header may lead back for ever.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or not self.tell() <= offset <= MAX_ARCHIVE_BYTES:
            raise ValueError(f"byte {offset:,} lies behind, or beyond {MAX_ARCHIVE_BYTES:,}")
        return super().seek(offset)

    def read(self, size: int = -1) -> bytes:
        if self.tell() > MAX_ARCHIVE_BYTES or not 0 <= size <= MAX_TAR_READ_BYTES:
            raise ValueError(f"{size:,} bytes are to be read at byte {self.tell():,}")
        return super().read(size)


def _is_info(name: str) -> bool:
    return name.removeprefix("./").partition("/")[2] == "PKG-INFO"


def _parsed(metadata: bytes | None) -> Headers:
    if metadata is None:
        return Headers()
    found = email.parser.BytesHeaderParser().parsebytes(metadata[:MAX_HEADER_BYTES])
    requires = found.get("Requires-Python")
    return Headers(
        name=str(found.get("Name", "")).strip(),
        version=str(found.get("Version", "")).strip(),
        requires_python=None if requires is None else str(requires).strip(),
    )


def _tag_notes(filename: str, inside: WheelHeaders) -> Iterator[str]:
    """Yield what is odd about a wheel's tags although pip installs it: nobody else may be able to."""
    *_, tags = parse_wheel_filename(filename)
    platforms = sorted({tag.platform for tag in tags})
    if any(platform.startswith(UNPORTABLE) for platform in platforms):
        yield f"an index refuses the platform tag {', '.join(platforms)}: auditwheel gives a wheel a portable one"
    found = email.parser.BytesHeaderParser().parsebytes((inside.wheel or b"")[:MAX_HEADER_BYTES])
    stated = [str(line).strip() for line in found.get_all("Tag", [])]
    if stated and sum(map(_count_tags, stated)) <= MAX_WHEEL_TAGS:
        others = sorted({str(tag) for line in stated for tag in _tags(line)} ^ {str(tag) for tag in tags})
        if others:
            yield printable_line(f"its name and its WHEEL name different tags: {first_of(others, MAX_SHOWN_TAGS)}")
    compiled = next((name for name in inside.names if name.endswith(COMPILED)), None)
    if compiled and platforms == ["any"]:
        yield printable_line(f"it says that it is for any platform, and holds the compiled {compiled[-200:]}")


def _count_tags(line: str) -> int:
    return prod(part.count(".") + 1 for part in line.split("-"))


def _tags(line: str) -> Iterator[object]:
    try:
        yield from parse_tag(line)
    except ValueError:
        yield line
