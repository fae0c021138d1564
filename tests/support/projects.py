"""Builds the tiny projects of `tests/packages/`, one for each way in which a cell can end.

A project is a folder with a `spec.toml` and, under `files/`, what goes into its wheel or sdist. Building needs no tool
and gives the same bytes each time. An sdist is built by `_backend.py`, which needs only the standard library.
"""

import base64
import gzip
import hashlib
import io
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from ppp.model.matrix import Environment

PACKAGES: Final = Path(__file__).parents[1] / "packages"
BUILT_AT: Final = 1_704_067_200  # 2024-01-01T00:00:00Z
ZIPPED_AT: Final = (2024, 1, 1, 0, 0, 0)
PYPROJECT: Final = '[build-system]\nrequires = {requires}\nbuild-backend = "_backend"\nbackend-path = ["."]\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a cell must come to; `phase` is the first that does not settle. What is None is not looked at."""

    result: str = ""
    phase: str | None = None
    cause: str | None = None
    blame: str | None = None
    detail: str = ""
    imports: list[str] | None = None
    skip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A row of `tests/packages/`: what is built, what the index says of it, and what its cells come to."""

    name: str
    version: str = "1.0"
    kind: str = "wheel"
    tag: str = "py3-none-any"
    requires: tuple[str, ...] = ()
    requires_python: str | None = None
    build_requires: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    metadata_name: str | None = None
    yanked: bool = False
    #: What the index announces in place of the file's own sha256.
    announced_sha256: str | None = None
    #: Only so many bytes of the file are there.
    cut_at: int | None = None
    timeouts_s: Mapping[str, int] = field(default_factory=dict)
    #: Without any, it is there for others to depend on and is no cell's subject.
    expect: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a project's folder; a key that is not known is an error."""
        spec = tomllib.loads((folder / "spec.toml").read_text("utf-8"))
        files = folder / "files"
        tuples = {key: tuple(value) for key, value in spec.items() if isinstance(value, list)}
        found = {
            str(path.relative_to(files)): path.read_bytes()
            for path in sorted(files.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
        return cls(**{"name": folder.name, **spec, **tuples, "files": found})

    def expected(self, environment: Environment) -> Expected:
        """Say what it comes to: `[expect]`, or in its place what stands for a Python, a platform or an environment."""
        given = {key: value for key, value in self.expect.items() if not isinstance(value, dict)}
        for key in (environment.python, str(environment.platform), environment.id):
            given = self.expect.get(key, given)
        return Expected(**given)

    @property
    def stem(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}"

    @property
    def filename(self) -> str:
        return f"{self.stem}-{self.tag}.whl" if self.kind == "wheel" else f"{self.stem}.tar.gz"

    def build(self) -> bytes:
        """Give the bytes of its wheel or sdist."""
        whole = self._wheel() if self.kind == "wheel" else self._sdist()
        return whole[: self.cut_at]

    def _headers(self) -> bytes:
        version = "2.5" if any(line.startswith("Import-Name") for line in self.metadata) else "2.1"
        lines = [f"Metadata-Version: {version}", f"Name: {self.metadata_name or self.name}", f"Version: {self.version}"]
        lines += [f"Requires-Python: {self.requires_python}"] if self.requires_python else []
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        return "\n".join([*lines, *self.metadata, ""]).encode()

    def _wheel(self) -> bytes:
        info = f"{self.stem}.dist-info"
        wheel = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {self.tag}\n".encode()
        content = {**self.files, f"{info}/METADATA": self._headers(), f"{info}/WHEEL": wheel}
        record = [f"{name},sha256={_urlsafe_sha256(data)},{len(data)}" for name, data in content.items()]
        content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in content.items():
                archive.writestr(zipfile.ZipInfo(name, ZIPPED_AT), data)
        return buffer.getvalue()

    def _sdist(self) -> bytes:
        backend = (PACKAGES / "_backend.py").read_bytes()
        pyproject = PYPROJECT.format(requires=list(self.build_requires)).encode()
        content = {"PKG-INFO": self._headers(), "pyproject.toml": pyproject, "_backend.py": backend, **self.files}
        buffer = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=buffer, mode="wb", mtime=BUILT_AT) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for name, data in content.items():
                member = tarfile.TarInfo(f"{self.stem}/{name}")
                member.size, member.mtime = len(data), BUILT_AT
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()


def _urlsafe_sha256(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def all_projects() -> Iterator[Project]:
    """Give every project of `tests/packages/`, by folder."""
    for spec in sorted(PACKAGES.glob("*/spec.toml")):
        yield Project.read(spec.parent)


def importing(name: str, source: str, **spec: Any) -> Project:
    """Give a project of one module, for a test that needs one of its own."""
    return Project(name=name, files={f"{name.replace('-', '_')}.py": source.encode()}, **spec)
