"""Where cells are checked: an index, and environments made ready side by side by whatever runtime has them."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ppp.check import index as packages
from ppp.check.cell import Checker
from ppp.check.docker import DockerRuntime, engine
from ppp.check.gateway import Gateway, GatewayError, gateway
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
    with _runtimes(context, index, matrix, {e.platform for e in environments}) as runtimes:
        with ThreadPoolExecutor(len(environments)) as threads:
            made = dict(zip(environments, threads.map(lambda e: _prepare(runtimes, e), environments), strict=True))
        prepared = {e.id: p for e, p in made.items() if isinstance(p, Prepared)}
        unavailable = {e.id: reason for e, reason in made.items() if isinstance(reason, str)}
        for id_, reason in unavailable.items():
            context.reporter.warn(f"{id_} is unavailable: {reason}")
        if not prepared:
            raise NoEnvironmentError(
                f"none of {', '.join(e.id for e in environments)} can be had here",
                hint="start Docker, or install Python 3.9, 3.11 or 3.12 and use the host platform",
            )
        yield Workshop(index=index, matrix=matrix, runtimes=runtimes, prepared=prepared, unavailable=unavailable)


@contextmanager
def _runtimes(
    context: Context, index: packages.SimpleIndex, matrix: Matrix, platforms: AbstractSet[Platform]
) -> Iterator[Mapping[Platform, Runtime]]:
    config = context.config
    with sqlite_errors(config.cache):
        pip = packages.pinned_pip(
            index, matrix.pip.version, matrix.pip.sha256, cache=config.cache, max_bytes=matrix.limits.file_mb * 1024**2
        )
    runtimes: dict[Platform, Runtime] = {}
    with ExitStack() as stack:
        if Platform.HOST in platforms:
            host = HostRuntime(matrix, pip=pip, index_url=config.index_url, environ=context.environ)
            stack.callback(host.close)
            runtimes[Platform.HOST] = host
        if platforms - {Platform.HOST} and (client := engine()):
            door = _gateway(context, index, stack)
            docker = DockerRuntime(client, matrix, data=config.data, pip=pip, index_url=config.index_url, gateway=door)
            stack.callback(docker.close)
            runtimes |= {Platform.SLIM: docker, Platform.ALPINE: docker}
        yield runtimes


def _gateway(context: Context, index: packages.SimpleIndex, stack: ExitStack) -> Gateway | None:
    config = context.config
    try:
        return stack.enter_context(
            gateway(
                config.index_url,
                index.file_origins("pip"),
                cache=config.cache / "gateway",
                environ=context.environ,
            )
        )
    except GatewayError as error:
        context.reporter.warn(f"cells have the open network, and their records say so: no index gateway ({error})")
        return None


def _prepare(runtimes: Mapping[Platform, Runtime], environment: Environment) -> Prepared | str:
    runtime = runtimes.get(environment.platform)
    if runtime is None:
        return "no Docker engine answers"
    try:
        return runtime.prepare(environment)
    except EnvironmentUnavailableError as error:
        return str(error)
