"""Matrix files: read them, find those that PPP ships, and choose one."""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ppp.model.errors import MatrixError
from ppp.model.matrix import Matrix, Platform
from ppp.resources import resource
from ppp.schemas import schema_errors


def load_matrix(path: Path) -> Matrix:
    """Read a matrix file; raise `MatrixError` that names all its mistakes with their places."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise MatrixError(f"cannot read {path}: {error.strerror}", hint="name a matrix file with --matrix") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MatrixError(f"{path} is not TOML: {error}", hint="fix the line it names") from error
    mistakes = [*schema_errors("matrices/matrix.schema.json", data), *_matrix_errors(data)]
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise MatrixError(
            f"{path} has {count}: {'; '.join(mistakes)}", hint="matrices/matrix.schema.json describes what is valid"
        )
    return Matrix.from_data(data)


@cache
def shipped_matrices() -> Mapping[Path, Matrix]:
    """Return the matrices that PPP ships, by path: the two default ones first, the others by name."""
    first = {"default.toml", "host.toml"}
    paths = sorted(resource("matrices").glob("*.toml"), key=lambda path: (path.name not in first, path.name))
    return {path: load_matrix(path) for path in paths}


def shipped_environments() -> tuple[str, ...]:
    """Return the ids of all environments of the shipped matrices, in the order of `shipped_matrices`."""
    return tuple(dict.fromkeys(e.id for matrix in shipped_matrices().values() for e in matrix.environments))


def default_matrix(ids: Collection[str], *, on_host: bool) -> Path:
    """Return the path of the first shipped matrix that has all these environments.

    If no id is given, or none has them all, it is the default of the host platform or of containers.
    """
    for path, matrix in shipped_matrices().items() if ids else ():
        if set(ids) <= {e.id for e in matrix.environments}:
            return path
    return resource("matrices/host.toml" if on_host else "matrices/default.toml")


def _matrix_errors(data: Mapping[str, Any]) -> Iterable[str]:
    # What a schema cannot express: an id agrees with its row, and is unique.
    rows = data.get("environment")
    seen: set[str] = set()
    for place, row in enumerate(rows if isinstance(rows, list) else []):
        if not isinstance(row, dict):
            continue
        match row.get("id"), row.get("python"), row.get("platform"):
            case str(id_), str(python), str(platform) if platform in set(Platform):
                if id_ != (right := f"py{python.replace('.', '')}-{platform}"):
                    yield f"environment[{place}].id: {id_!r} should be {right!r}"
                if id_ in seen:
                    yield f"environment[{place}].id: {id_!r} is used twice"
                seen.add(id_)
