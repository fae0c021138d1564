"""The projects of `tests/packages/hostile/`, and a listener on this machine that they try to reach.

What no folder can hold, such as a file of two gigabytes or a path that leads outside, is generated here. `@WORDS@` in a
project's files and specification are replaced by what the test says. None of them may run outside a sandbox, except
where a test says so.
"""

import io
import socket
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from projects import PACKAGES, Project

from ppp.check.canary.distributions import BUILT_AT, ZIPPED_AT

HOSTILE: Final = PACKAGES / "hostile"
#: A package that prints this has reached a listener.
MARK: Final = "this is the listener"
MIB: Final = 1024 * 1024
BOMB_MIB: Final = 2048
#: The project that runs beside and after each hostile one, and whose pages one of them tries to poison.
BYSTANDER: Final = "bystander"


class HostileProject(Project):
    """A project of this folder; the files of some are generated."""

    __slots__ = ()

    def build(self) -> bytes:
        return _made(self.name) if self.name in MAKERS else Project.build(self)


@cache
def _made(name: str) -> bytes:
    return MAKERS[name](Project.read(HOSTILE / name))


def hostile_projects(words: Mapping[str, str]) -> Iterator[HostileProject]:
    """Yield every hostile project, with these words in their places."""
    for spec in sorted(HOSTILE.glob("*/spec.toml")):
        yield _spelled(HostileProject.read(spec.parent), words)


def _spelled(project: HostileProject, words: Mapping[str, str]) -> HostileProject:
    def spell(text: str) -> str:
        for word, meant in words.items():
            text = text.replace(f"@{word}@", meant)
        return text

    texts = {name: data.decode() for name, data in project.files.items()}
    return replace(
        project,
        requires=tuple(map(spell, project.requires)),
        files={name: spell(text).encode() for name, text in texts.items()},
    )


def _wheel(project: Project, *, metadata: bytes = b"", record: bytes = b"", files: Mapping[str, bytes]) -> bytes:
    """Return a wheel's bytes, deflated. RECORD may be incomplete: pip adds to it."""
    info = f"{project.stem}.dist-info"
    headers = f"Metadata-Version: 2.1\nName: {project.name}\nVersion: {project.version}\n".encode()
    tags = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    own = {f"{info}/METADATA": headers + metadata, f"{info}/WHEEL": tags, f"{info}/RECORD": record}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in {**project.files, **files, **own}.items():
            member = zipfile.ZipInfo(name, ZIPPED_AT)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    return buffer.getvalue()


def _zip_bomb(project: Project) -> bytes:
    """Return a wheel of two megabytes with a file of two gigabytes: the same compressed zeros, again and again."""
    zeros = bytes(MIB)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    data = packed * BOMB_MIB + packer.flush()
    checksum = 0
    for _ in range(BOMB_MIB):
        checksum = zlib.crc32(zeros, checksum)
    plain = _wheel(project, files={"zip_bomb.bin": b""})
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        texts = {name: archive.read(name) for name in archive.namelist() if name != "zip_bomb.bin"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, ZIPPED_AT), text)
        member = zipfile.ZipInfo("zip_bomb.bin", ZIPPED_AT)
        member.compress_type, member.CRC = zipfile.ZIP_DEFLATED, checksum
        member.compress_size, member.file_size = len(data), BOMB_MIB * MIB
        member.header_offset = buffer.tell()
        buffer.write(member.FileHeader() + data)
        archive.filelist.append(member)
        archive.NameToInfo[member.filename] = member
        archive.start_dir = buffer.tell()
        # The archive's directory is written again only if this is set.
        archive._didModify = True  # type: ignore[attr-defined]
    return buffer.getvalue()


def _many_files(project: Project) -> bytes:
    some = bytes(8192)
    return _wheel(project, files={f"f/{n % 100}/{n}": some for n in range(100_000)})


def _long_record(project: Project) -> bytes:
    return _wheel(
        project, record=b"".join(b"long_record_data/%d/no_such_file.py,,\n" % n for n in range(100_000)), files={}
    )


def _traversing(project: Project) -> bytes:
    return _wheel(project, files={"../../../../../../tmp/hostile": b"", "/var/hostile": b"", "traverses/../../x": b""})


def _huge_summary(project: Project) -> bytes:
    return _wheel(project, metadata=b"Summary: " + b"x" * (10 * MIB) + b"\n", files={})


def _binary_metadata(project: Project) -> bytes:
    return _wheel(project, metadata=b"Summary: \xff\xfe\x00\x1b[2J\nKeywords: \x00\x00\nX-\xff: \xc0\x80\n", files={})


def _many_requirements(project: Project) -> bytes:
    lines = (f"Requires-Dist: no-such-{n}; python_version < '3'\n" for n in range(10_000))
    return _wheel(project, metadata="".join(lines).encode(), files={})


def _escaping_sdist(project: Project) -> bytes:
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(project.build()), mode="r:gz") as plain,
        tarfile.open(fileobj=buffer, mode="w:gz") as archive,
    ):
        for name, kind, target in (
            ("link", tarfile.SYMTYPE, "/"),
            ("link/tmp/hostile", tarfile.REGTYPE, ""),
            ("../../../../tmp/hostile", tarfile.REGTYPE, ""),
            ("/var/hostile", tarfile.REGTYPE, ""),
            ("hard", tarfile.LNKTYPE, "/etc/passwd"),
            ("device", tarfile.BLKTYPE, ""),
        ):
            member = tarfile.TarInfo(f"{project.stem}/{name}" if not name.startswith("/") else name)
            member.type, member.linkname, member.mtime = kind, target, BUILT_AT
            archive.addfile(member)
        for member in plain:
            archive.addfile(member, plain.extractfile(member))
    return buffer.getvalue()


MAKERS: Final[Mapping[str, Callable[[Project], bytes]]] = {
    "zip-bomb": _zip_bomb,
    "hundred-thousand-files": _many_files,
    "long-record": _long_record,
    "traverses": _traversing,
    "tar-escapes": _escaping_sdist,
    "huge-summary": _huge_summary,
    "binary-metadata": _binary_metadata,
    "many-requirements": _many_requirements,
}


class RecordingListener:
    """Answers HTTP and DNS at an address, and HTTP on a socket in a folder and one outside; `requests` lists them."""

    def __init__(self, hosts: list[str], folder: Path) -> None:
        self.requests: list[str] = []
        self.path, self.abstract = folder / "listener", f"ppp-hostile-{folder.name}"
        self.addresses: list[str] = []
        self._open: list[socket.socket] = []
        for host in hosts:
            tcp = socket.create_server((host, 0))
            port = tcp.getsockname()[1]
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((host, port))
            self.addresses.append(f"{host}:{port}")
            self._serve(tcp, self._http)
            self._serve(udp, self._dns)
        for where in (str(self.path), f"\0{self.abstract}"):
            local = socket.socket(socket.AF_UNIX)
            local.bind(where)
            local.listen()
            self._serve(local, self._http)
        self.path.chmod(0o666)

    def _serve(self, listening: socket.socket, answer: Callable[[socket.socket], None]) -> None:
        def serve() -> None:
            while True:
                try:
                    answer(listening)
                except OSError:
                    if listening.fileno() < 0:
                        return

        # Closing a socket does not wake a thread that waits for it: a timeout does.
        listening.settimeout(0.2)
        self._open.append(listening)
        threading.Thread(target=serve, daemon=True).start()

    def _http(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(1)
            self.requests.append("http")
            connection.recv(4096)
            connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{MARK}\n".encode())

    def _dns(self, listening: socket.socket) -> None:
        question, asker = listening.recvfrom(512)
        self.requests.append("dns")
        head = question[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0) + question[12:]
        answer = MARK.encode()
        listening.sendto(head + struct.pack(">3HIHB", 0xC00C, 16, 1, 60, len(answer) + 1, len(answer)) + answer, asker)

    def close(self) -> None:
        for listening in self._open:
            listening.close()
        self.path.unlink()
