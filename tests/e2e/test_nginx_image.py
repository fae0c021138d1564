"""nginx from an image, on a machine without nginx: the image is made of this machine's own nginx."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from cell_environments import SLIM, docker_bridge_address
from local_gateway import gateway_to
from local_index import LocalIndex
from projects import module_project

from ppp.check.gateway.gateway import GatewayError
from ppp.check.gateway.nginx import LABEL, NGINX_FOLDERS, NginxImage
from ppp.check.sandbox.docker import connect_engine

pytestmark = [pytest.mark.docker, pytest.mark.nginx]

PROJECT = module_project("quiet", "")
NOWHERE = "http://127.0.0.1:9/simple/"
HOLD = """
import os, sys, time
from pathlib import Path
from ppp.check.sandbox.docker import connect_engine
from ppp.check.gateway.gateway import run_gateway
from ppp.check.gateway.nginx import NginxImage
from ppp.check.index.client import SimpleIndex
image = NginxImage(name=sys.argv[2], engine=connect_engine, on_pull=print)
cache = Path(sys.argv[1])
index = SimpleIndex("http://127.0.0.1:9/simple/", cache=cache / "stored", user_agent="tests")
with run_gateway(index, cache=cache, environ={}, nginx_folders="", image=image) as running:
    print(running.socket.parent, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    opened = connect_engine()
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with this machine's nginx, its libraries and its loader."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:{NGINX_FOLDERS}")
    assert nginx
    loads = subprocess.run(["ldd", nginx], capture_output=True, text=True, check=True).stdout
    libraries = [Path(path) for path in re.findall(r"(/\S+)", loads)]
    (loader,) = (path.name for path in libraries if path.name.startswith("ld-"))
    start = f'#!/bin/sh\nexec /nginx/{loader} --library-path /nginx /nginx/nginx "$@"\n'
    packed = {f"nginx/{path.name}": path.read_bytes() for path in [*libraries, Path(nginx)]}
    packed |= {
        "bin/nginx": start.encode(),
        "Dockerfile": f"FROM {SLIM.image}\nCOPY nginx /nginx\nCOPY bin /bin\n".encode(),
    }
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in packed.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    context.seek(0)
    opened = connect_engine()
    assert opened is not None
    name = f"ppp-tests-nginx:{hashlib.sha256(context.getvalue()).hexdigest()[:12]}"
    opened.images.build(fileobj=context, custom_context=True, tag=name, rm=True)
    yield name
    opened.images.remove(name, force=True)
    opened.close()


def containers(client: docker.DockerClient, cache: Path) -> list[Any]:
    label = hashlib.sha256(str(cache.resolve() / "nginx").encode()).hexdigest()
    return client.containers.list(all=True, ignore_removed=True, filters={"label": f"{LABEL}={label}"})


def wait_until_removed(client: docker.DockerClient, cache: Path) -> None:
    deadline = time.monotonic() + 20
    while containers(client, cache):
        assert time.monotonic() < deadline, "the container is still there"
        time.sleep(0.1)


def test_the_gateway_works_the_same_from_an_image(client: docker.DockerClient, image: str, tmp_path: Path) -> None:
    cache, messages = tmp_path / "gateway", list[str]()
    image_in_use = NginxImage(name=image, engine=connect_engine, on_pull=messages.append)
    with LocalIndex(docker_bridge_address(client)) as index:
        index.add(PROJECT)
        # Without a PATH this machine has no nginx.
        with gateway_to(index, tmp_path, environ={}, nginx_folders="", image=image_in_use) as running:
            (container,) = containers(client, cache)
            assert container.attrs["HostConfig"]["CapDrop"] == ["ALL"]
            assert container.attrs["HostConfig"]["NetworkMode"] == "none", "the page server alone talks to the index"
            with running.cell_socket() as door:
                curl = ["curl", "-sf", "--unix-socket", str(door)]
                page = subprocess.run([*curl, f"http://x{running.path}quiet/"], capture_output=True, check=True).stdout
                link = page.decode().partition('href="')[2].partition("#")[0]
                file = subprocess.run([*curl, f"http://x{link}"], capture_output=True, check=True).stdout
        assert file == PROJECT.build()
        assert index.request_counts == {"/simple/quiet/": 1, f"/files/quiet/{PROJECT.filename}": 1}
    wait_until_removed(client, cache)
    assert messages == [], "a local image is not pulled"
    assert [path for path in (cache / "nginx").rglob("*") if path.is_file()], "the cache is still there"
    assert {path.stat().st_uid for path in cache.rglob("*")} == {os.getuid()}


@pytest.mark.attack("crash-safe")
def test_a_killed_run_leaves_no_container(client: docker.DockerClient, image: str, tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), image], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        folder = holder.stdout.readline().strip()
        assert len(containers(client, tmp_path)) == 1
        holder.kill()
    wait_until_removed(client, tmp_path)
    # Any run that begins meanwhile removes what a killed one left.
    shutil.rmtree(folder, ignore_errors=True)


def test_pulling_an_image_is_reported(tmp_path: Path) -> None:
    messages: list[str] = []
    absent = NginxImage(name="mirror.example/ppp/absent-nginx:1", engine=connect_engine, on_pull=messages.append)
    with (
        pytest.raises(
            GatewayError, match=r"no nginx on this machine, and \S+absent-nginx:1 is not here and cannot be pulled: "
        ),
        gateway_to(NOWHERE, tmp_path, environ={}, nginx_folders="", image=absent),
    ):
        pass
    assert messages == [f"this machine has no nginx: pulling the image {absent.name} for the index gateway"]


def test_without_an_engine_no_image_can_be_used(tmp_path: Path) -> None:
    nowhere = NginxImage(name="nginx:alpine", engine=lambda: None, on_pull=print)
    with (
        pytest.raises(GatewayError, match="no nginx on this machine, and no Docker engine to run nginx:alpine"),
        gateway_to(NOWHERE, tmp_path, environ={}, nginx_folders="", image=nowhere),
    ):
        pass


def test_an_image_without_nginx_is_reported(client: docker.DockerClient, tmp_path: Path) -> None:
    with (
        pytest.raises(GatewayError, match=r"nginx (did not|from \S+ does not) start"),
        gateway_to(
            NOWHERE,
            tmp_path,
            environ={},
            nginx_folders="",
            image=NginxImage(name=SLIM.image, engine=connect_engine, on_pull=print),
        ),
    ):
        pass
    wait_until_removed(client, tmp_path)
