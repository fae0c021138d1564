"""What a release without modules holds instead: each kind on a small installation."""

import pytest

from ppp.check.contents import InPlaceOfModules, Requires, in_place_of_modules
from ppp.check.modules import ModulesToImport

INFO = ("lib-1.0.dist-info/METADATA", "lib-1.0.dist-info/RECORD")
SCRIPT = ("console_scripts", "lib")
PLUGIN = ("pytest11", "lib")
NO_MODULES = ModulesToImport(names=())
DECLARED = ModulesToImport(names=(), declares_none=True)
MISTAKEN = ModulesToImport(names=(), mistakes=("docs", "tests.unit"))


def found(
    *paths: str,
    entry_points: tuple[tuple[str, str], ...] = (),
    requires: Requires = Requires.NOTHING,
    modules: ModulesToImport = NO_MODULES,
) -> InPlaceOfModules:
    """Return what an installation holds besides its metadata."""
    return in_place_of_modules((*INFO, *paths), modules, entry_points=entry_points, requires=requires)


@pytest.mark.parametrize(
    ("paths", "ground"),
    [
        (["lib-stubs/__init__.pyi"], "stubs"),
        (["lib/py.typed", "lib/sub/part.pyi"], "stubs"),
        (["lib.pth"], "pth"),
        (["lib.start"], "pth"),
        (["lib/inner.pth"], "data"),
        (["lib/inner.start"], "data"),
        (["../../../bin/lib"], "scripts"),
        (["../../../bin/lib", "../../../share/lib.txt"], "scripts"),
        (["../../../share/lib/bin"], "data"),
        (["../../../include/site/python3.12/lib/lib.h"], "data"),
        (["../../../share/lib/plug.cp310-win_amd64.pyd"], "no-module"),
        (["lib/data.json"], "data"),
        (["README.json"], "data"),
        (["lib/README.rst"], "data"),
        (["lib/model.so.12"], "data"),
        (["my-lib.py"], "no-module"),
        (["my-lib/__init__.py", "my-lib/part.py"], "no-module"),
        (["lib/part.pyx"], "no-module"),
        (["class.py"], "no-module"),
    ],
)
@pytest.mark.parametrize("requires", Requires)
def test_what_is_there_gives_the_ground(paths: list[str], ground: str, requires: Requires) -> None:
    assert found(*paths, requires=requires).ground == ground


@pytest.mark.parametrize(
    "path",
    [
        "README.rst", "README", "LICENSE", "License.txt", "LICENSE.MIT", "changelog.md", "pyproject.toml",
        "requirements-dev.txt", ".gitignore", "../../../README.md",
    ],
)  # fmt: skip
@pytest.mark.parametrize("requires", Requires)
def test_documentation_beside_the_metadata_counts_for_nothing(path: str, requires: Requires) -> None:
    # bs4 0.0.2 is a metapackage whose wheel has its README at the top.
    assert found(path, requires=requires) == found(requires=requires)


@pytest.mark.parametrize(
    ("requires", "ground", "words"),
    [
        (Requires.HERE, "requirements-only", "requirements only"),
        (Requires.ELSEWHERE, "requirements-only", "none of them applies here"),
        (Requires.FOR_EXTRAS, None, "nothing but for extras"),
        (Requires.NOTHING, None, "requires nothing"),
    ],
)
def test_of_metadata_alone_the_requirements_decide(requires: Requires, ground: str | None, words: str) -> None:
    one = found(requires=requires)
    assert one.ground == ground
    assert words in one.reason


def test_a_declaration_that_there_is_no_module_is_enough() -> None:
    assert found(modules=DECLARED).ground == "declares-none"
    assert found("lib/__init__.py", modules=DECLARED).ground == "declares-none"


def test_tests_and_docs_are_nothing_of_its_own() -> None:
    mistakes = ("tests/unit.py", "docs.py")
    empty = found(*mistakes, modules=MISTAKEN)
    assert (empty.ground, empty.reason) == (None, "all that it installs is docs, tests, and it requires nothing")
    assert found(*mistakes, modules=MISTAKEN, requires=Requires.HERE).ground == "requirements-only"
    assert found(*mistakes, "lib/data.json", modules=MISTAKEN).ground == "data"


def test_scripts_that_pip_generates_for_entry_points_are_nothing_that_the_release_holds() -> None:
    assert found("../../../bin/lib", entry_points=(SCRIPT,)).reason == "its scripts call what others install"
    assert (
        found("../../../bin/lib", "../../../bin/other", entry_points=(SCRIPT,)).reason
        == "it holds scripts and no module"
    )
    assert found("../../../bin/lib", entry_points=(PLUGIN,)).reason == "it holds scripts and no module"


def test_entry_points_alone_are_something() -> None:
    assert found(entry_points=(PLUGIN,)).ground == "no-module"
    assert found(entry_points=(PLUGIN,), requires=Requires.HERE).ground == "requirements-only"
    assert found(entry_points=(SCRIPT, PLUGIN), requires=Requires.HERE).ground == "scripts"


@pytest.mark.parametrize(
    "name",
    [
        "lib.cpython-310-x86_64-linux-gnu.so",
        "lib/_lib.cp310-win_amd64.pyd",
        "lib.pyd",
        "lib.pypy39-pp73-x86_64-linux-gnu.so",
        "lib/part.abi3.so",
    ],
)
def test_modules_for_other_interpreters_alone_are_nothing(name: str) -> None:
    one = found("lib/data.json", "lib/__init__.pyi", name, requires=Requires.HERE)
    assert (one.ground, one.reason) == (None, f"its modules are for other interpreters: {name}")


@pytest.mark.attack("inert-text")
def test_names_in_a_reason_are_printable_and_few() -> None:
    reason = found(*(f"{n}\x1b[31m-{'x' * 300}.py" for n in range(9))).reason
    assert reason.isprintable()
    assert reason.endswith("and 6 more")
    assert len(reason) < 400


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("path", ["", ".", "/", "..", "../..", "//", "../bin", "bin/..", "\ud800", "a\n.pth"])
def test_no_path_is_too_strange(path: str) -> None:
    assert found(path).reason
