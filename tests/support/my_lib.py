"""What the project `tests/packages/my-lib` requires, as wheels, and a server for wheels that keeps a log of requests.

The wheels are small but for one, which has `HEAVY_BYTES` of data. The server knows `Range`, can send slowly, and can
change what it sends.
"""

import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

import tomli_w
from local_index import LocalIndex
from projects import PACKAGES, Project

PROJECT: Final = PACKAGES / "my-lib"
HEAVY_BYTES: Final = 3_000_000
SMALL: Final = ("my-lib-small", "my-lib-linux", "my-lib-windows", "my-lib-fancy", "my-lib-tests", "my-lib-docs")
#: What each part of the lock needs on this machine.
BASE: Final = ("my-lib-heavy", "my-lib-linux", "my-lib-small", "my-lib-base")
HEAVY_MODULE: Final = """
from pathlib import Path


def data():
    return Path(__file__).with_name("my_lib_heavy.bin").read_bytes()
"""
_PART_BYTES: Final = 16_384


def wheels(*, heavy_bytes: int = HEAVY_BYTES, small_version: str = "1.0") -> list[Project]:
    """Return the projects; `my-lib-small` requires `my-lib-base`."""
    made = [_module(name, small_version if name == "my-lib-small" else "1.0") for name in (*SMALL, "my-lib-base")]
    data = {"my_lib_heavy.bin": random.Random(1).randbytes(heavy_bytes), "my_lib_heavy.py": HEAVY_MODULE.encode()}
    return [*made, Project(name="my-lib-heavy", files=data)]


def _module(name: str, version: str) -> Project:
    module = name.replace("-", "_")
    files = {f"{module}.py": f"NAME = {name!r}\n".encode()}
    scripts = "[console_scripts]\nmy-lib-small = my_lib_small:main\n"
    if name == "my-lib-small":
        files[f"{module}.py"] += b"\n\ndef main():\n    print(NAME)\n"
        files[f"{module}-{version}.dist-info/entry_points.txt"] = scripts.encode()
    requires = ("my-lib-base",) if name == "my-lib-small" else ()
    return Project(name=name, version=version, files=files, requires=requires)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """A request for a wheel, as the server got it, and the offset that it asked for."""

    filename: str
    offset: int


@dataclass(slots=True, kw_only=True)
class WheelServer:
    """Wheels on an index; what they do next may be changed at any time."""

    index: LocalIndex
    projects: dict[str, Project] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    requests: list[FileRequest] = field(default_factory=list)
    #: How many bytes a second are sent for one file, None for as many as there can be.
    bytes_per_s: int | None = None
    ignores_range: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, projects: Sequence[Project]) -> None:
        """Serve these."""
        for project in projects:
            self.projects[project.name] = project
            self.contents[project.filename] = project.build()
            content, metadata = self.contents[project.filename], project._headers()
            self.index.add_file(project.name, project.filename, content, metadata=metadata)
            self.index.set_response(f"/files/{project.name}/{project.filename}", self._answer(project.filename))

    def url_of(self, project: Project) -> str:
        """Return the address of a wheel."""
        return self.index.url_of(f"/files/{project.name}/{project.filename}")

    def _answer(self, filename: str) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer(request: BaseHTTPRequestHandler) -> None:
            content = self.contents[filename]
            asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
            offset = int(asked[1]) if asked else 0
            # At its beginning: whoever was killed asked for it before.
            with self.lock:
                self.requests.append(FileRequest(filename=filename, offset=offset))
            offset = 0 if self.ignores_range else offset
            if offset >= len(content):
                request.send_response(416)
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206 if offset else 200)
            if offset:
                request.send_header("Content-Range", f"bytes {offset}-{len(content) - 1}/{len(content)}")
            request.send_header("Content-Length", str(len(content) - offset))
            request.end_headers()
            self._send(request, filename, offset)

        return answer

    def _send(self, request: BaseHTTPRequestHandler, filename: str, offset: int) -> None:
        content = self.contents[filename]
        for start in range(offset, len(content), _PART_BYTES):
            part = content[start : start + _PART_BYTES]
            request.wfile.write(part)
            if self.bytes_per_s:
                time.sleep(len(part) / self.bytes_per_s)

    def take_requests(self) -> list[FileRequest]:
        """Return the requests since the last call, by file."""
        with self.lock:
            taken, self.requests = self.requests, []
        return sorted(taken, key=lambda request: request.filename)

    def lock_of(self, names: dict[str, str]) -> bytes:
        """Return a lock of these packages, each with its marker or an empty text."""
        packages = []
        for name, marker in sorted(names.items()):
            project = self.projects[name]
            content = project.build()
            hashes = {"sha256": sha256(content).hexdigest()}
            wheel = {"name": project.filename, "url": self.url_of(project), "size": len(content), "hashes": hashes}
            entry: dict[str, object] = {"name": name, "version": project.version, "wheels": [wheel]}
            packages.append(entry | ({"marker": marker} if marker else {}))
        known = {"extras": ["all", "fancy"], "dependency-groups": ["dev", "docs"], "default-groups": []}
        return tomli_w.dumps({"lock-version": "1.0", "created-by": "tests", **known, "packages": packages}).encode()


#: The lock that a resolution of the project results in.
MARKERS: Final = {
    "my-lib-base": "",
    "my-lib-docs": "'dev' in dependency_groups or 'docs' in dependency_groups",
    "my-lib-fancy": "'all' in extras or 'fancy' in extras",
    "my-lib-heavy": "",
    "my-lib-linux": "sys_platform == 'linux' or 'all' in extras",
    "my-lib-small": "",
    "my-lib-tests": "'dev' in dependency_groups",
    "my-lib-windows": "sys_platform == 'win32'",
}


@contextmanager
def wheel_server(projects: Sequence[Project] | None = None) -> Iterator[WheelServer]:
    """Serve wheels, by default those of the project, on loopback until the end of the block."""
    with LocalIndex() as index:
        server = WheelServer(index=index)
        server.add(wheels() if projects is None else projects)
        yield server


def new_project(folder: Path, lock: bytes | None = None) -> Path:
    """Copy the project into a folder, with a lock if one is given; return it."""
    shutil.copytree(PROJECT, folder)
    if lock is not None:
        (folder / "pylock.toml").write_bytes(lock)
    return folder
