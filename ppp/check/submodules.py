"""Which modules inside a release to import after its import has passed, the most telling ones first. Pure.

A package may import well while parts of it do not: `import PIL` needs no C library, `PIL._imaging` does. So its
extension modules are tried, then what is beside the imported modules in their namespaces, then the public modules and
packages directly in the primary one. What is private, there for tests, or there to be run is left out: nobody imports
it, or doing so is no import.
"""

from collections.abc import Sequence

from ppp.check.modules import (
    InstalledMetadata,
    ModulesToImport,
    dotted_names,
    is_library,
    is_private,
    is_stray,
    outermost,
)


def submodules_to_import(
    modules: ModulesToImport, metadata: InstalledMetadata, suffixes: Sequence[str]
) -> tuple[str, ...]:
    """Return all that is worth importing beside `modules`, the most telling ones first; `suffixes` as there."""
    outer, inner = ([path for path in paths if not is_library(path)] for paths in (metadata.paths, metadata.inner))
    compiled = [suffix for suffix in suffixes if suffix.endswith(".so")]
    tops = outermost(dotted_names(outer, suffixes))
    parents = {tuple(name.split(".")) for name in modules.deciding}
    roots = {name[0] for name in (*parents, *tops) if name in parents or not is_stray(name[0])}
    extensions = dotted_names((*outer, *inner), compiled)
    siblings = [name for name in tops if len(name) > 1 and not is_private(name)]
    children = [n for n in dotted_names(inner, suffixes) if n[:-1] in parents and not is_private(n[-1:])]
    ordered = dict.fromkeys(
        ".".join(name)
        for kind in (extensions, siblings, children)
        for name in sorted(kind, key=lambda name: (len(name), len(name[-1]), name))
        if name[0] in roots and not any(map(is_stray, name[1:]))
    )
    return tuple(name for name in ordered if name not in modules.names)
