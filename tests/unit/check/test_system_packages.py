"""Which system packages have what a build or an import lacked: in compilers', loaders' and wrappers' words."""

import re
import tomllib
from importlib.resources import files

import pytest

from ppp.check.cause_rules import cause_help
from ppp.check.system_packages import MissingKind, SystemPackages, system_packages_for
from ppp.model.matrix import Platform

TABLES = tomllib.loads(files("ppp.check").joinpath("system_packages.toml").read_text("utf-8"))
#: What the two distributions allow in a package's name.
PACKAGE = re.compile(r"[a-z0-9][a-z0-9_+.-]{1,60}")


@pytest.mark.parametrize(
    ("cause", "line", "debian", "alpine"),
    [
        (
            "missing-header",
            "src/example.c:1:10: fatal error: ffi.h: No such file or directory",
            "libffi-dev",
            "libffi-dev",
        ),
        ("missing-header", "fatal error: openssl/opensslv.h: No such file", "libssl-dev", "openssl-dev"),
        ("missing-header", "fatal error: 'libpq-fe.h' file not found", "libpq-dev", "libpq-dev"),
        ("missing-header", "fatal error: libxml/xmlversion.h: No such file", "libxml2-dev", "libxml2-dev"),
        ("missing-header", "Package libffi was not found in the pkg-config search path.", "libffi-dev", "libffi-dev"),
        ("missing-header", 'ERROR: Dependency "cairo" not found, tried pkgconfig', "libcairo2-dev", "cairo-dev"),
        ("no-compiler", "error: command 'gcc' failed: No such file or directory", "gcc", "build-base"),
        ("no-compiler", "error: command '/usr/bin/g++' failed: No such file", "g++", "build-base"),
        ("no-compiler", "error: command 'mcc39' failed: No such file or directory", "gcc", "build-base"),
        ("no-build-tool", "Error: pg_config executable not found.", "libpq-dev", "libpq-dev"),
        ("no-build-tool", "error: can't find Rust compiler", "cargo", "cargo"),
        ("no-build-tool", "Rust not found, installing into a temporary directory", "cargo", "cargo"),
        ("no-build-tool", "ERROR: Cannot find command 'git' - do you have 'git' installed?", "git", "git"),
        ("no-build-tool", "CMake must be installed to build the following extensions", "cmake", "cmake"),
        ("no-build-tool", "/bin/sh: 1: pkg-config: not found", "pkg-config", "pkgconf"),
        (
            "no-build-tool",
            "Trying pkg-config --exists mysqlclient\nException: Can not find valid pkg-config name.",
            "default-libmysqlclient-dev",
            "mariadb-connector-c-dev",
        ),
        ("missing-program", "ImportError: Bad git executable.", "git", "git"),
        ("missing-program", "FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'", "ffmpeg", "ffmpeg"),
        ("shared-library", "ImportError: libGL.so.1: cannot open shared object file", "libgl1", "mesa-gl"),
        (
            "shared-library",
            "Error loading shared library libstdc++.so.6: No such file (needed by /x/libz.so.1)",
            "libstdc++6",
            "libstdc++",
        ),
        ("shared-library", "ImportError: Unable to find zbar shared library", "libzbar0", "libzbar"),
        ("shared-library", "ImportError: failed to find libmagic.  Check your installation", "libmagic1", "libmagic"),
        ("shared-library", 'OSError: no library called "cairo-2" was found', "libcairo2", "cairo"),
        ("shared-library", "OSError: PortAudio library not found", "libportaudio2", "portaudio"),
        (
            "shared-library",
            "OSError: could not find or load spatialindex_c-64",
            "libspatialindex-c6",
            "libspatialindex",
        ),
        ("shared-library", "OSError: sndfile library not found", "libsndfile1", "libsndfile"),
        ("missing-stdlib-module", "ImportError: libtk8.6.so: cannot open shared object file", "libtk8.6", "tk"),
        ("missing-stdlib-module", "ModuleNotFoundError: No module named '_tkinter'", "python3-tk", "python3-tkinter"),
    ],
)
def test_a_line_names_its_packages(cause: str, line: str, debian: str, alpine: str) -> None:
    found = system_packages_for(cause, line)
    assert found
    assert (found.debian, found.alpine) == (debian, alpine)


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        ("shared-library", "ImportError: libjpeg.so.99: cannot open shared object file"),
        ("shared-library", "ImportError: libffi.so.6: cannot open shared object file: No such file or directory"),
        ("shared-library", "ImportError: libcuda.so.1: cannot open shared object file"),
        ("missing-header", "fatal error: numpy/arrayobject.h: No such file or directory"),
        ("missing-program", "FileNotFoundError: [Errno 2] No such file or directory: 'own-program'"),
        ("import-error", "ImportError: libGL.so.1: cannot open shared object file"),
        ("shared-library", None),
        (None, "error: command 'gcc' failed"),
    ],
)
def test_what_the_table_does_not_know_has_no_packages(cause: str | None, line: str | None) -> None:
    assert system_packages_for(cause, line) is None


def test_the_commands() -> None:
    found = system_packages_for("shared-library", "libGL.so.1: cannot open shared object file")
    assert found == SystemPackages(missing="libGL.so.1", kind=MissingKind.LIBRARY, debian="libgl1", alpine="mesa-gl")
    assert found.commands == ("apt-get install -y libgl1", "apk add mesa-gl")
    assert found.command(Platform.SLIM) == "apt-get install -y libgl1"
    assert found.command(Platform.ALPINE) == "apk add mesa-gl"
    assert found.command(Platform.HOST) is None


def test_a_package_of_one_distribution_only() -> None:
    found = system_packages_for("shared-library", "libsystemd.so.0: cannot open shared object file")
    assert found
    assert (found.commands, found.command(Platform.ALPINE)) == (("apt-get install -y libsystemd0",), None)


@pytest.mark.parametrize("kind", MissingKind)
def test_each_table_holds_names_of_packages(kind: MissingKind) -> None:
    for name, row in TABLES[kind].items():
        assert row
        assert row.keys() <= {"debian", "alpine"}
        assert all(PACKAGE.fullmatch(package) for package in row.values()), name


def test_every_library_is_found_by_its_loaders_message() -> None:
    for name in TABLES["library"]:
        found = system_packages_for(
            "shared-library", f"ImportError: {name}: cannot open shared object file: No such file"
        )
        assert found
        assert found.missing == name


@pytest.mark.parametrize("text", ["'" * 50_000, "lib" * 30_000, "a/" * 30_000, "load " * 20_000, "x.so" * 20_000])
def test_a_hostile_text_is_searched_in_bounded_time(text: str) -> None:
    assert all(system_packages_for(cause, text) is None for cause in cause_help() if cause != "no-compiler")
