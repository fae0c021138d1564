"""The output folder: nothing of others is touched, nothing is written outside."""

import json
from pathlib import Path

import pytest

from ppp.model.errors import PublishError
from ppp.publish.files import Output, is_ours, put_beside

CURRENT = b"{}\n"


def built(root: Path, **files: bytes) -> Output:
    output = Output(root)
    for name, content in files.items():
        output.put(name.replace("__", "/"), content)
    return output


def test_only_what_a_build_listed_before_is_removed(tmp_path: Path) -> None:
    built(tmp_path, kept=b"1", p__gone__index=b"2").commit(CURRENT)
    (tmp_path / "theirs.txt").write_text("theirs")
    (tmp_path / "statements").mkdir()
    (tmp_path / "statements" / "1.json").write_text("signed")
    done = built(tmp_path, kept=b"1").commit(CURRENT)
    assert done.removed == ("p/gone/index",)
    assert not (tmp_path / "p").exists()
    assert (tmp_path / "theirs.txt").read_text() == "theirs"
    assert (tmp_path / "statements" / "1.json").read_text() == "signed"


def test_a_folder_that_others_use_stays(tmp_path: Path) -> None:
    built(tmp_path, p__gone__index=b"2").commit(CURRENT)
    (tmp_path / "p" / "theirs.txt").write_text("theirs")
    assert built(tmp_path).commit(CURRENT).removed == ("p/gone/index",)
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
        b"\xff",
    ],
)
def test_a_list_that_lies_removes_nothing(manifest: bytes, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    root = tmp_path / "public"
    root.mkdir()
    (root / "statement.json").write_text("signed")
    (root / "files.json").write_bytes(manifest)
    assert built(root).commit(CURRENT).removed == ()
    assert outside.exists()
    assert (root / "statement.json").exists()


def test_a_listed_file_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("theirs")
    root = tmp_path / "public"
    root.mkdir()
    (root / "p").symlink_to(tmp_path / "elsewhere")
    (root / "files.json").write_text(json.dumps({"files": [["p/x", 1, "0"]]}))
    assert built(root).commit(CURRENT).removed == ()
    assert (tmp_path / "elsewhere" / "x").exists()


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "public"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "p").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PublishError, match="leads out"):
        Output(root).put("p/six/index.html", b"x")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_a_files_place_is_replaced_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"page")
    root = tmp_path / "public"
    root.mkdir()
    (root / "index.html").symlink_to(theirs)
    Output(root).put("index.html", b"page")
    assert not (root / "index.html").is_symlink()
    assert theirs.read_bytes() == b"page"


@pytest.mark.parametrize(
    "path",
    [
        *("", "/abs", "../up", "a/../b", "a//b", "a/", ".hidden", "a b", "a\nb", "p/é"),
        *("statement.json", "statements/1.json", "current.json", "current.json.sha256", "files.json"),
    ],
)
def test_paths_that_a_build_never_writes(path: str, tmp_path: Path) -> None:
    assert not is_ours(path)
    with pytest.raises(ValueError, match="not a path"):
        Output(tmp_path / "public").put(path, b"x")


def test_a_path_is_written_once(tmp_path: Path) -> None:
    output = Output(tmp_path)
    output.put("a", b"1")
    with pytest.raises(ValueError, match="twice"):
        output.put("a", b"2")


def test_statements_stand_beside(tmp_path: Path) -> None:
    built(tmp_path, a=b"1").commit(CURRENT)
    put_beside(tmp_path, [("statements/1.json", b"one"), ("statement.json", b"one")])
    before = (tmp_path / "statement.json").stat().st_mtime_ns
    put_beside(tmp_path, [("statement.json", b"one")])
    assert (tmp_path / "statement.json").stat().st_mtime_ns == before
    assert (tmp_path / "statements" / "1.json").read_bytes() == b"one"
    assert built(tmp_path, a=b"1").commit(CURRENT).removed == ()


@pytest.mark.parametrize("path", ["index.html", "current.json", "statements/../current.json", "../statement.json"])
def test_only_statements_stand_beside(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="beside"):
        put_beside(tmp_path, [(path, b"x")])
