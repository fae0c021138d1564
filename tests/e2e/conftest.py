"""The program, and an index for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_index import LocalIndex
from program import Program, new_program


@pytest.fixture
def local() -> Iterator[LocalIndex]:
    """A package index without any package."""
    with LocalIndex() as index:
        yield index


@pytest.fixture
def program(tmp_path: Path, local: LocalIndex) -> Iterator[Program]:
    """The program, which uses the local index."""
    with new_program(tmp_path, local) as made:
        yield made
