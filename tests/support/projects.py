"""Builds the tiny projects of `tests/packages/`, one for each way in which a cell can end.

A project is a folder with a `spec.toml` and, under `files/`, what goes into its wheel or sdist. Building needs no tool
and gives the same bytes each time. An sdist is built by `_backend.py`, which needs only the standard library.
"""

import io
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from ppp.check.canary.distributions import Distribution
from ppp.model.matrix import Environment

PACKAGES: Final = Path(__file__).parents[1] / "packages"
BACKEND: Final = (PACKAGES / "_backend.py").read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedResult:
    """The expected result of a cell; `phase` is the first that is not settled. What is None is not compared."""

    result: str = ""
    phase: str | None = None
    cause: str | None = None
    #: Another cause that is right too.
    instead: str | None = None
    blame: str | None = None
    detail: str = ""
    imports: list[str] | None = None
    #: The module that decides; an empty text where there is none.
    primary: str | None = None
    #: `MODULE OUTCOME CAUSE` of the modules that were not imported: at the top level, and inside the release.
    import_failures: list[str] | None = None
    submodules_failed: list[str] | None = None
    submodules_tried: int | None = None
    #: Why the import was skipped; the names of broken scripts; how many files RECORD misses, does not list, has wrong.
    ground: str | None = None
    scripts: list[str] | None = None
    mismatch: list[int] | None = None
    #: `PATH OWNER OWNER kept OWNER` of the files that distributions own with different contents; how many are equal.
    conflicts: list[str] | None = None
    duplicates: int = 0
    relies_on: list[str] = field(default_factory=list)
    skip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Distribution):
    """A folder of `tests/packages/`: what is built, what the index lists, and the results of its cells."""

    generator: str = "tests"
    backend: bytes = BACKEND
    compression: int = 9
    yanked: bool | str = False
    #: What the index says of the whole project, and why.
    status: str = ""
    status_reason: str = ""
    #: Whether the index lists the file.
    listed: bool = True
    #: What the index lists in place of the file's own sha256.
    announced_sha256: str | None = None
    #: What a wheel's RECORD names besides, leaves out, and has another hash for.
    recorded: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    misrecorded: tuple[str, ...] = ()
    #: What the index's copy of METADATA requires, if it has one.
    copied_requires: tuple[str, ...] | None = None
    #: The file is truncated to this many bytes.
    cut_at: int | None = None
    timeouts_s: Mapping[str, int] = field(default_factory=dict)
    #: Projects without it are only dependencies of others, and have no cells.
    expect: Mapping[str, Any] = field(default_factory=dict)

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

    def expected(self, environment: Environment) -> ExpectedResult:
        """Return the expected result: `[expect]`, or its table for the Python, the platform or the environment."""
        given = {key: value for key, value in self.expect.items() if not isinstance(value, dict)}
        for key in (environment.python, str(environment.platform), environment.id):
            given = self.expect.get(key, given)
        return ExpectedResult(**given)

    def build(self) -> bytes:
        """Return the bytes of its wheel or sdist, truncated if it says so."""
        built = Distribution.build(self)
        if self.recorded or self.unrecorded or self.misrecorded:
            built = self._with_other_record(built)
        return built[: self.cut_at]

    def index_metadata(self) -> bytes | None:
        """Return the index's copy of METADATA (PEP 658), None if it has none."""
        return None if self.copied_requires is None else replace(self, requires=self.copied_requires)._headers()

    def _with_other_record(self, wheel: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(buffer, "w") as new:
            for info in old.infolist():
                data = old.read(info)
                new.writestr(info, self._other_record(data) if info.filename.endswith("/RECORD") else data)
        return buffer.getvalue()

    def _other_record(self, record: bytes) -> bytes:
        rows = [line.split(",") for line in record.decode().splitlines()]
        kept = [
            [path, digest.replace("sha256=", "sha256=0") if path in self.misrecorded else digest, size]
            for path, digest, size in rows
            if path not in self.unrecorded
        ]
        named = [[path, "sha256=" + "A" * 43, "1"] for path in self.recorded]
        return "".join(",".join(row) + "\n" for row in (*kept, *named)).encode()


def all_projects() -> Iterator[Project]:
    """Yield every project of `tests/packages/`, by folder."""
    for spec in sorted(PACKAGES.glob("*/spec.toml")):
        yield Project.read(spec.parent)


def module_project(name: str, source: str, **spec: Any) -> Project:
    """Return a project with one module of this source."""
    return Project(name=name, files={f"{name.replace('-', '_')}.py": source.encode()}, **spec)
