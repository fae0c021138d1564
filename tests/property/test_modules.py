"""Whatever an installation claims, the module names derived from it are importable, bounded and deterministic."""

import keyword
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.check.modules import MAX_MODULES, InstalledMetadata, modules_to_import
from ppp.check.own_names import equals_project, plain_name, resembles_project, resembles_project_by_words
from ppp.check.submodules import submodules_to_import

SUFFIXES = (".cpython-312-x86_64-linux-gnu.so", ".abi3.so", ".so", ".py", ".pyc")

part = st.sampled_from(["lib", "inner", "_own", "tests", "class", "1st", "..", ".", "__pycache__", "my-lib", "ns"])
leaf = st.builds(str.__add__, part | st.just("__init__"), st.sampled_from([*SUFFIXES, ".pyi", ".pth", ".txt", ""]))
sane = st.builds(lambda parts, last: "/".join([*parts, last]), st.lists(part, max_size=3), leaf)
paths = st.lists(sane | st.text(max_size=30), max_size=12)
hints = st.lists(st.sampled_from(["lib", "inner", "absent"]), max_size=3)


@pytest.mark.attack("own-verdict")
@given(paths=paths, hints=hints)
def test_every_name_is_a_dotted_name(paths: list[str], hints: list[str]) -> None:
    found = modules_to_import("lib", InstalledMetadata(paths=tuple(paths), top_level=tuple(hints)), SUFFIXES)
    for name in found.names:
        assert all(part.isidentifier() and not keyword.iskeyword(part) for part in name.split("."))
    assert len(found.names) <= MAX_MODULES
    assert len(set(found.names)) == len(found.names)
    assert not found.declares_none
    assert found.primary is None or found.primary == found.names[0]


@given(paths=paths, data=st.data())
def test_the_order_of_record_does_not_matter(paths: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(paths))
    one = modules_to_import("lib", InstalledMetadata(paths=tuple(paths)), SUFFIXES)
    other = modules_to_import("lib", InstalledMetadata(paths=tuple(shuffled)), SUFFIXES)
    assert one == other


@given(paths=paths)
def test_no_name_lies_inside_another(paths: list[str]) -> None:
    names = modules_to_import("lib", InstalledMetadata(paths=tuple(paths)), SUFFIXES).names
    assert not [(a, b) for a in names for b in names if b.startswith(f"{a}.")]


@pytest.mark.attack("own-verdict")
@given(declared=st.lists(st.text(max_size=20), max_size=12))
def test_any_declaration_gives_bounded_names(declared: list[str]) -> None:
    found = modules_to_import("lib", InstalledMetadata(paths=("lib.py",), import_names=tuple(declared)), SUFFIXES)
    assert len(found.names) <= MAX_MODULES
    assert all(part.isidentifier() for name in found.names for part in name.split("."))


@pytest.mark.attack("own-verdict")
@given(paths=paths, inner=paths, data=st.data())
def test_every_submodule_is_a_dotted_name_beside_what_is_imported(
    paths: list[str], inner: list[str], data: st.DataObject
) -> None:
    metadata = InstalledMetadata(paths=tuple(paths), inner=tuple(inner))
    modules = modules_to_import("lib", metadata, SUFFIXES)
    found = submodules_to_import(modules, metadata, SUFFIXES).all
    assert all(part.isidentifier() and not keyword.iskeyword(part) for name in found for part in name.split("."))
    assert len(set(found)) == len(found)
    assert not set(found) & set(modules.names)
    shuffled = data.draw(st.permutations(inner))
    assert found == submodules_to_import(modules, replace(metadata, inner=tuple(shuffled)), SUFFIXES).all


@given(
    package=st.lists(st.sampled_from(["lib", "py", "python", "core", "2", "tests"]), min_size=1, max_size=4),
    module=st.lists(st.sampled_from(["lib", "py", "Python", "core", "2", "_"]), min_size=1, max_size=4),
)
def test_a_name_that_is_equal_resembles_too(package: list[str], module: list[str]) -> None:
    project, name = "-".join(package), "".join(module)
    if equals_project(project, name) and len(plain_name(project)) > 1:
        assert resembles_project(project, name)
    if resembles_project_by_words(project, name):
        assert equals_project(project, name) or resembles_project(project, name)
