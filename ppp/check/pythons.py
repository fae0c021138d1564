"""Pythons whose tools are frozen, as `pythons.toml` says: pip and setuptools for them no longer change.

What a cell shows there is what users of that Python get for good: a later release that needs a newer tool cannot work
there, and no newer tool will change that.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenTool:
    """The last version of a tool that runs on a Python, and the first that does not."""

    last: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenPython:
    """A Python such as `3.9`, the month of its end of life (`2025-10`), who says so, and its tools by project."""

    python: str
    end_of_life: str
    source: str
    tools: Mapping[str, FrozenTool]

    @property
    def about(self) -> str:
        """What that means for an environment, in two sentences."""
        year, month = self.end_of_life.split("-")
        newer = " and ".join(f"{name} {tool.next}" for name, tool in self.tools.items())
        last = " and ".join(f"{name} {tool.last}" for name, tool in self.tools.items())
        return (
            f"Python {self.python} reached its end of life in {_MONTHS[int(month) - 1]} {year} ({self.source}); {newer}"
            f" need a newer one. Its tools stay as they are: {last} are the last that run on it."
        )


@cache
def frozen_pythons() -> Mapping[str, FrozenPython]:
    """Return the Pythons whose tools are frozen, by version such as `3.9`."""
    rows = tomllib.loads(files("ppp.check").joinpath("pythons.toml").read_text("utf-8"))["python"]
    return {
        python: FrozenPython(
            python=python,
            end_of_life=row["end_of_life"],
            source=row["source"],
            tools={name: FrozenTool(**tool) for name, tool in row["tools"].items()},
        )
        for python, row in rows.items()
    }
