"""The address of PyPI's simple index, which no file of ours names: pypi_simple does."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_NAME: Final = "PYPI_SIMPLE_ENDPOINT"


@cache
def default_index_url() -> str:
    """Return `pypi_simple.PYPI_SIMPLE_ENDPOINT`.

    It is read from the source, as every command needs it: to import pypi_simple, with what it parses pages with, takes
    longer than most commands.
    """
    spec = find_spec("pypi_simple")
    if spec and spec.origin and Path(spec.origin).suffix == ".py":
        for node in ast.parse(Path(spec.origin).read_bytes()).body:
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value)))
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(value)))
                ) if name == _NAME:
                    return value
    from pypi_simple import PYPI_SIMPLE_ENDPOINT  # noqa: PLC0415 - only where its source does not say so

    return PYPI_SIMPLE_ENDPOINT
