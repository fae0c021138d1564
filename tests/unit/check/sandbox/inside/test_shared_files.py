"""Files that several distributions name in their files RECORD, however these are written."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from ppp.check.sandbox.inside.shared_files import (
    MAX_OWNERS,
    MAX_PATH_CHARS,
    MAX_PATHS,
    MAX_READ,
    MAX_RETURNED,
    content_hash,
    shared_files,
)

LEFT, RIGHT = "left-1.dist-info", "right-1.dist-info"


def site_of(folder: Path, records: Mapping[str, str], files: Mapping[str, bytes] | None = None) -> str:
    """Write the RECORD of each dist-info, and files; return site-packages."""
    for name, text in records.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "RECORD").write_text(text)
    for path, content in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return str(folder)


def test_files_of_two_distributions_are_returned_with_what_is_there(tmp_path: Path) -> None:
    same = "tests/__init__.py,sha256=e,0\n"
    records = {
        LEFT: f"left.py,sha256=l,1\n{same}conf.py,sha256=x,1\n{LEFT}/RECORD,,\n",
        RIGHT: f"right.py,sha256=r,1\n./conf.py,sha256=y,2\n{same}{RIGHT}/RECORD,,\n",
    }
    site = site_of(tmp_path, records, {"conf.py": b"y"})
    assert shared_files(site) == [
        ["conf.py", [[LEFT, "sha256=x", "1"], [RIGHT, "sha256=y", "2"]], hashlib.sha256(b"y").hexdigest()],
        ["tests/__init__.py", [[LEFT, "sha256=e", "0"], [RIGHT, "sha256=e", "0"]], None],
    ]


@pytest.mark.parametrize(
    "records",
    [
        {},
        {LEFT: "a.py,sha256=a,1\na.py,sha256=b,2\n"},
        {LEFT: "a.py,,\n", RIGHT: "b.py,,\n"},
        {LEFT: "__pycache__/a.pyc,,\n", RIGHT: "__pycache__/a.pyc,,\n"},
        {LEFT: "a/,,\n,,\n\n", RIGHT: "a/,,\n,,\n\n"},
        {LEFT: "a.py,,\n", "right-1.egg-info": "a.py,,\n"},
        {LEFT: "x" * (MAX_PATH_CHARS + 1), RIGHT: "x" * (MAX_PATH_CHARS + 1)},
    ],
    ids=["nothing", "twice in one", "different", "bytecode", "folders", "no RECORD", "too long"],
)
def test_nothing_is_shared(tmp_path: Path, records: dict[str, str]) -> None:
    assert shared_files(site_of(tmp_path, records)) == []


def test_scripts_and_quoted_paths_are_paths_too(tmp_path: Path) -> None:
    record = '../../../bin/tool,sha256=a,1\n"a,b.py",sha256=b,2\n'
    found = shared_files(site_of(tmp_path, {LEFT: record, RIGHT: record}))
    assert [path for path, _, _ in found] == ["../../../bin/tool", "a,b.py"]


@pytest.mark.attack("bounded-input")
def test_what_is_returned_is_bounded(tmp_path: Path) -> None:
    lines = "".join(f"{number:04},sha256={{0}},{number}\n" for number in range(MAX_RETURNED + 50))
    records = {f"d{n}-1.dist-info": lines.format("z" * 10_000 if n else "a") for n in range(MAX_OWNERS + 2)}
    site = site_of(tmp_path, records, {f"{number:04}": b"" for number in range(MAX_READ + 3)})
    found = shared_files(site)
    assert len(found) == MAX_RETURNED
    assert {len(owners) for _, owners, _ in found} == {MAX_OWNERS}
    assert sum(digest is not None for _, _, digest in found) == MAX_READ
    assert len(json.dumps(found)) < 2_000_000


@pytest.mark.attack("bounded-input")
def test_of_lists_of_any_length_only_so_many_paths_are_looked_up(tmp_path: Path) -> None:
    many = "".join(f"{number:x},,\n" for number in range(MAX_PATHS - 1))
    site = site_of(tmp_path, {LEFT: f"first,,\n{many}last,,\n", RIGHT: "first,,\nlast,,\n"})
    assert [path for path, _, _ in shared_files(site)] == ["first"]


def test_a_large_file_is_read_within_the_limit_of_all(tmp_path: Path) -> None:
    with (tmp_path / "large.so").open("wb") as file:
        file.truncate(40_000_000)
    digest = hashlib.sha256(bytes(40_000_000)).hexdigest()
    assert content_hash(str(tmp_path / "large.so"), 40_000_000) == (digest, 40_000_000)
    assert content_hash(str(tmp_path / "large.so"), 39_999_999) == (None, 0)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("kind", ["fifo", "folder", "gone", "device", "loop"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    path: Final = tmp_path / "odd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    site = site_of(tmp_path, {LEFT: "odd,sha256=a,1\n", RIGHT: "odd,sha256=b,1\n"})
    ((_, _, digest),) = shared_files(site)
    assert digest is None


@pytest.mark.attack("bounded-input")
def test_a_list_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    damaged = "a.py,sha256=a,1\n" + '"' + "x" * 40_000_000
    records = {"broken-1.dist-info": damaged, LEFT: "a.py,sha256=a,1\n", RIGHT: "a.py,sha256=b,1\n"}
    site = site_of(tmp_path, records)
    (tmp_path / os.fsdecode(b"odd-\xff.dist-info")).mkdir()
    ((path, owners, _),) = shared_files(site)
    assert (path, [owner[0] for owner in owners][-2:]) == ("a.py", [LEFT, RIGHT])
    assert json.loads(json.dumps(owners)) == owners
