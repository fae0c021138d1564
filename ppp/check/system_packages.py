"""Which system packages have what a build or an import lacked: `system_packages.toml`, looked up by a failure's text.

A text names what is missing by the words of compilers, loaders and shells, or by those of the many wrappers of C
libraries, each in its own. Only a name that the table has counts, and only where such words surround it. Pure.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final, assert_never

from ppp.model.matrix import Platform

#: How much of the end of a text is searched, in characters, and how much of a line.
MAX_CHARS: Final = 20_000
MAX_LINE: Final = 1000


class MissingKind(StrEnum):
    """What kind of thing is missing: the tables of `system_packages.toml`."""

    HEADER = "header"
    LIBRARY = "library"
    PROGRAM = "program"
    PKGCONFIG = "pkgconfig"
    MODULE = "module"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackages:
    """What is missing, as the table names it, and the package that has it: None where the system has none."""

    missing: str
    kind: MissingKind
    debian: str | None
    alpine: str | None

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that install it, Debian's first."""
        debian = f"apt-get install -y {self.debian}" if self.debian else None
        alpine = f"apk add {self.alpine}" if self.alpine else None
        return tuple(command for command in (debian, alpine) if command)

    def command(self, platform: Platform) -> str | None:
        """Return the command for an environment's platform: None where it has none, or is not known (`host`)."""
        match platform:
            case Platform.SLIM:
                return f"apt-get install -y {self.debian}" if self.debian else None
            case Platform.ALPINE:
                return f"apk add {self.alpine}" if self.alpine else None
            case Platform.HOST:
                return None
        assert_never(platform)


#: The kinds of things whose lack each cause means, the likeliest first.
_KINDS: Final[Mapping[str, tuple[MissingKind, ...]]] = {
    "no-compiler": (MissingKind.PROGRAM,),
    "missing-header": (MissingKind.HEADER, MissingKind.PKGCONFIG),
    "no-build-tool": (MissingKind.PROGRAM, MissingKind.PKGCONFIG),
    "missing-program": (MissingKind.PROGRAM,),
    "shared-library": (MissingKind.LIBRARY,),
    "missing-stdlib-module": (MissingKind.LIBRARY, MissingKind.MODULE),
}
#: Where a text names the thing: the first group of each is the name.
_NAMES: Final[Mapping[MissingKind, tuple[re.Pattern[str], ...]]] = {
    MissingKind.HEADER: (
        re.compile(r"fatal error: '?([\w./+-]{1,200})"),
        re.compile(r"'([\w./+-]{1,200}\.h)' include files"),
        re.compile(r"\b([\w/+-]{1,200}\.h(?:pp)?)\b"),
    ),
    MissingKind.LIBRARY: (
        re.compile(r"\b(lib[\w.+-]{1,100}\.so[\w.]{0,40})"),
        re.compile(r"\b(lib[\w+-]{1,100})\b"),
        re.compile(r"[\"']([\w+.-]{1,100})[\"']"),
        re.compile(r"\b([\w+-]{1,100}) (?:shared |C )?librar(?:y|ies)\b"),
        re.compile(r"(?:load|find|locate|open|install)(?: the)? ([\w+.-]{1,100})"),
    ),
    MissingKind.PROGRAM: (
        re.compile(r"[\"'`](?:/[\w.+/-]{1,200}/)?([\w.+-]{1,100})[\"'`]"),
        re.compile(r"\b([\w.+-]{1,100}):? (?:command not found|(?:executable )?(?:was )?not found|not installed)"),
        re.compile(r"\b([\w+.-]{1,100}) (?:must be|compiler|is not|isn't|executable|binary)"),
        re.compile(r"\bBad ([\w+.-]{1,100}) executable"),
    ),
    MissingKind.PKGCONFIG: (
        re.compile(r"[Nn]o package '([\w.+-]{1,100})' found"),
        re.compile(r"Package '?([\w.+-]{1,100})'?(?:,| was not found)"),
        re.compile(r"Dependency \"?'?([\w.+-]{1,100})\"?'? (?:not found|is required|lookup)"),
        re.compile(r"pkg-config --exists ([\w.+-]{1,100})"),
        re.compile(r"The headers or library files could not be found for ([\w.+-]{1,100})"),
    ),
    MissingKind.MODULE: (re.compile(r"No module named '([\w.]{1,100})'"),),
}
#: Names under which builds and wrappers know what the table lists under another.
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "rust": "cargo",
    "cmake_c_compiler": "gcc",
    "graphviz": "dot",
    "imagemagick": "convert",
    "ghostscript": "gs",
    "java_home": "java",
    "jpeg": "libjpeg",
    "libturbojpeg": "turbojpeg",
    "wand": "magickwand-6.q16",
    "sdl2": "sdl2-2.0",
}


def system_packages_for(cause: str | None, text: str | None) -> SystemPackages | None:
    """Return the packages that have what a failure lacked; None where its text names nothing that the table has.

    `text` is the failure's detail, or the end of its log, which may say more. Both are a package's own words.
    """
    kinds = _KINDS.get(cause or "", ())
    lines = [line[:MAX_LINE] for line in (text or "")[-MAX_CHARS:].splitlines()]
    for kind in kinds:
        # What a log ends with is nearest to the reason.
        for line in reversed(lines):
            for name in _named(kind, line):
                if found := _look_up(kind, name):
                    return found
    return _look_up(MissingKind.PROGRAM, "gcc") if cause == "no-compiler" else None


def _named(kind: MissingKind, line: str) -> Iterator[str]:
    for pattern in _NAMES[kind]:
        names = [name.rstrip(".,:;") for name in pattern.findall(line)]
        yield from names
        # A loader's message says it all: with another number, the library would not help.
        if any(".so" in name for name in names):
            return


def _look_up(kind: MissingKind, name: str) -> SystemPackages | None:
    match kind:
        case MissingKind.HEADER:
            folders = name.split("/")[:-1]
            keys = [name, *("/".join(folders[:depth]) + "/" for depth in range(len(folders), 0, -1))]
        case MissingKind.LIBRARY:
            keys = [name] if ".so" in name else [_stem(name), _unversioned(_stem(name))]
        case MissingKind.PROGRAM | MissingKind.PKGCONFIG | MissingKind.MODULE:
            keys = [name, name.lower(), _OTHER_NAMES.get(name.lower(), name)]
        case _:
            assert_never(kind)
    table = _tables()[kind]
    return next((table[key] for key in keys if key in table), None)


def _stem(name: str) -> str:
    """Return a library's name as wrappers write it: `magic` for `libmagic.so.1` and `libmagic`, in lower case."""
    stem = name.lower().partition(".so")[0].removeprefix("lib")
    return _OTHER_NAMES.get(stem, stem)


def _unversioned(stem: str) -> str:
    return re.sub(r"(?:[-_]c)?[-_][\d.]{1,9}$|_c$", "", stem)


@cache
def _tables() -> Mapping[MissingKind, Mapping[str, SystemPackages]]:
    """Return the packages by kind and name; libraries also by their names without version."""
    rows = tomllib.loads(files("ppp.check").joinpath("system_packages.toml").read_text("utf-8"))
    tables: dict[MissingKind, dict[str, SystemPackages]] = {}
    for kind in MissingKind:
        table = tables[kind] = {
            name: SystemPackages(missing=name, kind=kind, debian=row.get("debian"), alpine=row.get("alpine"))
            for name, row in rows[kind].items()
        }
        if kind is MissingKind.LIBRARY:
            for name in list(table):
                stem = _stem(name)
                # `cairo-2`, `usb-1.0` and `usb` name one library.
                for short in (stem, _unversioned(stem)):
                    table.setdefault(short, table[name])
    return tables
