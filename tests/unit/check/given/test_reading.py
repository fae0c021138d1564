"""What a given file is, from its name and its headers; hostile archives are read within limits."""

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from projects import module_project

from ppp.check.given import reading
from ppp.check.given.reading import GivenFile, GivenFileError, Headers, copied_files, is_file_argument, named_release
from ppp.model.canonical import sha256_hex


def read(folder: Path, filename: str, content: bytes) -> GivenFile:
    path = folder / filename
    path.write_bytes(content)
    return reading.read_file(str(path), path, sha256=sha256_hex(content), size=len(content))


def archive(*members: tuple[str, bytes], mode: str = "gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{mode}") as made:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


INFO = b"Metadata-Version: 2.1\nName: Lib\nVersion: 1.0\nRequires-Python: >=3.11\n\nText\n"


@pytest.mark.parametrize(
    ("text", "is_file"),
    [
        ("six", False),
        ("six==1.0", False),
        ("six-1.0-py3-none-any.whl", True),
        ("lib-1.0.tar.gz", True),
        ("lib-1.0.zip", True),
        ("./dist/lib", True),
        ("dist/*.whl", True),
    ],
)
def test_a_word_with_a_separator_or_a_suffix_is_a_file(text: str, *, is_file: bool) -> None:
    assert is_file_argument(text) is is_file


@pytest.mark.parametrize(
    ("filename", "headers", "release"),
    [
        ("Some_Lib-1.0-py3-none-any.whl", Headers(), "some-lib==1.0"),
        ("some.lib-01.0.0-1-py3-none-any.whl", Headers(), "some-lib==1.0.0"),
        ("some_lib-1.0.tar.gz", Headers(), "some-lib==1.0"),
        ("some-lib-1.0.zip", Headers(), "some-lib==1.0"),
        ("lib-1.0-1.tar.gz", Headers(name="lib", version="1.0.post1"), "lib==1.0.post1"),
        # Metadata of another release does not name the file.
        ("lib-1.0.tar.gz", Headers(name="six", version="1.17.0"), "lib==1.0"),
        ("lib-1.0-py3-none-any.whl", Headers(name="six", version="1.17.0"), "lib==1.0"),
    ],
)
def test_a_release_is_named_by_the_name_of_its_file(filename: str, headers: Headers, release: str) -> None:
    found, fault = named_release(filename, headers)
    assert (str(found), fault) == (release, "")


@pytest.mark.parametrize(
    "filename",
    [
        "lib.whl",
        "lib-1.0-py3-none.whl",
        "lib-one-py3-none-any.whl",
        "lib.tar.gz",
        "v1.0.tar.gz",
        "lib-latest.zip",
        "lib 1.0.tar.gz",
        "lib-1.0-\x1b[31m-none-any.whl",
        f"lib-1.0-{'.'.join(['py3'] * 40)}-{'.'.join(['none'] * 40)}-any.whl",
    ],
)
def test_a_name_that_is_none_is_a_fault_in_one_printable_line(filename: str) -> None:
    found, fault = named_release(filename, Headers())
    assert found is None
    assert fault.startswith("its name is not that of ")
    assert fault.isprintable()


def test_a_wheel_says_what_python_it_needs_and_for_which_tags_it_is(tmp_path: Path) -> None:
    project = module_project("lib", "", requires_python=">=3.11")
    given = read(tmp_path, project.filename, project.build())
    assert (str(given.release), given.requires_python, given.notes) == ("lib==1.0", ">=3.11", ())
    assert given.listed.sha256 == sha256_hex(project.build())


@pytest.mark.parametrize(
    ("filename", "files", "note"),
    [
        ("lib-1.0-cp312-cp312-linux_x86_64.whl", {}, "an index refuses the platform tag linux_x86_64"),
        ("lib-1.0-py3-none-any.whl", {"lib/_c.so": b""}, "for any platform, and holds the compiled lib/_c.so"),
        ("lib-1.0-cp312-cp312-win_amd64.whl", {}, "its name and its WHEEL name different tags: cp312-cp312-win_amd64"),
    ],
)
def test_odd_tags_are_told_although_pip_installs_the_wheel(
    tmp_path: Path, filename: str, files: dict[str, bytes], note: str
) -> None:
    given = read(tmp_path, filename, module_project("lib", "").__class__(name="lib", files=files).build())
    assert any(note in line for line in given.notes), given.notes


@pytest.mark.attack("bounded-input")
def test_tags_without_number_are_not_listed(tmp_path: Path) -> None:
    project = module_project("lib", "")
    line = f"Tag: {'.'.join(['py3'] * 30)}-{'.'.join(['none'] * 30)}-any\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(project.build())) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            new.writestr(info, line * 4000 if info.filename.endswith("/WHEEL") else old.read(info))
    assert read(tmp_path, project.filename, buffer.getvalue()).notes == ()


@pytest.mark.parametrize("name", ["lib-1.0/PKG-INFO", "./lib-1.0/PKG-INFO"])
@pytest.mark.parametrize("suffix", ["tar.gz", "tar", "zip"])
def test_an_sdist_is_read_also_if_its_pkg_info_comes_last(tmp_path: Path, name: str, suffix: str) -> None:
    members = (("lib-1.0/setup.py", b"x" * 3_000_000), ("lib-1.0/lib.egg-info/PKG-INFO", b"Name: other"), (name, INFO))
    if suffix == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            for path, data in members:
                made.writestr(path, data)
        content = buffer.getvalue()
    else:
        content = archive(*members, mode="gz" if suffix == "tar.gz" else "")
    given = read(tmp_path, f"lib-1.0.{suffix}", content)
    assert (str(given.release), given.requires_python) == ("lib==1.0", ">=3.11")


def negative_size() -> bytes:
    header = bytearray(tarfile.TarInfo("lib-1.0/a").tobuf())
    header[124:136] = b"\xff" * 11 + b"\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    return bytes(header) + b"\0" * 1024


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an archive",
        gzip.compress(b"not a tar"),
        gzip.compress(INFO * 100)[:-20],
        archive(("lib-1.0/PKG-INFO", INFO))[:-30],
        archive(("lib-1.0/PKG-INFO", b"Name: " + b"x" * 2_000_000)),
        gzip.compress(negative_size()),
        archive(("lib-1.0/" + "a" * 300_000, b""), ("lib-1.0/PKG-INFO", INFO)),
        archive(("PKG-INFO", INFO)),
    ],
)
def test_a_damaged_or_hostile_sdist_is_named_by_its_file(tmp_path: Path, content: bytes) -> None:
    given = read(tmp_path, "lib-1.0.tar.gz", content)
    assert (str(given.release), given.requires_python) == ("lib==1.0", None)


@pytest.mark.attack("bounded-input")
def test_a_small_archive_that_unpacks_to_much_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_ARCHIVE_BYTES", 1_000_000)
    content = archive(("lib-1.0/zeros", bytes(2_000_000)), ("lib-1.0/PKG-INFO", INFO))
    assert read(tmp_path, "lib-1.0.tar.gz", content).requires_python is None
    monkeypatch.setattr(reading, "MAX_ARCHIVE_BYTES", 4_000_000)
    assert read(tmp_path, "lib-1.0.tar.gz", content).requires_python == ">=3.11"
    monkeypatch.setattr(reading, "MAX_MEMBERS", 1)
    assert read(tmp_path, "lib-1.0.tar.gz", content).requires_python is None


def test_files_are_copied_once_where_cells_can_read_them(tmp_path: Path) -> None:
    (dist := tmp_path / "dist").mkdir()
    source = dist / "lib-1.0.tar.gz"
    source.write_bytes(archive(("lib-1.0/PKG-INFO", INFO)))
    source.chmod(0o600)
    words = (str(source), os.path.relpath(source), str(source))
    with copied_files(words, parent=tmp_path / "cache", max_bytes=10_000) as (given,):
        assert given.shown == str(source)
        assert given.path.read_bytes() == source.read_bytes()
        assert given.sha256 == sha256_hex(source.read_bytes())
        assert (given.path.stat().st_mode & 0o777, given.path.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert not given.path.exists()


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for path in ("lib-1.0.zip", "a/lib-1.0.zip", "large-1.0.zip", "text.txt"):
        (tmp_path / path).write_bytes(b"x" * (99 if path.startswith("large") else 1))
    os.mkfifo(tmp_path / "pipe-1.0.zip")
    names = ("lib-1.0.zip", "a/lib-1.0.zip", "large-1.0.zip", "text.txt", "pipe-1.0.zip", "absent-1.0.zip", "a")
    with (
        pytest.raises(GivenFileError) as raised,
        copied_files([str(tmp_path / name) for name in names], parent=tmp_path, max_bytes=9),
    ):
        pass
    faults = raised.value.message.split("; ")
    assert [fault.rpartition("/")[2] for fault in faults] == [
        "lib-1.0.zip: another of the files has this name",
        "large-1.0.zip: it has more than 9 bytes, the limit of the matrix (file_mb)",
        "text.txt: it has the suffix of neither a wheel nor an sdist",
        "pipe-1.0.zip: it is no regular file",
        "absent-1.0.zip: No such file or directory",
        "a: it has the suffix of neither a wheel nor an sdist",
    ]
