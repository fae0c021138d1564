"""Where cells are checked: an index, and environments made ready side by side by whatever runtime has them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from ppp.check import index as packages
from ppp.check.cell import Checker
from ppp.check.docker import DockerRuntime, engine
from ppp.check.host import HostRuntime
from ppp.check.runtime import EnvironmentUnavailableError, Prepared, Runtime
from ppp.config import Config
from ppp.context import Context
from ppp.ledger.schema import sqlite_errors
from ppp.model.errors import NoEnvironmentError
from ppp.model.matrix import Environment, Matrix, Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """An index, and environments that stand ready."""

    index: packages.SimpleIndex
    matrix: Matrix
    runtimes: Mapping[Platform, Runtime]
    prepared: Mapping[str, Prepared]
    unavailable: Mapping[str, str]

    def checkers(self, node: str) -> Mapping[str, Checker]:
        """Give a checker for each environment that stands ready."""
        return {
            id_: Checker(
                index=self.index,
                runtime=self.runtimes[prepared.environment.platform],
                matrix=self.matrix,
                node=node,
                hosts=self.index.hosts,
            )
            for id_, prepared in self.prepared.items()
        }

    def close(self) -> None:
        """End every sandbox."""
        for runtime in self.runtimes.values():
            runtime.close()


def open_index(config: Config) -> packages.SimpleIndex:
    """Give the index that the settings name; nothing is asked yet."""
    return packages.SimpleIndex(config.index_url, cache=config.cache / "files", user_agent=config.user_agent)


@contextmanager
def workshop(
    context: Context, index: packages.SimpleIndex, matrix: Matrix, environments: Sequence[Environment]
) -> Iterator[Workshop]:
    """Make environments ready, side by side; raise `NoEnvironmentError` if none can be had."""
    config = context.config
    with sqlite_errors(config.cache):
        pip = packages.pinned_pip(
            index, matrix.pip.version, matrix.pip.sha256, cache=config.cache, max_bytes=matrix.limits.file_mb * 1024**2
        )
    runtimes: dict[Platform, Runtime] = {}
    if any(e.platform is Platform.HOST for e in environments):
        runtimes[Platform.HOST] = HostRuntime(matrix, pip=pip, index_url=config.index_url, environ=context.environ)
    if any(e.platform is not Platform.HOST for e in environments) and (client := engine()):
        docker = DockerRuntime(client, matrix, data=config.data, pip=pip, index_url=config.index_url)
        runtimes |= {Platform.SLIM: docker, Platform.ALPINE: docker}
    with ThreadPoolExecutor(len(environments)) as threads:
        made = dict(zip(environments, threads.map(lambda e: _prepare(runtimes, e), environments), strict=True))
    prepared = {e.id: p for e, p in made.items() if isinstance(p, Prepared)}
    unavailable = {e.id: reason for e, reason in made.items() if isinstance(reason, str)}
    shop = Workshop(index=index, matrix=matrix, runtimes=runtimes, prepared=prepared, unavailable=unavailable)
    for id_, reason in unavailable.items():
        context.reporter.warn(f"{id_} is unavailable: {reason}")
    if not prepared:
        raise NoEnvironmentError(
            f"none of {', '.join(e.id for e in environments)} can be had here",
            hint="start Docker, or install Python 3.9, 3.11 or 3.12 and use the host platform",
        )
    try:
        yield shop
    finally:
        shop.close()


def _prepare(runtimes: Mapping[Platform, Runtime], environment: Environment) -> Prepared | str:
    runtime = runtimes.get(environment.platform)
    if runtime is None:
        return "no Docker engine answers"
    try:
        return runtime.prepare(environment)
    except EnvironmentUnavailableError as error:
        return str(error)
