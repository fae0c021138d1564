"""What a release without a module to import holds instead, or that it holds nothing. Pure.

A release may well have no module: stubs, data, a `.pth` file, scripts, or requirements that a metapackage brings. But
one that installs its metadata alone and requires nothing is of no use to anybody: it is `empty`, a failure of the
package. Likewise one whose only modules are for other interpreters, or its tests, docs or examples.

What counts as requiring something:

- a requirement that applies here;
- one that applies elsewhere (`pywin32; sys_platform == "win32"`): the release says that nothing is needed here;
- not one of an extra, as nobody asked for it: a plain installation brings nothing, anywhere.

A README or a license beside the metadata is not what a release is installed for, so it counts for nothing.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from ppp.check.causes import printable_line
from ppp.check.modules import ModulesToImport
from ppp.model.printable import first_of

#: The groups of entry points that pip makes scripts of.
SCRIPT_GROUPS: Final = frozenset({"console_scripts", "gui_scripts"})
#: How many files a text names, and how much of each.
MAX_NAMED: Final = 3
MAX_NAMED_CHARS: Final = 80
_INTERPRETER: Final = r"(cpython-\d|cp\d|pypy|graalpy|abi3)"
#: An extension module by its name, with the tag of an interpreter or for Windows.
_EXTENSION: Final = re.compile(rf"\A[A-Za-z_]\w*\.({_INTERPRETER}[^/]*\.(so|pyd)|pyd)")
#: A file at the top of site-packages, or of the environment, that documents a project or is there for its build.
_DOCUMENTATION: Final = re.compile(
    r"\A(?:(README|LICEN[CS]ES?|COPYING|COPYRIGHT|NOTICE|CHANGES|CHANGELOG|HISTORY|NEWS|AUTHORS|CONTRIBUTORS|CONTRIBUTING)"
    r"([_-][A-Z0-9_-]+)?(\.(TXT|MD|RST|APACHE|BSD|GPL|MIT))?"
    r"|pyproject\.toml|setup\.cfg|tox\.ini|MANIFEST\.in|Makefile|Dockerfile|requirements[\w.-]*\.txt|\.git\w+)",
    re.IGNORECASE | re.ASCII,
)
_CODE_SUFFIXES: Final = (".py", ".pyc", ".pyx", ".so", ".pyd")


class Ground(StrEnum):
    """Why the phase `import` is skipped in a cell that passes."""

    REQUIREMENTS_ONLY = "requirements-only"
    STUBS = "stubs"
    DATA = "data"
    PTH = "pth"
    SCRIPTS = "scripts"
    DECLARES_NONE = "declares-none"
    NO_MODULE = "no-module"


class Requires(StrEnum):
    """What a release requires in an environment, without extras."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    FOR_EXTRAS = "for extras"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceOfModules:
    """What a release holds in place of modules, and a sentence that says so; `ground` is None if it is nothing."""

    ground: Ground | None
    reason: str


def in_place_of_modules(
    paths: Sequence[str], modules: ModulesToImport, *, entry_points: Collection[tuple[str, str]], requires: Requires
) -> InPlaceOfModules:
    """Return what a release holds that has no module to import.

    `paths` are those in RECORD that are there, relative to site-packages; `entry_points` are groups and names.
    `modules` says why none is imported.
    """
    if modules.declares_none:
        return InPlaceOfModules(ground=Ground.DECLARES_NONE, reason="its metadata declares that it has no modules")
    scripts = {name for group, name in entry_points if group in SCRIPT_GROUPS}
    mistakes = {name.partition(".")[0] for name in modules.mistakes}
    installed = [path for path in paths if not (_is_about_it(path) or _is_wrapper(path, scripts))]
    own = [path for path in installed if path.partition("/")[0].partition(".")[0] not in mistakes]
    if foreign := [path for path in own if _is_foreign_module(path)]:
        return InPlaceOfModules(ground=None, reason=f"its modules are for other interpreters: {_named(foreign)}")
    if own:
        ground, reason = _kind(own)
        return InPlaceOfModules(ground=ground, reason=reason)
    if scripts:
        return InPlaceOfModules(ground=Ground.SCRIPTS, reason="its scripts call what others install")
    if entry_points and requires in {Requires.FOR_EXTRAS, Requires.NOTHING}:
        return InPlaceOfModules(ground=Ground.NO_MODULE, reason="it registers entry points and holds no module")
    return _nothing_of_its_own(requires, sorted(mistakes))


def _kind(own: Sequence[str]) -> tuple[Ground, str]:
    if any(path.endswith(".pyi") for path in own):
        return Ground.STUBS, "it holds type stubs only"
    # Python reads them in site-packages itself and nowhere else; a .start file (PEP 829) from 3.15 on.
    for suffix in (".pth", ".start"):
        if any(path.endswith(suffix) and "/" not in path for path in own):
            return Ground.PTH, f"it holds a {suffix} file and no module"
    if any(_is_script(path) for path in own):
        return Ground.SCRIPTS, "it holds scripts and no module"
    if any(path.endswith(_CODE_SUFFIXES) for path in own):
        return Ground.NO_MODULE, f"it holds code, but no module that can be imported: {_named(own)}"
    return Ground.DATA, "it holds data only"


def _nothing_of_its_own(requires: Requires, mistakes: Sequence[str]) -> InPlaceOfModules:
    installed = f"all that it installs is {_named(mistakes)}" if mistakes else "it installs its metadata alone"
    match requires:
        case Requires.HERE:
            return InPlaceOfModules(ground=Ground.REQUIREMENTS_ONLY, reason="it holds requirements only")
        case Requires.ELSEWHERE:
            reason = "it holds requirements only, and none of them applies here"
            return InPlaceOfModules(ground=Ground.REQUIREMENTS_ONLY, reason=reason)
        case Requires.FOR_EXTRAS:
            return InPlaceOfModules(ground=None, reason=f"{installed}, and it requires nothing but for extras")
        case Requires.NOTHING:
            return InPlaceOfModules(ground=None, reason=f"{installed}, and it requires nothing")


def _is_about_it(path: str) -> bool:
    """Return whether a path is one of the release's metadata, of its documentation or of its build."""
    while path.startswith("../"):
        path = path.removeprefix("../")
    return ".dist-info/" in path or _DOCUMENTATION.fullmatch(path) is not None


def _is_script(path: str) -> bool:
    """Return whether a path in RECORD is in the environment's folder of programs."""
    parts = PurePosixPath(path).parts
    return parts[:1] == ("..",) and parts[-2:-1] == ("bin",)


def _is_foreign_module(path: str) -> bool:
    """Return whether a path in site-packages is an extension module; one for this interpreter would be imported."""
    return not path.startswith("../") and _EXTENSION.fullmatch(PurePosixPath(path).name) is not None


def _is_wrapper(path: str, scripts: Collection[str]) -> bool:
    """Return whether a path is a script that pip generated for an entry point."""
    return _is_script(path) and PurePosixPath(path).name in scripts


def _named(paths: Sequence[str]) -> str:
    return first_of([printable_line(path)[:MAX_NAMED_CHARS] for path in paths], MAX_NAMED)
