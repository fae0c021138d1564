"""Builds wheels and sdists without any build tool: the same input gives the same bytes.

An sdist contains its own build backend, if one is given.
"""

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

BUILT_AT: Final = 1_704_067_200  # 2024-01-01T00:00:00Z
ZIPPED_AT: Final = (2024, 1, 1, 0, 0, 0)
PYPROJECT: Final = '[build-system]\nrequires = {requires}\nbuild-backend = "_backend"\nbackend-path = ["."]\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A wheel or an sdist to build: its metadata and its files, by their paths in the archive.

    `metadata` are further headers; `metadata_name` is a name for METADATA that differs from the file's.
    """

    name: str
    version: str = "1.0"
    kind: Literal["wheel", "sdist"] = "wheel"
    tag: str = "py3-none-any"
    purelib: bool = True
    requires: tuple[str, ...] = ()
    requires_python: str | None = None
    build_requires: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    metadata_name: str | None = None
    generator: str = "the-pypi-place"
    #: The source of an sdist's build backend.
    backend: bytes = b""
    #: Of an sdist, from 0 to 9; with 0 the bytes do not depend on the version of zlib.
    compression: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The beginning of its filename: name and version."""
        return f"{self.name.replace('-', '_')}-{self.version}"

    @property
    def filename(self) -> str:
        """Its filename."""
        return f"{self.stem}-{self.tag}.whl" if self.kind == "wheel" else f"{self.stem}.tar.gz"

    def build(self) -> bytes:
        """Return the bytes of the wheel or sdist."""
        return self._wheel() if self.kind == "wheel" else self._sdist()

    def _headers(self) -> bytes:
        version = "2.5" if any(line.startswith("Import-Name") for line in self.metadata) else "2.1"
        lines = [f"Metadata-Version: {version}", f"Name: {self.metadata_name or self.name}", f"Version: {self.version}"]
        lines += [f"Requires-Python: {self.requires_python}"] if self.requires_python else []
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        return "\n".join([*lines, *self.metadata, ""]).encode()

    def _wheel(self) -> bytes:
        info = f"{self.stem}.dist-info"
        root = str(self.purelib).lower()
        wheel = f"Wheel-Version: 1.0\nGenerator: {self.generator}\nRoot-Is-Purelib: {root}\nTag: {self.tag}\n".encode()
        content = {**self.files, f"{info}/METADATA": self._headers(), f"{info}/WHEEL": wheel}
        record = [f"{name},sha256={_urlsafe_sha256(data)},{len(data)}" for name, data in content.items()]
        content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in content.items():
                archive.writestr(zipfile.ZipInfo(name, ZIPPED_AT), data)
        return buffer.getvalue()

    def _sdist(self) -> bytes:
        pyproject = PYPROJECT.format(requires=list(self.build_requires)).encode()
        content = {"PKG-INFO": self._headers(), "pyproject.toml": pyproject, "_backend.py": self.backend, **self.files}
        buffer = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=self.compression, mtime=BUILT_AT) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for name, data in content.items():
                member = tarfile.TarInfo(f"{self.stem}/{name}")
                member.size, member.mtime = len(data), BUILT_AT
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()


def _urlsafe_sha256(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
