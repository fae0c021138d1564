"""The output folder: nothing is written outside of it, and only to paths that a build may write."""

from pathlib import Path

import pytest

from ppp.model.errors import PublishError
from ppp.publish.folder import OutputFolder, is_build_path, is_list_path, write_statements


def test_a_link_that_leads_out_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "public"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "p").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PublishError, match="leads out"):
        OutputFolder(root).write("p/six/index.html", b"x")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path) -> None:
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
def test_paths_that_no_build_may_write(path: str, tmp_path: Path) -> None:
    assert not is_build_path(path)
    if not is_list_path(path):
        with pytest.raises(ValueError, match="not a path"):
            OutputFolder(tmp_path / "public").write(path, b"x")


@pytest.mark.parametrize("path", ["index.html", "current.json", "statements/../current.json", "../statement.json"])
def test_no_other_path_is_that_of_a_statement(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the path of a statement"):
        write_statements(tmp_path, [(path, b"x")])
