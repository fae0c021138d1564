"""The canary on a scripted runtime: no fault in a healthy environment, and one for everything that can be broken."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from canary_environment import (
    CANARY,
    FOSSIL,
    LACKS,
    NEIGHBOUR,
    NEST,
    SHA256,
    STRAW,
    TWIN,
    TWIN_2,
    TWIN_3,
    TWIN_4,
    UJSON,
    WHEEL,
    CanaryHarness,
    FallbackIndex,
    glibc,
    inspected,
    own,
    stem,
)
from cell_environments import ALPINE, SLIM
from fake_runtime import PROVED, ScriptedCommand
from sample_record import SAMPLE_RECORD

from ppp.check.canary.canary import FaultKind, compare_record
from ppp.check.canary.releases import CanaryRelease, canary_files, canary_releases
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


@pytest.fixture
def harness(tmp_path: Path) -> CanaryHarness:
    (tmp_path / "index").mkdir()
    return CanaryHarness(folder=tmp_path / "canary", fallback=FallbackIndex(folder=tmp_path / "index"))


# ---------------------------------------------------------------- a healthy environment


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
def test_a_healthy_environment_has_no_fault(harness: CanaryHarness, where: PreparedEnvironment) -> None:
    harness.prepared = where
    assert harness.check() == ()
    assert harness.steps.count("command") == harness.steps.count("uninstall") == 1


def test_everything_runs_in_one_sandbox_that_is_reset_in_between(harness: CanaryHarness) -> None:
    harness.check()
    assert harness.steps.count("begin") == 1
    # Between the five releases that reach a sandbox, and before the two installations with dependencies.
    assert harness.steps.count("reset") == 4 + 2
    firsts = [n for n, name in enumerate(harness.steps) if name.startswith("nodeps")]
    assert all(harness.steps[n - 1] == "reset" for n in firsts[1:])


def test_the_sandbox_is_isolated_once_and_needs_no_network_afterwards(harness: CanaryHarness) -> None:
    harness.check()
    assert harness.steps.count("isolate") == 1
    after = harness.steps[harness.steps.index("isolate") :]
    assert not [name for name in after if name.startswith("full")]


def test_pip_finds_files_in_the_folder_only_on_the_open_network(harness: CanaryHarness) -> None:
    looking = []
    for network in (Network.GATEWAY, Network.OPEN):
        harness.prepared = glibc(network=network)
        harness.check()
        assert harness.runtime is not None
        installing = [argv for argv in harness.runtime.commands if list(argv[:2]) == ["pip", "install"]]
        assert len(installing) == 7
        looking.append({tuple(argv[2:4]) == ("--find-links", "/fake/file") for argv in installing})
    assert looking == [{False}, {True}]


def test_each_file_is_where_the_sandbox_sees_it(harness: CanaryHarness) -> None:
    harness.check()
    assert harness.runtime is not None
    installed = {argv[-1] for argv in harness.runtime.commands if list(argv[:2]) == ["pip", "install"]}
    assert {Path(path).parent for path in installed} == {Path("/fake/file")}
    there = {path.name for path in harness.folder.iterdir()}
    assert there == {*SHA256, UJSON.filename}
    assert {Path(path).name for path in installed} <= there


def test_a_second_check_writes_only_what_is_damaged(harness: CanaryHarness) -> None:
    harness.check()
    before = {path.name: path.stat().st_mtime_ns for path in harness.folder.iterdir()}
    (harness.folder / "the_pypi_place_canary_twin-2.0.tar.gz").write_bytes(b"damaged")
    assert harness.check() == ()
    after = {path.name: path.stat().st_mtime_ns for path in harness.folder.iterdir()}
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
def test_every_fault_is_reported(
    harness: CanaryHarness, step: str, act: ScriptedCommand, kind: str, words: str
) -> None:
    harness.replaced = {step: act}
    fault = harness.fault()
    assert fault.kind == kind
    assert words in str(fault)
    assert step in harness.steps


def test_an_old_python_must_get_what_its_marker_requires(harness: CanaryHarness) -> None:
    harness.prepared = glibc(PY39)
    harness.replaced = {f"inspect {WHEEL}": inspected(own(WHEEL), NEST, STRAW, file=WHEEL)}
    assert f"{CANARY}-fossil==1.0+ours" in str(harness.fault())


def test_another_file_than_the_platforms_is_a_fault(harness: CanaryHarness) -> None:
    harness.prepared = glibc(tags=("cp312-cp312-manylinux_2_28_x86_64", "py3-none-any"))
    fault = harness.fault()
    assert str(fault) == (f"{CANARY}==1.0 had to choose {WHEEL}, but chose {stem(CANARY)}-1.0-py3-none-any.whl instead")


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ({"bin/stray"}, "had to leave nothing behind, but left bin/stray"),
        ({"b", "a\x1b[31m"}, "but left a [31m, b"),
    ],
)
def test_files_left_by_uninstalling_are_a_fault(harness: CanaryHarness, left: set[str], words: str) -> None:
    harness.left = left
    fault = harness.fault()
    assert (fault.kind, words in str(fault)) == (FaultKind.REMAINS, True)


def test_removing_too_much_is_a_fault(harness: CanaryHarness) -> None:
    harness.replaced = {"neighbour": ScriptedCommand(output=b"lib/another.txt\n" + NEIGHBOUR.encode())}
    fault = harness.fault()
    assert (fault.kind, "but removed lib/another.txt" in str(fault)) == (FaultKind.REMAINS, True)


def test_a_lost_sandbox_is_reported_once(harness: CanaryHarness) -> None:
    harness.replaced = {"reset": ScriptedCommand(lost="the engine went away")}
    assert harness.fault().kind is FaultKind.MACHINE
    assert not [name for name in harness.steps if name.startswith("import")]


@pytest.mark.parametrize(
    "trouble",
    [
        IndexUnreachableError("the package index gave no page", hint="check the network"),
        UnknownPackageError("the index has no package 'ujson'", hint=""),
    ],
)
def test_an_unreachable_index_is_a_fault_of_its_own_kind(harness: CanaryHarness, trouble: Exception) -> None:
    harness.fallback.trouble = trouble
    fault = harness.fault()
    assert fault.kind is FaultKind.INDEX
    assert "ujson==5.11.0 had to result in PASS, but resulted in ERROR in download (" in str(fault)


def test_an_unreachable_gateway_is_the_same_kind_of_fault(harness: CanaryHarness) -> None:
    retries = b"WARNING: Retrying (Retry(total=0, connect=None)) after connection broken\n" + LACKS.output
    harness.replaced = {f"full {name}": ScriptedCommand(output=retries, exit_code=1) for name in (TWIN_3, WHEEL)}
    assert [fault.kind for fault in harness.check()] == [FaultKind.INDEX, FaultKind.INDEX]


def test_a_folder_that_cannot_be_written_is_a_fault_of_the_machine(harness: CanaryHarness) -> None:
    harness.folder.write_text("in the way")
    fault = harness.fault()
    assert (fault.kind, "the canary's files cannot be written" in str(fault)) == (FaultKind.MACHINE, True)


# ---------------------------------------------------------------- comparing records


def records() -> Iterator[tuple[CanaryRelease, Record]]:
    """Yield each release with the record that a healthy environment gives."""
    where = glibc()
    for expected in canary_releases():
        package, version = expected.release.package, expected.release.version
        file = next((o for o in canary_files() if (o.package, o.version) == (package, version)), None)
        filename = expected.expected_filename(where) or (file.index_file.filename if file else UJSON.filename)
        names = set(expected.expected_installed(where))
        rows = {own(n) for n in (WHEEL, *SHA256) if own(n)[0] in names and own(n)[0] != package} | {
            (package, version, "12" * 32) for _ in names & {package}
        }
        outcomes = {
            phase: Outcome.PASS
            for phase in Phase
            if expected.phase is None or list(Phase).index(phase) < list(Phase).index(expected.phase)
        }
        if expected.phase:
            outcomes[expected.phase] = Outcome(expected.result)
        yield (
            expected,
            replace(
                SAMPLE_RECORD,
                release=expected.release,
                environment=where.environment.id,
                result=expected.result,
                outcomes=outcomes_in_order(outcomes),
                file=DistributionFile(filename=filename, sha256="12" * 32, size=1),
                imports=expected.imports,
                installed=tuple(Installed(name=n, version=v, sha256=h) for n, v, h in sorted(rows)),
                cause=expected.cause,
                blame=expected.blame,
            ),
        )


PASSES: Final = outcomes_in_order(dict.fromkeys(Phase, Outcome.PASS))
CHANGES: Final = ("result", "phase", "cause", "blame", "one import more", "other imports", "one distribution more")


def changed(record: Record, change: str) -> Record:
    """Return a record with one difference."""
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


@pytest.mark.parametrize(
    ("expected", "record"), list(records()), ids=[str(expected.release) for expected in canary_releases()]
)
@pytest.mark.parametrize("change", CHANGES)
def test_every_difference_in_a_record_is_a_fault(expected: CanaryRelease, record: Record, change: str) -> None:
    assert list(compare_record(expected, record, glibc())) == []
    (fault,) = compare_record(expected, changed(record, change), glibc())
    assert str(expected.release) in str(fault)


def test_the_releases_fail_in_each_phase_or_pass() -> None:
    assert [expected.phase for expected in canary_releases()] == [
        Phase.DOWNLOAD,
        Phase.NODEPS,
        Phase.FULL,
        None,
        Phase.IMPORT,
        None,
    ]
    assert {expected.release.package for expected in canary_releases()} == {CANARY, TWIN, "ujson"}
