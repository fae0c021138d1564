"""Prepare the environments in which cells are checked: the index, its gateway, and a runtime for each platform."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from ppp.check.canary import canary
from ppp.check.cell import Checker
from ppp.check.gateway.gateway import Gateway, GatewayError, run_gateway
from ppp.check.gateway.nginx import NginxImage
from ppp.check.images import PINS_FILE, ImagePins
from ppp.check.index import client as packages
from ppp.check.index.pinned_pip import fetch_pinned_pip
from ppp.check.runtime import EnvironmentUnavailableError, PreparedEnvironment, Runtime
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime, passed_credentials
from ppp.config import Config
from ppp.model.drift import DriftLimits
from ppp.model.errors import ConfigError, GatewayUnavailableError, NoEnvironmentError
from ppp.model.matrix import Environment, Matrix, Platform
from ppp.model.record import Network
from ppp.run_folders import remove_leftovers
from ppp.runner.context import Context
from ppp.storage_errors import check_space, full_disks_named, temporary_folder, translate_storage_errors

#: Checks an environment, and returns what is wrong with it, a sentence each; nothing where it is healthy.
CanaryCheck: TypeAlias = Callable[[PreparedEnvironment], Sequence[str]]


def no_canary(_: PreparedEnvironment) -> Sequence[str]:
    """Check nothing: what takes the canary's place where it is switched off."""
    return ()


#: The longest path of a socket on Linux, in bytes, and what is below the folder for temporary files.
MAX_SOCKET_BYTES: Final = 107
SOCKETS: Final = {
    Network.GATEWAY: "/ppp-gateway-12345678/cell-12345678/control",
    Network.OPEN: "/ppp-cell-12345678/control",
}
#: In place of a node's key, in records that are stored nowhere.
NO_NODE: Final = "00" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyEnvironments:
    """Environments that are ready, by id; why others are unavailable; the index; the canary that tests them."""

    index: packages.SimpleIndex
    matrix: Matrix
    runtimes: Mapping[Platform, Runtime]
    prepared: Mapping[str, PreparedEnvironment]
    unavailable: Mapping[str, str]
    canary: CanaryCheck = no_canary
    gateway: Gateway | None = None
    #: Within which limits failures are examined for drift, None if they are not: see `ppp.runner.drift`.
    drift_limits: DriftLimits | None = None
    #: Raises `DiskFullError` if what a run writes to is full: the programs that it starts may report something else.
    check_room: Callable[[], None] = lambda: None

    def checkers(self, node: str) -> Mapping[str, Checker]:
        """Return a checker for each environment that is ready; its records carry the id of `node`."""
        return {
            id_: _checker(self.index, self.runtimes, self.matrix, prepared, node=node, gateway=self.gateway)
            for id_, prepared in self.prepared.items()
        }

    def close(self) -> None:
        """End every sandbox."""
        for runtime in self.runtimes.values():
            runtime.close()


def open_index(config: Config) -> packages.SimpleIndex:
    """Return the index that the settings name; nothing is fetched yet."""
    return packages.SimpleIndex(
        config.index_url,
        cache=config.cache / "files",
        user_agent=config.user_agent,
        credentials=config.index_credentials,
    )


@contextmanager
def prepare_environments(
    context: Context, index: packages.SimpleIndex, matrix: Matrix, environments: Sequence[Environment]
) -> Iterator[ReadyEnvironments]:
    """Prepare environments in parallel, and end everything that runs in them at the end of the block.

    Raises `NoEnvironmentError` if none can be prepared, and `GatewayUnavailableError` if cells would have the open
    network although the settings do not ask for it.
    """
    with (
        full_disks_named(*_written_folders(context)),
        # Only the platforms that were asked for: a run on the host needs no Docker engine.
        _runtimes(context, index, matrix, {e.platform for e in environments}) as (runtimes, index_gateway),
    ):
        # Preparing is mostly waiting: for a pull, or for the probe of an interpreter.
        context.reporter.note(f"preparing {', '.join(e.id for e in environments)}")
        with ThreadPoolExecutor(len(environments)) as threads:
            results = dict(zip(environments, threads.map(lambda e: _prepare(runtimes, e), environments), strict=True))
        prepared = {e.id: p for e, p in results.items() if isinstance(p, PreparedEnvironment)}
        unavailable = {e.id: reason for e, reason in results.items() if isinstance(reason, str)}
        if unavailable:
            # A full disk has many names: no interpreter that compiles pip, no image that can be pulled.
            check_space(*_written_folders(context))
        for id_, reason in unavailable.items():
            context.reporter.warn(f"{id_} is unavailable: {reason}")
        if not prepared:
            raise NoEnvironmentError(
                f"none of {', '.join(e.id for e in environments)} is available here",
                hint="start Docker, or install a Python that matrices/host.toml names and use the host platform",
            )
        if index_gateway:
            # Pages leave out files that no environment here can use: most of what pip does is judge links.
            index_gateway.limit_to_tags(tag for p in prepared.values() for tag in p.tags)
        yield ReadyEnvironments(
            index=index,
            matrix=matrix,
            runtimes=runtimes,
            prepared=prepared,
            unavailable=unavailable,
            canary=_canary(context, index, runtimes, matrix),
            gateway=index_gateway,
            drift_limits=context.config.drift_limits,
            check_room=lambda: check_space(*_written_folders(context)),
        )


def _checker(
    index: packages.SimpleIndex,
    runtimes: Mapping[Platform, Runtime],
    matrix: Matrix,
    prepared: PreparedEnvironment,
    *,
    node: str,
    gateway: Gateway | None = None,
) -> Checker:
    runtime = runtimes[prepared.environment.platform]
    return Checker(
        index=index,
        runtime=runtime,
        matrix=matrix,
        node=node,
        index_hosts=index.hosts,
        hide=index.hide_credentials,
        gateway_lists=gateway.lists if gateway and prepared.network is Network.GATEWAY else None,
    )


def _canary(
    context: Context, index: packages.SimpleIndex, runtimes: Mapping[Platform, Runtime], matrix: Matrix
) -> CanaryCheck:
    if not context.config.canary:
        context.reporter.warn("PPP_CANARY is off: no canary checks the environments of this run")
        return no_canary

    begun: set[str] = set()

    def run_canary(prepared: PreparedEnvironment) -> Sequence[str]:
        id_ = prepared.environment.id
        if id_ not in begun:
            begun.add(id_)
            # Without it, nothing would be seen of the half minute before the first result.
            context.reporter.note(f"testing {id_} with releases whose results are known")
        # The records of the canary's cells are stored nowhere, so they carry nobody's key.
        checker = _checker(index, runtimes, matrix, prepared, node=NO_NODE)
        faults = canary.Canary(checker=checker, folder=_canary_folder(context)).check(prepared)
        if faults:
            # On a full disk the gateway cuts off what it serves, and the canary sees only that.
            check_space(*_written_folders(context))
        return [str(fault) for fault in faults]

    return run_canary


def _written_folders(context: Context) -> tuple[Path, ...]:
    return context.config.data, context.config.cache, temporary_folder(context.environ)


def _canary_folder(context: Context) -> Path:
    return context.config.cache / "canary"


@contextmanager
def _runtimes(
    context: Context, index: packages.SimpleIndex, matrix: Matrix, platforms: AbstractSet[Platform]
) -> Iterator[tuple[Mapping[Platform, Runtime], Gateway | None]]:
    config = context.config
    _refuse_to_share_credentials(context, platforms)
    # Before the check, because what a killed run left behind may be what fills the disk.
    with suppress(OSError):  # no folder for temporary files can be written
        remove_leftovers()
    check_space(*_written_folders(context))
    _check_socket_paths(context)
    with translate_storage_errors(config.cache):
        pip = fetch_pinned_pip(
            index, matrix.pip.version, matrix.pip.sha256, cache=config.cache, max_bytes=matrix.limits.file_mb * 1024**2
        )
    runtimes: dict[Platform, Runtime] = {}
    with ExitStack() as stack:
        with translate_storage_errors(config.cache):
            canary.write_local_projects(config.cache / "local-projects")
        # Connecting waits for a dead engine, so a run on the host alone does not try.
        client = connect_engine() if platforms - {Platform.HOST} else None
        index_gateway = _gateway(context, index, stack) if client or Platform.HOST in platforms else None
        if Platform.HOST in platforms:
            host = HostRuntime(
                matrix,
                pip=pip,
                index_url=config.index_url,
                environ=context.environ,
                confinement=_host_sandbox(context, index_gateway) if index_gateway else None,
            )
            # Closed before the gateway, on which its cells depend: a stack ends in reverse order.
            stack.callback(host.close)
            runtimes[Platform.HOST] = host
        if client:
            docker = DockerRuntime(
                client,
                matrix,
                data=config.data,
                pip=pip,
                index_url=config.index_url,
                gateway=index_gateway,
                container_runtime=config.container_runtime,
            )
            stack.callback(docker.close)
            runtimes |= {Platform.SLIM: docker, Platform.ALPINE: docker}
        yield runtimes, index_gateway


def _refuse_to_share_credentials(context: Context, platforms: AbstractSet[Platform]) -> None:
    """Raise `ConfigError` if cells could reach the index only with a password of the operator's."""
    if context.config.network is not Network.OPEN:
        return
    proxies = passed_credentials(context.environ) if Platform.HOST in platforms else ()
    needed = [*(["the index (PPP_INDEX_URL, or netrc)"] if context.config.index_credentials else []), *proxies]
    if needed:
        raise ConfigError(
            f"with --network open package code would get the credentials for {', '.join(needed)}",
            hint="use --network gateway, which keeps them outside, or remove them",
        )


def _check_socket_paths(context: Context) -> None:
    """Raise `ConfigError` if the folder for temporary files is so deep that no socket can be in it."""
    folder = temporary_folder(context.environ).absolute()
    size, most = len(os.fsencode(folder)), MAX_SOCKET_BYTES - len(SOCKETS[context.config.network])
    if size > most:
        raise ConfigError(
            f"the path of the folder for temporary files has {size} bytes, and may have {most}, because"
            f" sockets are created in it: {folder}",
            hint="set TMPDIR to a folder with a shorter path, such as /tmp",
        )


def _gateway(context: Context, index: packages.SimpleIndex, stack: ExitStack) -> Gateway | None:
    config = context.config
    # Never a fallback: it happens only on request, and each record says so.
    if config.network is Network.OPEN:
        context.reporter.note("cells have the open network, as requested; their records say so")
        return None
    try:
        return stack.enter_context(
            run_gateway(
                index,
                cache=config.cache / "gateway",
                environ=context.environ,
                local_projects=config.cache / "local-projects",
                image=NginxImage(
                    name=config.nginx_image,
                    engine=connect_engine,
                    on_pull=context.reporter.note,
                    pins=ImagePins(config.data / PINS_FILE),
                ),
            )
        )
    except GatewayError as error:
        raise GatewayUnavailableError(
            f"there is no gateway to the index: {error}",
            hint="install nginx, or use --network open to give package code this machine's whole network",
        ) from error


def _host_sandbox(context: Context, index_gateway: Gateway) -> Confinement:
    try:
        return Confinement(bubblewrap=bubblewrap.find_bubblewrap(context.environ), gateway=index_gateway)
    except bubblewrap.BubblewrapError as error:
        raise GatewayUnavailableError(
            f"cells of the host platform cannot be limited to the gateway: {error}",
            hint="install bubblewrap, or use --network open to give package code this machine's whole network",
        ) from error


def _prepare(runtimes: Mapping[Platform, Runtime], environment: Environment) -> PreparedEnvironment | str:
    runtime = runtimes.get(environment.platform)
    if runtime is None:
        return "no Docker engine answers"
    try:
        return runtime.prepare(environment)
    except EnvironmentUnavailableError as error:
        return str(error)
