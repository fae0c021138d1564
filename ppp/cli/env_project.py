"""What the commands of `ppp env` share: their options, and writing a project's lock."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import click
from packaging.pylock import Package, PackageWheel, Pylock

import ppp
from ppp.bounded_http.session import BoundedSession
from ppp.cli.env_progress import make_progress
from ppp.cli.paths import NonEmptyPath
from ppp.durability import replace_file
from ppp.model.printable import printable_line
from ppp.project_env.cache import WheelCache
from ppp.project_env.download import LIMITS, WheelFetcher, fetch_wheels
from ppp.project_env.lock_content import render_lock, with_sizes
from ppp.project_env.locked import locked_wheel
from ppp.project_env.project import LOCK_NAME, read_project
from ppp.project_env.resolve import make_resolver, resolve_project
from ppp.project_env.tools import PIP, UV

#: Where wheels are kept: an environment variable, and the folder in the user's cache.
CACHE_VARIABLE: Final = "PPP_ENV_CACHE"
CommandFunction = TypeVar("CommandFunction", bound=Callable[..., object])


def project_option(command: CommandFunction) -> CommandFunction:
    """Add `--project`."""
    option = click.option("--project", type=NonEmptyPath(), default=Path(), help="The project's folder (this one).")
    return option(command)


def tool_options(command: CommandFunction) -> CommandFunction:
    """Add `--tool` and `--cache`."""
    tool = click.option("--tool", type=click.Choice([UV, PIP]), help="What installs (uv if it is there, or pip).")
    cache = click.option("--cache", type=NonEmptyPath(), envvar=CACHE_VARIABLE, help="Where wheels are kept.")
    return tool(cache(command))


def index_option(command: CommandFunction) -> CommandFunction:
    """Add `--index-url`."""
    option = click.option("--index-url", metavar="URL", default="", help="Resolve by this index alone.")
    return option(command)


def note(text: str) -> None:
    """Write a remark to standard error."""
    click.echo(printable_line(text), err=True)


def counted_packages(count: int) -> str:
    """Return a number of packages, for people."""
    return f"{count} package" if count == 1 else f"{count} packages"


@contextmanager
def open_fetcher(cache: Path | None) -> Iterator[WheelFetcher]:
    """Yield what fetches wheels into a cache, the user's if none is named."""
    with BoundedSession(f"ppp/{ppp.__version__}", limits=LIMITS) as session:
        yield WheelFetcher(session, WheelCache(cache or _default_cache(os.environ)), make_progress(sys.stderr))


def _default_cache(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ppp" / "wheels"


def write_project_lock(project: Path, *, tool: str | None, cache: Path | None, index_url: str) -> None:
    """Resolve what a project requires, and write its lock."""
    required = read_project(project)
    resolver = make_resolver(tool, os.environ, required, index_url=index_url)
    lock = resolve_project(required, resolver, on_part=lambda part: note(f"{resolver.name} resolves {part}"))
    path = project / LOCK_NAME
    replace_file(path, render_lock(_complete(lock, cache)))
    note(f"wrote {path}: {counted_packages(len(lock.packages))}")


def _complete(lock: Pylock, cache: Path | None) -> Pylock:
    """Return a lock with all sizes: what pip resolved has none, and is fetched for that."""
    unknown = [
        locked_wheel(package, wheel, LOCK_NAME)
        for package in lock.packages
        for wheel in package.wheels or ()
        if wheel.size is None
    ]
    sizes: dict[str, int] = {}
    if unknown:
        with open_fetcher(cache) as fetcher:
            paths = fetch_wheels(fetcher, unknown)
        sizes = {wheel.filename: paths[wheel.name].stat().st_size for wheel in unknown}

    def size_of(_package: Package, wheel: PackageWheel) -> int:
        return sizes[wheel.filename]

    return with_sizes(lock, size_of)
