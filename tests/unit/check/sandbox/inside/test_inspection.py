"""How an installation is described, whatever its files hold."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from ppp.check.sandbox.inside.inspection import (
    MAX_CHARS,
    MAX_ENTRY_POINT_CHARS,
    MAX_ENTRY_POINTS,
    MAX_INNER,
    MAX_NAME_CHARS,
    entry_points,
    inner_paths,
    inspect,
    module_paths,
    read_text,
    record_paths,
    top_modules,
)
from ppp.model.canonical import sha256_hex

FOLDER: Final = "Example_Lib-1.0.dist-info"
METADATA: Final = "Name: Example_Lib\nVersion: 1.0\nImport-Name: example\nRequires-Dist: other\n\nText.\n"
MARKERS: Final = {"sys_platform": "linux"}


def installed(folder: Path, **files: str) -> tuple[Path, Path]:
    """Write pip's report and a dist-info with these files; return the scratch folder and site-packages."""
    (scratch := folder / "scratch").mkdir()
    (info := folder / "site" / FOLDER).mkdir(parents=True)
    report = {
        "install": [{"metadata": {"name": "Example_Lib", "version": "1.0"}, "requested": True}],
    }
    (scratch / "report.json").write_text(json.dumps(report))
    for name, text in files.items():
        (info / name.replace("_txt", ".txt")).write_text(text)
    for path in record_paths(files.get("RECORD", "")):
        (info.parent / path).parent.mkdir(parents=True, exist_ok=True)
        (info.parent / path).touch()
    return scratch, info.parent


def described(folder: Path, *, known: str | None = None, **files: str) -> dict[str, Any]:
    scratch, site = installed(folder, **files)
    return inspect(str(scratch), str(site), "example-lib", known, MARKERS)


def test_an_installation_is_described_in_full(tmp_path: Path) -> None:
    found = described(
        tmp_path,
        METADATA=METADATA,
        RECORD="example/__init__.py,,\nexample/part.py,,\n",
        top_level_txt="example\nextra\n",
    )
    assert found == {
        "installed": [["Example_Lib", "1.0", None]],
        "requested": [["Example_Lib", "1.0", None]],
        "folders": [FOLDER],
        "target": {
            "folder": FOLDER,
            "paths": ["example/__init__.py"],
            "inner": ["example/part.py"],
            "import_names": ["example"],
            "top_level": ["example", "extra"],
            "entry_points": [],
            "digests": {
                "METADATA": sha256_hex(METADATA.encode()),
                "RECORD": sha256_hex(b"example/__init__.py,,\nexample/part.py,,\n"),
                "top_level.txt": sha256_hex(b"example\nextra\n"),
            },
        },
        "needs": {"requires": ["other"], "markers": MARKERS},
        "owned": [],
        "requires": {"Example_Lib": []},
    }


def test_missing_files_are_empty(tmp_path: Path) -> None:
    assert described(tmp_path, known=FOLDER)["target"] == {
        "folder": FOLDER, "paths": [], "inner": [], "import_names": None, "top_level": [], "entry_points": [],
        "digests": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    "metadata", ["", "Name: Example_Lib\n", "Name: Example_Lib\nVersion: 1.0.0\n", "Name: example-lib\nVersion: 1.0\n"]
)
def test_only_the_dist_info_of_exactly_the_reported_release_is_described(tmp_path: Path, metadata: str) -> None:
    found = described(tmp_path, METADATA=metadata)
    assert (found["target"], found["folders"]) == (None, [FOLDER])


def test_other_dist_infos_of_the_package_do_not_count(tmp_path: Path) -> None:
    scratch, site = installed(tmp_path, METADATA=METADATA, RECORD="own.py,,\n")
    for folder in ("example_lib-0.dist-info", "Example.Lib-1.0.1.dist-info"):
        (site / folder).mkdir()
        (site / folder / "RECORD").write_text("other.py,,\n")
    (site / "other.py").touch()
    found = inspect(str(scratch), str(site), "example-lib", None, MARKERS)
    assert found["target"]["paths"] == ["own.py"]
    assert found["folders"] == ["Example.Lib-1.0.1.dist-info", FOLDER, "example_lib-0.dist-info"]


def test_two_dist_infos_of_the_same_release_are_none(tmp_path: Path) -> None:
    scratch, site = installed(tmp_path, METADATA=METADATA)
    (site / "another-9.dist-info").mkdir()
    (site / "another-9.dist-info" / "METADATA").write_text(METADATA)
    assert inspect(str(scratch), str(site), "example-lib", None, MARKERS)["target"] is None
    assert inspect(str(scratch), str(site), "example-lib", FOLDER, MARKERS)["target"]["folder"] == FOLDER


def test_a_description_is_json_whatever_the_names_of_files_are(tmp_path: Path) -> None:
    scratch, site = installed(tmp_path, METADATA=METADATA)
    (site / os.fsdecode(b"example_lib-\xff.dist-info")).mkdir()
    (site / FOLDER / "digested folder").mkdir()
    found = inspect(str(scratch), str(site), "example-lib", None, MARKERS)
    assert json.loads(json.dumps(found)) == found
    assert list(found["target"]["digests"]) == ["METADATA"]


@pytest.mark.attack("bounded-input")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_text(str(tmp_path / "pipe")) == ""
    assert read_text(str(tmp_path / "gone")) == ""
    assert read_text(str(tmp_path)) == ""
    assert read_text("/dev/zero") == ""


@pytest.mark.attack("bounded-input")
def test_paths_inside_a_package_and_long_ones_are_left_out() -> None:
    paths = ["a/__init__.py", "a/b.py", "a/b/__init__.py", "space/c/__init__.py", "space/c/d.py", "m.py", "x" * 5000]
    assert len(paths[-1]) > MAX_CHARS
    assert module_paths(paths) == ["a/__init__.py", "space/c/__init__.py", "m.py"]


def test_inside_a_package_the_paths_near_its_top_and_all_shared_libraries_are_named() -> None:
    paths = [
        "a/__init__.py", "a/z.py", "a/b/__init__.py", "a/b/c/__init__.py", "a/b/c/d/__init__.py", "a/b/c/d/_e.abi3.so",
        "a/_c.so", "a/b/c.py", "a/data.txt", "a/__pycache__/z.cpython-312.pyc", "m.py", "_top.so", "space/_n.so",
        "space/b/__init__.py", "space/b/c.py",
    ]  # fmt: skip
    libraries = ["a/_c.so", "a/b/c/d/_e.abi3.so"]
    assert inner_paths(paths) == [*libraries, "a/z.py", "a/b/__init__.py", "space/b/c.py", "a/b/c/__init__.py"]


@pytest.mark.attack("bounded-input")
def test_the_number_of_paths_inside_packages_is_limited_the_upper_ones_come_first() -> None:
    deep = [f"a/{n}/__init__.py" for n in range(MAX_INNER)]
    found = inner_paths(
        ["a/__init__.py", *deep, "a/z.py", *(f"a/{n}.so" for n in range(2 * MAX_INNER)), "a/" + "x" * 5000]
    )
    assert len(found) == 2 * MAX_INNER
    assert found[MAX_INNER] == "a/z.py"


def test_a_file_that_record_names_and_that_is_not_there_does_not_count(tmp_path: Path) -> None:
    scratch, site = installed(tmp_path, METADATA=METADATA)
    (site / "lib").mkdir()
    (site / "lib" / "part.py").touch()
    (site / FOLDER / "RECORD").write_text("lib/__init__.py,,\nlib/part.py,,\n\x00,,\n../../x,,\n")
    found = inspect(str(scratch), str(site), "example-lib", None, MARKERS)
    # Without its `__init__`, the package is a namespace.
    assert found["target"]["paths"] == ["lib/part.py"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("[console_scripts]\nlib = lib.cli:main\n", [["console_scripts", "lib", "lib.cli:main"]]),
        ("# note\n[ gui ]\n\n  a=b : c [x] \n", [[" gui ", "a", "b : c [x]"]]),
        ("[g]\nname\n= value\na = b = c\n", [["g", "", "value"], ["g", "a", "b = c"]]),
        ("no = group\n[]\nx = y\n[g\nz = w\n", []),
        ("", []),
        ("\x00\xff[g]\r\n[g]\r\na\t=\tb\r\n", [["g", "a", "b"]]),
    ],
)
def test_entry_points_are_read_as_pip_reads_them(text: str, rows: list[list[str]]) -> None:
    assert entry_points(text) == rows


@pytest.mark.attack("bounded-input")
def test_not_all_of_many_or_long_entry_points_are_returned() -> None:
    long = f"long = {'x' * MAX_ENTRY_POINT_CHARS}\n"
    rows = entry_points("[console_scripts]\n" + long + "".join(f"n{n} = lib:main\n" for n in range(10_000)))
    assert len(rows) == MAX_ENTRY_POINTS
    assert rows[0] == ["console_scripts", "n0", "lib:main"]


def test_the_modules_of_each_distribution(tmp_path: Path) -> None:
    other = tmp_path / "site" / "PyYAML-6.0.dist-info"
    other.mkdir(parents=True)
    (other / "RECORD").write_text("yaml/__init__.py,,\n_yaml/__init__.py,,\nPyYAML-6.0.dist-info/RECORD,,\n")
    (tmp_path / "site" / "odd.dist-info").mkdir()
    scratch, site = installed_beside(tmp_path, RECORD="example.py,,\n")
    found = inspect(str(scratch), str(site), "example-lib", FOLDER, MARKERS)
    assert found["owned"] == [["Example_Lib", ["example"]], ["PyYAML", ["_yaml", "yaml"]], ["odd.dist", []]]


def installed_beside(folder: Path, **files: str) -> tuple[Path, Path]:
    """Like `installed`, in a site-packages that exists."""
    (scratch := folder / "scratch").mkdir()
    (info := folder / "site" / FOLDER).mkdir()
    (scratch / "report.json").write_text(
        json.dumps({"install": [{"metadata": {"name": "Example_Lib", "version": "1.0"}, "requested": True}]})
    )
    for name, text in files.items():
        (info / name).write_text(text)
    return scratch, info.parent


@pytest.mark.parametrize(
    ("record", "modules"),
    [
        ("google/auth/__init__.py,,\ngoogle/auth/x.py,,\n", ["google/auth"]),
        ("six.py,sha256=x,1\n__pycache__/six.cpython-311.pyc,,\n", ["six"]),
        ("_c.cpython-311-x86_64-linux-gnu.so,,\n../../bin/tool,,\nlib-1.0.data/scripts/x,,\n", ["_c"]),
        ('"a,b/__init__.py",,\n', ["a"]),
        ("", []),
        (",,\n\n", []),
    ],
)
def test_the_modules_that_a_record_names(record: str, modules: list[str]) -> None:
    assert top_modules(record) == modules


def test_the_modules_of_a_hostile_distribution_are_bounded(tmp_path: Path) -> None:
    record = "".join(f"{'m' * 5000}{number}.py,,\n" for number in range(500))
    scratch, site = installed(tmp_path)
    (site / FOLDER / "RECORD").write_text(record)
    ((_, modules),) = inspect(str(scratch), str(site), "example-lib", FOLDER, MARKERS)["owned"]
    assert len(modules) <= 64
    assert max(map(len, modules)) == MAX_NAME_CHARS
