"""Paths on the command line."""

import os
from pathlib import Path

import click


class NonEmptyPath(click.Path):
    """The path of a file or a folder. An empty text is an error: `--data "$UNSET"` must not mean this folder."""

    def __init__(self) -> None:
        """Convert what is typed into a `Path`."""
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path; fail if the text is empty."""
        if not os.fspath(value):
            self.fail("the path is empty: name a file or a folder", param, ctx)
        return super().convert(value, param, ctx)
