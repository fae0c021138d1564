"""Which modules inside a release are imported after its import has passed."""

from collections.abc import Sequence
from typing import Final

import pytest

from ppp.check.modules import InstalledMetadata, modules_to_import
from ppp.check.submodules import (
    MAX_OTHERS,
    MAX_PROCESSES,
    MAX_WATCHED,
    MAX_WATCHED_CHARS,
    SubmodulesToImport,
    submodules_to_import,
)

TAG: Final = ".cpython-312-x86_64-linux-gnu.so"
SUFFIXES: Final = (TAG, ".abi3.so", ".so", ".py", ".pyc")


def submodules(*inner: str, package: str = "lib", paths: Sequence[str] = ("lib/__init__.py",)) -> SubmodulesToImport:
    """Return the submodules of a release."""
    metadata = InstalledMetadata(paths=tuple(paths), inner=inner)
    return submodules_to_import(modules_to_import(package, metadata, SUFFIXES), metadata, SUFFIXES)


def found(*inner: str, package: str = "lib", paths: Sequence[str] = ("lib/__init__.py",)) -> list[str]:
    """Return their names, in the order in which they are imported."""
    return list(submodules(*inner, package=package, paths=paths).all)


def test_extension_modules_come_first_whatever_their_names_and_depth() -> None:
    inner = ["lib/api.py", "lib/core/__init__.py", f"lib/core/_fast{TAG}", "lib/_speed.abi3.so"]
    assert found(*inner) == ["lib._speed", "lib.core._fast", "lib.api", "lib.core"]


def test_pillow() -> None:
    inner = [f"PIL/_imaging{TAG}", f"PIL/_webp{TAG}", "PIL/Image.py", "PIL/_version.py", "PIL/__main__.py"]
    modules = found(*inner, package="pillow", paths=["PIL/__init__.py", "pillow.libs/libjpeg-1.so.62"])
    assert modules == ["PIL._webp", "PIL._imaging", "PIL.Image"]


def test_public_modules_and_packages_directly_in_the_primary_one() -> None:
    inner = ["lib/zeta.py", "lib/api/__init__.py", "lib/api/v1/__init__.py", "other/more.py"]
    assert found(*inner, paths=["lib/__init__.py", "other/__init__.py"]) == ["lib.api", "lib.zeta"]


def test_those_of_each_module_where_none_is_primary() -> None:
    inner = ["beta/b.py", "alpha/a.py"]
    assert found(*inner, paths=["beta/__init__.py", "alpha/__init__.py"]) == ["alpha.a", "beta.b"]


@pytest.mark.parametrize(
    "name",
    [
        "_private", "__main__", "tests", "test_api", "testing", "conftest", "setup", "docs", "examples", "benchmarks",
        "scripts", "build", "class", "1st", "my-part",
    ],
)  # fmt: skip
def test_what_nobody_imports_is_left_out(name: str) -> None:
    assert found(f"lib/{name}.py", f"lib/{name}/__init__.py", "lib/api.py") == ["lib.api"]


def test_extension_modules_of_tests_are_left_out() -> None:
    assert found(f"lib/tests/_c{TAG}", f"lib/core/_c{TAG}") == ["lib.core._c"]
    assert found(paths=["lib/__init__.py", f"tests/_c{TAG}"]) == []


def test_a_project_that_is_called_like_a_stray_has_submodules() -> None:
    inner = [f"test_tools/_c{TAG}", "test_tools/api.py"]
    assert found(*inner, package="test-tools", paths=["test_tools/__init__.py"]) == ["test_tools._c", "test_tools.api"]


def test_shared_libraries_that_are_no_modules_are_left_out() -> None:
    assert found("lib/libfoo.so", "lib/libfoo.so.1", "lib.libs/x.so", "lib/_foo.so") == ["lib._foo"]
    # With the interpreter's own tag it is a module, whatever its name is.
    assert found(f"lib/lib{TAG}", "lib/liberty.abi3.so") == ["lib.lib", "lib.liberty"]


def test_those_for_another_interpreter_are_left_out() -> None:
    assert found("lib/_c.cpython-39-x86_64-linux-gnu.so", "lib/_c.cp312-win_amd64.pyd") == []


def test_what_is_beside_the_representative_of_a_namespace() -> None:
    paths = ["space/io/__init__.py", "space/table.py", "space/_common/__init__.py", f"space/_fast{TAG}"]
    assert found("space/io/json.py", paths=paths) == ["space._fast", "space.table", "space.io.json"]


def test_a_private_extension_beside_the_primary_module() -> None:
    assert found(package="pyyaml", paths=["yaml/__init__.py", f"_yaml{TAG}"]) == ["_yaml"]


def test_what_is_imported_anyway_is_not_imported_again() -> None:
    assert found(paths=[f"lib{TAG}", "other.py"]) == []


def test_a_module_that_there_is_twice_is_imported_once() -> None:
    assert found(f"lib/fast{TAG}", "lib/fast.py") == ["lib.fast"]


def test_without_modules_there_are_none() -> None:
    assert found("lib/inner.py", paths=["lib.pth"]) == []


# ---------------------------------------------------------------- how many are imported


def test_what_another_import_has_loaded_needs_no_process() -> None:
    inside = submodules(f"lib/_c{TAG}", f"lib/_d{TAG}", "lib/a.py", "lib/b.py")
    assert inside.watched == inside.all == ("lib._c", "lib._d", "lib.a", "lib.b")
    assert inside.to_try({"lib._c", "lib.b", "other"}) == ("lib._d", "lib.a")
    assert inside.to_try(inside.all) == ()


@pytest.mark.attack("bounded-input")
def test_the_number_of_processes_is_limited_and_extension_modules_come_first() -> None:
    extensions = [f"lib/_{n:02}{TAG}" for n in range(30)]
    others = [f"lib/m{n:02}.py" for n in range(30)]
    assert len(submodules(*others).to_try(())) == MAX_OTHERS
    assert submodules(*extensions, *others).to_try(()) == tuple(f"lib._{n:02}" for n in range(MAX_PROCESSES))
    few = submodules(*extensions[:20], *others).to_try({"lib._00"})
    assert (len(few), few[18:20]) == (MAX_PROCESSES, ("lib._19", "lib.m00"))


@pytest.mark.attack("bounded-input")
def test_the_names_to_watch_are_limited() -> None:
    assert len(submodules(*(f"lib/m{n}.py" for n in range(2 * MAX_WATCHED))).watched) == MAX_WATCHED
    long = submodules(*(f"lib/{'m' * 200}{n}.py" for n in range(MAX_WATCHED))).watched
    assert 0 < len(",".join(long)) <= MAX_WATCHED_CHARS
    assert submodules("lib/größe.py", "lib/a.py").watched == ("lib.a",)
