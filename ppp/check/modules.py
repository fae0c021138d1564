"""Which modules to import for a release, from the metadata that its installation left behind. Pure.

Names that are declared come first (METADATA 2.5, PEP 794), else the top level of RECORD, descending into namespace
packages; `top_level.txt` is only a hint. Where there is nothing to import, the reason is returned.
"""

import keyword
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

#: Top-level names that almost always got into a wheel by mistake: tests and tools. They are not imported.
STRAY_NAMES: Final = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmark", "benchmarks", "scripts", "build"}
)
#: How many modules one cell imports at most.
MAX_MODULES: Final = 8
MAX_NAME_LENGTH: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledMetadata:
    """An installed distribution's own metadata: RECORD's paths, relative to site-packages, and some headers."""

    paths: tuple[str, ...]
    import_names: tuple[str, ...] | None = None
    top_level: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesToImport:
    """The modules to import, the primary one first; or none, and the reason."""

    names: tuple[str, ...]
    reason: str | None = None


def modules_to_import(package: str, metadata: InstalledMetadata, suffixes: Sequence[str]) -> ModulesToImport:
    """Return what to import for a normalized package name; `suffixes` are the interpreter's (`.py`, `.abi3.so`, …)."""
    declared = metadata.import_names
    if declared is not None:
        pairs = [(name.strip(), rest) for name, _, rest in (line.partition(";") for line in declared)]
        public = dict.fromkeys(name for name, rest in pairs if name and "private" not in rest)
        if not public:
            return ModulesToImport(names=(), reason="its metadata declares that it has no modules")
        # Invalid names, and those of which nothing was installed, do not count as declared.
        tops = {_top_level_name(path) for path in metadata.paths}
        if names := [name for name in public if _is_dotted(parts := name.split(".")) and parts[0] in tops]:
            return ModulesToImport(names=tuple(names[:MAX_MODULES]))
    found = _importable(metadata.paths, sorted(suffixes, key=len, reverse=True))
    worth = _worth_importing(found, set(metadata.top_level))
    if not worth:
        return ModulesToImport(names=(), reason=_reason_for_none(metadata.paths))
    return ModulesToImport(names=tuple(sorted(worth, key=_closeness_key(package))[:MAX_MODULES]))


def _top_level_name(path: str) -> str:
    """Return the top-level name that a path in RECORD would make importable."""
    return PurePosixPath(path).parts[0].partition(".")[0] if path else ""


def _importable(paths: Iterable[str], suffixes: Sequence[str]) -> set[str]:
    """Return the shortest dotted names that are real modules or packages, not bare namespaces."""
    modules: set[tuple[str, ...]] = set()
    for path in paths:
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or parts[0].startswith("/") or "__pycache__" in parts:
            continue
        suffix = next((s for s in suffixes if parts[-1].endswith(s)), None)
        if suffix is None:
            continue
        dotted = (*parts[:-1], parts[-1].removesuffix(suffix))
        if dotted[-1] == "__init__":
            dotted = dotted[:-1]
        if _is_dotted(dotted):
            modules.add(dotted)
    # A module inside a package that is found itself is imported by it.
    tops = {m for m in modules if not any(m[:i] in modules for i in range(1, len(m)))}
    # One module of a namespace is enough: all share its root.
    chosen: dict[str, tuple[str, ...]] = {}
    for module in sorted(tops, key=lambda m: (m[0], len(m), m)):
        chosen.setdefault(module[0], module)
    return {".".join(module) for module in chosen.values()}


def _is_dotted(parts: Sequence[str]) -> bool:
    words = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    return bool(parts) and words and len(".".join(parts)) <= MAX_NAME_LENGTH


def _worth_importing(found: set[str], hinted: set[str]) -> set[str]:
    kept = {name for name in found if name.partition(".")[0].lower() not in STRAY_NAMES} or found
    public = {name for name in kept if not name.startswith("_")} or kept
    return {name for name in public if name.partition(".")[0] in hinted} or public


def _closeness_key(package: str) -> Callable[[str], tuple[bool, int, str]]:
    plain = package.replace("-", "")

    def key(name: str) -> tuple[bool, int, str]:
        return name.replace("_", "").replace(".", "").lower() != plain, len(name), name

    return key


def _reason_for_none(paths: Sequence[str]) -> str:
    own = [p for p in paths if ".dist-info/" not in p]
    if not own:
        return "it installs no file of its own"
    if any(p.endswith(".pyi") for p in own):
        return "it holds type stubs only"
    if any(p.endswith(".pth") for p in own):
        return "it holds a .pth file and no module"
    if all(p.startswith("../") for p in own):
        return "it holds scripts or data only"
    return "it holds no module"
