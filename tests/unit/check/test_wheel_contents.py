"""RECORD against the archive, and METADATA against the index's copy, whatever they hold."""

import base64
import hashlib
import io
import struct
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from ppp.check.canary.distributions import Distribution
from ppp.check.wheel_contents import (
    MAX_EXAMPLE_CHARS,
    MAX_HASHED_BYTES,
    MAX_READ_BYTES,
    WheelContents,
    differing_header,
    read_wheel,
)
from ppp.model.installed_files import RecordMismatch

INFO: Final = "lib-1.0.dist-info"
FILES: Final = {"lib.py": b"one", "lib/two.py": b"two", f"{INFO}/METADATA": b"Name: lib\nVersion: 1.0\n"}


def row(path: str, data: bytes, algorithm: str = "sha256") -> str:
    """Return a line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).decode().rstrip("=")
    return f"{path},{algorithm}={digest},{len(data)}"


def written(
    folder: Path, record: str | None = None, files: Mapping[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED
) -> Path:
    """Write a wheel with these files; by default with the right RECORD."""
    path = folder / "lib-1.0-py3-none-any.whl"
    if record is None:
        record = "".join(row(name, data) + "\n" for name, data in files.items()) + f"{INFO}/RECORD,,\n"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{INFO}/RECORD", record)
    return path


def mismatch(folder: Path, record: str | None = None, files: Mapping[str, bytes] = FILES) -> RecordMismatch | None:
    contents = read_wheel(written(folder, record, files))
    assert contents is not None
    return contents.mismatch


RIGHT: Final = [row(name, data) for name, data in FILES.items()]


# ---------------------------------------------------------------- RECORD


def test_a_right_record_is_no_mismatch(tmp_path: Path) -> None:
    assert read_wheel(written(tmp_path)) == WheelContents(mismatch=None, metadata=FILES[f"{INFO}/METADATA"])


def test_wheels_that_are_built_here_are_right(tmp_path: Path) -> None:
    path = tmp_path / "built.whl"
    path.write_bytes(Distribution(name="lib", files={"lib.py": b"", "lib-1.0.data/scripts/run": b"#!python\n"}).build())
    contents = read_wheel(path)
    assert contents is not None
    assert contents.mismatch is None


@pytest.mark.parametrize(
    ("lines", "counts", "examples"),
    [
        ([*RIGHT, "gone.py,,"], (1, 0, 0), ("gone.py",)),
        ([*RIGHT, "../../up.py,,", "/etc/passwd,,"], (2, 0, 0), ("../../up.py", "/etc/passwd")),
        (RIGHT[1:], (0, 1, 0), ("lib.py",)),
        ([row("lib.py", b"ONE"), *RIGHT[1:]], (0, 0, 1), ("lib.py",)),
        (["lib.py,,4", *RIGHT[1:]], (0, 0, 1), ("lib.py",)),
        (["lib.py,,three", *RIGHT[1:]], (0, 0, 1), ("lib.py",)),
        (["a,,", "b,,", row("lib.py", b"ONE"), RIGHT[2]], (2, 1, 1), ("a", "lib/two.py", "lib.py")),
    ],
)
def test_each_difference_is_counted_and_a_few_are_named(
    tmp_path: Path, lines: list[str], counts: tuple[int, int, int], examples: tuple[str, ...]
) -> None:
    missing, unlisted, different = counts
    assert mismatch(tmp_path, "\n".join(lines)) == RecordMismatch(
        missing=missing, unlisted=unlisted, different=different, examples=examples
    )


@pytest.mark.parametrize(
    "lines",
    [
        # RECORD need not name itself, nor its signatures.
        [*RIGHT, f"{INFO}/RECORD.jws,,", f"{INFO}/RECORD.p7s,sha256=x,1"],
        [*RIGHT, f"{INFO}/RECORD,sha256=x,1"],
        # As some tools write it.
        [RIGHT[0], RIGHT[1].replace("lib/two", "lib\\two"), RIGHT[2], "lib/,,"],
        [RIGHT[0] + ",more", *RIGHT[1:], ""],
        ["lib.py,,", "lib/two.py", RIGHT[2]],
        ["lib.py,md5=00,3", "lib/two.py,sha1=00,03", RIGHT[2]],
        [row("lib.py", b"one", "sha512"), row("lib/two.py", b"two").replace(",3", "=,3"), RIGHT[2]],
        [*RIGHT, *RIGHT],
    ],
)
def test_what_is_no_difference(tmp_path: Path, lines: list[str]) -> None:
    assert mismatch(tmp_path, "\n".join(lines)) is None


def test_signatures_and_folders_in_the_archive_need_not_be_named(tmp_path: Path) -> None:
    more = {**FILES, f"{INFO}/RECORD.jws": b"x", f"{INFO}/RECORD.p7s": b"x", "lib/": b""}
    assert mismatch(tmp_path, "\n".join(RIGHT), more) is None


def test_of_files_with_one_name_the_last_counts(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("lib.py", b"another")
    contents = read_wheel(path)
    assert contents is not None
    assert contents.mismatch == RecordMismatch(missing=0, unlisted=0, different=1, examples=("lib.py",))


@pytest.mark.attack("inert-text")
def test_names_are_printable_and_short(tmp_path: Path) -> None:
    found = mismatch(tmp_path, "\n".join([*RIGHT, "\x1b[31m" + "x" * 5000 + ",,", "\u202e,,"]))
    assert found is not None
    assert all(name.isprintable() and 0 < len(name) <= MAX_EXAMPLE_CHARS for name in found.examples)


# ---------------------------------------------------------------- what is no wheel


@pytest.mark.parametrize(
    "files",
    [
        {"lib.py": b""},
        {**FILES, "other-1.0.dist-info/METADATA": b""},
    ],
)
def test_without_one_dist_info_nothing_is_compared(tmp_path: Path, files: Mapping[str, bytes]) -> None:
    path = tmp_path / "lib.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert read_wheel(path) is None


@pytest.mark.attack("bounded-input")
def test_a_damaged_archive_is_read_as_none(tmp_path: Path) -> None:
    whole = written(tmp_path).read_bytes()
    path = tmp_path / "damaged.whl"
    for content in (b"", b"PK", whole[:-30], whole[50:], whole.replace(b"PK\x01\x02", b"PK\x01\x03"), b"x" * 100_000):
        path.write_bytes(content)
        assert read_wheel(path) is None
    assert read_wheel(tmp_path / "gone.whl") is None
    # Each byte changed by itself: nothing but a result, or none.
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        read_wheel(path)


@pytest.mark.attack("bounded-input")
def test_an_archive_whose_directory_is_huge_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "many.whl"
    size = MAX_READ_BYTES + 1
    path.write_bytes(bytes(size) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0))
    assert read_wheel(path) is None


@pytest.mark.heavy
@pytest.mark.attack("bounded-input")
def test_a_zip_bomb_costs_little(tmp_path: Path) -> None:
    bomb = {**FILES, **{f"lib/{n}.bin": bytes(MAX_HASHED_BYTES // 2) for n in range(6)}}
    record = "\n".join([*RIGHT, *(f"lib/{n}.bin,sha256=wrong,{MAX_HASHED_BYTES // 2}" for n in range(6))])
    path = written(tmp_path, record, bomb)
    started = time.process_time()
    contents = read_wheel(path)
    assert time.process_time() - started < 5
    assert contents is not None
    # Of the rest, the size alone is compared.
    assert contents.mismatch == RecordMismatch(missing=0, unlisted=0, different=1, examples=("lib/0.bin",))


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_no_tool_writes_is_not_decompressed(tmp_path: Path, method: int) -> None:
    assert read_wheel(written(tmp_path, method=method)) is None


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("record", ["x" * 200_000, '"', "\x00", "\ufeff,,", "," * 100_000, "\n" * 100_000])
def test_no_record_is_too_strange(tmp_path: Path, record: str) -> None:
    contents = read_wheel(written(tmp_path, record))
    assert contents is None or contents.mismatch is not None


# ---------------------------------------------------------------- the index's copy of METADATA


METADATA: Final = (
    b"Metadata-Version: 2.1\nName: Lib.x\nVersion: 1.0\nRequires-Python: >=3.9,<4\n"
    b"Requires-Dist: other>=1\nRequires-Dist: more[fast] ; extra == 'x'\nProvides-Extra: x\n\nText.\n"
)


@pytest.mark.parametrize(
    ("old", "new", "header"),
    [
        (b"Text.", b"Other text.", None),
        (b"\n", b"\r\n", None),
        (b"Lib.x", b"lib-x", None),
        (b">=3.9,<4", b"<4, >=3.9", None),
        (b"Requires-Dist: other>=1\n", b"Requires-Dist: other >= 1\n", None),
        (b"Name: Lib.x", b"Name: other", "Name"),
        (b"Version: 1.0", b"Version: 1.1", "Version"),
        (b"other>=1", b"other>=2", "Requires-Dist"),
        (b"Requires-Dist: other>=1\n", b"", "Requires-Dist"),
        (b"Requires-Dist: other>=1\n", b"Requires-Dist: (((\n", "Requires-Dist"),
        (b">=3.9,<4", b">=3.10", "Requires-Python"),
        (b">=3.9,<4", b"no version", "Requires-Python"),
        (b"Provides-Extra: x\n", b"", "Provides-Extra"),
        (METADATA, b"", "Name"),
        (METADATA, b"\xff\x00", "Name"),
    ],
)
def test_the_headers_that_pip_compares(old: bytes, new: bytes, header: str | None) -> None:
    assert old in METADATA
    assert differing_header(METADATA, METADATA.replace(old, new)) == header


@pytest.mark.heavy
@pytest.mark.attack("bounded-input")
def test_headers_of_any_length_take_no_time() -> None:
    many = METADATA.replace(
        b"\n\n", b"\nRequires-Dist: a; " + b"(" * 4000 + b"\n" + b"Requires-Dist: b>1\n" * 100_000 + b"\n"
    )
    started = time.process_time()
    assert differing_header(METADATA, many) == "Requires-Dist"
    assert differing_header(many, many) is None
    assert time.process_time() - started < 5


def test_the_limit_of_a_read_covers_real_archives() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for n in range(300):
            archive.writestr(f"some_package/with/folders/of/usual/depth/and_a_long_name_{n}.py", b"")
        size = archive.start_dir
    per_file = (len(buffer.getvalue()) - size) / 300
    assert MAX_READ_BYTES / per_file > 50_000
