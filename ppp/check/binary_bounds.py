"""Which bound on a dependency helps a file that was compiled against another version of it, where that is known."""

import re
from collections.abc import Mapping
from typing import Final

from packaging.version import InvalidVersion, Version

#: The first NumPy with each version of its C API, by the headers of NumPy itself (`numpyconfig.h`).
_NUMPY_BY_API: Final[Mapping[int, str]] = {
    0xD: "1.16",
    0xE: "1.20",
    0xF: "1.22",
    0x10: "1.23",
    0x11: "1.25",
    0x12: "2.0",
    0x13: "2.1",
    0x14: "2.3",
}
_API: Final = re.compile(
    r"compiled against (ABI|API) version 0x([0-9a-f]{1,8}) but this version of numpy is 0x([0-9a-f]{1,8})"
)
_SIZE: Final = re.compile(r"numpy\.\w{1,30} size changed, .{1,80}Expected (\d{1,6}) from C header, got (\d{1,6})")
#: What the C++ names of a project contain (the length of each part stands before it), and the project that has them.
_SYMBOLS: Final[Mapping[str, str]] = {
    "N3c10": "torch",
    "N2at": "torch",
    "N5torch": "torch",
    "N5arrow": "pyarrow",
    "N10tensorflow": "tensorflow",
    "N6google8protobuf": "protobuf",
}
_FIRST_2: Final = Version("2.0.0.dev0")


def helping_bound(name: str, installed: str | None, output: str) -> str | None:
    """Return a requirement (`numpy<2`) that helps a file compiled against another version, or None if none is known.

    Only NumPy's are known: its messages tell what a file was compiled against, and its C API changed incompatibly once.
    """
    if name != "numpy":
        return None
    if found := _API.search(output):
        kind, compiled, running = found[1], int(found[2], 16), int(found[3], 16)
        if compiled < running:
            return "numpy<2"
        first = _NUMPY_BY_API.get(compiled) if kind == "API" else "2.0"
        return f"numpy>={first}" if first else None
    try:
        is_2 = installed is not None and Version(installed) >= _FIRST_2
    except InvalidVersion:
        return None
    if found := _SIZE.search(output):
        # A larger structure in the header is an older NumPy's where NumPy 2 runs, and else a newer one's.
        return "numpy<2" if is_2 else "numpy>=1.20"
    return "numpy<2" if is_2 else None


def project_of_symbol(symbol: str) -> str | None:
    """Return the project (normalized name) that a linker's C++ symbol belongs to, None if it is not known."""
    return next((project for part, project in _SYMBOLS.items() if part in symbol), None)
