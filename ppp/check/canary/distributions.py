"""Builds wheels and sdists of what it is given. No tool is needed, and the same input gives the same bytes.

An sdist is built by the backend that lies in it, where one is given.
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
    """A wheel or an sdist to be built: its metadata and its files, by their paths inside it.

    `metadata` holds further headers, `metadata_name` a name for METADATA that is not the file's own.
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
    #: Of an sdist, from 0 to 9; without any the bytes are the same whatever zlib packs them.
    compression: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Give what its filename begins with."""
        return f"{self.name.replace('-', '_')}-{self.version}"

    @property
    def filename(self) -> str:
        """Give its filename."""
        return f"{self.stem}-{self.tag}.whl" if self.kind == "wheel" else f"{self.stem}.tar.gz"

    def build(self) -> bytes:
        """Give the bytes of its wheel or sdist."""
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
