"""The canary, for real: silent in every healthy environment, and not where one is other than what it stands for."""

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from cell_environments import ALPINE, SLIM, FetchedPip, host_environ, host_environment, tiny_matrix
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from ppp.check.canary.canary import Canary, Fault, FaultKind, write_local_projects
from ppp.check.cell import Checker
from ppp.check.gateway.gateway import Gateway, run_gateway
from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import Runtime
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime
from ppp.config import load_matrix
from ppp.model.matrix import Environment
from ppp.model.record import Network
from ppp.resources import resource

pytestmark = pytest.mark.online

GATED: Final = [pytest.mark.nginx]
DOCKER: Final = [pytest.mark.docker]
#: Every environment of the shipped matrix that tests can count on, and the host platform.
ENVIRONMENTS: Final = [e for e in load_matrix(resource("matrices/default.toml")).environments if e.id != "py312-alpine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aviary:
    """What the canaries of all these tests share: an index and a pinned pip, each had once."""

    index: SimpleIndex
    pip: Path
    folder: Path

    def sing(self, environment: Environment, *, gated: bool, overlaid: bool = True) -> tuple[Fault, ...]:
        """Let the canary sing in an environment, behind a gateway or on the open network."""
        matrix = replace(tiny_matrix(environment), timeouts_s=load_matrix(resource("matrices/default.toml")).timeouts_s)
        with ExitStack() as stack:
            door = stack.enter_context(self._gateway(overlaid=overlaid)) if gated else None
            runtime: Runtime
            if environment.image:
                client = connect_engine()
                assert client is not None
                stack.callback(client.close)
                runtime = DockerRuntime(
                    client, matrix, data=self.folder, pip=self.pip, index_url=PYPI_SIMPLE_ENDPOINT, gateway=door
                )
            else:
                shutting = (
                    Confinement(bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=door) if door else None
                )
                runtime = HostRuntime(
                    matrix,
                    pip=self.pip,
                    index_url=PYPI_SIMPLE_ENDPOINT,
                    environ=host_environ(),
                    confinement=shutting,
                )
            stack.callback(runtime.close)
            prepared = runtime.prepare(environment)
            assert prepared.network is (Network.GATEWAY if gated else Network.OPEN)
            if door:
                door.limit_to_tags(prepared.tags)
            checker = Checker(
                index=self.index, runtime=runtime, matrix=matrix, node="ab" * 32, index_hosts=self.index.hosts
            )
            return Canary(checker=checker, folder=self.folder / "canary").check(prepared)

    @contextmanager
    def _gateway(self, *, overlaid: bool) -> Iterator[Gateway]:
        write_local_projects(self.folder / "overlay")
        with run_gateway(
            PYPI_SIMPLE_ENDPOINT,
            self.index.file_origins("pip"),
            cache=self.folder / "gateway",
            environ=os.environ,
            local_projects=self.folder / "overlay" if overlaid else None,
        ) as opened:
            yield opened


@pytest.fixture(scope="module")
def aviary(tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip) -> Aviary:
    folder = tmp_path_factory.mktemp("aviary")
    index = SimpleIndex(PYPI_SIMPLE_ENDPOINT, cache=folder / "files", user_agent="the-pypi-place/tests")
    return Aviary(index=index, pip=pinned_pip.folder, folder=folder)


@pytest.mark.parametrize(
    ("environment", "gated"),
    [
        *[pytest.param(e, True, id=f"{e.id}-gateway", marks=[*DOCKER, *GATED]) for e in ENVIRONMENTS],
        pytest.param(SLIM, False, id=f"{SLIM.id}-open", marks=DOCKER),
        pytest.param(None, False, id="host-open"),
        pytest.param(None, True, id="host-shut-in", marks=[pytest.mark.sandbox, *GATED]),
    ],
)
def test_a_healthy_environment_has_no_fault(aviary: Aviary, environment: Environment | None, gated: bool) -> None:  # noqa: FBT001
    assert aviary.sing(environment or host_environment(), gated=gated) == ()


@pytest.mark.docker
def test_an_image_without_a_runtime_that_wheels_count_on_is_told(aviary: Aviary) -> None:
    client = connect_engine()
    assert client is not None
    tag = "ppp-tests-no-cxx:latest"
    dockerfile = f"FROM {SLIM.image}\nRUN rm -f /usr/lib/*/libstdc++.so.*\n"
    try:
        client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, network_mode="none")
        (fault,) = aviary.sing(replace(SLIM, image=tag), gated=False)
    finally:
        client.images.remove(tag, force=True)
        client.close()
    assert fault.kind is FaultKind.VERDICT
    assert "ujson==5.11.0 had to result in PASS, but resulted in FAIL in import (shared-library, environment)" in str(
        fault
    )


@pytest.mark.docker
def test_an_image_of_another_platform_is_told(aviary: Aviary) -> None:
    slim_called_alpine = replace(ALPINE, id="py312-alpine", python=SLIM.python, image=SLIM.image)
    (fault,) = aviary.sing(slim_called_alpine, gated=False)
    assert fault.kind is FaultKind.VERDICT
    assert "musllinux_1_1_x86_64.whl, but chose" in str(fault).replace("aarch64", "x86_64")


@pytest.mark.docker
@pytest.mark.nginx
def test_a_gateway_that_serves_nothing_of_ours_is_told(aviary: Aviary) -> None:
    (fault,) = aviary.sing(SLIM, gated=True, overlaid=False)
    assert fault.kind is FaultKind.VERDICT
    assert "the-pypi-place-canary==1.0 had to result in PASS, but resulted in FAIL in full (no-distribution" in str(
        fault
    )
