"""Where cells are checked: an index, and environments made ready side by side by whatever runtime has them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ppp.check.canary import canary
from ppp.check.cell import Checker
from ppp.check.gateway.gateway import Gateway, GatewayError, gateway
from ppp.check.gateway.nginx import Image
from ppp.check.index import client as packages
from ppp.check.runtime import EnvironmentUnavailableError, Prepared, Runtime
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import DockerRuntime, engine
from ppp.check.sandbox.host import HostRuntime, Shutting
from ppp.config import Config
from ppp.model.errors import NoEnvironmentError, NoGatewayError
from ppp.model.matrix import Environment, Matrix, Platform
from ppp.model.record import Network
from ppp.runner.context import Context
from ppp.storage_errors import sqlite_errors

#: Says what is wrong with an environment, each in a sentence; nothing where it is healthy.
Canary: TypeAlias = Callable[[Prepared], Sequence[str]]


def nothing_wrong(_: Prepared) -> Sequence[str]:
    """Find every environment healthy."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """An index, environments that stand ready, and the canary that says whether they can be believed."""

    index: packages.SimpleIndex
    matrix: Matrix
    runtimes: Mapping[Platform, Runtime]
    prepared: Mapping[str, Prepared]
    unavailable: Mapping[str, str]
    canary: Canary = nothing_wrong

    def checkers(self, node: str) -> Mapping[str, Checker]:
        """Give a checker for each environment that stands ready."""
        return {
            id_: _checker(self.index, self.runtimes, self.matrix, prepared, node)
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
    """Make environments ready, side by side; raise `NoEnvironmentError` if none can be had.

    Raises `NoGatewayError` where cells would have the open network and nobody asked for that.
    """
    with _runtimes(context, index, matrix, {e.platform for e in environments}) as (runtimes, door):
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
        if door:
            door.admit(tag for p in prepared.values() for tag in p.tags)
        yield Workshop(
            index=index,
            matrix=matrix,
            runtimes=runtimes,
            prepared=prepared,
            unavailable=unavailable,
            canary=_canary(context, index, runtimes, matrix),
        )


def _checker(
    index: packages.SimpleIndex, runtimes: Mapping[Platform, Runtime], matrix: Matrix, prepared: Prepared, node: str
) -> Checker:
    runtime = runtimes[prepared.environment.platform]
    return Checker(index=index, runtime=runtime, matrix=matrix, node=node, hosts=index.hosts)


def _canary(
    context: Context, index: packages.SimpleIndex, runtimes: Mapping[Platform, Runtime], matrix: Matrix
) -> Canary:
    if not context.config.canary:
        context.reporter.warn("no canary watches over this run's results: PPP_CANARY is off")
        return nothing_wrong

    def sing(prepared: Prepared) -> Sequence[str]:
        # What the canary's cells come to is kept nowhere, so no node observes it.
        checker = _checker(index, runtimes, matrix, prepared, node="")
        return [str(fault) for fault in canary.Canary(checker=checker, folder=_canaries(context)).sing(prepared)]

    return sing


def _canaries(context: Context) -> Path:
    return context.config.cache / "canary"


@contextmanager
def _runtimes(
    context: Context, index: packages.SimpleIndex, matrix: Matrix, platforms: AbstractSet[Platform]
) -> Iterator[tuple[Mapping[Platform, Runtime], Gateway | None]]:
    config = context.config
    with sqlite_errors(config.cache):
        pip = packages.pinned_pip(
            index, matrix.pip.version, matrix.pip.sha256, cache=config.cache, max_bytes=matrix.limits.file_mb * 1024**2
        )
    runtimes: dict[Platform, Runtime] = {}
    with ExitStack() as stack:
        with sqlite_errors(config.cache):
            canary.write_overlay(config.cache / "overlay")
        client = engine() if platforms - {Platform.HOST} else None
        door = _gateway(context, index, stack) if client or Platform.HOST in platforms else None
        if Platform.HOST in platforms:
            host = HostRuntime(
                matrix,
                pip=pip,
                index_url=config.index_url,
                environ=context.environ,
                shutting=_shutting(context, door) if door else None,
            )
            stack.callback(host.close)
            runtimes[Platform.HOST] = host
        if client:
            docker = DockerRuntime(
                client,
                matrix,
                data=config.data,
                pip=pip,
                index_url=config.index_url,
                gateway=door,
                container_runtime=config.container_runtime,
            )
            stack.callback(docker.close)
            runtimes |= {Platform.SLIM: docker, Platform.ALPINE: docker}
        yield runtimes, door


def _gateway(context: Context, index: packages.SimpleIndex, stack: ExitStack) -> Gateway | None:
    config = context.config
    if config.network is Network.OPEN:
        context.reporter.note("cells have the open network, as was asked for, and their records say so")
        return None
    try:
        return stack.enter_context(
            gateway(
                config.index_url,
                index.file_origins("pip"),
                cache=config.cache / "gateway",
                environ=context.environ,
                user_agent=config.user_agent,
                overlay=config.cache / "overlay",
                image=Image(name=config.nginx_image, engine=engine, note=context.reporter.note),
            )
        )
    except GatewayError as error:
        raise NoGatewayError(
            f"there is no gateway to the index: {error}",
            hint="install nginx, or say --network open to let package code reach all that this machine does",
        ) from error


def _shutting(context: Context, door: Gateway) -> Shutting:
    try:
        return Shutting(bubblewrap=bubblewrap.find(context.environ), gateway=door)
    except bubblewrap.BubblewrapError as error:
        raise NoGatewayError(
            f"cells of the host platform cannot be held to the gateway: {error}",
            hint="install bubblewrap, or say --network open to let package code reach all that this machine does",
        ) from error


def _prepare(runtimes: Mapping[Platform, Runtime], environment: Environment) -> Prepared | str:
    runtime = runtimes.get(environment.platform)
    if runtime is None:
        return "no Docker engine answers"
    try:
        return runtime.prepare(environment)
    except EnvironmentUnavailableError as error:
        return str(error)
