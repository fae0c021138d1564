"""Which modules inside a release to import after its import has passed, the most telling ones first. Pure.

A package may import well while parts of it do not: `import PIL` needs no C library, `PIL._imaging` does. So its
extension modules are tried, then what is beside the imported modules in their namespaces, then the public modules and
packages directly in the primary one. What is private, there for tests, or there to be run is left out: nobody imports
it, or doing so is no import.
"""

from collections.abc import Sequence
from typing import Final

from ppp.check.modules import (
    InstalledMetadata,
    ModulesToImport,
    Parts,
    dotted_names,
    is_private,
    is_stray,
    outermost,
)

#: The suffix of shared libraries, and how the names of those begin that a package loads, and that are no modules.
_SHARED: Final = ".so"
_LIBRARY: Final = "lib"


def submodules_to_import(
    modules: ModulesToImport, metadata: InstalledMetadata, suffixes: Sequence[str]
) -> tuple[str, ...]:
    """Return all that is worth importing beside `modules`, the most telling ones first; `suffixes` as there."""
    tops = outermost(dotted_names(metadata.paths, suffixes))
    parents = {tuple(name.split(".")) for name in modules.deciding}
    roots = {name[0] for name in (*parents, *tops) if name in parents or not is_stray(name[0])}
    extensions = _extension_modules((*metadata.paths, *metadata.inner), suffixes)
    siblings = [name for name in tops if len(name) > 1 and not is_private(name)]
    inner = dotted_names(metadata.inner, [suffix for suffix in suffixes if not suffix.endswith(_SHARED)])
    children = [name for name in inner if name[:-1] in parents and not is_private(name[-1:])]
    ordered = dict.fromkeys(
        ".".join(name)
        for kind in (extensions, siblings, children)
        for name in sorted(kind, key=lambda name: (len(name), len(name[-1]), name))
        if name[0] in roots and not any(map(is_stray, name[1:]))
    )
    return tuple(name for name in ordered if name not in modules.names)


def _extension_modules(paths: Sequence[str], suffixes: Sequence[str]) -> set[Parts]:
    """Return the modules whose files are shared libraries, and not the libraries that a package loads by itself."""
    tagged = [suffix for suffix in suffixes if suffix.endswith(_SHARED) and suffix != _SHARED]
    plain = {name for name in dotted_names(paths, [_SHARED]) if not name[-1].startswith(_LIBRARY)}
    return dotted_names(paths, tagged) | plain
