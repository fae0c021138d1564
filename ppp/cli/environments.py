"""The environments that a command is about: those of a matrix that are named, or those that suit this machine."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ppp.check.sandbox.docker import connect_engine
from ppp.matrix_files import default_matrix, load_matrix
from ppp.model.matrix import Environment, Matrix


def _has_engine() -> bool:
    return connect_engine() is not None


def select_environments(
    matrix: Path | None, ids: Sequence[str], *, has_engine: Callable[[], bool] = _has_engine
) -> tuple[Matrix, tuple[Environment, ...]]:
    """Return a matrix and the environments of it that are named, all if none is.

    Without a matrix file it is the first shipped one that has them all; if none is named, the one that suits this
    machine: of containers if a Docker engine answers.
    """
    if matrix is None:
        on_host = all(id_.endswith("-host") for id_ in ids) if ids else not has_engine()
        matrix = default_matrix(ids, on_host=on_host)
    loaded = load_matrix(matrix)
    return loaded, loaded.select(ids)
