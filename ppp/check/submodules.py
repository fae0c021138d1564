"""Which modules inside a release to import after its import has passed, the most telling ones first. Pure.

A package may import well while parts of it do not: `import PIL` needs no C library, `PIL._imaging` does. So its
extension modules are tried, then what is beside the imported modules in their namespaces, then the public modules and
packages directly in the primary one. What is private, there for tests, or there to be run is left out: nobody imports
it, or doing so is no import.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.check.modules import (
    InstalledMetadata,
    ModulesToImport,
    Parts,
    dotted_names,
    is_library,
    is_private,
    is_stray,
    outermost,
)

#: How many submodules are imported, each in a process of its own, and how many of them may be others than extensions:
#: these fail less often, and a package may have hundreds.
MAX_PROCESSES: Final = 24
MAX_OTHERS: Final = 8
#: How many may be watched for whether they are imported with a module, and how long their names may be together.
MAX_WATCHED: Final = 400
MAX_WATCHED_CHARS: Final = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmodulesToImport:
    """What is worth importing inside a release, the most telling ones first: extension modules, and the others."""

    extensions: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, in order."""
        return self.extensions + self.others

    @property
    def watched(self) -> tuple[str, ...]:
        """Those to watch for while a module is imported: their names become arguments, in ASCII and not too many."""
        chosen, chars = [], 0
        for name in self.all[:MAX_WATCHED]:
            chars += len(name) + 1
            if chars <= MAX_WATCHED_CHARS and name.isascii():
                chosen.append(name)
        return tuple(chosen)

    def to_try(self, loaded: Collection[str]) -> tuple[str, ...]:
        """Return those to import in a process of their own, given those that another import has loaded."""
        extensions = [name for name in self.extensions if name not in loaded][:MAX_PROCESSES]
        others = [name for name in self.others if name not in loaded][: MAX_PROCESSES - len(extensions)]
        return (*extensions, *others[:MAX_OTHERS])


def submodules_to_import(
    modules: ModulesToImport, metadata: InstalledMetadata, suffixes: Sequence[str]
) -> SubmodulesToImport:
    """Return all that is worth importing beside `modules`; `suffixes` are the interpreter's (`.py`, `.abi3.so`, …)."""
    outer, inner = ([path for path in paths if not is_library(path)] for paths in (metadata.paths, metadata.inner))
    compiled = [suffix for suffix in suffixes if suffix.endswith(".so")]
    tops = outermost(dotted_names(outer, suffixes))
    parents = {tuple(name.split(".")) for name in modules.deciding}
    siblings = [name for name in tops if len(name) > 1 and not is_private(name)]
    children = [n for n in dotted_names(inner, suffixes) if n[:-1] in parents and not is_private(n[-1:])]
    roots = {name[0] for name in (*parents, *tops) if name in parents or not is_stray(name[0])}
    extensions = _in_order(dotted_names((*outer, *inner), compiled), roots)
    others = [*_in_order(siblings, roots), *_in_order(children, roots)]
    seen = set(modules.names)
    return SubmodulesToImport(
        extensions=tuple(name for name in extensions if name not in seen),
        others=tuple(name for name in dict.fromkeys(others) if name not in seen.union(extensions)),
    )


def _in_order(names: Iterable[Parts], roots: Collection[str]) -> list[str]:
    """Return dotted names below these roots without those of tests and the like; what is closest to the top first."""
    kept = [name for name in names if name[0] in roots and not any(map(is_stray, name[1:]))]
    return [".".join(name) for name in sorted(kept, key=lambda name: (len(name), len(name[-1]), name))]
