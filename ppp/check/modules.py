"""Which modules to import for a release, and which one decides, from the metadata that its installation left. Pure.

RECORD says what exists: every top-level module or package, and of a namespace the one that represents it best. Names
that are declared (METADATA 2.5, PEP 794) come before what is found, and `top_level.txt` is a hint. Left out are what
got into a wheel by mistake (`tests`, `docs`, …) and private modules, if there is anything else. Nothing but tests, docs
or examples is nothing to import: a build that found no module often packs them.

The primary module decides whether the import passes; the other ones are reported. It is

1. the one whose name is the project's (`own_names` says when that is certain);
2. else the only one, or the only one of those that `top_level.txt` names.

Without a primary module all have to import. Where there is nothing to import, `contents` says what there is instead.
"""

import keyword
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, TypeAlias

from ppp.check.own_names import (
    equals_project,
    equals_project_by_words,
    plain_name,
    resembles_project,
    resembles_project_by_words,
)

#: Names that almost always got into a wheel by mistake: tests, tools, and what is there for the build.
_STRAY: Final = re.compile(
    r"\A(?:tests?\d*(_\w+)?|testing|\w+_tests|(unit|integration|functional|acceptance|system|e2e)_?tests?"
    r"|docs?|documentation|examples?|samples?|demos?|tutorials?|notebooks?|bench|benchmarks?"
    r"|bin|build|dist|scripts?|setup|conftest|noxfile|fabfile|versioneer|ez_setup)",
    re.ASCII | re.IGNORECASE,
)
#: Those of them that are never what a release is for, unless its own name says so.
_NEVER_MEANT: Final = frozenset({"test", "doc", "example"})
#: Modules that say little about what is beside them in a namespace.
_UNINFORMATIVE: Final = frozenset({"about", "version"})
#: How many modules one cell imports at most.
MAX_MODULES: Final = 24
MAX_NAME_LENGTH: Final = 255
#: The parts of a dotted name.
Parts: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledMetadata:
    """An installed distribution's own metadata: RECORD's paths, relative to site-packages, and some headers.

    `paths` are those outside packages, and the packages themselves; `inner` are some of those inside packages: their
    extension modules, and what is near the top.
    """

    paths: tuple[str, ...]
    inner: tuple[str, ...] = ()
    import_names: tuple[str, ...] | None = None
    top_level: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesToImport:
    """The modules to import, the primary one first; or none, and whether the metadata declares that.

    `mistakes` are modules that are there and are not imported, where there is nothing else: tests, docs, examples.

    `primary` decides alone whether the import passes. If it is None, all names have to import.
    """

    names: tuple[str, ...]
    primary: str | None = None
    declares_none: bool = False
    mistakes: tuple[str, ...] = ()

    @property
    def deciding(self) -> tuple[str, ...]:
        """The modules that have to import."""
        return self.names if self.primary is None else (self.primary,)


def modules_to_import(package: str, metadata: InstalledMetadata, suffixes: Sequence[str]) -> ModulesToImport:
    """Return what to import for a normalized package name; `suffixes` are the interpreter's (`.py`, `.abi3.so`, …)."""
    if metadata.import_names is not None:
        declared = _declared(package, metadata.import_names, metadata.paths)
        if declared is not None:
            return declared
    likely = [path for path in metadata.paths if not is_library(path)]
    # At the top such a file may be a module all the same, if there is nothing else.
    possible = [path for path in metadata.paths if "/" not in path]
    outer = outermost(dotted_names(likely, suffixes) or dotted_names(possible, suffixes))
    if not outer:
        return ModulesToImport(names=())
    own = _own_name(package, outer, dotted_names(metadata.inner, suffixes), metadata.inner)
    found = [name for name in _representatives(package, outer) if own is None or name[0] != own[0]]
    public = _worth_importing(found)
    if own is not None:
        return _with_primary(own, public)
    if all(_is_mistake(name[0], package) for name in found):
        return ModulesToImport(names=(), mistakes=_in_order(found))
    hints = frozenset(metadata.top_level)
    hinted = [name for name in public if name[0] in hints] or public
    if len(hinted) == 1:
        return _with_primary(hinted[0], [name for name in public if name != hinted[0]])
    return ModulesToImport(names=_in_order(hinted))


def _with_primary(primary: Parts, others: Iterable[Parts]) -> ModulesToImport:
    # Beside a primary module, what is private or got in by mistake is nothing that anybody would import.
    told = [name for name in others if not is_private(name) and not is_stray(name[0])]
    name = ".".join(primary)
    return ModulesToImport(names=(name, *_in_order(told)[: MAX_MODULES - 1]), primary=name)


def _in_order(names: Iterable[Parts]) -> tuple[str, ...]:
    return tuple(sorted((".".join(name) for name in names), key=lambda name: (len(name), name))[:MAX_MODULES])


def _declared(package: str, lines: Iterable[str], paths: Iterable[str]) -> ModulesToImport | None:
    """Return what Import-Name declares, in its order; None if nothing that is declared was installed."""
    pairs = [(name.strip(), rest) for name, _, rest in (line.partition(";") for line in lines)]
    public = dict.fromkeys(name for name, rest in pairs if name and "private" not in rest)
    if not public:
        return ModulesToImport(names=(), declares_none=True)
    # Invalid names, and those of which nothing was installed, do not count as declared.
    tops = {_top_level_name(path) for path in paths}
    names = [name for name in public if _is_dotted(parts := name.split(".")) and parts[0] in tops]
    if not names:
        return None
    equal = [name for name in names if equals_project(package, name)]
    near = [name for name in names if resembles_project(package, name)]
    primary = next((some[0] for some in (names, equal, near) if len(some) == 1), None)
    return ModulesToImport(
        names=tuple(dict.fromkeys([*([primary] if primary else []), *names]))[:MAX_MODULES], primary=primary
    )


def _top_level_name(path: str) -> str:
    """Return the top-level name that a path in RECORD would make importable."""
    return PurePosixPath(path).parts[0].partition(".")[0] if path else ""


def dotted_names(paths: Iterable[str], suffixes: Sequence[str]) -> set[Parts]:
    """Return the names of the modules and packages that are at these paths, relative to site-packages."""
    longest_first = sorted(suffixes, key=len, reverse=True)
    return {name for path in paths if (name := _dotted_name(path, longest_first)) is not None}


def is_library(path: str) -> bool:
    """Return whether a path is by its name that of a shared library that is loaded, and not imported: `libx.so`."""
    name = PurePosixPath(path).name
    return name.startswith("lib") and name.endswith(".so") and name.count(".") == 1


def _dotted_name(path: str, suffixes: Sequence[str]) -> Parts | None:
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or parts[0].startswith("/") or "__pycache__" in parts:
        return None
    suffix = next((s for s in suffixes if parts[-1].endswith(s)), None)
    if suffix is None:
        return None
    dotted = (*parts[:-1], parts[-1].removesuffix(suffix))
    if dotted[-1] == "__init__":
        dotted = dotted[:-1]
    return dotted if _is_dotted(dotted) else None


def _is_dotted(parts: Sequence[str]) -> bool:
    words = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    return bool(parts) and words and len(".".join(parts)) <= MAX_NAME_LENGTH


def outermost(modules: Collection[Parts]) -> set[Parts]:
    """Return those that lie in no other: each is imported by itself, and is no bare namespace."""
    return {m for m in modules if not any(m[:i] in modules for i in range(1, len(m)))}


def is_stray(name: str) -> bool:
    """Return whether a part of a module's name is one that got into a wheel by mistake: tests, docs, build tools."""
    return _STRAY.fullmatch(name) is not None


def _is_mistake(name: str, package: str) -> bool:
    """Return whether a top-level module is one that nobody would install a project for, whatever else it lacks."""
    word = name.lower().removesuffix("s")
    return word in _NEVER_MEANT and word not in {part.removesuffix("s") for part in package.split("-")}


def is_private(name: Parts) -> bool:
    """Return whether a module, or a package around it, is private by its name."""
    return any(part.startswith("_") for part in name)


def _own_name(package: str, outer: Collection[Parts], inner: Collection[Parts], paths: Sequence[str]) -> Parts | None:
    """Return the module whose name is the project's; None where there is none, or it is not certain which one.

    It may be inside a package that other projects share, such as `mysql.connector`: importing that one imports the
    packages around it as well. Where names only resemble the project's, there must be one, and it must not be stray.
    """
    packages = {_parent(path) for path in paths if PurePosixPath(path).name.startswith("__init__.")}
    equal = [name for name in outer if equals_project(package, ".".join(name))]
    equal += [name for name in inner if not equal and equals_project_by_words(package, ".".join(name))]
    if equal:
        return min(equal, key=lambda name: (is_private(name), len(name), name))
    serious = [name for name in outer if not any(map(is_stray, name)) and not is_private(name)]
    within = [name for name in inner if name in packages and not is_private(name)]
    for candidates in (
        [name for name in within if resembles_project_by_words(package, ".".join(name))],
        [name for name in serious if resembles_project(package, ".".join(name))],
        # `google.protobuf` of protobuf, whose older releases have `google/__init__.py`.
        [name for name in (*serious, *within) if len(name) > 1 and plain_name(name[-1]) == plain_name(package)],
    ):
        if candidates:
            return candidates[0] if len(candidates) == 1 else None
    return None


def _parent(path: str) -> Parts:
    return PurePosixPath(path).parts[:-1]


def _representatives(package: str, outer: Iterable[Parts]) -> list[Parts]:
    """Return the modules, and of each namespace the one that represents it best: all share its root."""
    chosen: dict[str, Parts] = {}
    for module in sorted(outer, key=_representing_key(package)):
        chosen.setdefault(module[0], module)
    return list(chosen.values())


def _representing_key(package: str) -> Callable[[Parts], tuple[bool, bool, bool, bool, int, int, Parts]]:
    def key(name: Parts) -> tuple[bool, bool, bool, bool, int, int, Parts]:
        return (
            not resembles_project(package, ".".join(name)),
            any(map(is_stray, name[1:])),
            is_private(name[1:]),
            name[-1] in _UNINFORMATIVE,
            len(name),
            len(name[-1]),
            name,
        )

    return key


def _worth_importing(found: Sequence[Parts]) -> list[Parts]:
    kept = [name for name in found if not is_stray(name[0])] or found
    return [name for name in kept if not is_private(name)] or list(kept)
