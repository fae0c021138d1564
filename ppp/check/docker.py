"""The runtime that lends one fresh container per cell, through the Docker SDK.

Package code runs as nobody, without capabilities, on a read-only root with size-limited mounts in memory, and under the
matrix's limits. The container is named by a label, so that a run finds what a killed one left behind.
"""

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

from ppp.check.gateway import Gateway
from ppp.check.inside import program
from ppp.check.runtime import (
    TAIL_BYTES,
    Completed,
    EnvironmentUnavailableError,
    Output,
    Prepared,
    SandboxLostError,
    pip_environment,
)
from ppp.model.matrix import Environment, Matrix
from ppp.model.record import Network, sha256_hex

LABEL: Final = "ppp.data"
DEFAULT_ENGINE: Final = "unix:///var/run/docker.sock"
STANDIN_LABEL: Final = "ppp.standin"
NOBODY: Final = 65534
WORK: Final = "/ppp/work"
PIP: Final = "/ppp/pip"
FILE: Final = "/ppp/file"
DOOR: Final = "/ppp/gateway"
#: Where on its own loopback a cell finds the index.
GATEWAY_PORT: Final = 8080
#: Exit status of a process that was ended with SIGKILL: where nothing counts, the OOM killer's work.
KILLED: Final = 137
#: Where the kernel counts a container's processes that it ended for want of memory, by version of cgroups.
OOM_COUNTERS: Final = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
MIB: Final = 1024 * 1024


def engine() -> docker.DockerClient | None:
    """Give a client of this machine's Docker engine, or None where none answers."""
    address = os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE
    if address.startswith("unix://") and not Path(address.removeprefix("unix://")).exists():
        # docker-py would find out too, and leave a socket open.
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
    """Environments from images, a container per cell; see `ppp.check.runtime.Runtime`."""

    def __init__(
        self,
        client: docker.DockerClient,
        matrix: Matrix,
        *,
        data: Path,
        pip: Path,
        index_url: str,
        gateway: Gateway | None = None,
    ) -> None:
        """Serve `matrix`; `pip` is the pinned pip's folder; without a `gateway` cells have the engine's network."""
        self._client = client
        self._matrix = matrix
        self._pip = pip.resolve()
        self._environment = pip_environment(gateway.index_url(GATEWAY_PORT) if gateway else index_url)
        self._gateway = gateway
        self._label = sha256_hex(str(data.resolve()).encode())
        self._closed = threading.Event()
        self._remove_left_behind()

    def prepare(self, environment: Environment) -> Prepared:
        """Find the image or pull it, and ask its interpreter what it is; it compiles the pinned pip on the way."""
        image = self._image(environment)
        output = self._probe(environment, image.id)
        try:
            facts = json.loads(output.splitlines()[-1])
        except (ValueError, IndexError) as error:
            raise EnvironmentUnavailableError(
                f"the Python of {environment.image} gave no account of itself: {output[-90:]!r}"
            ) from error
        if not facts["python"].startswith(f"{environment.python}."):
            raise EnvironmentUnavailableError(
                f"{environment.image} holds Python {facts['python']}, not {environment.python}"
            )
        return Prepared(
            environment=environment,
            python=facts["python"],
            arch=facts["arch"],
            image_digest=image.id,
            standin=image.labels.get(STANDIN_LABEL) == "true",
            network=Network.GATEWAY if self._gateway else Network.OPEN,
            tags=tuple(facts["tags"]),
            suffixes=tuple(facts["suffixes"]),
            pip_version=self._matrix.pip.version,
        )

    def _image(self, environment: Environment) -> Any:  # noqa: ANN401 - docker's Image, untyped attributes
        try:
            return self._client.images.get(environment.image)
        except ImageNotFound:
            pass
        except (DockerException, requests.RequestException) as error:
            raise EnvironmentUnavailableError(f"the Docker engine does not answer: {_reason(error)}") from error
        try:
            repository, _, tag = environment.image.rpartition(":")
            return self._client.images.pull(repository, tag=tag)
        except (DockerException, requests.RequestException) as error:
            raise EnvironmentUnavailableError(
                f"{environment.image} is not here and cannot be pulled: {_reason(error)}"
            ) from error

    def _probe(self, environment: Environment, image_id: str) -> str:
        # No package code runs here: as the operator, so that the bytecode in the shared pip belongs to them.
        command = f'python -m compileall -q {PIP}/pip; exec python -I -c "$PROBE" {PIP}'
        try:
            output = self._client.containers.run(
                image_id,
                ["sh", "-c", command],
                user=f"{os.getuid()}:{os.getgid()}",
                environment={"PROBE": program("probe")},
                volumes={str(self._pip): {"bind": PIP, "mode": "rw"}},
                network_mode="none",
                labels={LABEL: self._label},
                remove=True,
            )
        except (DockerException, requests.RequestException) as error:
            raise EnvironmentUnavailableError(f"{environment.image} does not start: {_reason(error)}") from error
        return bytes(output).decode("utf-8", "replace")

    @contextmanager
    def sandbox(self, prepared: Prepared, file: Path) -> Iterator["DockerSandbox"]:
        """Lend a container that sleeps for as long as a cell may take at most, and remove it afterwards."""
        with ExitStack() as stack:
            door = stack.enter_context(self._gateway.door()) if self._gateway else None
            container = self._start(prepared, file, door)
            stack.callback(_remove, container)
            box = DockerSandbox(
                self._client, container, file.name, self._matrix.limits.log_kb * 1024, self._closed, door=door
            )
            box.connect()
            yield box

    def _start(self, prepared: Prepared, file: Path, door: Path | None) -> Container:
        limits = self._matrix.limits
        memory = (limits.memory_mb + limits.disk_mb) * MIB
        longest_s = sum(self._matrix.timeouts_s.values()) + 60
        mount = f"rw,exec,nosuid,nodev,uid={NOBODY},gid={NOBODY},mode=0700"
        volumes = {
            str(self._pip): {"bind": PIP, "mode": "ro"},
            str(file.resolve().parent): {"bind": FILE, "mode": "ro"},
        }
        options: dict[str, Any] = {}
        if door:
            volumes[str(door.parent)] = {"bind": DOOR, "mode": "ro"}
            options["network_mode"] = "none"
        try:
            return self._client.containers.run(
                prepared.image_digest or prepared.environment.image,
                ["sleep", str(longest_s)],
                detach=True,
                auto_remove=True,
                init=True,
                user=f"{NOBODY}:{NOBODY}",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                read_only=True,
                tmpfs={WORK: f"{mount},size={limits.disk_mb}m", "/tmp": f"{mount},size={limits.disk_mb}m"},  # noqa: S108 - inside
                mem_limit=memory,
                memswap_limit=memory,
                nano_cpus=int(limits.cpus * 1e9),
                pids_limit=limits.processes,
                environment={**self._environment, "HOME": WORK, "TMPDIR": "/tmp"},  # noqa: S108 - inside
                volumes=volumes,
                labels={LABEL: self._label},
                **options,
            )
        except (DockerException, requests.RequestException) as error:
            raise SandboxLostError(f"the container did not start: {_reason(error)}") from error

    def close(self) -> None:
        """Remove every container of this data folder."""
        self._closed.set()
        self._remove_left_behind()

    def _remove_left_behind(self) -> None:
        with suppress(DockerException, requests.RequestException):
            for container in self._client.containers.list(
                all=True, ignore_removed=True, filters={"label": f"{LABEL}={self._label}"}
            ):
                _remove(container)


class DockerSandbox:
    """One container; see `ppp.check.runtime.Sandbox`."""

    python = "python"
    pip = f"{PIP}/pip"
    work = WORK

    def __init__(
        self,
        client: docker.DockerClient,
        container: Container,
        filename: str,
        log_bytes: int,
        closed: threading.Event,
        *,
        door: Path | None,
    ) -> None:
        """Wrap a running container; `door` is its own way to the gateway's socket, if it has one."""
        self._client = client
        self._api = client.api
        self._door = door
        self._container = container
        self._log_bytes = log_bytes
        self._closed = closed
        self._oom_kills = 0
        self.file = f"{FILE}/{filename}"

    def connect(self) -> None:
        """Let the container's own loopback lead to the gateway, if it has one; nothing inside can end that by force."""
        if self._door is None:
            return
        # As root, though without capabilities: package code is another user, and cannot stop or replace it.
        argv = ["python", "-I", "-S", "-c", program("forwarding"), f"{DOOR}/{self._door.name}", str(GATEWAY_PORT)]
        with self._lost():
            exec_id = self._api.exec_create(self._container.id, argv, user="root")["Id"]
            stream = self._api.exec_start(exec_id, stream=True)
            said = bytes(next(stream, b""))
            _close(stream)
        if said.strip() != b"ready":
            raise SandboxLostError(f"the way to the gateway did not open: {said.decode(errors='replace')[-200:]}")

    def isolate(self) -> None:
        """Shut the way to the gateway, or leave the engine's network."""
        if self._door is not None:
            self._door.unlink(missing_ok=True)
            return
        with self._lost():
            self._client.networks.get("bridge").disconnect(self._container, force=True)

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            raise SandboxLostError(f"the container was lost: {_reason(error)}") from error

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> Completed:
        """Run a command in the container; our timeout removes the container, and the command was its last."""
        output = Output(self._log_bytes)
        expired = threading.Event()
        timer = threading.Timer(timeout_s, self._expire, [expired])
        started = time.monotonic()
        timer.start()
        try:
            exit_code = self._exec(argv, cwd or WORK, output)
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            if not expired.is_set():
                raise SandboxLostError(f"the container was lost: {_reason(error)}") from error
            exit_code = None
        finally:
            timer.cancel()
        duration_ms = round((time.monotonic() - started) * 1000)
        if expired.is_set():
            return Completed(exit_code=None, output=output.text(), duration_ms=duration_ms)
        if exit_code is None or self._closed.is_set():
            raise SandboxLostError("the container ended under the command")
        return Completed(
            exit_code=_signed(exit_code),
            output=output.text(),
            duration_ms=duration_ms,
            oom=exit_code != 0 and self._ran_out_of_memory(exit_code),
        )

    def _ran_out_of_memory(self, exit_code: int) -> bool:
        """Say whether the kernel has ended a process of this container for want of memory since this was last asked.

        The command itself may have lived on, as pip does when its compiler is killed; or it was killed by its own hand.
        """
        counted = Output(TAIL_BYTES)
        with self._lost():
            self._exec(["cat", *OOM_COUNTERS], WORK, counted)
        found = re.findall(r"^oom_kill (\d+)$", counted.text(), re.MULTILINE)
        if not found:
            return exit_code == KILLED
        kills, self._oom_kills = int(found[0]) - self._oom_kills, int(found[0])
        return kills > 0

    def _exec(self, argv: Sequence[str], cwd: str, output: Output) -> int | None:
        # The engine has a pipe for each stream: only one of them keeps what was written in its order.
        merged = ["sh", "-c", 'exec "$@" 2>&1', "sh", *argv]
        exec_id = self._api.exec_create(self._container.id, merged, workdir=cwd)["Id"]
        stream = self._api.exec_start(exec_id, stream=True)
        try:
            for chunk in stream:
                output.feed(chunk)
        finally:
            _close(stream)
        state: Mapping[str, Any] = self._api.exec_inspect(exec_id)
        return None if state["Running"] else state["ExitCode"]

    def _expire(self, expired: threading.Event) -> None:
        expired.set()
        _remove(self._container)


def _close(stream: Any) -> None:  # noqa: ANN401 - docker-py's CancellableStream, without a public type
    # docker-py leaves both ends of this open: a node would run out of them.
    with suppress(OSError):
        stream.close()
    stream._response.close()  # noqa: SLF001 - nothing public does it


def _signed(exit_code: int) -> int:
    # The engine gives 128 + n for a signal, as shells do; a negative number cannot be mistaken for an exit status.
    return 128 - exit_code if 128 < exit_code <= 192 else exit_code  # noqa: PLR2004 - the shells' convention


def _remove(container: Container) -> None:
    # auto_remove may have been quicker, or be at it.
    with suppress(NotFound, APIError, requests.RequestException):
        container.remove(force=True)


def _reason(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300]
