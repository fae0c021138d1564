"""What a wheel's archive holds, read outside the sandbox: nothing is unpacked, and no code of the package runs.

RECORD must name each file of the archive with its sha256 and its size, except itself and its signatures. Indexes accept
wheels for which that is not true, and pip installs them: what RECORD names and the archive lacks is then not there.

The archive is anybody's. Its directory, RECORD and METADATA are read up to a limit, and its files are decompressed for
their hash up to a number of bytes that does not depend on the machine, so that every node finds the same.
"""

import base64
import csv
import email.message
import email.parser
import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ppp.check.causes import printable_line
from ppp.model.installed_files import RecordMismatch

#: The largest part of the file that is read at once, so the largest directory of an archive: about 60,000 files.
MAX_READ_BYTES: Final = 8 * 1024 * 1024
#: The largest RECORD or METADATA.
MAX_TEXT_BYTES: Final = 16 * 1024 * 1024
#: How much of a wheel is decompressed to be hashed; of files beyond that the size alone is compared.
MAX_HASHED_BYTES: Final = 128 * 1024 * 1024
CHUNK_BYTES: Final = 1024 * 1024
MAX_EXAMPLES: Final = 3
MAX_EXAMPLE_CHARS: Final = 255
#: Longer headers are compared as they are written: parsing them could take long.
MAX_HEADER_CHARS: Final = 100_000
#: The other methods need much memory or time for few bytes, and no build tool writes them.
_READ_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
#: The hashes that the specification admits: sha256 and better.
_ALGORITHMS: Final = frozenset({"sha256", "sha384", "sha512"})
#: What reading a damaged or hostile archive raises, besides `OSError`: pip then says what is wrong with it.
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelContents:
    """How RECORD differs from the archive, None if it does not; and the bytes of METADATA, None if there are none."""

    mismatch: RecordMismatch | None
    metadata: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What RECORD says about a file: its hash (`sha256=…`) and its size, as written."""

    digest: str
    size: str


def read_wheel(path: Path) -> WheelContents | None:
    """Return what a wheel holds; None for a file that cannot be read as one, or is too large to be read here."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(LimitedFile(file)) as archive:
            return _read(archive)
    except (OSError, *_DAMAGED):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelHeaders:
    """The bytes of METADATA and of WHEEL, None where they are missing or too large; and the names of all files."""

    metadata: bytes | None
    wheel: bytes | None
    names: tuple[str, ...]


def read_headers(path: Path) -> WheelHeaders | None:
    """Return what a wheel says of itself; None for a file that cannot be read as one, or is too large to be read here.

    Nothing else of it is decompressed.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(LimitedFile(file)) as archive:
            members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            info = _info_folder(members)
            if info is None:
                return None
            return WheelHeaders(
                metadata=_content(archive, members.get(f"{info}/METADATA")),
                wheel=_content(archive, members.get(f"{info}/WHEEL")),
                names=tuple(members),
            )
    except (OSError, *_DAMAGED):
        return None


class LimitedFile(io.RawIOBase):
    """A file of which no large part can be read at once: an archive's directory is read whole, into far more memory."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        """Read from `file`."""
        self._file = file

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any part of it can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, and return it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; raise `ValueError` for more than `MAX_READ_BYTES`."""
        data = self._file.read(min(size, MAX_READ_BYTES + 1) if size >= 0 else MAX_READ_BYTES + 1)
        if len(data) > MAX_READ_BYTES:
            raise ValueError(f"more than {MAX_READ_BYTES:,} bytes are to be read at once")
        return data


def _read(archive: zipfile.ZipFile) -> WheelContents | None:
    # Of files with one name the last counts, as it does for pip.
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    info = _info_folder(members)
    if info is None:
        return None
    record = _content(archive, members.get(f"{info}/RECORD"))
    if record is None:
        return None
    exempt = {f"{info}/{name}" for name in ("RECORD", "RECORD.jws", "RECORD.p7s")}
    rows = {path: row for path, row in _rows(record.decode("utf-8", "replace")) if path not in exempt}
    own = {name: member for name, member in members.items() if name not in exempt}
    return WheelContents(
        mismatch=_mismatch(
            missing=sorted(rows.keys() - own.keys()),
            unlisted=sorted(own.keys() - rows.keys()),
            different=sorted(_different(archive, own, rows)),
        ),
        metadata=_content(archive, members.get(f"{info}/METADATA")),
    )


def _info_folder(names: Iterable[str]) -> str | None:
    """Return the folder of an archive's metadata; None where there is not exactly one."""
    folders = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    infos = [folder for folder in folders if folder.endswith(".dist-info")]
    return infos[0] if len(infos) == 1 else None


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo | None) -> bytes | None:
    if member is None or member.file_size > MAX_TEXT_BYTES or member.compress_type not in _READ_METHODS:
        return None
    with archive.open(member) as file:
        return file.read(MAX_TEXT_BYTES)


def _rows(text: str) -> Iterable[tuple[str, _Row]]:
    """Yield the files that RECORD names. Some tools write the separators of Windows, or name folders."""
    try:
        for row in csv.reader(text.splitlines()):
            path, digest, size = (*row, "", "", "")[:3]
            if path and not path.endswith(("/", "\\")):
                yield path.replace("\\", "/"), _Row(digest=digest.strip(), size=size.strip())
    except csv.Error as error:
        raise ValueError(f"RECORD cannot be read: {error}") from error


def _different(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], rows: Mapping[str, _Row]
) -> Iterable[str]:
    """Yield the files whose size or hash is not the one in RECORD."""
    left = MAX_HASHED_BYTES
    for name, member in members.items():
        if (row := rows.get(name)) is None:
            continue
        if row.size and row.size.lstrip("0") != str(member.file_size).lstrip("0"):
            yield name
        elif member.file_size <= left and member.compress_type in _READ_METHODS:
            left -= member.file_size
            if not _has_digest(archive, member, row.digest):
                yield name


def _has_digest(archive: zipfile.ZipFile, member: zipfile.ZipInfo, wanted: str) -> bool:
    """Return whether a file has a hash (`sha256=…`); a hash that is missing or of another kind is not compared."""
    algorithm, _, expected = wanted.partition("=")
    if algorithm not in _ALGORITHMS:
        return True
    found = hashlib.new(algorithm)
    with archive.open(member) as file:
        while data := file.read(CHUNK_BYTES):
            found.update(data)
    return base64.urlsafe_b64encode(found.digest()).rstrip(b"=").decode() == expected.rstrip("=")


def _mismatch(*, missing: list[str], unlisted: list[str], different: list[str]) -> RecordMismatch | None:
    if not (missing or unlisted or different):
        return None
    # One of each kind first.
    kinds = (missing, unlisted, different)
    names = dict.fromkeys(name for place in range(MAX_EXAMPLES) for kind in kinds for name in kind[place : place + 1])
    return RecordMismatch(
        missing=len(missing),
        unlisted=len(unlisted),
        different=len(different),
        examples=tuple(map(_example, list(names)[:MAX_EXAMPLES])),
    )


def _example(path: str) -> str:
    plain = printable_line(path) or ascii(path)
    return plain if len(plain) <= MAX_EXAMPLE_CHARS else f"{plain[: MAX_EXAMPLE_CHARS - 1]}…"


# ---------------------------------------------------------------- the index's copy of METADATA (PEP 658)


def differing_header(metadata: bytes, copy: bytes) -> str | None:
    """Return the first header in which an index's copy of METADATA differs, of those that pip compares; None if none.

    pip 26.2 and newer refuse to install such a wheel by its name. Older ones believe the copy as to dependencies.
    """
    own, copied = map(_headers, (metadata, copy))
    return next((name for name, value in own.items() if copied[name] != value), None)


def _headers(metadata: bytes) -> Mapping[str, object]:
    headers = email.parser.BytesHeaderParser().parsebytes(metadata)
    return {
        "Name": canonicalize_name("".join(_all(headers, "Name")[:1])),
        "Version": _all(headers, "Version")[:1],
        "Requires-Dist": _parsed(Requirement, _all(headers, "Requires-Dist")),
        "Requires-Python": _parsed(SpecifierSet, _all(headers, "Requires-Python")[:1]),
        "Provides-Extra": frozenset(map(canonicalize_name, _all(headers, "Provides-Extra"))),
    }


def _all(headers: email.message.Message, name: str) -> list[str]:
    return [str(value).strip() for value in headers.get_all(name, [])]


def _parsed(parse: Callable[[str], object], lines: Sequence[str]) -> frozenset[str]:
    """Return lines in a normal form, where they have one."""
    if sum(map(len, lines)) > MAX_HEADER_CHARS:
        return frozenset(lines)
    try:
        return frozenset(str(parse(line)) for line in lines)
    except (InvalidRequirement, InvalidSpecifier):
        return frozenset(lines)
