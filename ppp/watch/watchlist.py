"""Read a watchlist, or any requirements file that names packages of the index.

All mistakes in a file are reported together, with their lines. Parts of a requirements file that a check does not use
(hashes, extras) are dropped; a note says so where that changes what is checked. Markers are kept: `markers` evaluates
them for each environment.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement

from ppp.model.errors import RequirementsError
from ppp.model.printable import first_of
from ppp.model.release import InvalidReleaseError, RequestedPackage
from ppp.watch.markers import can_be_evaluated

MAX_BYTES: Final = 1_000_000
#: Further mistakes are only counted.
MAX_NAMED_MISTAKES: Final = 20
MAX_QUOTED: Final = 80

#: Options for how pip chooses or verifies files; a check uses pip's defaults.
IGNORED_OPTIONS: Final = frozenset(
    {"--require-hashes", "--pre", "--prefer-binary", "--only-binary", "--no-binary", "--use-feature"}
)
#: Options that refer to something other than packages of the index, each with what to do instead.
REFUSED_OPTIONS: Final = {
    "-r": "copy that file's lines here, or use it as a separate list",
    "-c": "write the constraint after the package, as in six==1.17.0",
    "-e": "only releases of the index can be checked: write its name",
    "-i": "set PPP_INDEX_URL instead",
    "--extra-index-url": "only one index is used: set PPP_INDEX_URL",
    "-f": "only releases of the index can be checked",
    "--no-index": "only releases of the index can be checked",
}
_LONG_NAMES: Final = {
    "--requirement": "-r",
    "--constraint": "-c",
    "--editable": "-e",
    "--index-url": "-i",
    "--find-links": "-f",
}
# A comment starts a line or follows white space; otherwise a URL's fragment would look like one.
_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")
_HASH: Final = re.compile(r"\s--hash[=\s]\s*\S+")
_PATH_OR_URL: Final = re.compile(r"^\.|^file:|/")
# pip, too, takes a name like this for a file's name.
_ARCHIVE: Final = re.compile(r"\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)$", re.IGNORECASE)
_OPTION: Final = re.compile(r"--?[a-z][a-z-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchlistEntry:
    """A package that a file requests where a marker applies, and the first line (counted from 1) that does so."""

    wanted: RequestedPackage
    line: int
    marker: Marker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchlist:
    """The packages that a file requests, in order without duplicates, and a note for each part that was dropped."""

    entries: tuple[WatchlistEntry, ...]
    notes: tuple[str, ...]

    @property
    def wanted(self) -> tuple[RequestedPackage, ...]:
        """The requested packages, without their lines."""
        return tuple(item.wanted for item in self.entries)


def read(path: Path) -> Watchlist:
    """Read a watchlist or requirements file (UTF-8, at most `MAX_BYTES`); raise `RequirementsError`."""
    return parse(read_text(path), place=str(path))


def read_text(path: Path) -> str:
    """Return the text of a file of requirements (UTF-8, at most `MAX_BYTES`); raise `RequirementsError`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RequirementsError(
            f"cannot read {path}: {error.strerror}", hint="the file must have one package in each line"
        ) from error
    if len(content) > MAX_BYTES:
        raise RequirementsError(f"{path} is larger than {MAX_BYTES} bytes", hint="split it into several lists")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RequirementsError(f"{path} is not UTF-8: line {line}", hint="save it as UTF-8") from error


def parse(text: str, *, place: str) -> Watchlist:
    """Parse the text of a watchlist; raise `RequirementsError` naming `place` and all mistakes with their lines."""
    listed: dict[tuple[RequestedPackage, str], WatchlistEntry] = {}
    notes: list[str] = []
    mistakes: list[str] = []
    for number, line in logical_lines(text):
        try:
            entry, dropped = _parse_line(line, number)
        except (InvalidReleaseError, RequirementsError) as error:
            mistakes.append(f"line {number}: {error}")
            continue
        if entry:
            listed.setdefault((entry.wanted, str(entry.marker)), entry)
        if dropped:
            notes.append(f"line {number}: {dropped}")
    raise_mistakes(mistakes, place)
    return Watchlist(entries=tuple(listed.values()), notes=tuple(notes))


def raise_mistakes(mistakes: Sequence[str], place: str) -> None:
    """Raise `RequirementsError` if a file has mistakes, naming `place` and the first of them."""
    if mistakes:
        shown = first_of(mistakes, MAX_NAMED_MISTAKES, separator="; ")
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise RequirementsError(f"{place} has {count}: {shown}", hint="fix these; nothing of it was used")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the content of each line, without comments, as pip reads a requirements file."""
    # As in pip: a backslash at the end continues a line, but not a comment; and a comment line ends a continued line.
    start, pending = 0, ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        comment = line.lstrip().startswith("#")
        start = start or number
        if line.endswith("\\") and not comment:
            pending += line[:-1]
            continue
        if whole := _COMMENT.sub("", f"{pending} {line}" if comment else pending + line).strip():
            yield start, whole
        start, pending = 0, ""
    if whole := _COMMENT.sub("", pending).strip():
        yield start, whole


def _parse_line(line: str, number: int) -> tuple[WatchlistEntry | None, str]:
    # Returns what the line requests, and a note on what was dropped.
    if line.startswith("-"):
        return None, _ignore_option(line)
    bare = _HASH.sub("", line)
    try:
        requirement = Requirement(bare)
    except (InvalidRequirement, RecursionError) as error:
        if _PATH_OR_URL.search(bare):
            raise line_error(line, "is a path or a URL", REFUSED_OPTIONS["-e"]) from error
        raise line_error(line, "is not a requirement", "write a name, or one with a version: six==1.17.0") from error
    if _ARCHIVE.search(requirement.name):
        raise line_error(line, "is a path or a URL", REFUSED_OPTIONS["-e"])
    if requirement.url:
        raise line_error(line, "is a URL", f"only releases of the index can be checked: write {requirement.name}")
    wanted = RequestedPackage.parse(f"{requirement.name}{requirement.specifier}")
    if requirement.marker and not can_be_evaluated(requirement.marker):
        raise line_error(line, "has a marker without a value", "compare variables of an environment, as in PEP 508")
    entry = WatchlistEntry(wanted=wanted, line=number, marker=requirement.marker)
    return entry, f"dropped the extras of {wanted.package}" if requirement.extras else ""


def _ignore_option(line: str) -> str:
    found = _OPTION.match(line)
    name = found[0] if found else line
    # pip accepts a short option with its value attached: -rfile.
    name = _LONG_NAMES.get(name, name if name.startswith("--") else name[:2])
    if name in IGNORED_OPTIONS:
        return f"ignored {name}"
    raise line_error(line, "is an option", REFUSED_OPTIONS.get(name, "a list holds packages only"))


def line_error(line: str, what: str, hint: str) -> RequirementsError:
    """Return the error that a line is something else than a requirement."""
    quoted = line if len(line) <= MAX_QUOTED else f"{line[:MAX_QUOTED]}…"
    return RequirementsError(f"{quoted!r} {what}", hint=hint)
