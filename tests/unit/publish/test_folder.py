"""The output folder: nothing of others is touched, nothing is written outside."""

import json
from pathlib import Path

import pytest

from ppp.model.errors import PublishError
from ppp.publish.builder.writer import Committed, OutputWriter
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.folder import OutputFolder, is_build_path, is_list_path, write_statements

CURRENT = b"{}\n"


def built(root: Path, **files: bytes) -> Committed:
    """Build a folder of these files, with nothing remembered of the build before."""
    with BuildCache.open(None) as memory:
        output = OutputWriter(OutputFolder(root), memory, from_scratch=True)
        for name, content in files.items():
            output.put(name.replace("__", "/"), content)
        return output.commit(CURRENT)


def lists(root: Path, **named: bytes) -> None:
    """Leave lists as if a build had written them."""
    root.mkdir(exist_ok=True)
    (root / "files").mkdir()
    for name, content in named.items():
        (root / "files" / f"{name}.json").write_bytes(content)
    rows = [[f"files/{name}.json", 1, "0"] for name in named]
    (root / "files.json").write_text(json.dumps({"files": rows}))


def test_only_what_a_build_listed_before_is_removed(tmp_path: Path) -> None:
    built(tmp_path, kept=b"1", p__gone__index=b"2")
    (tmp_path / "theirs.txt").write_text("theirs")
    (tmp_path / "statements").mkdir()
    (tmp_path / "statements" / "1.json").write_text("signed")
    done = built(tmp_path, kept=b"1")
    assert done.removed == ("p/gone/index",)
    assert not (tmp_path / "p").exists()
    assert (tmp_path / "theirs.txt").read_text() == "theirs"
    assert (tmp_path / "statements" / "1.json").read_text() == "signed"


def test_a_folder_that_others_use_stays(tmp_path: Path) -> None:
    built(tmp_path, p__gone__index=b"2")
    (tmp_path / "p" / "theirs.txt").write_text("theirs")
    assert built(tmp_path).removed == ("files/site.json", "p/gone/index")
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
def test_a_list_that_lies_removes_nothing(manifest: bytes, in_a_list: bool, tmp_path: Path) -> None:  # noqa: FBT001
    for name in ("outside", "outside.json"):
        (tmp_path / name).write_text("theirs")
    root = tmp_path / "public"
    root.mkdir()
    (root / "statement.json").write_text("signed")
    if in_a_list:
        lists(root, site=manifest)
    else:
        (root / "files.json").write_bytes(manifest)
    assert set(built(root).removed) <= {"files/site.json"}
    assert (tmp_path / "outside").exists()
    assert (tmp_path / "outside.json").exists()
    assert (root / "statement.json").exists()


def test_a_listed_file_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("theirs")
    root = tmp_path / "public"
    root.mkdir()
    (root / "p").symlink_to(tmp_path / "elsewhere")
    lists(root, packages=b'{"files": [["p/x", 1, "0"]]}')
    assert built(root).removed == ("files/packages.json",)
    assert (tmp_path / "elsewhere" / "x").exists()


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "public"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "p").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PublishError, match="leads out"):
        OutputFolder(root).write("p/six/index.html", b"x")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_a_files_place_is_replaced_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"page")
    root = tmp_path / "public"
    root.mkdir()
    (root / "index.html").symlink_to(theirs)
    OutputFolder(root).write("index.html", b"page")
    assert not (root / "index.html").is_symlink()
    assert theirs.read_bytes() == b"page"


@pytest.mark.parametrize(
    "path",
    [
        *("", "/abs", "../up", "a/../b", "a//b", "a/", ".hidden", "a b", "a\nb", "p/é"),
        *("statement.json", "statements/1.json", "current.json", "current.json.sha256", "files.json"),
        *("files/p.json", "files/x/y.json"),
    ],
)
def test_paths_that_a_build_never_writes(path: str, tmp_path: Path) -> None:
    assert not is_build_path(path)
    if not is_list_path(path):
        with pytest.raises(ValueError, match="not a path"):
            OutputFolder(tmp_path / "public").write(path, b"x")


def test_a_path_is_written_once(tmp_path: Path) -> None:
    with BuildCache.open(None) as memory:
        output = OutputWriter(OutputFolder(tmp_path), memory, from_scratch=True)
        output.put("a", b"1")
        with pytest.raises(ValueError, match="twice"):
            output.put("a", b"2")


def test_statements_stand_beside(tmp_path: Path) -> None:
    built(tmp_path, a=b"1")
    write_statements(tmp_path, [("statements/1.json", b"one"), ("statement.json", b"one")])
    before = (tmp_path / "statement.json").stat().st_mtime_ns
    write_statements(tmp_path, [("statement.json", b"one")])
    assert (tmp_path / "statement.json").stat().st_mtime_ns == before
    assert (tmp_path / "statements" / "1.json").read_bytes() == b"one"
    assert built(tmp_path, a=b"1").removed == ()


@pytest.mark.parametrize("path", ["index.html", "current.json", "statements/../current.json", "../statement.json"])
def test_only_statements_stand_beside(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the path of a statement"):
        write_statements(tmp_path, [(path, b"x")])
