import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[3] / "scripts" / "measure-structure"
PYPROJECT: Final = """
[tool.importlinter]
root_package = "ppp"
[[tool.importlinter.contracts]]
type = "layers"
containers = ["ppp"]
layers = ["top", "(left) | right", "bottom"]
"""


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    loader = SourceFileLoader("measure_structure", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        # The dataclasses in it look up their module there.
        patch.setitem(sys.modules, loader.name, module)
        loader.exec_module(module)
        yield module


def make_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"pyproject.toml": PYPROJECT, "tests/__init__.py": "", "ppp/__init__.py": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


GOOD: Final = {
    "ppp/top.py": "import ppp.left.deep\nfrom ppp import right\nfrom ppp.right import name\n",
    "ppp/left/__init__.py": "from .deep import value\n",
    "ppp/left/deep.py": "def f():\n    from ..bottom import x  # why\n",
    "ppp/right.py": "from ppp.bottom import x\n",
    "ppp/bottom.py": "x = 1\n",
}


def test_rooms_arrows_and_floors_are_those_of_the_import_graph(script: ModuleType, tmp_path: Path) -> None:
    house = script.measure(make_tree(tmp_path, GOOD)).houses[0]
    assert house.rooms == ["bottom", "left", "right", "top"]
    assert house.arrows == [("left", "bottom"), ("right", "bottom"), ("top", "left"), ("top", "right")]
    assert (house.floors, house.circles, house.upward) == (3, [], [])


def test_a_tree_that_keeps_the_rules_passes(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--check", str(make_tree(tmp_path, GOOD))]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("files", "rule", "place"),
    [
        ({"ppp/bottom.py": "import ppp.right\n"}, "circles of imports", "bottom ↔ right"),
        ({"ppp/bottom.py": "import ppp.top\n"}, "imports that point up", "ppp: bottom → top"),
        ({"ppp/left/deep.py": "import ppp.right\n"}, "imports that point up", "ppp: left → right"),
        (
            {"ppp/top.py": "class A: ...\n", "tests/test_x.py": "def f():\n    class A: ...\n"},
            "class names defined more than once",
            "A: ppp/top.py:1, tests/test_x.py:2",
        ),
        ({"ppp/top.py": 'def f():\n    """Give it."""\n'}, "docstrings that begin with", "ppp/top.py:1: f: Give"),
        (
            {"tests/test_x.py": '"""Tells it."""\n'},
            "docstrings that begin with",
            "tests/test_x.py:1: the module: Tells",
        ),
        ({"ppp/top.py": "def f():\n" + "    x\n" * 50}, "functions over 50 lines", "ppp/top.py:1: f: 51 lines"),
        ({"docs/a.md": "Run it to Mend it."}, "banned words", "docs/a.md:1: Mend (write: fix)"),
        ({"ppp/top.py": "# It came to nothing.\n"}, "banned words", "ppp/top.py:1: came to (write: result in)"),
        ({"ppp/top.py": "x\n" * 401}, "modules over 400 lines", "ppp/top.py: 401 lines"),
    ],
)
def test_what_breaks_a_rule_is_listed(  # noqa: PLR0917 - fixtures and parameters
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    rule: str,
    place: str,
) -> None:
    assert script.main(["--check", str(make_tree(tmp_path, GOOD | files))]) == 1
    out = capsys.readouterr().out
    assert rule in out
    assert f"  {place}\n" in out


def test_what_is_just_within_a_rule_passes(script: ModuleType, tmp_path: Path) -> None:
    files = {"ppp/top.py": "def f():\n" + "    x\n" * 49 + "y\n" * 350}
    assert script.main(["--check", str(make_tree(tmp_path, GOOD | files))]) == 0


@pytest.mark.parametrize(
    "text", ["discards, recommended, hearing_aid, _song, amends", "it becomes too much", "forwards"]
)
def test_words_that_only_contain_a_banned_one_pass(script: ModuleType, tmp_path: Path, text: str) -> None:
    assert script.banned_words(make_tree(tmp_path, {"README.md": text})) == []


def test_what_others_wrote_may_contain_any_word(script: ModuleType, tmp_path: Path) -> None:
    files = {"site/vendor/x.js": "cards", "ppp/check/canary/canaries.toml": "song"}
    assert script.banned_words(make_tree(tmp_path, files)) == []


def test_the_report_counts(script: ModuleType, tmp_path: Path) -> None:
    files = {"ppp/top.py": 'def f():\n    """Return it."""\n\n\ndef g(): ...  # not documented\n\n\ndef _h(): ...\n'}
    lines = list(script.report(script.measure(make_tree(tmp_path, GOOD | files))))
    assert "public functions documented: 1 of 3" in lines
    assert "comments for each 100 lines of code: 25.0" in lines
    assert "circles of imports: 0" in lines


def test_packages_made_up_for_tests_do_not_count(script: ModuleType, tmp_path: Path) -> None:
    files = {"tests/packages/x/x.py": "class A: ...\nclass A: ...\n"}
    assert script.measure(make_tree(tmp_path, files)).test_files == 1


@pytest.mark.heavy
def test_this_repository_is_measured_by_default(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main([]) == 0
    out = capsys.readouterr().out
    assert "ppp.publish" in out
    assert "imports that point up: 0" in out
