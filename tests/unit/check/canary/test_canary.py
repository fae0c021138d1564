"""The canary on a scripted runtime: silent where all is well, and a fault for whatever else is broken."""

import importlib.machinery
import importlib.util
import json
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from cell_environments import ALPINE, SLIM, tiny_matrix
from fake_runtime import PROVED, FakeRuntime, Files, ScriptedCommand, prepared_environment
from sample_record import SAMPLE_RECORD

from ppp.check.canary import releases
from ppp.check.canary.canary import Canary, CanaryIndex, Fault, FaultKind, compare_record, write_local_projects
from ppp.check.canary.releases import CanaryRelease, canary_files, canary_releases
from ppp.check.cell import Checker
from ppp.check.index.choose import IndexFile
from ppp.check.index.client import DownloadError
from ppp.check.runtime import PreparedEnvironment
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.matrix import Environment
from ppp.model.record import (
    Blame,
    DistributionFile,
    Installed,
    Network,
    Outcome,
    Phase,
    Record,
    Result,
    outcomes_in_order,
)
from ppp.model.record import sha256_hex as sha256

#: A distribution as a cell tells of it: name, version, sha256.
Row: TypeAlias = tuple[str, str, str]
EXTENSIONS: Final = Path(releases.__file__).parent / "extensions"
SCRIPT: Final = Path(__file__).parents[4] / "scripts" / "canary-extension"
CANARY: Final = "the-pypi-place-canary"
TWIN: Final = f"{CANARY}-twin"
#: What a virtual environment holds to begin with, and what the canary puts beside that.
FRESH: Final = {"pyvenv.cfg", "bin/python"}
NEIGHBOUR: Final = "lib/python3.12/site-packages/neighbour.txt"
UJSON: Final = IndexFile(
    filename="ujson-5.11.0-cp312-cp312-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    url="https://files.example/ujson.whl",
    sha256=sha256(b"ujson"),
    requires_python=">=3.9",
    yanked=False,
)
#: Bytes of every file of the canary: whoever changes what it is made of changes them here.
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
    """Give a project's name as it stands in the names of its files."""
    return package.replace("-", "_")


def own(filename: str) -> Row:
    """Give a file of the canary as it is told once installed: name, version, sha256."""
    (offer,) = (offer for offer in canary_files() if offer.index_file.filename == filename)
    return offer.package, offer.version, sha256(offer.content)


def requirements(content: bytes) -> list[str]:
    """Give the requirements that a wheel or sdist of ours, which is not compressed, names in its metadata."""
    lines = content.decode("latin-1").splitlines()
    return [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]


def inspected(*rows: Row, file: str, module: str | None = None) -> ScriptedCommand:
    """Give what the program says that looks at an installation."""
    content = next((offer.content for offer in canary_files() if offer.index_file.filename == file), b"")
    return ScriptedCommand(
        output=json.dumps(
            {
                "installed": rows,
                "target": {
                    "paths": [f"{module or file.partition('-')[0]}/__init__.py"],
                    "import_names": None,
                    "top_level": [],
                },
                "needs": {"requires": requirements(content), "markers": {"python_version": "3.12"}},
            }
        ).encode()
    )


WHEEL: Final = f"{stem(CANARY)}-1.0-cp39-abi3-manylinux_2_17_x86_64.whl"
TWIN_2: Final = f"{stem(TWIN)}-2.0.tar.gz"
TWIN_3, TWIN_4 = (f"{stem(TWIN)}-{version}-py3-none-any.whl" for version in ("3.0", "4.0"))
NEST, STRAW, FOSSIL = (own(f"{stem(CANARY)}_{n}-1.0+ours-py3-none-any.whl") for n in ("nest", "straw", "fossil"))


@dataclass(kw_only=True)
class Behind:
    """The index behind the canary's: see `ppp.check.index.client.Index`."""

    folder: Path
    trouble: Exception | None = None

    def files(self, package: str) -> tuple[IndexFile, ...]:
        if self.trouble:
            raise self.trouble
        assert package == "ujson"
        return (UJSON,)

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        assert timeout_s > 0
        assert max_bytes > 0
        path = self.folder / file.filename
        path.write_bytes(b"ujson")
        return path


@dataclass(kw_only=True)
class Healthy:
    """The script of an environment where all is well; `acts` puts another act in place of a step's, by its name."""

    prepared: PreparedEnvironment
    acts: dict[str, ScriptedCommand] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    file: str = ""
    installed: bool = False
    full: bool = False
    neighbour: bool = False
    took: list[str] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], _files: Files) -> ScriptedCommand:
        name, act = self._step(argv)
        self.took.append(name)
        return self.acts.get(name, act)

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
        acts = {f"nodeps {TWIN_2}": CANNOT_BUILD, f"full {TWIN_3}": LACKS}
        name = f"{'full' if self.full else 'nodeps'} {self.file}"
        return name, acts.get(name, ScriptedCommand())

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
        (song,) = (song for song in canary_releases() if song.prints)
        return "command", ScriptedCommand(output=f"{song.expected_output(self.prepared)}\n".encode())

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
class Cage:
    """A canary on fakes."""

    folder: Path
    behind: Behind
    prepared: PreparedEnvironment = field(default_factory=glibc)
    acts: dict[str, ScriptedCommand] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    script: Healthy | None = None
    runtime: FakeRuntime | None = None

    def sing(self) -> tuple[Fault, ...]:
        matrix = tiny_matrix(self.prepared.environment, timeouts_s={"nodeps": 1})
        self.script = Healthy(prepared=self.prepared, acts=self.acts, left=self.left)
        self.runtime = FakeRuntime(matrix, self.script)
        checker = Checker(index=self.behind, runtime=self.runtime, matrix=matrix, node="ab" * 32)
        faults = Canary(checker=checker, folder=self.folder).check(self.prepared)
        assert not self.runtime.open
        assert {fault.environment for fault in faults} <= {self.prepared.environment.id}
        return faults

    def fault(self) -> Fault:
        """Give the one fault that there is."""
        (fault,) = self.sing()
        return fault

    @property
    def took(self) -> list[str]:
        assert self.script is not None
        return self.script.took


@pytest.fixture
def cage(tmp_path: Path) -> Cage:
    (tmp_path / "index").mkdir()
    return Cage(folder=tmp_path / "canary", behind=Behind(folder=tmp_path / "index"))


# ---------------------------------------------------------------- where all is well


PY39: Final = Environment(id="py39-slim", python="3.9", platform=SLIM.platform, image="python:3.9-slim")


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(glibc(), id="glibc"),
        pytest.param(glibc(network=Network.OPEN), id="open"),
        pytest.param(glibc(PY39), id="old"),
        pytest.param(
            glibc(ALPINE, tags=("cp312-cp312-manylinux_2_28_x86_64", "cp39-abi3-musllinux_1_1_x86_64", "py3-none-any")),
            id="musl",
        ),
        pytest.param(glibc(arch="riscv64", tags=("py3-none-any",)), id="another processor"),
    ],
)
def test_a_healthy_environment_has_no_fault(cage: Cage, where: PreparedEnvironment) -> None:
    cage.prepared = where
    assert cage.sing() == ()
    assert cage.took.count("command") == cage.took.count("uninstall") == 1


def test_everything_runs_in_one_sandbox_that_is_emptied_in_between(cage: Cage) -> None:
    cage.sing()
    assert cage.took.count("begin") == 1
    # Between the five songs that reach a sandbox, and before the two installations with dependencies.
    assert cage.took.count("reset") == 4 + 2
    firsts = [n for n, name in enumerate(cage.took) if name.startswith("nodeps")]
    assert all(cage.took[n - 1] == "reset" for n in firsts[1:])


def test_the_network_is_taken_once_and_not_needed_afterwards(cage: Cage) -> None:
    cage.sing()
    assert cage.took.count("isolate") == 1
    after = cage.took[cage.took.index("isolate") :]
    assert not [name for name in after if name.startswith("full")]


def test_only_on_the_open_network_pip_looks_where_the_files_are(cage: Cage) -> None:
    looking = []
    for network in (Network.GATEWAY, Network.OPEN):
        cage.prepared = glibc(network=network)
        cage.sing()
        assert cage.runtime is not None
        installing = [argv for argv in cage.runtime.commands if list(argv[:2]) == ["pip", "install"]]
        assert len(installing) == 7
        looking.append({tuple(argv[2:4]) == ("--find-links", "/fake/file") for argv in installing})
    assert looking == [{False}, {True}]


def test_each_file_stands_where_the_sandbox_sees_it(cage: Cage) -> None:
    cage.sing()
    assert cage.runtime is not None
    installed = {argv[-1] for argv in cage.runtime.commands if list(argv[:2]) == ["pip", "install"]}
    assert {Path(path).parent for path in installed} == {Path("/fake/file")}
    there = {path.name for path in cage.folder.iterdir()}
    assert there == {*SHA256, UJSON.filename}
    assert {Path(path).name for path in installed} <= there


def test_singing_twice_writes_nothing_twice(cage: Cage) -> None:
    cage.sing()
    before = {path.name: path.stat().st_mtime_ns for path in cage.folder.iterdir()}
    (cage.folder / "the_pypi_place_canary_twin-2.0.tar.gz").write_bytes(b"damaged")
    assert cage.sing() == ()
    after = {path.name: path.stat().st_mtime_ns for path in cage.folder.iterdir()}
    assert {name for name, when in after.items() if when != before[name]} == {"the_pypi_place_canary_twin-2.0.tar.gz"}


# ---------------------------------------------------------------- one thing is broken


NO_LIBC: Final = ScriptedCommand(
    output=b"ImportError: libc.so.6: cannot open shared object file: No such file or directory\n", exit_code=1
)


@pytest.mark.parametrize(
    ("step", "act", "kind", "words"),
    [
        # The twin must fail, in its phase and for its reason.
        (
            f"nodeps {TWIN_2}",
            ScriptedCommand(),
            "verdict",
            "twin==2.0 had to result in FAIL in nodeps (build-backend, package)",
        ),
        (
            f"nodeps {TWIN_2}",
            ScriptedCommand(takes_s=1.1),
            "verdict",
            "resulted in TIMEOUT in nodeps (timeout, unknown)",
        ),
        (
            f"nodeps {TWIN_2}",
            ScriptedCommand(exit_code=1, output=b"?\n"),
            "verdict",
            "resulted in FAIL in nodeps (unclassified,",
        ),
        (
            f"inspect {TWIN_3}",
            inspected(own(TWIN_3), file=TWIN_4),
            "verdict",
            "twin==3.0 had to result in FAIL in full (no-",
        ),
        (f"full {TWIN_3}", ScriptedCommand(), "verdict", "but resulted in FAIL in import"),
        (
            f"import {TWIN_4}",
            PROVED,
            "verdict",
            "twin==4.0 had to result in FAIL in import (import-error, package), but",
        ),
        (f"import {TWIN_4}", ScriptedCommand(), "verdict", "resulted in FAIL in import (exits, package)"),
        (
            f"import {TWIN_4}",
            ScriptedCommand(exit_code=-9, oom=True),
            "verdict",
            "resulted in ERROR in import (oom, infrastructure)",
        ),
        # The canary must sing, with all that it needs and nothing else.
        (
            f"nodeps {WHEEL}",
            ScriptedCommand(exit_code=1),
            "verdict",
            "canary==1.0 had to result in PASS, but resulted in FAIL in nodeps",
        ),
        (f"full {WHEEL}", LACKS, "verdict", "resulted in FAIL in full (no-distribution, dependency)"),
        (f"import {WHEEL}", NO_LIBC, "verdict", "resulted in FAIL in import (shared-library, environment)"),
        (f"import {WHEEL}", ScriptedCommand(exit_code=-11), "verdict", "resulted in FAIL in import (crash, package)"),
        (
            f"inspect {WHEEL}",
            inspected(own(WHEEL), NEST, file=WHEEL),
            "verdict",
            "had to install the-pypi-place-canary-straw",
        ),
        (f"inspect {WHEEL}", inspected(own(WHEEL), NEST, STRAW, FOSSIL, file=WHEEL), "verdict", "nothing more, but"),
        (
            f"inspect {WHEEL}",
            inspected(own(WHEEL), NEST, (STRAW[0], "99", STRAW[2]), file=WHEEL),
            "verdict",
            "straw==99",
        ),
        (f"inspect {WHEEL}", inspected(own(WHEEL), NEST, (*STRAW[:2], "5a" * 32), file=WHEEL), "verdict", "(5a5a5a5a"),
        (
            f"inspect {WHEEL}",
            inspected(own(WHEEL), NEST, STRAW, file=WHEEL, module="x"),
            "verdict",
            "had to import the_pypi",
        ),
        (
            f"inspect {WHEEL}",
            ScriptedCommand(output=b"?"),
            "machine",
            "resulted in ERROR in nodeps (sandbox, infrastructure)",
        ),
        # And so must the wheel that is not ours.
        (f"import {UJSON.filename}", ScriptedCommand(exit_code=-11), "verdict", "ujson==5.11.0 had to result in PASS"),
        (
            f"nodeps {UJSON.filename}",
            ScriptedCommand(exit_code=1),
            "verdict",
            "but resulted in FAIL in nodeps (unclassified, unknown)",
        ),
        # Its command, and what is left of it.
        (
            "command",
            ScriptedCommand(output=b"14 notes in pure, presto, on straw\n"),
            "command",
            "had to print '14 notes in glibc,",
        ),
        (
            "command",
            ScriptedCommand(exit_code=127, output=b"not found\n"),
            "command",
            "ended with 127 and printed 'not found'",
        ),
        (
            "uninstall",
            ScriptedCommand(exit_code=2, output=b"denied\n"),
            "remains",
            "but pip ended with 2 and printed 'denied'",
        ),
        # The machine.
        (
            "begin",
            ScriptedCommand(lost="no engine"),
            "machine",
            "resulted in ERROR in nodeps (sandbox, infrastructure): no engine",
        ),
        ("list", ScriptedCommand(exit_code=1), "machine", "a program of the canary ended with 1"),
        (
            "isolate",
            ScriptedCommand(lost="it is gone"),
            "machine",
            "canary==1.0 had to result in PASS, but resulted in ERROR in import",
        ),
        (
            "neighbour",
            ScriptedCommand(lost="it is gone"),
            "machine",
            "lost after the-pypi-place-canary==1.0: it is gone",
        ),
    ],
)
def test_whatever_is_broken_is_told(cage: Cage, step: str, act: ScriptedCommand, kind: str, words: str) -> None:
    cage.acts = {step: act}
    fault = cage.fault()
    assert fault.kind == kind
    assert words in str(fault)
    assert step in cage.took


def test_an_old_python_must_get_what_its_marker_asks_for(cage: Cage) -> None:
    cage.prepared = glibc(PY39)
    cage.acts = {f"inspect {WHEEL}": inspected(own(WHEEL), NEST, STRAW, file=WHEEL)}
    assert f"{CANARY}-fossil==1.0+ours" in str(cage.fault())


def test_another_file_than_the_platforms_own_is_told(cage: Cage) -> None:
    cage.prepared = glibc(tags=("cp312-cp312-manylinux_2_28_x86_64", "py3-none-any"))
    fault = cage.fault()
    assert str(fault) == (f"{CANARY}==1.0 had to choose {WHEEL}, but chose {stem(CANARY)}-1.0-py3-none-any.whl instead")


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ({"bin/stray"}, "had to leave nothing behind, but left bin/stray"),
        ({"b", "a\x1b[31m"}, "but left a [31m, b"),
    ],
)
def test_what_uninstalling_leaves_is_told(cage: Cage, left: set[str], words: str) -> None:
    cage.left = left
    fault = cage.fault()
    assert (fault.kind, words in str(fault)) == (FaultKind.REMAINS, True)


def test_what_uninstalling_takes_too_much_is_told(cage: Cage) -> None:
    cage.acts = {"neighbour": ScriptedCommand(output=b"lib/another.txt\n" + NEIGHBOUR.encode())}
    fault = cage.fault()
    assert (fault.kind, "but removed lib/another.txt" in str(fault)) == (FaultKind.REMAINS, True)


def test_a_lost_sandbox_is_told_once(cage: Cage) -> None:
    cage.acts = {"reset": ScriptedCommand(lost="the engine went away")}
    assert cage.fault().kind is FaultKind.MACHINE
    assert not [name for name in cage.took if name.startswith("import")]


@pytest.mark.parametrize(
    "trouble",
    [
        IndexUnreachableError("the package index gave no page", hint="check the network"),
        UnknownPackageError("the index has no package 'ujson'", hint=""),
    ],
)
def test_an_index_that_cannot_be_reached_is_a_fault_of_its_own_kind(cage: Cage, trouble: Exception) -> None:
    cage.behind.trouble = trouble
    fault = cage.fault()
    assert fault.kind is FaultKind.INDEX
    assert "ujson==5.11.0 had to result in PASS, but resulted in ERROR in download (network, infrastructure)" in str(
        fault
    )


def test_so_is_a_gateway_that_a_cell_cannot_reach(cage: Cage) -> None:
    retries = b"WARNING: Retrying (Retry(total=0, connect=None)) after connection broken\n" + LACKS.output
    cage.acts = {f"full {name}": ScriptedCommand(output=retries, exit_code=1) for name in (TWIN_3, WHEEL)}
    assert [fault.kind for fault in cage.sing()] == [FaultKind.INDEX, FaultKind.INDEX]


def test_a_folder_that_cannot_be_written_is_the_machines_fault(cage: Cage) -> None:
    cage.folder.write_text("in the way")
    fault = cage.fault()
    assert (fault.kind, "the canary's files cannot be written" in str(fault)) == (FaultKind.MACHINE, True)


# ---------------------------------------------------------------- what a record must tell


def records() -> Iterator[tuple[CanaryRelease, Record]]:
    """Give each song with the record that a healthy environment makes of it."""
    where = glibc()
    for song in canary_releases():
        package, version = song.release.package, song.release.version
        file = next((o for o in canary_files() if (o.package, o.version) == (package, version)), None)
        filename = song.expected_filename(where) or (file.index_file.filename if file else UJSON.filename)
        names = set(song.expected_installed(where))
        rows = {own(n) for n in (WHEEL, *SHA256) if own(n)[0] in names and own(n)[0] != package} | {
            (package, version, "12" * 32) for _ in names & {package}
        }
        outcomes = {
            phase: Outcome.PASS
            for phase in Phase
            if song.phase is None or list(Phase).index(phase) < list(Phase).index(song.phase)
        }
        if song.phase:
            outcomes[song.phase] = Outcome(song.result)
        yield (
            song,
            replace(
                SAMPLE_RECORD,
                release=song.release,
                environment=where.environment.id,
                result=song.result,
                outcomes=outcomes_in_order(outcomes),
                file=DistributionFile(filename=filename, sha256="12" * 32, size=1),
                imports=song.imports,
                installed=tuple(Installed(name=n, version=v, sha256=h) for n, v, h in sorted(rows)),
                cause=song.cause,
                blame=song.blame,
            ),
        )


PASSES: Final = outcomes_in_order(dict.fromkeys(Phase, Outcome.PASS))
CHANGES: Final = ("result", "phase", "cause", "blame", "one import more", "other imports", "one distribution more")


def changed(record: Record, change: str) -> Record:
    """Give a record that tells one thing differently."""
    elsewhere = PASSES if record.failed_phase else outcomes_in_order({Phase.DOWNLOAD: Outcome.FAIL})
    fields: dict[str, dict[str, Any]] = {
        "result": {"result": Result.TIMEOUT},
        "phase": {"outcomes": elsewhere},
        "cause": {"cause": "unclassified"},
        "blame": {"blame": Blame.UNKNOWN},
        "one import more": {"imports": (*record.imports, "another")},
        "other imports": {"imports": record.imports[1:] or ("another",)},
        "one distribution more": {"installed": (*record.installed, Installed(name="z", version="1", sha256=None))},
    }
    return replace(record, **fields[change])


@pytest.mark.parametrize(("song", "record"), list(records()), ids=[str(song.release) for song in canary_releases()])
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_a_record_tells_differently_is_a_fault(song: CanaryRelease, record: Record, change: str) -> None:
    assert list(compare_record(song, record, glibc())) == []
    (fault,) = compare_record(song, changed(record, change), glibc())
    assert str(song.release) in str(fault)


def test_the_songs_fail_in_each_phase_in_turn_and_pass() -> None:
    assert [song.phase for song in canary_releases()] == [
        Phase.DOWNLOAD,
        Phase.NODEPS,
        Phase.FULL,
        None,
        Phase.IMPORT,
        None,
    ]
    assert {song.release.package for song in canary_releases()} == {CANARY, TWIN, "ujson"}


# ---------------------------------------------------------------- the canary's files


def test_the_files_are_the_same_bytes_everywhere() -> None:
    assert {offer.index_file.filename: sha256(offer.content)[:16] for offer in canary_files()} == SHA256


def test_the_index_tells_the_truth_but_of_one_twin(tmp_path: Path) -> None:
    lies = [o.index_file.filename for o in canary_files() if o.index_file.sha256 != sha256(o.content)]
    assert lies == ["the_pypi_place_canary_twin-1.0-py3-none-any.whl"]
    index = CanaryIndex(fallback=Behind(folder=tmp_path), folder=tmp_path)
    for offer in canary_files():
        (tmp_path / offer.index_file.filename).write_bytes(offer.content)
        assert offer.index_file in index.files(offer.package)
        if offer.index_file.filename in lies:
            with pytest.raises(DownloadError, match="the index says 0000") as caught:
                index.fetch(offer.index_file, timeout_s=1, max_bytes=1)
            assert caught.value.cause == "hash"
        else:
            assert index.fetch(offer.index_file, timeout_s=1, max_bytes=1).read_bytes() == offer.content


def test_the_overlay_holds_what_is_depended_on_and_nothing_else(tmp_path: Path) -> None:
    write_local_projects(tmp_path)
    first = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert set(first) == {
        f"{CANARY}-{name}/{stem(CANARY)}_{name}-1.0+ours-py3-none-any.whl" for name in ("nest", "straw", "fossil")
    }
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write_local_projects(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps


def test_nobody_else_can_own_what_is_depended_on() -> None:
    depended_on = [offer for offer in canary_files() if offer.is_dependency]
    assert len(depended_on) == 3
    assert all("+" in offer.version for offer in depended_on)
    wanted = [line for offer in canary_files() for line in requirements(offer.content)]
    assert len(wanted) > 10
    assert all(line.partition(";")[0].strip().endswith("==1.0+ours") for line in wanted)


# ---------------------------------------------------------------- the compiled module


NEEDS: Final = {
    "glibc-x86_64.so": (b"libc.so.6", 62),
    "glibc-aarch64.so": (b"libc.so.6", 183),
    "musl-x86_64.so": (b"libc.musl-x86_64.so.1", 62),
    "musl-aarch64.so": (b"libc.musl-aarch64.so.1", 183),
}


@pytest.mark.parametrize("name", NEEDS)
def test_each_voice_is_for_its_processor_and_needs_its_library(name: str) -> None:
    library, machine = NEEDS[name]
    data = (EXTENSIONS / name).read_bytes()
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[18:20], "little") == machine
    assert [needed for needed, _ in NEEDS.values() if needed + b"\0" in data] == [library] * (
        2 if library == b"libc.so.6" else 1
    )
    assert len(data) < 8192


def test_a_voice_counts_with_this_machines_library() -> None:
    libc = "glibc" if platform.libc_ver()[0] == "glibc" else "musl"
    path = EXTENSIONS / f"{libc}-{platform.machine()}.so"
    if not path.exists():
        pytest.skip(f"no voice for {platform.machine()}")
    loader = importlib.machinery.ExtensionFileLoader("_voice", str(path))
    spec = importlib.util.spec_from_loader("_voice", loader)
    assert spec is not None
    voice = importlib.util.module_from_spec(spec)
    loader.exec_module(voice)
    assert voice.sing("tsip tsip tsip") == f"14 notes in {libc}"
    assert voice.sing("") == f"0 notes in {libc}"
    with pytest.raises(TypeError):
        voice.sing(1)


def test_the_voices_in_the_tree_are_what_their_source_gives(tmp_path: Path) -> None:
    for tool in ("clang", "ld.lld"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool}")
    linker = subprocess.run(["ld.lld", "--version"], capture_output=True, check=True).stdout.partition(b" (")[0]
    if linker not in (EXTENSIONS / "glibc-x86_64.so").read_bytes():
        pytest.skip(f"the voices in the tree are not {linker.decode()}'s")
    subprocess.run([SCRIPT, tmp_path], check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        name: (EXTENSIONS / name).read_bytes() for name in NEEDS
    }


def test_without_a_compiler_the_script_says_so(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    done = subprocess.run([SCRIPT, tmp_path], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (done.returncode, "no clang on this machine" in done.stderr) == (71, True)
