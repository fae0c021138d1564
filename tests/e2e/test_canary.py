"""The canary on real runtimes: it passes in every healthy environment, and finds one that is not what it claims."""

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from cell_environments import ALPINE, SLIM, FetchedPip, host_environment, tiny_matrix
from pypi_simple import PYPI_SIMPLE_ENDPOINT
from runtimes import open_runtime

from ppp.check.canary.canary import Canary, Fault, FaultKind, write_local_projects
from ppp.check.cell import Checker
from ppp.check.gateway.gateway import Gateway, run_gateway
from ppp.check.index.client import SimpleIndex
from ppp.check.sandbox.docker import connect_engine
from ppp.matrix_files import load_matrix
from ppp.model.matrix import Environment
from ppp.model.record import Network
from ppp.resources import resource

pytestmark = pytest.mark.online

GATED: Final = [pytest.mark.nginx]
DOCKER: Final = [pytest.mark.docker]
#: Every environment of the shipped matrix that tests can count on, and the host platform.
ENVIRONMENTS: Final = [e for e in load_matrix(resource("matrices/default.toml")).environments if e.id != "py312-alpine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySetup:
    """What all canaries of these tests share: an index and a pinned pip."""

    index: SimpleIndex
    pip: Path
    folder: Path

    def run_canary(
        self, environment: Environment, *, gated: bool, with_local_projects: bool = True
    ) -> tuple[Fault, ...]:
        """Run the canary in an environment, behind a gateway or on the open network; return what it found wrong."""
        matrix = replace(tiny_matrix(environment), timeouts_s=load_matrix(resource("matrices/default.toml")).timeouts_s)
        with ExitStack() as stack:
            door = stack.enter_context(self._gateway(with_local_projects=with_local_projects)) if gated else None
            runtime = stack.enter_context(
                open_runtime(
                    environment,
                    pip=self.pip,
                    folder=self.folder,
                    index_url=PYPI_SIMPLE_ENDPOINT,
                    gateway=door,
                    matrix=matrix,
                )
            )
            prepared = runtime.prepare(environment)
            assert prepared.network is (Network.GATEWAY if gated else Network.OPEN)
            if door:
                door.limit_to_tags(prepared.tags)
            checker = Checker(
                index=self.index, runtime=runtime, matrix=matrix, node="ab" * 32, index_hosts=self.index.hosts
            )
            return Canary(checker=checker, folder=self.folder / "canary").check(prepared)

    @contextmanager
    def _gateway(self, *, with_local_projects: bool) -> Iterator[Gateway]:
        write_local_projects(self.folder / "overlay")
        with run_gateway(
            self.index,
            cache=self.folder / "gateway",
            environ=os.environ,
            local_projects=self.folder / "overlay" if with_local_projects else None,
        ) as opened:
            yield opened


@pytest.fixture(scope="module")
def canary_setup(tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip) -> CanarySetup:
    folder = tmp_path_factory.mktemp("canary_setup")
    index = SimpleIndex(PYPI_SIMPLE_ENDPOINT, cache=folder / "files", user_agent="the-pypi-place/tests")
    return CanarySetup(index=index, pip=pinned_pip.folder, folder=folder)


@pytest.mark.parametrize(
    ("environment", "gated"),
    [
        *[pytest.param(e, True, id=f"{e.id}-gateway", marks=[*DOCKER, *GATED]) for e in ENVIRONMENTS],
        pytest.param(SLIM, False, id=f"{SLIM.id}-open", marks=DOCKER),
        pytest.param(None, False, id="host-open"),
        pytest.param(None, True, id="host-confined", marks=[pytest.mark.sandbox, *GATED]),
    ],
)
def test_a_healthy_environment_has_no_fault(
    canary_setup: CanarySetup,
    environment: Environment | None,
    gated: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert canary_setup.run_canary(environment or host_environment(), gated=gated) == ()


@pytest.mark.docker
def test_an_image_without_a_library_that_wheels_need_is_reported(canary_setup: CanarySetup) -> None:
    client = connect_engine()
    assert client is not None
    tag = "ppp-tests-no-cxx:latest"
    dockerfile = f"FROM {SLIM.image}\nRUN rm -f /usr/lib/*/libstdc++.so.*\n"
    try:
        client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, network_mode="none")
        (fault,) = canary_setup.run_canary(replace(SLIM, image=tag), gated=False)
    finally:
        client.images.remove(tag, force=True)
        client.close()
    assert fault.kind is FaultKind.VERDICT
    assert "ujson==5.11.0 had to result in PASS, but resulted in FAIL in import (shared-library, environment)" in str(
        fault
    )


@pytest.mark.docker
def test_an_image_of_another_platform_is_reported(canary_setup: CanarySetup) -> None:
    slim_called_alpine = replace(ALPINE, id="py312-alpine", python=SLIM.python, image=SLIM.image)
    (fault,) = canary_setup.run_canary(slim_called_alpine, gated=False)
    assert fault.kind is FaultKind.VERDICT
    assert "musllinux_1_1_x86_64.whl, but chose" in str(fault).replace("aarch64", "x86_64")


@pytest.mark.docker
@pytest.mark.nginx
def test_a_gateway_without_our_projects_is_reported(canary_setup: CanarySetup) -> None:
    (fault,) = canary_setup.run_canary(SLIM, gated=True, with_local_projects=False)
    assert fault.kind is FaultKind.VERDICT
    assert "the-pypi-place-canary==1.0 had to result in PASS, but resulted in FAIL in full (no-distribution" in str(
        fault
    )
