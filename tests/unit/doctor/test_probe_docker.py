"""Probing the Docker engine: every way in which it may not answer, and a real one where there is one."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest
from cell_environments import SLIM
from local_index import LocalIndex, reply

from ppp.check.sandbox.docker import connect_engine as client_of
from ppp.doctor import probe_docker
from ppp.doctor.machine import ImageAvailability, Reachability
from ppp.model.matrix import Environment, Platform


@pytest.fixture
def dead(tmp_path: Path) -> str:
    """The address of a socket on which nothing listens any more."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    return f"unix://{path}"


def test_the_socket_of_a_dead_engine(dead: str) -> None:
    found = probe_docker.engine({"DOCKER_HOST": dead})
    assert (found.address, found.configured, found.reach) == (dead, True, Reachability.REFUSED)
    assert not found.answers


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("unix:///nowhere/docker.sock", Reachability.NOT_FOUND),
        ("unix:///etc/passwd/docker.sock", Reachability.NOT_FOUND),
        ("unix:///etc/passwd", Reachability.REFUSED),
        (f"unix:///{'long' * 40}", Reachability.UNEXPECTED),
        ("tcp://127.0.0.1:9", Reachability.REFUSED),
        ("tcp://127.0.0.1:nine", Reachability.UNEXPECTED),
        ("tcp://engine.example:2375", Reachability.NOT_FOUND),
        ("docker", Reachability.UNEXPECTED),
    ],
)
def test_an_address_without_an_engine(address: str, reach: Reachability) -> None:
    found = probe_docker.engine({"DOCKER_HOST": address})
    assert (found.reach, found.version) == (reach, ""), found


def test_a_server_that_is_not_an_engine() -> None:
    with LocalIndex() as web:
        assert probe_docker.engine({"DOCKER_HOST": f"tcp://{web.host}"}).reach is Reachability.UNEXPECTED
        web.set_response("/version", reply(b"<html>", headers={"Content-Type": "text/html"}))
        found = probe_docker.engine({"DOCKER_HOST": f"tcp://{web.host}"})
    assert found.reach is Reachability.UNEXPECTED
    assert found.detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use any socket")
def test_a_socket_of_another_user(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0)
        assert probe_docker.engine({"DOCKER_HOST": f"unix://{path}"}).reach is Reachability.FORBIDDEN


def test_a_rootless_engine_is_found(tmp_path: Path, dead: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "own.sock"))
        (tmp_path / "user").mkdir()
        (tmp_path / "own.sock").rename(tmp_path / "user/docker.sock")
        found = probe_docker.engine({"DOCKER_HOST": dead, "XDG_RUNTIME_DIR": str(tmp_path / "user")})
    assert found.other_socket == str(tmp_path / "user/docker.sock")


# ---------------------------------------------------------------- the real engine


def leftover_containers() -> list[str]:
    """Return the ids of the containers that this process started for a probe."""
    client = client_of()
    assert client
    ours: dict[str, str | list[str] | bool] = {"label": f"{probe_docker.LABEL}={os.getpid()}"}
    with closing(client):
        return [str(found.id) for found in client.containers.list(all=True, ignore_removed=True, filters=ours)]


@pytest.mark.docker
def test_the_engine() -> None:
    found = probe_docker.engine(os.environ)
    assert found.answers
    assert found.version[0].isdigit()
    assert found.api_version[0].isdigit()
    assert found.cgroups in {"1", "2"}
    assert found.memory_bytes > 0
    assert found.data_root


@pytest.mark.docker
def test_an_image_is_asked_for_its_python_and_nothing_is_left() -> None:
    found = probe_docker.image(os.environ, SLIM)
    assert (found.availability, found.python[:5]) == (ImageAvailability.LOCAL, "3.12.")
    assert found.arch
    assert leftover_containers() == []


@pytest.mark.docker
def test_an_image_in_no_registry() -> None:
    nowhere = Environment(id="py312-slim", python="3.12", platform=Platform.SLIM, image="registry.example/none:3.12")
    found = probe_docker.image(os.environ, nowhere)
    assert found.availability is ImageAvailability.UNAVAILABLE
    assert "registry.example" in found.detail


@pytest.mark.docker
def test_an_image_without_python_leaves_nothing(tmp_path: Path) -> None:
    client = client_of()
    assert client
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    with closing(client):
        image, _ = client.images.build(path=str(tmp_path), rm=True)
        try:
            bare = Environment(id="py312-slim", python="3.12", platform=Platform.SLIM, image=str(image.id))
            found = probe_docker.image(os.environ, bare)
        finally:
            client.images.remove(str(image.id), force=True)
    assert (found.availability, found.python) == (ImageAvailability.LOCAL, "")
    assert "python" in found.detail
    assert leftover_containers() == []


@pytest.mark.docker
def test_the_availability_of_an_image() -> None:
    assert probe_docker.image_availability(os.environ, SLIM.image) == (ImageAvailability.LOCAL, "")
    assert (
        probe_docker.image_availability(os.environ, "registry.example/nginx:none")[0] is ImageAvailability.UNAVAILABLE
    )


def test_the_availability_of_an_image_without_an_engine(dead: str) -> None:
    assert probe_docker.image_availability({"DOCKER_HOST": dead}, SLIM.image) == (
        ImageAvailability.UNAVAILABLE,
        "no Docker engine answers",
    )
