"""Find the files that PPP ships: matrices, schemas, the sources of the site."""

from functools import cache
from pathlib import Path

from ppp.model.errors import ConfigError


@cache
def resource(name: str) -> Path:
    """Return the path of a file or folder that PPP ships, such as `matrices/default.toml` or `site/templates`."""
    package = Path(__file__).parent
    for root in (package / "shared", package.parent):
        if (path := root / name).exists():
            return path
    raise ConfigError(f"PPP's own file {name} is missing", hint="reinstall PPP")
