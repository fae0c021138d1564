"""The runtime with one fresh container per cell, through the Docker SDK.

Package code runs as a user of its own, without capabilities, under the engine's filter of system calls and ours, on a
read-only root with size-limited mounts in memory, and under the matrix's limits; the container's first process is the
keeper. Containers have a label, by which a run finds those that a killed run left behind.
"""

import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import LogConfig

from ppp.check.gateway.gateway import ANSWER_TIMEOUT_S, Gateway
from ppp.check.images import PINS_FILE, ImagePins, ImageUnavailableError, error_text, find_or_pull
from ppp.check.runtime import (
    PIP_TIMEOUT_S,
    EnvironmentUnavailableError,
    PreparedEnvironment,
    SandboxLostError,
    pip_environment,
)
from ppp.check.sandbox import seccomp
from ppp.check.sandbox.inside import install_keeper, keeper_package, program_source
from ppp.check.sandbox.keeper_client import (
    GATEWAY_PORT,
    MIB,
    ControlSocket,
    KeeperSandbox,
    Layout,
    as_sandbox_lost,
    gets_full_pages,
)
from ppp.check.sandbox.preinstalled import parse_preinstalled
from ppp.check.sandbox.users import Accounts, next_user
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Environment, Matrix
from ppp.model.record import Network
from ppp.run_folders import run_folder

#: Nothing answers where there is no network: without these, musl waits for its timeout, glibc not at all.
NO_NAME_SERVER: Final = ["timeout:1", "attempts:1"]
LABEL: Final = "ppp.data"
DEFAULT_ENGINE: Final = "unix:///var/run/docker.sock"
STANDIN_LABEL: Final = "ppp.standin"
WORK: Final = "/ppp/work"
PIP: Final = "/ppp/pip"
FILE: Final = "/ppp/file"
SOCKETS: Final = "/ppp/sockets"
TMP: Final = "/tmp"  # noqa: S108 - inside


def connect_engine() -> docker.DockerClient | None:
    """Return a client of the Docker engine that `DOCKER_HOST` names, or this machine's; None if it does not answer."""
    address = os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE
    if address.startswith("unix://") and not Path(address.removeprefix("unix://")).exists():
        # docker-py would notice too, but leave a socket open.
        return None
    try:
        client = docker.from_env(timeout=120, max_pool_size=64)
    except (DockerException, requests.RequestException):
        return None
    try:
        client.ping()
    except (DockerException, requests.RequestException):
        client.close()
        return None
    return client


class DockerRuntime:
    """Environments from images, a container for each cell; see `ppp.check.runtime.Runtime`."""

    def __init__(
        self,
        client: docker.DockerClient,
        matrix: Matrix,
        *,
        data: Path,
        pip: Path,
        index_url: str,
        gateway: Gateway | None = None,
        container_runtime: str | None = None,
    ) -> None:
        """Run cells of `matrix`; `pip` is the pinned pip's folder; without a `gateway` cells have the engine's network.

        `container_runtime` names one of the engine's runtimes, such as `runsc`, to use in place of its default.
        The hash of `data` labels the containers; a file in it remembers the digests of images.
        """
        self._client = client
        self._matrix = matrix
        self._pip = pip.resolve()
        install_keeper(self._pip)
        self._index_url = index_url
        self._gateway = gateway
        self._label = sha256_hex(str(data.resolve()).encode())
        self._container_runtime = container_runtime
        self._pins = ImagePins(data / PINS_FILE)
        self._closed = threading.Event()
        # Removing a container takes the engine a while: cells do not wait for it.
        self._removals = ThreadPoolExecutor(2)
        #: One for each Python: environments of the same one would compile the same files at the same time.
        self._compiling: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._remove_leftovers()

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        """Find or pull the image, and let its interpreter describe itself; it also compiles the pinned pip."""
        image = self._image(environment)
        with self._compiling[environment.python]:
            output = self._probe(environment, image.id)
        try:
            facts, found = map(json.loads, output.splitlines()[-2:])
        except ValueError as error:
            raise EnvironmentUnavailableError(
                f"the Python of {environment.image} did not describe itself: {output[-90:]!r}"
            ) from error
        _raise_if_unusable(environment, facts)
        return PreparedEnvironment(
            environment=environment,
            python=facts["python"],
            arch=facts["arch"],
            image_digest=image.id,
            standin=image.labels.get(STANDIN_LABEL) == "true",
            network=Network.GATEWAY if self._gateway else Network.OPEN,
            tags=tuple(facts["tags"]),
            suffixes=tuple(facts["suffixes"]),
            markers=dict(facts["markers"]),
            pip_version=self._matrix.pip.version,
            passwd=facts["passwd"],
            group=facts["group"],
            end_of_users=facts["end_of_users"],
            preinstalled=parse_preinstalled(
                found, where=environment.image, disk_bytes=self._matrix.limits.disk_mb * MIB
            ),
            site_folders=tuple(found["folders"]),
        )

    def _image(self, environment: Environment) -> Any:  # noqa: ANN401 - docker's Image, untyped attributes
        try:
            return find_or_pull(self._client, environment.image, pins=self._pins)
        except ImageUnavailableError as error:
            raise EnvironmentUnavailableError(str(error)) from error

    def _probe(self, environment: Environment, image_id: str) -> str:
        # No package code runs here. The operator is the user, who then owns the bytecode in the shared pip.
        command = (
            f"python -m compileall -q {PIP}/pip {PIP}/{keeper_package()}; "
            f'python -I -c "$PROBE" {PIP} && exec python -I -c "$PREINSTALLED"'
        )
        try:
            output = self._client.containers.run(
                image_id,
                ["sh", "-c", command],
                user=f"{os.getuid()}:{os.getgid()}",
                environment={name.upper(): program_source(name) for name in ("probe", "preinstalled")},
                volumes={str(self._pip): {"bind": PIP, "mode": "rw"}},
                network_mode="none",
                labels={LABEL: self._label},
                remove=True,
            )
        except (DockerException, requests.RequestException) as error:
            raise EnvironmentUnavailableError(f"{environment.image} does not start: {error_text(error)}") from error
        return bytes(output).decode("utf-8", "replace")

    @contextmanager
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator[KeeperSandbox]:
        """Start a container in which nothing runs but what its keeper is asked for, and remove it afterwards."""
        with ExitStack() as stack:
            with as_sandbox_lost():
                folder, socket_path = self._socket_folder(stack)
                control = stack.enter_context(ControlSocket(folder))
                user = next_user(prepared.end_of_users)
                Accounts(passwd=prepared.passwd, group=prepared.group).with_nobody(user).write(folder)
            layout = self._layout(prepared, file, user)
            container = self._start(prepared, file, folder, layout)
            stack.callback(self._remove_later, container)
            connection = stack.enter_context(control.accept(lambda: _is_alive(container)))
            sandbox = KeeperSandbox(
                connection, layout, closed=self._closed, disconnect=lambda: self._disconnect(container, socket_path)
            )
            stack.callback(sandbox.close)
            yield sandbox

    def _socket_folder(self, stack: ExitStack) -> tuple[Path, Path | None]:
        """Create a folder that the container sees; return it, and the gateway's socket in it if there is one."""
        if self._gateway:
            socket_path = stack.enter_context(self._gateway.cell_socket())
            return socket_path.parent, socket_path
        folder = stack.enter_context(run_folder("ppp-cell-"))
        folder.chmod(0o755)
        return folder, None

    def _layout(self, prepared: PreparedEnvironment, file: Path, user: int) -> Layout:
        gateway = self._gateway
        full_pages = gets_full_pages(prepared.environment.id, file)
        index_url = self._index_url
        if gateway:
            index_url = gateway.index_url(GATEWAY_PORT, full_pages=full_pages, view=prepared.index_view)
        return Layout(
            work=WORK,
            tmp=TMP,
            pip=PIP,
            file=f"{FILE}/{file.name}",
            control=f"{SOCKETS}/control",
            gateway=f"{SOCKETS}/socket" if gateway else None,
            user=user,
            counts_oom=True,
            environ=pip_environment(index_url, timeout_s=ANSWER_TIMEOUT_S if gateway else PIP_TIMEOUT_S),
            call_filter=seccomp.filter_program(seccomp.ARCHITECTURES[prepared.arch]),
            site_folders=prepared.site_folders,
        )

    def _start(self, prepared: PreparedEnvironment, file: Path, folder: Path, layout: Layout) -> Container:
        limits = self._matrix.limits
        memory = (limits.memory_mb + limits.disk_mb) * MIB
        options: dict[str, Any] = {"network_mode": "none", "dns_opt": NO_NAME_SERVER} if self._gateway else {}
        if self._container_runtime:
            options["runtime"] = self._container_runtime
        mount = f"rw,exec,nosuid,nodev,size={limits.disk_mb}m"
        try:
            return self._client.containers.run(
                prepared.image_digest or prepared.environment.image,
                layout.command("python", limits),
                detach=True,
                auto_remove=True,
                # The keeper is root, so that it can run each command as another user, who cannot affect it. It has no
                # other privileges.
                user="0:0",
                cap_drop=["ALL"],
                cap_add=["SETUID", "SETGID", "SETPCAP"],
                security_opt=["no-new-privileges"],
                read_only=True,
                tmpfs={WORK: f"{mount},mode=0755", TMP: f"{mount},mode=1777"},
                mem_limit=memory,
                memswap_limit=memory,
                nano_cpus=int(limits.cpus * 1e9),
                pids_limit=limits.processes,
                log_config=LogConfig(type=LogConfig.types.NONE),
                volumes={
                    str(self._pip): {"bind": PIP, "mode": "ro"},
                    str(file.resolve().parent): {"bind": FILE, "mode": "ro"},
                    str(folder): {"bind": SOCKETS, "mode": "ro"},
                    **{str(folder / name): {"bind": f"/etc/{name}", "mode": "ro"} for name in ("passwd", "group")},
                },
                labels={LABEL: self._label},
                **options,
            )
        except (DockerException, requests.RequestException) as error:
            raise SandboxLostError(f"the container did not start: {error_text(error)}") from error

    def _disconnect(self, container: Container, socket_path: Path | None) -> None:
        """Remove the path to the gateway, or disconnect from the engine's network."""
        if socket_path is not None:
            socket_path.unlink(missing_ok=True)
            return
        try:
            self._client.networks.get("bridge").disconnect(container, force=True)
        except (DockerException, requests.RequestException) as error:
            raise SandboxLostError(f"the container was lost: {error_text(error)}") from error

    def _remove_later(self, container: Container) -> None:
        try:
            self._removals.submit(_remove, container)
        except RuntimeError:
            # Closed meanwhile: `close` may not have seen a container that was started last.
            _remove(container)

    def close(self) -> None:
        """Remove every container of this data folder, see `ppp.check.runtime.Runtime`."""
        self._closed.set()
        self._removals.shutdown()
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        with suppress(DockerException, requests.RequestException):
            for container in self._client.containers.list(
                all=True, ignore_removed=True, filters={"label": f"{LABEL}={self._label}"}
            ):
                _remove(container)


def _raise_if_unusable(environment: Environment, facts: Mapping[str, Any]) -> None:
    """Raise `EnvironmentUnavailableError` if an image is not what it stands for, or cells cannot be confined in it."""
    if not facts["python"].startswith(f"{environment.python}."):
        raise EnvironmentUnavailableError(f"{environment.image} has Python {facts['python']}, not {environment.python}")
    if facts["arch"] not in seccomp.ARCHITECTURES:
        raise EnvironmentUnavailableError(f"the system calls of {facts['arch']} are not known to PPP")
    try:
        next_user(facts["end_of_users"])
    except ValueError as error:
        raise EnvironmentUnavailableError(f"each cell needs a user of its own: {error}") from error


def _is_alive(container: Container) -> bool:
    try:
        container.reload()
    except (DockerException, requests.RequestException):
        return False
    return bool(container.status in {"created", "running"})


def _remove(container: Container) -> None:
    # auto_remove may have removed it already, or be doing so.
    with suppress(NotFound, APIError, requests.RequestException):
        container.remove(force=True)
