"""The canary's files and releases: their bytes, their hashes, their compiled modules."""

import importlib.machinery
import importlib.util
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from canary_environment import (
    CANARY,
    SHA256,
    FallbackIndex,
    requirements,
    stem,
)

from ppp.check.canary import releases
from ppp.check.canary.canary import CanaryIndex, write_local_projects
from ppp.check.canary.releases import canary_files
from ppp.check.index.client import DownloadError
from ppp.model.canonical import sha256_hex as sha256

EXTENSIONS: Final = Path(releases.__file__).parent / "extensions"
SCRIPT: Final = Path(__file__).parents[4] / "scripts" / "canary-extension"


# ---------------------------------------------------------------- the canary's files


def test_the_files_are_the_same_bytes_everywhere() -> None:
    assert {file.index_file.filename: sha256(file.content)[:16] for file in canary_files()} == SHA256


def test_the_index_has_the_right_hash_of_all_files_but_one(tmp_path: Path) -> None:
    lies = [o.index_file.filename for o in canary_files() if o.index_file.sha256 != sha256(o.content)]
    assert lies == ["the_pypi_place_canary_twin-1.0-py3-none-any.whl"]
    index = CanaryIndex(fallback=FallbackIndex(folder=tmp_path), folder=tmp_path)
    for file in canary_files():
        (tmp_path / file.index_file.filename).write_bytes(file.content)
        assert file.index_file in index.files(file.package)
        if file.index_file.filename in lies:
            with pytest.raises(DownloadError, match="the index says 0000") as caught:
                index.fetch(file.index_file, timeout_s=1, max_bytes=1)
            assert caught.value.cause == "hash"
        else:
            assert index.fetch(file.index_file, timeout_s=1, max_bytes=1).read_bytes() == file.content


def test_the_local_projects_are_the_dependencies(tmp_path: Path) -> None:
    write_local_projects(tmp_path)
    first = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert set(first) == {
        f"{CANARY}-{name}/{stem(CANARY)}_{name}-1.0+ours-py3-none-any.whl" for name in ("nest", "straw", "fossil")
    }
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write_local_projects(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps


def test_nobody_else_can_publish_the_dependencies() -> None:
    depended_on = [file for file in canary_files() if file.is_dependency]
    assert len(depended_on) == 3
    assert all("+" in file.version for file in depended_on)
    wanted = [line for file in canary_files() for line in requirements(file.content)]
    assert len(wanted) > 10
    assert all(line.partition(";")[0].strip().endswith("==1.0+ours") for line in wanted)


# ---------------------------------------------------------------- the compiled module


NEEDS: Final = {
    "glibc-x86_64.so": (b"libc.so.6", 62),
    "glibc-aarch64.so": (b"libc.so.6", 183),
    "musl-x86_64.so": (b"libc.musl-x86_64.so.1", 62),
    "musl-aarch64.so": (b"libc.musl-aarch64.so.1", 183),
}


@pytest.mark.parametrize("name", NEEDS)
def test_each_extension_is_for_its_processor_and_needs_its_library(name: str) -> None:
    library, machine = NEEDS[name]
    data = (EXTENSIONS / name).read_bytes()
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[18:20], "little") == machine
    assert [needed for needed, _ in NEEDS.values() if needed + b"\0" in data] == [library] * (
        2 if library == b"libc.so.6" else 1
    )
    assert len(data) < 8192


def test_an_extension_counts_with_this_machines_library() -> None:
    libc = "glibc" if platform.libc_ver()[0] == "glibc" else "musl"
    path = EXTENSIONS / f"{libc}-{platform.machine()}.so"
    if not path.exists():
        pytest.skip(f"no extension for {platform.machine()}")
    loader = importlib.machinery.ExtensionFileLoader("_voice", str(path))
    spec = importlib.util.spec_from_loader("_voice", loader)
    assert spec is not None
    extension = importlib.util.module_from_spec(spec)
    loader.exec_module(extension)
    assert extension.sing("tsip tsip tsip") == f"14 notes in {libc}"
    assert extension.sing("") == f"0 notes in {libc}"
    with pytest.raises(TypeError):
        extension.sing(1)


@pytest.mark.heavy
def test_the_extensions_are_built_from_their_source(tmp_path: Path) -> None:
    for tool in ("clang", "ld.lld"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool}")
    linker = subprocess.run(["ld.lld", "--version"], capture_output=True, check=True).stdout.partition(b" (")[0]
    if linker not in (EXTENSIONS / "glibc-x86_64.so").read_bytes():
        pytest.skip(f"the extensions in the repository are not {linker.decode()}'s")
    subprocess.run([SCRIPT, tmp_path], check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        name: (EXTENSIONS / name).read_bytes() for name in NEEDS
    }


def test_the_script_reports_a_missing_compiler(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    done = subprocess.run([SCRIPT, tmp_path], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (done.returncode, "no clang on this machine" in done.stderr) == (71, True)
