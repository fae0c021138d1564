"""Where a SyntaxError is, and which Python the line was written for: by `constructs.toml`. Pure."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

#: How much of a line is searched and shown, in characters.
MAX_LINE: Final = 400
MAX_SOURCE: Final = 80
#: A file that cannot be compiled, as the interpreter prints it: file, line, the line itself, marks below it, the error.
_ERROR: Final = re.compile(
    r'^ +File "([^"\n]{1,1000})", line (\d{1,9})\n'
    r"(?: +(?!\^|[A-Za-z]*Error:)(\S.*)\n)?"
    r"(?: [\^~ ]*\n)?"
    r" *((?:Syntax|Indentation|Tab)Error): (.+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Construct:
    """A `[[construct]]` of `constructs.toml`, which explains the fields."""

    name: str
    pattern: re.Pattern[str]
    excerpt: str
    since: str | None = None
    until: str | None = None

    @property
    def written_for(self) -> str:
        """The Pythons that accept it, as people write them."""
        return f"Python {self.since} or newer" if self.since else f"Python {self.until} or older"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntaxFault:
    """A SyntaxError: the file as it was printed, the line, its source (maybe empty), what the line was written for."""

    file: str
    line: int
    source: str
    error: str
    message: str
    construct: Construct | None

    @property
    def cause(self) -> str:
        """The id of the cause."""
        if self.construct is None:
            return "syntax-error"
        return "written-for-newer-python" if self.construct.since else "written-for-older-python"

    def described(self, file: str) -> str:
        """Return one line about it, which names the file as given."""
        shown = f": {self.source[:MAX_SOURCE]}" if self.source else ""
        why = f"; {self.construct.name}, {self.construct.written_for}" if self.construct else ""
        return f"{self.error}: {self.message} ({file}, line {self.line}{shown}){why}"


@cache
def constructs() -> tuple[Construct, ...]:
    """Return the constructs in order of precedence."""
    rows = tomllib.loads(files("ppp.check").joinpath("constructs.toml").read_text("utf-8"))["construct"]
    return tuple(
        Construct(
            name=row["name"],
            pattern=re.compile(row["pattern"], re.MULTILINE),
            excerpt=row["excerpt"].strip("\n"),
            since=row.get("since"),
            until=row.get("until"),
        )
        for row in rows
    )


def last_syntax_fault(output: str) -> SyntaxFault | None:
    """Return the last SyntaxError (IndentationError, TabError) in an output; None where there is none."""
    found = list(_ERROR.finditer(output))
    if not found:
        return None
    file, line, source, error, message = found[-1].groups()
    text = f"{message[:MAX_LINE]}\n{(source or '').strip()[:MAX_LINE]}"
    return SyntaxFault(
        file=file,
        line=int(line),
        source=(source or "").strip(),
        error=error,
        message=message.strip(),
        construct=next((construct for construct in constructs() if construct.pattern.search(text)), None),
    )
