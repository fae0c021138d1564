"""A registry that moves a tag to another image: a node goes on with the bytes that it had, until somebody pulls."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from ppp.check.images import ImagePins, find_or_pull
from ppp.check.sandbox.docker import connect_engine

pytestmark = [pytest.mark.attack("same-bytes"), pytest.mark.docker]

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class LocalRegistry:
    """A registry of one repository: blobs and manifests by digest, and what its one tag names."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.tagged = ""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.repository = f"127.0.0.1:{self.server.server_port}/ppp/moved-{os.getpid()}"

    def add(self, text: bytes) -> str:
        """Add an image with one file, and return its digest."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            info = tarfile.TarInfo("content")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
        layer = gzip.compress(archive.getvalue(), mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(archive.getvalue())]},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self._describe(config, "application/vnd.docker.container.image.v1+json"),
                "layers": [self._describe(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
            }
        ).encode()
        self._describe(manifest, MANIFEST)
        return digest_of(manifest)

    def _describe(self, data: bytes, kind: str) -> dict[str, object]:
        self.content[digest_of(data)] = data
        return {"mediaType": kind, "size": len(data), "digest": digest_of(data)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class RegistryHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                data = b"{}" if self.path == "/v2/" else registry.content.get(name.replace("tag", registry.tagged))
                self.send_response(404 if data is None else 200)
                data = data or b""
                self.send_header("Content-Type", MANIFEST if "/manifests/" in self.path else "application/json")
                self.send_header("Docker-Content-Digest", digest_of(data))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        return RegistryHandler


@contextmanager
def running_registry() -> Iterator[LocalRegistry]:
    registry = LocalRegistry()
    thread = threading.Thread(target=registry.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield registry
    finally:
        registry.server.shutdown()
        registry.server.server_close()
        thread.join()


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = connect_engine()
    assert client is not None
    try:
        yield client
    finally:
        client.close()


def test_a_tag_that_a_registry_moves_changes_nothing_here(client: docker.DockerClient, tmp_path: Path) -> None:
    pins = ImagePins(tmp_path / "images.json")
    with running_registry() as registry:
        name = f"{registry.repository}:tag"
        first, second = registry.add(b"as it was"), registry.add(b"another")
        try:
            registry.tagged = first
            before = find_or_pull(client, name, pins=pins)
            client.images.remove(name)
            registry.tagged = second
            assert find_or_pull(client, name, pins=pins).id == before.id
            assert client.images.get(name).id == before.id, "also by its name"
            # As it would be without the memory:
            client.images.remove(name)
            assert find_or_pull(client, name).id != before.id
            # Somebody pulled it by hand: from now on this one.
            after = find_or_pull(client, name, pins=pins)
            assert json.loads((tmp_path / "images.json").read_text()) == {name: second}
            assert after.id != before.id
        finally:
            for image in client.images.list(registry.repository):
                with suppress(DockerException):
                    client.images.remove(str(image.id), force=True)
