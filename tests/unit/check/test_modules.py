"""Which modules are imported: each rule on a small installation."""

from collections.abc import Sequence
from typing import Final

import pytest

from ppp.check.modules import MAX_MODULES, InstalledMetadata, ModulesToImport, modules_to_import

SUFFIXES: Final = (".cpython-312-x86_64-linux-gnu.so", ".abi3.so", ".so", ".py", ".pyc")


def found(*paths: str, package: str = "lib", **more: Sequence[str]) -> list[str]:
    """Return the names of the modules, primary first."""
    given = {key: tuple(value) for key, value in more.items()}
    return list(modules_to_import(package, InstalledMetadata(paths=paths, **given), SUFFIXES).names)


def reason(*paths: str, import_names: tuple[str, ...] | None = None) -> str:
    """Return the reason why there is nothing to import."""
    found = modules_to_import("lib", InstalledMetadata(paths=paths, import_names=import_names), SUFFIXES)
    assert found.names == ()
    assert found.reason is not None
    return found.reason


# ---------------------------------------------------------------- what is declared (PEP 794)


def test_declared_names_come_before_what_is_found() -> None:
    assert found("lib/__init__.py", "other.py", import_names=["other"]) == ["other"]


def test_declared_names_that_were_not_installed_do_not_count() -> None:
    assert found("lib/__init__.py", import_names=["json"]) == ["lib"]
    assert found("lib/__init__.py", import_names=["json", "lib"]) == ["lib"]


def test_a_declared_name_may_have_several_parts() -> None:
    assert found("lib/inner/deep.py", "lib/__init__.py", import_names=["lib.inner"]) == ["lib.inner"]
    assert found("lib.cpython-312-x86_64-linux-gnu.so", "a.py", import_names=["lib"]) == ["lib"]


def test_names_declared_private_are_not_imported() -> None:
    assert found("lib.py", "_lib.py", "inner.py", import_names=["lib", "_lib; private", "inner;private"]) == ["lib"]


def test_an_empty_declaration_counts() -> None:
    assert reason("lib/__init__.py", import_names=("",)) == "its metadata declares that it has no modules"
    assert reason("lib/__init__.py", import_names=("_lib; private",)) == "its metadata declares that it has no modules"


def test_declared_names_keep_their_order_and_are_limited() -> None:
    names = [f"name{n}" for n in reversed(range(20))]
    assert found(*(f"{name}.py" for name in names), import_names=names) == names[:MAX_MODULES]


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("name", ["not a name", "../lib", "class", "1lib", "a\x00b", "\ud800", "-c", "x" * 256, "a..b"])
def test_an_invalid_name_declares_nothing(name: str) -> None:
    assert found("other.py", import_names=[name]) == ["other"]
    assert found("other.py", "lib.py", import_names=[name, "lib"]) == ["lib"]


def test_a_name_declared_twice_is_imported_once() -> None:
    assert found("lib.py", import_names=["lib", "lib"]) == ["lib"]


# ---------------------------------------------------------------- what RECORD holds


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("lib/__init__.py", "lib"),
        ("lib.py", "lib"),
        ("lib.pyc", "lib"),
        ("lib.so", "lib"),
        ("lib.abi3.so", "lib"),
        ("lib.cpython-312-x86_64-linux-gnu.so", "lib"),
        ("lib/__init__.cpython-312-x86_64-linux-gnu.so", "lib"),
    ],
)
def test_a_module_by_each_kind_of_file(path: str, module: str) -> None:
    assert found(path) == [module]


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize(
    "path",
    [
        "lib.cpython-311-x86_64-linux-gnu.so",
        "lib.cp312-win_amd64.pyd",
        "my-lib.py",
        "class.py",
        "1lib.py",
        "lib/1st/__init__.py",
        "__pycache__/lib.cpython-312.pyc",
        "lib-1.0.dist-info/RECORD",
        "lib-1.0.dist-info/extra.py",
        "../../../bin/lib.py",
        "../lib.py",
        "/etc/lib.py",
        "__init__.py",
        "lib.txt",
        "",
        f"{'x' * 256}.py",
    ],
)
def test_paths_that_are_not_modules(path: str) -> None:
    assert found(path) == []


def test_modules_inside_a_package_are_imported_through_it() -> None:
    assert found("lib/__init__.py", "lib/inner.py", "lib/deep/__init__.py") == ["lib"]


def test_a_bare_namespace_is_descended_into() -> None:
    assert found("space/lib/__init__.py", "space/lib/inner.py") == ["space.lib"]
    assert found("space/deep/lib/__init__.py") == ["space.deep.lib"]
    assert found("space/module.py") == ["space.module"]


def test_one_module_of_a_namespace_is_imported() -> None:
    assert found("space/beta/__init__.py", "space/alpha/__init__.py") == ["space.alpha"]
    assert found("space/deep/alpha/__init__.py", "space/zeta.py") == ["space.zeta"]


def test_the_name_closest_to_the_packages_comes_first() -> None:
    assert found("aaa.py", "zope_lib/__init__.py", package="zope-lib") == ["zope_lib", "aaa"]
    assert found("a.py", "Lib/__init__.py") == ["Lib", "a"]
    assert found("a/__init__.py", "zope/lib/__init__.py", package="zope-lib") == ["zope.lib", "a"]


def test_else_the_shortest_comes_first() -> None:
    assert found("yaml/__init__.py", "extra_things.py", package="pyyaml") == ["yaml", "extra_things"]


def test_the_number_of_modules_is_limited() -> None:
    assert len(found(*(f"module{n}.py" for n in range(50)))) == MAX_MODULES


# ---------------------------------------------------------------- what is left out if there is something better


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("stray", ["tests/__init__.py", "docs/conf.py", "test.py", "examples/__init__.py", "Tests.py"])
def test_stray_names_are_not_imported(stray: str) -> None:
    assert found("lib.py", stray) == ["lib"]


def test_a_stray_name_is_imported_if_it_is_the_only_one() -> None:
    assert found("tests/__init__.py") == ["tests"]


def test_private_modules_are_left_out_beside_public_ones() -> None:
    assert found("lib.py", "_lib.so") == ["lib"]
    assert found("_lib.so") == ["_lib"]


def test_top_level_is_a_hint_that_chooses_among_what_is_found() -> None:
    assert found("lib.py", "other.py", top_level=["lib"]) == ["lib"]


def test_a_hint_at_a_missing_name_is_ignored() -> None:
    assert found("lib.py", "other.py", top_level=["absent", "nonsense"]) == ["lib", "other"]


def test_a_hint_at_a_namespace_chooses_its_module() -> None:
    assert found("space/lib/__init__.py", "other.py", top_level=["space"]) == ["space.lib"]


# ---------------------------------------------------------------- nothing to import


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (["lib-1.0.dist-info/METADATA", "lib-1.0.dist-info/RECORD"], "it installs no file of its own"),
        ([], "it installs no file of its own"),
        (["lib-stubs/__init__.pyi", "lib-1.0.dist-info/RECORD"], "it holds type stubs only"),
        (["lib.pth"], "it holds a .pth file and no module"),
        (["../../../bin/lib", "../../../share/lib.txt"], "it holds scripts or data only"),
        (["lib/data.json"], "it holds no module"),
    ],
)
def test_the_reason_for_no_modules(paths: list[str], why: str) -> None:
    assert reason(*paths) == why


def test_with_modules_there_is_no_reason() -> None:
    found = modules_to_import("lib", InstalledMetadata(paths=("lib.py",)), SUFFIXES)
    assert found == ModulesToImport(names=("lib",), reason=None)
