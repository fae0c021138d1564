"""What a terminal shows of tables, independent of the settings of this machine's terminal."""

import io

from rich.console import Console


def printed(*tables: object, width: int = 160) -> str:
    """Return the text of tables, in so many columns."""
    out = io.StringIO()
    for table in tables:
        screen(out, width=width).print(table)
    return out.getvalue()


def screen(out: io.StringIO, *, width: int = 160, terminal: bool = False) -> Console:
    """Return a screen that does not depend on the terminal settings of this machine."""
    return Console(file=out, width=width, force_terminal=terminal, _environ={"TERM": "xterm"})
