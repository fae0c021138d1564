"""The last traceback in an output: the frames of installed files in it. Pure."""

import re
from dataclasses import dataclass
from typing import Final

TRACEBACK: Final = "Traceback (most recent call last)"
#: How many frames of a traceback are looked at, the innermost ones.
MAX_FRAMES: Final = 200
#: A traceback's line: the file, its line, and the function (none where the file cannot be parsed); then its source.
_FRAME: Final = re.compile(
    r'^ +File "([^"\n]{1,1000})", line (\d{1,9})(?:, in (.+))?$(?:\n +(?!File )(\S.*)$)?', re.MULTILINE
)
#: The folders of installed files.
_INSTALLED: Final = ("/site-packages/", "/dist-packages/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A place in a traceback: the file below site-packages, or as it was printed where it is not `installed`.

    `function` is empty where the file could not even be parsed, `source` where the line was not printed.
    """

    path: str
    installed: bool
    line: int
    function: str
    source: str

    @property
    def at_import(self) -> bool:
        """Whether the code of the module itself ran, and not a function of it."""
        return self.function in {"", "<module>"}


def last_frames(output: str) -> tuple[Frame, ...]:
    """Return the frames of the last traceback in an output, the outermost first; none where there is no traceback."""
    found = list(_FRAME.finditer(output, max(output.rfind(TRACEBACK), 0)))
    return tuple(_frame(match) for match in found[-MAX_FRAMES:])


def _frame(match: re.Match[str]) -> Frame:
    file, line, function, source = match.groups()
    below = file
    for folder in _INSTALLED:
        below = below.rpartition(folder)[2]
    return Frame(
        path=below, installed=below != file, line=int(line), function=function or "", source=(source or "").strip()
    )
