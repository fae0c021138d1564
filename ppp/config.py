"""All settings, read once: a frozen `Config`, the matrix it names, and the files PPP ships (matrices, schemas, site).

Mistakes are collected and told together, each with its place.
"""

import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from pypi_simple import PYPI_SIMPLE_ENDPOINT

import ppp
from ppp.model.errors import ConfigError, MatrixError
from ppp.model.matrix import Matrix, Platform
from ppp.model.record import Network
from ppp.resources import resource
from ppp.schemas import schema_errors

#: How this program names itself to those it asks; the contact is where its operator can be reached.
CONTACT_VARIABLE: Final = "PPP_CONTACT"
DEFAULT_CONTACT: Final = "the operator of this node has set no PPP_CONTACT"
MAX_JOBS: Final = 256
#: What cells may be given while they install: the index alone, or all of the network that this machine has.
NETWORKS: Final = (Network.GATEWAY, Network.OPEN)
#: Where nginx is taken from on a machine that has none.
DEFAULT_NGINX_IMAGE: Final = "nginx:alpine"
#: How many days' snapshots are kept, and then of how many weeks the last; how large the window without logs may be.
DEFAULT_SNAPSHOT_DAYS: Final = 14
DEFAULT_SNAPSHOT_WEEKS: Final = 8
DEFAULT_WINDOW_MIB: Final = 45
#: Where a node that does not say where it is published says it is: nowhere.
DEFAULT_BASE_URL: Final = "https://ppp.example/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a command runs with. Sizes in bytes, times in seconds."""

    data: Path
    index_url: str
    feed_url: str
    base_url: str
    contact: str
    model: Path | None
    jobs: int
    container_runtime: str | None = None
    canary: bool = True
    network: Network = Network.GATEWAY
    nginx_image: str = DEFAULT_NGINX_IMAGE
    snapshot_days: int = DEFAULT_SNAPSHOT_DAYS
    snapshot_weeks: int = DEFAULT_SNAPSHOT_WEEKS
    window_mib: int = DEFAULT_WINDOW_MIB

    @property
    def public(self) -> Path:
        """The web root: what is published."""
        return self.data / "public"

    @property
    def cache(self) -> Path:
        """Files that can be fetched again."""
        return self.data / "cache"

    @property
    def user_agent(self) -> str:
        """What PPP says it is, with a contact, to every server it asks."""
        return f"the-pypi-place/{ppp.__version__} ({self.contact})"


def load(environ: Mapping[str, str], *, data: Path | None = None, network: str | None = None) -> Config:
    """Read the settings from the environment; `data` stands above `PPP_DATA`, `network` above `PPP_NETWORK`.

    Raises `ConfigError` naming every setting that cannot be used.
    """
    settings = _Settings(environ)
    index_url = settings.address("PPP_INDEX_URL", PYPI_SIMPLE_ENDPOINT)
    config = Config(
        data=data or Path(settings.text("PPP_DATA", "data")),
        index_url=_with_slash(index_url),
        feed_url=settings.address("PPP_FEED_URL", _feed_beside(index_url)),
        base_url=_with_slash(settings.address("PPP_BASE_URL", DEFAULT_BASE_URL)),
        jobs=settings.number("PPP_JOBS", min(os.cpu_count() or 1, MAX_JOBS), most=MAX_JOBS),
        snapshot_days=settings.number("PPP_SNAPSHOT_DAYS", DEFAULT_SNAPSHOT_DAYS, most=10_000),
        snapshot_weeks=settings.number("PPP_SNAPSHOT_WEEKS", DEFAULT_SNAPSHOT_WEEKS, most=10_000),
        window_mib=settings.number("PPP_WINDOW_MIB", DEFAULT_WINDOW_MIB, most=100_000),
        model=settings.file("PPP_MODEL"),
        network=settings.network("PPP_NETWORK", network),
        contact=settings.header(CONTACT_VARIABLE, DEFAULT_CONTACT),
        canary=settings.text("PPP_CANARY") != "off",
        container_runtime=settings.text("PPP_CONTAINER_RUNTIME") or None,
        nginx_image=settings.text("PPP_NGINX_IMAGE", DEFAULT_NGINX_IMAGE),
    )
    if settings.mistakes:
        raise ConfigError("; ".join(settings.mistakes), hint="mend these settings and run the command again")
    return config


def load_valid(
    environ: Mapping[str, str], *, data: Path | None = None, network: str | None = None
) -> tuple[Config, str]:
    """Read the settings without those that are invalid; return them, and what is wrong with the others (or "")."""
    try:
        return load(environ, data=data, network=network), ""
    except ConfigError as error:
        valid = {name: value for name, value in environ.items() if _is_valid(name, value)}
        return load(valid, data=data, network=network), error.message


def _is_valid(name: str, value: str) -> bool:
    try:
        load({name: value})
    except ConfigError:
        return False
    return True


class _Settings:
    """The environment's settings, each read as what it is; what is wrong with them is collected.

    A setting that is empty is none. What is wrong is given as something of its kind, as nobody will use it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.mistakes: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name) or default

    def address(self, name: str, default: str) -> str:
        url = self.text(name, default)
        if not _is_web_address(url):
            self.mistakes.append(f"{name}={url!r} is not an http(s) address")
        return url

    def number(self, name: str, default: int, *, most: int) -> int:
        said = self.text(name, str(default))
        if not (re.fullmatch("[0-9]{1,9}", said) and 1 <= int(said) <= most):
            self.mistakes.append(f"{name}={said!r} is not a number from 1 to {most}")
            return default
        return int(said)

    def file(self, name: str) -> Path | None:
        said = self.text(name)
        path = Path(said) if said else None
        if path and not path.is_file():
            self.mistakes.append(f"{name}={str(path)!r} is not a file")
        return path

    def network(self, name: str, above: str | None) -> Network:
        said = above or self.text(name, Network.GATEWAY)
        if said not in NETWORKS:
            self.mistakes.append(f"{name}={said!r} is neither {' nor '.join(NETWORKS)}")
            return Network.GATEWAY
        return Network(said)

    def header(self, name: str, default: str) -> str:
        said = self.text(name, default)
        if not said.isprintable() or not said.isascii():
            self.mistakes.append(f"{name}={said!r} holds characters that no header can carry")
        return said


def _feed_beside(index_url: str) -> str:
    return urljoin(index_url if _is_web_address(index_url) else PYPI_SIMPLE_ENDPOINT, "/rss/updates.xml")


def _with_slash(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def load_matrix(path: Path) -> Matrix:
    """Read a matrix file; raise `MatrixError` naming all its mistakes with their places."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise MatrixError(f"cannot read {path}: {error.strerror}", hint="name a matrix file with --matrix") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MatrixError(f"{path} is not TOML: {error}", hint="mend the line it names") from error
    mistakes = [*schema_errors("matrices/matrix.schema.json", data), *_matrix_errors(data)]
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise MatrixError(
            f"{path} has {count}: {'; '.join(mistakes)}", hint="see matrices/matrix.schema.json for what each may hold"
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
    # What a schema cannot say: an id agrees with its row, and stands once.
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
                    yield f"environment[{place}].id: {id_!r} stands twice"
                seen.add(id_)
