"""The table of exit codes in the documentation is that of the code."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import ppp
from ppp.model.errors import PPPError

PAGE: Final = Path(__file__).parents[3] / "docs" / "exit-codes.md"


def all_errors() -> Iterator[type[PPPError]]:
    """Return every kind of error that PPP defines."""
    for module in pkgutil.walk_packages(ppp.__path__, "ppp."):
        # What runs inside a sandbox is not part of the program, and `__main__` is the program itself.
        if ".inside" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = [PPPError]
    for kind in found:
        found += [each for each in kind.__subclasses__() if each not in found]
        yield kind


def sentence(doc: str) -> str:
    """Return the summary of a docstring as one line, without its full stop."""
    return " ".join(doc.partition("\n\n")[0].split()).removesuffix(".")


def rows() -> list[str]:
    """Return the rows that the page must have: an error that inherits its code is told under that code."""
    kinds = sorted(
        (kind.exit_code, kind.__doc__) for kind in all_errors() if "exit_code" in vars(kind) and kind.__doc__
    )
    return [f"| {code} | {sentence(doc)} |" for code, doc in kinds[1:]]


def test_the_page_lists_every_exit_code() -> None:
    text = PAGE.read_text("utf-8")
    assert [row for row in text.splitlines() if row.startswith("| ") and row[2:4].strip().isdigit()][3:-1] == rows()


def test_each_code_is_of_one_error() -> None:
    codes = [kind.exit_code for kind in all_errors() if "exit_code" in vars(kind)]
    assert len(codes) == len(set(codes)), codes
