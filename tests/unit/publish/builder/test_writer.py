"""Writing the files of a build: what is removed, what is listed, and that nobody else's files are touched."""

import json
from pathlib import Path

import pytest

from ppp.publish.builder.writer import Committed, OutputWriter
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.folder import OutputFolder, write_statements

CURRENT = b"{}\n"


def write_build(root: Path, **files: bytes) -> Committed:
    """Write a build of these files, without a cache of the build before."""
    with BuildCache.open(None) as cache:
        writer = OutputWriter(OutputFolder(root), cache, from_scratch=True)
        for name, content in files.items():
            writer.put(name.replace("__", "/"), content)
        return writer.commit(CURRENT)


def leave_lists(root: Path, **named: bytes) -> None:
    """Write lists as if a build had done so."""
    root.mkdir(exist_ok=True)
    (root / "files").mkdir()
    for name, content in named.items():
        (root / "files" / f"{name}.json").write_bytes(content)
    rows = [[f"files/{name}.json", 1, "0"] for name in named]
    (root / "files.json").write_text(json.dumps({"files": rows}))


def test_only_files_that_the_last_build_listed_are_removed(tmp_path: Path) -> None:
    write_build(tmp_path, kept=b"1", p__gone__index=b"2")
    (tmp_path / "theirs.txt").write_text("theirs")
    (tmp_path / "statements").mkdir()
    (tmp_path / "statements" / "1.json").write_text("signed")
    done = write_build(tmp_path, kept=b"1")
    assert done.removed == ("p/gone/index",)
    assert not (tmp_path / "p").exists()
    assert (tmp_path / "theirs.txt").read_text() == "theirs"
    assert (tmp_path / "statements" / "1.json").read_text() == "signed"


def test_a_folder_with_other_files_is_not_removed(tmp_path: Path) -> None:
    write_build(tmp_path, p__gone__index=b"2")
    (tmp_path / "p" / "theirs.txt").write_text("theirs")
    assert write_build(tmp_path).removed == ("files/site.json", "p/gone/index")
    assert not (tmp_path / "p" / "gone").exists()
    assert (tmp_path / "p" / "theirs.txt").exists()


@pytest.mark.parametrize(
    "manifest",
    [
        b"not json",
        b"[]",
        b'{"files": 7}',
        b'{"files": [["../outside", 1, "0"]]}',
        b'{"files": [["statement.json", 1, "0"]]}',
        b'{"files": [["/etc/hostname", 1, "0"]]}',
        b'{"files": [["a//b", 1, "0"], [7, 1, "0"]]}',
        b'{"files": [["files/../../outside.json", 1, "0"], ["files/statement.json", 1, "0"]]}',
        b"\xff",
    ],
)
@pytest.mark.parametrize("in_a_list", [False, True])
def test_a_forged_list_removes_nothing(manifest: bytes, in_a_list: bool, tmp_path: Path) -> None:  # noqa: FBT001
    for name in ("outside", "outside.json"):
        (tmp_path / name).write_text("theirs")
    root = tmp_path / "public"
    root.mkdir()
    (root / "statement.json").write_text("signed")
    if in_a_list:
        leave_lists(root, site=manifest)
    else:
        (root / "files.json").write_bytes(manifest)
    assert set(write_build(root).removed) <= {"files/site.json"}
    assert (tmp_path / "outside").exists()
    assert (tmp_path / "outside.json").exists()
    assert (root / "statement.json").exists()


def test_a_listed_file_behind_a_link_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("theirs")
    root = tmp_path / "public"
    root.mkdir()
    (root / "p").symlink_to(tmp_path / "elsewhere")
    leave_lists(root, packages=b'{"files": [["p/x", 1, "0"]]}')
    assert write_build(root).removed == ("files/packages.json",)
    assert (tmp_path / "elsewhere" / "x").exists()


def test_a_path_can_be_written_once_only(tmp_path: Path) -> None:
    with BuildCache.open(None) as cache:
        writer = OutputWriter(OutputFolder(tmp_path), cache, from_scratch=True)
        writer.put("a", b"1")
        with pytest.raises(ValueError, match="twice"):
            writer.put("a", b"2")


def test_statements_are_no_part_of_a_build(tmp_path: Path) -> None:
    write_build(tmp_path, a=b"1")
    write_statements(tmp_path, [("statements/1.json", b"one"), ("statement.json", b"one")])
    before = (tmp_path / "statement.json").stat().st_mtime_ns
    write_statements(tmp_path, [("statement.json", b"one")])
    assert (tmp_path / "statement.json").stat().st_mtime_ns == before
    assert (tmp_path / "statements" / "1.json").read_bytes() == b"one"
    assert write_build(tmp_path, a=b"1").removed == ()
