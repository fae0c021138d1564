"""A healthy environment for the canary, as a script for the fake runtime, in which single steps can be replaced."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from cell_environments import SLIM, tiny_matrix
from fake_runtime import PROVED, FakeRuntime, Files, ScriptedCommand, prepared_environment

from ppp.check.canary.canary import Canary, Fault
from ppp.check.canary.releases import canary_files, canary_releases
from ppp.check.cell import Checker
from ppp.check.index.choose import IndexFile
from ppp.check.runtime import PreparedEnvironment
from ppp.model.canonical import sha256_hex as sha256
from ppp.model.matrix import Environment
from ppp.model.record import (
    Network,
)

#: An installed distribution: name, version, sha256.
Row: TypeAlias = tuple[str, str, str]
CANARY: Final = "the-pypi-place-canary"
TWIN: Final = f"{CANARY}-twin"
#: The files of a fresh virtual environment, and the one that the canary adds.
FRESH: Final = {"pyvenv.cfg", "bin/python"}
NEIGHBOUR: Final = "lib/python3.12/site-packages/neighbour.txt"
UJSON: Final = IndexFile(
    filename="ujson-5.11.0-cp312-cp312-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    url="https://files.example/ujson.whl",
    sha256=sha256(b"ujson"),
    requires_python=">=3.9",
    yanked=False,
)
#: Beginnings of the hashes of all files of the canary: to be changed with their sources.
SHA256: Final = {
    "the_pypi_place_canary-1.0-py3-none-any.whl": "dc9e1f9da3e2c238",
    "the_pypi_place_canary-1.0-cp39-abi3-manylinux_2_17_x86_64.whl": "6ff0b95a7729a01f",
    "the_pypi_place_canary-1.0-cp39-abi3-manylinux_2_17_aarch64.whl": "addb076de99782ff",
    "the_pypi_place_canary-1.0-cp39-abi3-musllinux_1_1_x86_64.whl": "2abe19c3a9c335f9",
    "the_pypi_place_canary-1.0-cp39-abi3-musllinux_1_1_aarch64.whl": "89070134f3e64e5a",
    "the_pypi_place_canary_nest-1.0+ours-py3-none-any.whl": "5ff083421a232c54",
    "the_pypi_place_canary_straw-1.0+ours-py3-none-any.whl": "4230a6580d94d9c7",
    "the_pypi_place_canary_fossil-1.0+ours-py3-none-any.whl": "635a5857fce1b3ef",
    "the_pypi_place_canary_twin-1.0-py3-none-any.whl": "4603c43fd06008be",
    "the_pypi_place_canary_twin-2.0.tar.gz": "b314f4ca5af9f3e5",
    "the_pypi_place_canary_twin-3.0-py3-none-any.whl": "5598eb90e123c7c0",
    "the_pypi_place_canary_twin-4.0-py3-none-any.whl": "2b33132a8d83f321",
}
CANNOT_BUILD: Final = ScriptedCommand(output=b"error: metadata-generation-failed\n", exit_code=1)
RAISES: Final = ScriptedCommand(
    output=b"Traceback (most recent call last):\nRuntimeError: the canary's twin\n", exit_code=1
)
LACKS: Final = ScriptedCommand(
    output=b"ERROR: No matching distribution found for the-pypi-place-canary-dodo==1.0+ours\n", exit_code=1
)


def stem(package: str) -> str:
    """Return a project's name as in the names of its files."""
    return package.replace("-", "_")


def own(filename: str) -> Row:
    """Return a file of the canary as an installed distribution."""
    (file,) = (file for file in canary_files() if file.index_file.filename == filename)
    return file.package, file.version, sha256(file.content)


def requirements(content: bytes) -> list[str]:
    """Return the requirements in the metadata of a wheel or sdist of the canary, which are not compressed."""
    lines = content.decode("latin-1").splitlines()
    return [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]


def inspected(*rows: Row, file: str, module: str | None = None) -> ScriptedCommand:
    """Return the result of an inspection with dependencies; the first row is the release itself."""
    folder = f"{stem(rows[0][0])}-{rows[0][1]}.dist-info"
    content = next((known.content for known in canary_files() if known.index_file.filename == file), b"")
    return ScriptedCommand(
        output=json.dumps(
            {
                "installed": rows,
                "requested": rows[:1],
                "folders": [folder],
                "target": {
                    "folder": folder,
                    "paths": [f"{module or file.partition('-')[0]}/__init__.py"],
                    "inner": [],
                    "import_names": None,
                    "top_level": [],
                    "entry_points": [],
                    "digests": {},
                },
                "needs": {"requires": requirements(content), "markers": {"python_version": "3.12"}},
            }
        ).encode()
    )


def alone(act: ScriptedCommand) -> ScriptedCommand:
    """Return the result of the same inspection after an installation without dependencies."""
    try:
        found = json.loads(act.output)
    except ValueError:
        return act
    return replace(act, output=json.dumps(found | {"installed": found["installed"][:1]}).encode())


WHEEL: Final = f"{stem(CANARY)}-1.0-cp39-abi3-manylinux_2_17_x86_64.whl"
TWIN_2: Final = f"{stem(TWIN)}-2.0.tar.gz"
TWIN_3, TWIN_4 = (f"{stem(TWIN)}-{version}-py3-none-any.whl" for version in ("3.0", "4.0"))
NEST, STRAW, FOSSIL = (own(f"{stem(CANARY)}_{n}-1.0+ours-py3-none-any.whl") for n in ("nest", "straw", "fossil"))


@dataclass(kw_only=True)
class FallbackIndex:
    """The index for everything but the canary's own files: see `ppp.check.index.client.Index`."""

    folder: Path
    trouble: Exception | None = None

    def files(self, package: str) -> tuple[IndexFile, ...]:
        if self.trouble:
            raise self.trouble
        assert package == "ujson"
        return (UJSON,)

    def status(self, package: str) -> None:
        """No project has a status."""

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        assert timeout_s > 0
        assert max_bytes > 0
        path = self.folder / file.filename
        path.write_bytes(b"ujson")
        return path


@dataclass(kw_only=True)
class HealthyScript:
    """The script of a healthy environment; `replaced` holds other outcomes of steps, by their names."""

    prepared: PreparedEnvironment
    replaced: dict[str, ScriptedCommand] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    file: str = ""
    installed: bool = False
    full: bool = False
    neighbour: bool = False
    steps: list[str] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], _files: Files) -> ScriptedCommand:
        name, act = self._step(argv)
        self.steps.append(name)
        act = self.replaced.get(name, act)
        return alone(act) if argv[0] == "inspect" and not self.full else act

    def _step(self, argv: Sequence[str]) -> tuple[str, ScriptedCommand]:
        name, act = argv[0], ScriptedCommand()
        match argv:
            case ["reset"]:
                self.installed, self.neighbour = False, False
            case ["pip", "install", *options]:
                self.file = Path(options[-1]).name
                self.installed, self.full = True, "--no-deps" not in options
                name, act = self._installing()
            case ["pip", "check"]:
                name = f"check {self.file}"
            case ["pip", "uninstall", "--yes", *names]:
                self.installed = False
                assert set(names) == {str(row[0]) for row in self._rows()}
                name = "uninstall"
            case ["inspect", _]:
                name, act = f"inspect {self.file}", inspected(*self._rows(), file=self.file)
            case ["prove", module]:
                name, act = f"import {self.file}", RAISES if module == stem(TWIN) else PROVED
            case ["run", *words]:
                name, act = self._running(words)
        return name, act

    def _installing(self) -> tuple[str, ScriptedCommand]:
        replaced = {f"nodeps {TWIN_2}": CANNOT_BUILD, f"full {TWIN_3}": LACKS}
        name = f"{'full' if self.full else 'nodeps'} {self.file}"
        return name, replaced.get(name, ScriptedCommand())

    def _running(self, argv: Sequence[str]) -> tuple[str, ScriptedCommand]:
        text = " ".join(argv)
        if "os.walk" in text:
            there = FRESH | ({NEIGHBOUR} | self.left if self.neighbour else set())
            return "list", ScriptedCommand(output="\n".join(sorted(there)).encode())
        if "neighbour" in text:
            self.neighbour = True
            return "neighbour", ScriptedCommand(output=NEIGHBOUR.encode())
        assert list(argv) == [f"/fake/work/env/bin/{CANARY}"]
        assert self.installed
        (expected,) = (expected for expected in canary_releases() if expected.prints)
        return "command", ScriptedCommand(output=f"{expected.expected_output(self.prepared)}\n".encode())

    def _rows(self) -> list[Row]:
        if self.file == UJSON.filename:
            return [("ujson", "5.11.0", str(UJSON.sha256))]
        rows = [own(self.file)]
        if self.full and rows[0][0] == CANARY:
            rows += [NEST, STRAW, *([FOSSIL] if self.prepared.environment.python == "3.9" else [])]
        return rows


def glibc(environment: Environment = SLIM, **facts: object) -> PreparedEnvironment:
    tags = ("cp312-cp312-manylinux_2_28_x86_64", "cp39-abi3-manylinux_2_17_x86_64", "py3-none-any")
    given: dict[str, object] = {"tags": tags, "network": Network.GATEWAY, **facts}
    return prepared_environment(environment, **given)


@dataclass(kw_only=True)
class CanaryHarness:
    """A canary with a fake runtime and index."""

    folder: Path
    fallback: FallbackIndex
    prepared: PreparedEnvironment = field(default_factory=glibc)
    replaced: dict[str, ScriptedCommand] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    script: HealthyScript | None = None
    runtime: FakeRuntime | None = None

    def check(self) -> tuple[Fault, ...]:
        matrix = tiny_matrix(self.prepared.environment, timeouts_s={"nodeps": 1})
        self.script = HealthyScript(prepared=self.prepared, replaced=self.replaced, left=self.left)
        self.runtime = FakeRuntime(matrix, self.script)
        checker = Checker(index=self.fallback, runtime=self.runtime, matrix=matrix, node="ab" * 32)
        faults = Canary(checker=checker, folder=self.folder).check(self.prepared)
        assert not self.runtime.open
        assert {fault.environment for fault in faults} <= {self.prepared.environment.id}
        return faults

    def fault(self) -> Fault:
        """Check, and return the only fault."""
        (fault,) = self.check()
        return fault

    @property
    def steps(self) -> list[str]:
        assert self.script is not None
        return self.script.steps
