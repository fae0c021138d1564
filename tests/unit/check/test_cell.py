"""One cell from its file to its record, on a scripted runtime: all the ways in which it can end."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import LIMITS, SLIM, TIMEOUTS_S, tiny_matrix
from fake_runtime import INSTALLED, MARKERS, PROVED, FakeRuntime, Files, ScriptedCommand, prepared_environment
from fake_runtime import CellScript as Script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project

from ppp.check.causes import MAX_DETAIL
from ppp.check.cell import Checker, Observation
from ppp.check.cell_facts import NOTHING_EXPECTED, Expectations
from ppp.check.contents import Requires
from ppp.check.index.choose import METADATA_SUFFIX, IndexFile
from ppp.check.index.client import DownloadError, DownloadTimeoutError
from ppp.check.index.page import ProjectStatus, Status
from ppp.check.install_phases import NOTHING_TO_ADD
from ppp.check.installation import what_is_required
from ppp.check.recorded_text import CUT_NOTICE, LOG_TAIL_CHARS
from ppp.check.runtime import PreinstalledDistribution
from ppp.model.canonical import sha256_hex
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.installed_files import RecordMismatch
from ppp.model.matrix import Cell
from ppp.model.on_index import OnIndex
from ppp.model.record import (
    Blame,
    BrokenEntryPoint,
    EntryPoints,
    Network,
    Outcome,
    Phase,
    Record,
    Result,
)
from ppp.model.release import Release
from ppp.schemas import schema_errors

NODE: Final = "ab" * 32
NOW: Final = 1_714_003_200
CELL: Final = Cell(release=Release.parse("example-lib", "2.1.0"), environment=SLIM.id)
CONTENT: Final = b"a wheel"
WHEEL: Final = IndexFile(
    filename="example_lib-2.1.0-py3-none-any.whl",
    url="https://files.example/example_lib-2.1.0-py3-none-any.whl",
    sha256=sha256_hex(CONTENT),
    requires_python=None,
    yanked=False,
)
#: The phases that a result of each step leaves behind.
STEPS: Final = ("download", "nodeps", "full", "import")


@dataclass(kw_only=True)
class FakeIndex:
    """See `ppp.check.index.client.Index`: a page, and a file or the error that fetching it raises."""

    folder: Path
    page: tuple[IndexFile, ...] | Exception = (WHEEL,)
    trouble: Exception | None = None
    content: bytes = CONTENT
    #: Its copy of METADATA, or the error that fetching it raises.
    copy: bytes | DownloadError = b""
    fetched: list[tuple[float, int]] = field(default_factory=list)
    #: The pages of dependencies.
    others: dict[str, tuple[IndexFile, ...] | Exception] = field(default_factory=dict)
    statuses: dict[str, ProjectStatus] = field(default_factory=dict)

    def files(self, package: str) -> tuple[IndexFile, ...]:
        page = self.page if package == CELL.release.package else self.others[package]
        if isinstance(page, Exception):
            raise page
        return page

    def status(self, package: str) -> ProjectStatus | None:
        return self.statuses.get(package)

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        self.fetched.append((timeout_s, max_bytes))
        if self.trouble:
            raise self.trouble
        content = self.copy if file.filename.endswith(METADATA_SUFFIX) else self.content
        if isinstance(content, DownloadError):
            raise content
        path = self.folder / file.filename
        path.write_bytes(content)
        return path


class CellHarness:
    """A checker on fakes."""

    def __init__(self, folder: Path) -> None:
        self.index = FakeIndex(folder=folder)
        self.script: Callable[[Sequence[str], Files], ScriptedCommand] = Script()
        self.hosts: frozenset[str] = frozenset()
        self.hide: Callable[[str], str] = str
        self.lists: Callable[[str, str], bool | None] | None = None
        self.runtime: FakeRuntime | None = None

    def check(self, *, expected: Expectations = NOTHING_EXPECTED, **facts: object) -> Observation:
        matrix = tiny_matrix(SLIM)
        self.runtime = FakeRuntime(matrix, self.script)
        checker = Checker(
            index=self.index,
            runtime=self.runtime,
            matrix=matrix,
            node=NODE,
            index_hosts=lambda: self.hosts,
            hide=self.hide,
            gateway_lists=self.lists,
            clock=lambda: NOW + 0.9,
        )
        prepared = prepared_environment(SLIM, **facts)
        observation = checker.check(CELL, prepared, expected=expected)
        assert_valid(observation)
        assert not self.runtime.open
        return observation

    def record(self) -> Record:
        return self.check().record

    @property
    def commands(self) -> list[str]:
        """The names of the steps that ran."""
        assert self.runtime is not None
        return [name_of(argv) for argv in self.runtime.commands]


def assert_valid(observation: Observation) -> None:
    """Check that a record is valid, whatever happened in the cell, and names its log."""
    record, log = observation.record, observation.log
    assert schema_errors("site/schemas/record.schema.json", record.to_json()) == []
    assert record.log_sha256 == (None if log is None else sha256_hex(log.encode()))
    assert (record.cause is None) == (record.blame is None) == (record.result is Result.PASS)
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


def scripted(step: str, act: ScriptedCommand) -> Script:
    script = Script()
    setattr(script, step, act)
    return script


def name_of(argv: Sequence[str]) -> str:
    match argv:
        case ["pip", "install", *options]:
            return "nodeps" if "--no-deps" in options else "full"
        case ["inspect", _]:
            return "inspect"
        case _:
            return " ".join(argv)


@pytest.fixture
def harness(tmp_path: Path) -> CellHarness:
    return CellHarness(tmp_path)


def outcomes(record: Record) -> str:
    return " ".join(record.outcomes)


def verdict(record: Record) -> tuple[str, str | None, str | None]:
    return str(record.result), record.cause, record.blame


# ---------------------------------------------------------------- a cell that passes


def test_a_cell_that_passes_has_a_complete_record(harness: CellHarness) -> None:
    installed: list[list[str | None]] = [["Zed", "2.0", None], ["Example_Lib", "2.1.0", WHEEL.sha256]]
    chatter = ScriptedCommand(output=b"chatter\n", import_proved=True)
    harness.script = Script(full=INSTALLED, installed=installed, importing=chatter)
    observation = harness.check(standin=True)
    record = observation.record
    assert outcomes(record) == "PASS PASS PASS PASS"
    assert verdict(record) == ("PASS", None, None)
    assert (record.release, record.environment) == (CELL.release, CELL.environment)
    assert (record.observed_at, record.node, record.standin) == (NOW, NODE, True)
    assert (record.arch, record.python, record.pip_version) == ("x86_64", "3.12.7", "26.0.1")
    assert record.network is Network.OPEN
    assert record.imports == ("example_lib",)
    assert [(i.name, i.version, i.sha256) for i in record.installed] == [
        ("example-lib", "2.1.0", WHEEL.sha256),
        ("zed", "2.0", None),
    ]
    assert record.file is not None
    assert (record.file.filename, record.file.sha256, record.file.size) == (WHEEL.filename, WHEEL.sha256, len(CONTENT))
    assert (record.detail, observation.log) == (None, None)


def test_steps_run_in_order(harness: CellHarness) -> None:
    harness.script = Script(full=INSTALLED)
    record = harness.record()
    assert outcomes(record) == "PASS PASS PASS PASS"
    assert harness.commands == [
        "begin", "nodeps", "inspect", "reset", "full", "inspect", "isolate", "prove example_lib",
    ]  # fmt: skip
    assert record.grounds == {}


def test_a_package_that_requires_nothing_is_not_installed_a_second_time(harness: CellHarness) -> None:
    harness.script = Script(installed=[["example-lib", "2.1.0", None]])
    record = harness.record()
    assert outcomes(record) == "PASS PASS PASS PASS"
    assert harness.commands == ["begin", "nodeps", "inspect", "pip check", "isolate", "prove example_lib"]
    assert record.grounds == {Phase.FULL: NOTHING_TO_ADD}
    assert [i.name for i in record.installed] == ["example-lib"]


def test_what_pip_check_finds_missing_is_installed_whatever_the_metadata_says(harness: CellHarness) -> None:
    harness.script = Script(
        check=ScriptedCommand(exit_code=1, output=b"example-lib 2.1.0 requires other, which is not installed.\n")
    )
    record = harness.record()
    assert outcomes(record) == "PASS PASS PASS PASS"
    assert harness.commands[3:6] == ["pip check", "reset", "full"]
    assert record.grounds == {}


def test_a_pip_check_that_is_killed_is_no_ground(harness: CellHarness) -> None:
    harness.script = Script(check=ScriptedCommand(exit_code=-9))
    assert harness.record().grounds == {}
    assert "full" in harness.commands


def test_installed_distributions_are_those_of_the_last_installation(harness: CellHarness) -> None:
    given = Script(full=INSTALLED)

    def script(argv: Sequence[str], files: Files) -> ScriptedCommand:
        installed: list[list[str | None]] = [["example-lib", "2.1.0", None]]
        given.installed = [*installed, ["other", "1.0", None]] if "reset" in harness.commands else installed
        return given(argv, files)

    harness.script = script
    assert [i.name for i in harness.record().installed] == ["example-lib", "other"]
    given.full = GCC
    assert harness.record().installed == ()


def test_bytes_are_recorded_for_each_phase_that_received_any(harness: CellHarness) -> None:
    got = replace(INSTALLED, received_bytes=1000)
    harness.script = Script(nodeps=got, full=replace(got, received_bytes=2**40), importing=PROVED)
    assert harness.record().bytes == {Phase.DOWNLOAD: len(CONTENT), Phase.NODEPS: 1000, Phase.FULL: 2**40}
    harness.script = Script(nodeps=got)
    assert harness.record().bytes == {Phase.DOWNLOAD: len(CONTENT), Phase.NODEPS: 1000}
    harness.script = Script(nodeps=replace(GCC, received_bytes=7))
    assert harness.record().bytes == {Phase.DOWNLOAD: len(CONTENT), Phase.NODEPS: 7}


def test_every_module_is_imported_without_a_network(harness: CellHarness) -> None:
    harness.script = Script(paths=["beta.py", "alpha.py", "example_lib/__init__.py"])
    record = harness.record()
    assert record.imports == ("example_lib", "beta", "alpha")
    assert harness.commands[-4:] == ["isolate", "prove example_lib", "prove beta", "prove alpha"]


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        ([], Requires.NOTHING),
        (["other"], Requires.HERE),
        (["other>=2; python_version < '3.9'"], Requires.ELSEWHERE),
        (["other; sys_platform == 'linux'"], Requires.HERE),
        (["other; extra == 'speed'"], Requires.FOR_EXTRAS),
        (["other; 'speed' == extra"], Requires.FOR_EXTRAS),
        (["other; extra == 'speed' and sys_platform == 'win32'"], Requires.FOR_EXTRAS),
        (["other; extra == 'speed'", "more; sys_platform == 'win32'"], Requires.ELSEWHERE),
        (["other; platform_version == 'extra'"], Requires.ELSEWHERE),
        (["other; extra != 'speed'"], Requires.HERE),
        (["other; python_version < '3' and extra == 'x'", "more[fast]"], Requires.HERE),
        (["other; platform_system == 'Linux'"], Requires.HERE),
        (["no requirement at all, this"], Requires.HERE),
        (["other @ https://files.example/other.whl"], Requires.HERE),
    ],
)
def test_what_the_requirements_come_to(requires: list[str], expected: Requires) -> None:
    assert what_is_required(requires, MARKERS) is expected


def test_the_file_is_fetched_within_its_limits(harness: CellHarness) -> None:
    harness.check()
    assert harness.index.fetched == [(TIMEOUTS_S[Phase.DOWNLOAD], LIMITS.file_mb * 1024 * 1024)]


def test_nothing_to_import_is_a_pass_with_a_reason(harness: CellHarness) -> None:
    harness.script = Script(paths=["example_lib-stubs/__init__.pyi"])
    record = harness.record()
    assert "isolate" not in harness.commands
    assert outcomes(record) == "PASS PASS PASS SKIP"
    assert verdict(record) == ("PASS", None, None)
    assert record.detail == "it holds type stubs only"
    assert record.grounds[Phase.IMPORT] == "stubs"
    assert record.imports == ()


# ---------------------------------------------------------------- download


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize(
    ("trouble", "expected", "words"),
    [
        (DownloadError("hash", "it has another sha256"), ("ERROR", "hash", "infrastructure"), "another"),
        (DownloadError("network", "it broke off"), ("ERROR", "network", "infrastructure"), "broke off"),
        (DownloadError("file-size", "it is too large"), ("ERROR", "file-size", "infrastructure"), "too large"),
        (DownloadTimeoutError("example.whl is late"), ("ERROR", "network", "infrastructure"), "example.whl is late"),
    ],
)
def test_a_file_that_cannot_be_downloaded(
    harness: CellHarness, trouble: Exception, expected: tuple[str, str, str], words: str
) -> None:
    harness.index.trouble = trouble
    record = harness.record()
    assert verdict(record) == expected
    assert record.failed_phase is Phase.DOWNLOAD
    assert words in (record.detail or "")
    assert record.file is None
    assert harness.commands == []


@pytest.mark.parametrize(
    ("page", "cause"),
    [
        (UnknownPackageError("the index has no package", hint=""), "missing-file"),
        (IndexUnreachableError("the index gave no page", hint=""), "network"),
        ((), "missing-file"),
        ((replace(WHEEL, filename="example_lib-9.9-py3-none-any.whl"),), "missing-file"),
    ],
)
def test_an_index_without_an_answer_is_an_infrastructure_error(
    harness: CellHarness, page: tuple[IndexFile, ...] | Exception, cause: str
) -> None:
    harness.index.page = page
    record = harness.record()
    assert verdict(record) == ("ERROR", cause, "infrastructure")
    assert outcomes(record) == "ERROR SKIP SKIP SKIP"


@pytest.mark.parametrize(
    ("file", "cause"),
    [
        (replace(WHEEL, requires_python=">=3.99"), "requires-python"),
        (replace(WHEEL, filename="example_lib-2.1.0-cp312-cp312-win_amd64.whl"), "no-distribution"),
    ],
)
def test_a_release_that_does_not_claim_the_environment(harness: CellHarness, file: IndexFile, cause: str) -> None:
    harness.index.page = (file,)
    record = harness.record()
    assert verdict(record) == ("NA", cause, "package")
    assert outcomes(record) == "SKIP SKIP SKIP SKIP"
    assert record.detail
    assert harness.commands == []


def test_a_release_that_ships_only_what_pip_does_not_install_does_not_claim_any_environment(
    harness: CellHarness,
) -> None:
    names = ("example_lib-2.1.0-py2.7.egg", "example_lib-2.1.0-py3-none-any-x86_64_v3.whl")
    harness.index.page = tuple(replace(WHEEL, filename=name) for name in names)
    record = harness.record()
    assert verdict(record) == ("NA", "no-distribution", "package")
    assert record.detail == (
        "ships neither a wheel for this platform nor an sdist, but 2 files of another kind or with a name that cannot"
        f" be read, such as {names[0]}"
    )


# ---------------------------------------------------------------- what the index says of the release

#: Of a release that the index must have listed by now.
GONE: Final = Expectations(absence_is_final=True)


@pytest.mark.parametrize(
    ("page", "detail"),
    [
        (UnknownPackageError("the index has no package", hint=""), "the index has no project example-lib any more"),
        ((), "the index lists no file of example-lib==2.1.0 any more"),
        (
            (replace(WHEEL, filename="example_lib-2.1.1.tar.gz"),),
            "the index lists no file of example-lib==2.1.0 any more",
        ),
    ],
)
def test_a_release_that_is_gone_is_withdrawn(
    harness: CellHarness, page: tuple[IndexFile, ...] | Exception, detail: str
) -> None:
    harness.index.page = page
    assert verdict(harness.record()) == ("ERROR", "missing-file", "infrastructure"), "it may not be there yet"
    record = harness.check(expected=GONE).record
    assert verdict(record) == ("NA", "withdrawn", "package")
    assert outcomes(record) == "SKIP SKIP SKIP SKIP"
    assert record.detail == detail
    assert harness.commands == []


def test_an_index_that_does_not_answer_has_withdrawn_nothing(harness: CellHarness) -> None:
    harness.index.page = IndexUnreachableError("the index gave no page", hint="")
    assert verdict(harness.check(expected=GONE).record) == ("ERROR", "network", "infrastructure")
    harness.index.page = (WHEEL,)
    assert harness.check(expected=GONE).record.result is Result.PASS


@pytest.mark.parametrize(
    ("reason", "detail"),
    [("malware", "the index has quarantined the project: malware"), ("", "the index has quarantined the project")],
)
@pytest.mark.parametrize("page", [(), (WHEEL,)], ids=["as PEP 792 demands", "files are still listed"])
def test_a_quarantined_project_is_withdrawn_at_once(
    harness: CellHarness, page: tuple[IndexFile, ...], reason: str, detail: str
) -> None:
    harness.index.page = page
    harness.index.statuses["example-lib"] = ProjectStatus(status=Status.QUARANTINED, reason=reason)
    record = harness.record()
    assert verdict(record) == ("NA", "withdrawn", "package")
    assert (record.detail, record.project_status, record.file) == (detail, "quarantined", None)
    assert harness.commands == []


@pytest.mark.parametrize("status", [Status.ARCHIVED, Status.DEPRECATED])
def test_any_other_status_is_recorded_and_decides_nothing(harness: CellHarness, status: Status) -> None:
    harness.index.statuses["example-lib"] = ProjectStatus(status=status, reason="we have moved")
    record = harness.record()
    assert (record.result, record.project_status) == (Result.PASS, str(status))
    assert harness.record().detail is None


@pytest.mark.parametrize("reason", ["it eats files", ""])
def test_a_yanked_file_is_checked_and_the_reason_recorded(harness: CellHarness, reason: str) -> None:
    harness.index.page = (replace(WHEEL, yanked=True, yanked_reason=reason),)
    record = harness.record()
    assert (record.result, record.yanked) == (Result.PASS, reason)
    harness.index.page = (WHEEL, replace(WHEEL, filename="example_lib-2.1.0.tar.gz", yanked=True, yanked_reason="x"))
    assert harness.record().yanked is None, "the file that was checked is not yanked"


@pytest.mark.parametrize(
    ("reason", "detail"),
    [
        ("it eats files", "the index has yanked the release: it eats files"),
        ("", "the index has yanked the release"),
    ],
)
def test_a_yanked_release_that_nobody_pinned_is_withdrawn_and_the_reason_kept(
    harness: CellHarness, reason: str, detail: str
) -> None:
    unpinned = Expectations(takes_yanked=False)
    harness.index.page = (replace(WHEEL, yanked=True, yanked_reason=reason),)
    record = harness.check(expected=unpinned).record
    assert verdict(record) == ("NA", "withdrawn", "package")
    assert (record.detail, record.yanked, record.file) == (detail, reason, None)
    assert harness.commands == []
    harness.index.page = (WHEEL, replace(WHEEL, filename="example_lib-2.1.0.tar.gz", yanked=True))
    assert harness.check(expected=unpinned).record.result is Result.PASS, "a file is left that is not yanked"


def test_what_the_journal_says_of_a_release_that_is_gone_is_in_the_detail(harness: CellHarness) -> None:
    quarantined = Expectations(withdrawn="the index has quarantined the release")
    harness.index.page = ()
    record = harness.check(expected=quarantined).record
    assert verdict(record) == ("NA", "withdrawn", "package")
    assert record.detail == (
        "the index has quarantined the release: the index lists no file of example-lib==2.1.0 any more"
    )


def test_a_page_that_lists_what_the_journal_withdrew_is_believed_only_later(harness: CellHarness) -> None:
    quarantined = Expectations(withdrawn="the index has quarantined the release", page_may_lag=True)
    record = harness.check(expected=quarantined).record
    assert verdict(record) == ("ERROR", "missing-file", "infrastructure")
    assert "it may lag behind" in (record.detail or "")
    assert harness.commands == [], "nobody is to run it"
    assert harness.check(expected=replace(quarantined, page_may_lag=False)).record.result is Result.PASS


def test_a_release_that_is_minutes_old_may_still_get_its_files(harness: CellHarness) -> None:
    harness.index.page = (replace(WHEEL, filename="example_lib-2.1.0-cp39-cp39-win_amd64.whl"),)
    record = harness.check(expected=Expectations(files_may_come=True)).record
    assert verdict(record) == ("ERROR", "missing-file", "infrastructure")
    assert verdict(harness.record()) == ("NA", "no-distribution", "package")
    harness.index.page = (replace(WHEEL, requires_python=">=4"),)
    record = harness.check(expected=Expectations(files_may_come=True)).record
    assert verdict(record) == ("NA", "requires-python", "package"), "no other file of the release says otherwise"


def test_a_yanked_release_without_a_file_for_here_says_so_too(harness: CellHarness) -> None:
    foreign = replace(WHEEL, filename="example_lib-2.1.0-cp312-cp312-win_amd64.whl", yanked=True, yanked_reason="oops")
    harness.index.page = (foreign,)
    record = harness.record()
    assert (record.result, record.cause, record.yanked) == (Result.NA, "no-distribution", "oops")
    harness.index.page = (foreign, replace(foreign, filename="example_lib-2.1.0-cp39-cp39-win32.whl", yanked=False))
    assert harness.record().yanked is None


@pytest.mark.attack("inert-text")
def test_a_reason_names_no_host_and_no_secret(harness: CellHarness) -> None:
    harness.hosts = frozenset({"index.secret.example"})
    harness.hide = lambda text: text.replace("hunter2", "***")
    harness.index.page = (replace(WHEEL, yanked=True, yanked_reason="see index.secret.example, password hunter2"),)
    assert harness.record().yanked == "see index.example, password ***"


# ---------------------------------------------------------------- nodeps and full

GCC: Final = ScriptedCommand(output=b"      error: command 'gcc' failed: No such file or directory\n", exit_code=1)


@pytest.mark.parametrize(
    ("step", "act", "expected"),
    [
        ("nodeps", GCC, ("FAIL", "no-compiler", "environment")),
        ("full", GCC, ("FAIL", "no-compiler", "environment")),
        ("nodeps", ScriptedCommand(exit_code=1), ("FAIL", "unclassified", "unknown")),
        ("full", ScriptedCommand(exit_code=-9, oom=True), ("ERROR", "oom", "infrastructure")),
        ("nodeps", ScriptedCommand(lost="the engine went away"), ("ERROR", "sandbox", "infrastructure")),
        ("full", ScriptedCommand(lost="the engine went away"), ("ERROR", "sandbox", "infrastructure")),
        ("begin", ScriptedCommand(lost="no room"), ("ERROR", "sandbox", "infrastructure")),
        ("check", ScriptedCommand(lost="gone"), ("ERROR", "sandbox", "infrastructure")),
        ("isolate", ScriptedCommand(lost="gone"), ("ERROR", "sandbox", "infrastructure")),
        ("inspect", ScriptedCommand(lost="gone"), ("ERROR", "sandbox", "infrastructure")),
    ],
)
def test_a_failed_installation(
    harness: CellHarness, step: str, act: ScriptedCommand, expected: tuple[str, str, str]
) -> None:
    harness.script = scripted(step, act)
    record = harness.record()
    assert verdict(record) == expected
    failed = {"begin": "nodeps", "inspect": "nodeps", "check": "full", "isolate": "import"}.get(step, step)
    assert record.failed_phase == failed
    place = STEPS.index(failed)
    assert list(record.outcomes) == ["PASS"] * place + [expected[0]] + ["SKIP"] * (3 - place)


def test_a_sandbox_lost_during_a_reset_is_an_infrastructure_error(harness: CellHarness) -> None:
    harness.script = Script(
        full=INSTALLED, reset=ScriptedCommand(lost="gone"), installed=[["example-lib", "2.1.0", None]]
    )
    record = harness.record()
    assert verdict(record) == ("ERROR", "sandbox", "infrastructure")
    assert (record.failed_phase, record.detail) == (Phase.FULL, "gone")


def test_a_lost_sandbox_says_why(harness: CellHarness) -> None:
    harness.script = Script(begin=ScriptedCommand(lost="the container did not start: no space left on device"))
    assert harness.record().detail == "the container did not start: no space left on device"
    assert harness.commands == ["begin"]


@pytest.mark.parametrize(("step", "phase"), [("nodeps", Phase.NODEPS), ("full", Phase.FULL)])
def test_an_installation_that_times_out(harness: CellHarness, step: str, phase: Phase) -> None:
    harness.script = scripted(step, ScriptedCommand(output=b"still at it\n", takes_s=0.4))
    quick = tiny_matrix(SLIM, timeouts_s={phase: 0})
    assert harness.check().record.result is Result.PASS
    runtime = FakeRuntime(quick, harness.script)
    checker = Checker(index=harness.index, runtime=runtime, matrix=quick, node=NODE)
    observation = checker.check(CELL, prepared_environment(SLIM))
    assert verdict(observation.record) == ("TIMEOUT", "timeout", "unknown")
    assert observation.record.failed_phase is phase
    assert observation.log == "still at it\n"


def test_a_target_without_a_file_for_pip_does_not_claim_the_environment(harness: CellHarness) -> None:
    harness.script = Script(
        nodeps=ScriptedCommand(output=b"ERROR: Package 'example-lib' requires a different Python: 3.12\n", exit_code=1)
    )
    record = harness.record()
    assert verdict(record) == ("NA", "requires-python", "package")
    assert outcomes(record) == "PASS SKIP SKIP SKIP"


# ---------------------------------------------------------------- the inspection of an installation


OWN_ROW: Final = ["example-lib", "2.1.0", WHEEL.sha256]
OWN_FOLDER: Final = "example_lib-2.1.0.dist-info"
TARGET: Final = {
    "folder": OWN_FOLDER,
    "paths": ["example_lib.py"],
    "inner": [],
    "import_names": None,
    "top_level": [],
    "entry_points": [],
    "digests": {"METADATA": "5a" * 32},
}


def inspection(**changes: object) -> dict[str, Any]:
    needs = {"requires": [], "markers": MARKERS}
    found = {"installed": [OWN_ROW], "requested": [OWN_ROW], "folders": [OWN_FOLDER], "target": TARGET, "needs": needs}
    return found | changes


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    "output",
    [
        "",
        "no dist-info of example-lib in /w",
        "null",
        "[]",
        '"text"',
        "{}",
        "[" * 200_000,
        "1" * 5000,
        "\ufffd",
        json.dumps(inspection(installed=None)),
        json.dumps(inspection(installed=[["name", "1.0"]])),
        json.dumps(inspection(installed=[[1, 2, 3]])),
        json.dumps(inspection(installed=5)),
        json.dumps(inspection(installed=[["name", "1.0", None]] * 2001)),
        json.dumps(inspection(target={"paths": 1})),
        json.dumps(inspection(target=TARGET | {"paths": None})),
        json.dumps(inspection(target=TARGET | {"digests": None})),
        json.dumps(inspection(target=TARGET | {"entry_points": [["console_scripts", "name"]]})),
        json.dumps(inspection(installed=[["İ" * 214, "1.0", None]])),
        json.dumps(inspection(installed=[["x" * 215, "1.0", None]])),
        json.dumps(inspection(installed=[["name", "1" * 129, None]])),
        json.dumps(inspection(installed=[["a name", "1.0", None]])),
        json.dumps(inspection(installed=[["name\n", "1.0", None]])),
        json.dumps(inspection(folders=None)),
        json.dumps(inspection(requested=None)),
        json.dumps(inspection(needs=None)),
        json.dumps(inspection(needs={"requires": [1], "markers": MARKERS})),
        json.dumps(inspection(needs={"requires": ["x; python_version < '3'"], "markers": None})),
    ],
    ids=lambda text: text[:40],
)
def test_an_unreadable_inspection_is_an_infrastructure_error(harness: CellHarness, output: str) -> None:
    harness.script = Script(inspect=ScriptedCommand(output=output.encode()))
    record = harness.record()
    assert verdict(record) == ("ERROR", "sandbox", "infrastructure")
    assert record.failed_phase is Phase.NODEPS
    assert harness.commands == ["begin", "nodeps", "inspect"]


HOSTILE: Final = "\x1b]0;owned\x07\u202e<script>\x00\ud800" + "A" * 1000


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(
    "row", [["other", HOSTILE[:100], HOSTILE], ["Other", "1.0\n", "5A" * 32], ["o.t_her", "\x9b1", 5]]
)
def test_hostile_text_is_made_harmless(harness: CellHarness, row: list[object]) -> None:
    harness.script = Script(full=INSTALLED, installed=[row])  # type: ignore[list-item]
    record = harness.record()
    assert record.result is Result.PASS
    (other_one,) = (item for item in record.installed if item.name != "example-lib")
    assert other_one.sha256 is None
    assert other_one.version.isprintable()


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("name", [HOSTILE, "a b", "-c", "../lib", "lib;rm", "x" * 10_000, "a\x00b"])
def test_no_hostile_name_reaches_a_command(harness: CellHarness, name: str) -> None:
    target = TARGET | {"paths": [f"{name}.py", "lib.py"], "import_names": [name], "top_level": [name]}
    harness.script = Script(inspect=ScriptedCommand(output=json.dumps(inspection(target=target)).encode()))
    record = harness.record()
    assert record.imports == ("lib",)
    assert harness.commands[-1] == "prove lib"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
claims = st.fixed_dictionaries(
    {
        "installed": st.lists(st.lists(json_values, min_size=3, max_size=3), max_size=3) | json_values,
        "target": st.fixed_dictionaries(
            {
                "paths": st.lists(st.text(max_size=20) | json_values, max_size=4) | json_values,
                "inner": st.just([]) | json_values,
                "import_names": st.none() | st.lists(st.text(max_size=20), max_size=3) | json_values,
                "top_level": st.just([]) | json_values,
            }
        )
        | json_values,
        "needs": st.fixed_dictionaries(
            {
                "requires": st.lists(st.sampled_from(["other", "other; os_name == 'nt'"]) | json_values, max_size=3),
                "markers": st.dictionaries(st.sampled_from(["os_name", "extra"]), json_values) | json_values,
            }
        )
        | json_values,
    }
)


@pytest.mark.attack("valid-records")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=claims | json_values)
def test_whatever_an_installation_claims_the_record_is_valid(harness: CellHarness, data: object) -> None:
    harness.script = Script(inspect=ScriptedCommand(output=json.dumps(data).encode()))
    assert harness.record().result in {Result.PASS, Result.FAIL, Result.ERROR}


# ---------------------------------------------------------------- a dependency without a distribution

PASSED_OVER: Final = """\
ERROR: Ignored the following versions that require a different python version: 9.0 Requires-Python >=3.99
"""
NOTHING: Final = """\
ERROR: Could not find a version that satisfies the requirement Other_Lib[x]<2,>=1 (from example-lib) (from versions: {})
ERROR: No matching distribution found for Other_Lib[x]<2,>=1
"""


def other(version: str, tag: str, requires_python: str | None = None) -> IndexFile:
    return replace(WHEEL, filename=f"other_lib-{version}-{tag}.whl", requires_python=requires_python)


@pytest.mark.parametrize(
    "log",
    [
        NOTHING.format("none"),
        PASSED_OVER + NOTHING.format("none"),
        # Newer pips say who requires it.
        NOTHING.format("none").rstrip() + " (from example-lib)\n",
    ],
)
@pytest.mark.parametrize(
    ("page", "cause", "because"),
    [
        ((), "no-distribution", ""),
        ((other("1.5", "py3-none-win32"),), "no-distribution", ""),
        ((other("1.5", "py3-none-any", ">=3.99"),), "requires-python", ""),
        ((other("9.0", "py3-none-any", ">=3.99"),), "no-distribution", ""),
        (
            UnknownPackageError("the index has no package 'other-lib'", hint=""),
            "no-distribution",
            " (the index has no such project)",
        ),
        (
            (replace(other("1.5", "py3-none-any"), yanked=True, yanked_reason="broken"),),
            "no-distribution",
            " (every release that would do is yanked: broken)",
        ),
    ],
)
def test_the_index_decides_the_cause_of_a_missing_dependency(
    harness: CellHarness, log: str, page: tuple[IndexFile, ...] | Exception, cause: str, because: str
) -> None:
    harness.index.others["other-lib"] = page
    harness.script = Script(full=ScriptedCommand(output=log.encode(), exit_code=1))
    record = harness.record()
    assert verdict(record) == ("FAIL", cause, "dependency")
    assert "No matching distribution found for Other_Lib[x]<2,>=1" in (record.detail or "")
    assert (record.detail or "").endswith(because)


def test_a_quarantined_dependency_is_named_as_such(harness: CellHarness) -> None:
    harness.index.others["other-lib"] = ()
    harness.index.statuses["other-lib"] = ProjectStatus(status=Status.QUARANTINED, reason="malware")
    harness.script = Script(full=ScriptedCommand(output=NOTHING.format("none").encode(), exit_code=1))
    record = harness.record()
    assert verdict(record) == ("FAIL", "no-distribution", "dependency")
    assert (record.detail or "").startswith("other-lib: ")
    assert (record.detail or "").endswith(" (the index has quarantined it: malware)")
    assert record.project_status is None, "that is the dependency's"


def test_an_unreadable_page_of_a_dependency_is_an_infrastructure_error(harness: CellHarness) -> None:
    harness.index.others["other-lib"] = IndexUnreachableError("no page for 'other-lib'", hint="")
    harness.script = Script(full=ScriptedCommand(output=NOTHING.format("none").encode(), exit_code=1))
    observation = harness.check()
    assert verdict(observation.record) == ("ERROR", "network", "infrastructure")
    assert observation.record.failed_phase is Phase.FULL
    assert "Other_Lib" in (observation.log or "")


def test_if_pip_read_the_page_its_own_report_counts(harness: CellHarness) -> None:
    harness.index.others["other-lib"] = IndexUnreachableError("no page for 'other-lib'", hint="")
    harness.script = Script(full=ScriptedCommand(output=NOTHING.format("0.1, 0.2").encode(), exit_code=1))
    assert verdict(harness.record()) == ("FAIL", "no-distribution", "dependency")


@pytest.mark.parametrize("name", ["no such name", "other @ https://x.example/other.whl (unavailable)", "\ud800"])
def test_an_invalid_requirement_is_not_looked_up(harness: CellHarness, name: str) -> None:
    line = f"ERROR: No matching distribution found for {name}\n"
    harness.script = Script(full=ScriptedCommand(output=line.encode(errors="surrogatepass"), exit_code=1))
    assert harness.record().result is Result.FAIL


# ---------------------------------------------------------------- import


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (ScriptedCommand(output=b""), ("FAIL", "exits", "package")),
        (ScriptedCommand(output=b"PASS\nimported\nproved: true\n"), ("FAIL", "exits", "package")),
        (ScriptedCommand(import_proved=True, exit_code=1), ("FAIL", "exits", "package")),
        (ScriptedCommand(exit_code=-11), ("FAIL", "crash", "package")),
        (ScriptedCommand(import_proved=True, exit_code=-6), ("FAIL", "crash", "package")),
        (ScriptedCommand(import_proved=True, takes_s=6), ("TIMEOUT", "timeout", "unknown")),
        (ScriptedCommand(exit_code=-9, oom=True), ("ERROR", "oom", "infrastructure")),
        (ScriptedCommand(lost="gone"), ("ERROR", "sandbox", "infrastructure")),
        (
            ScriptedCommand(output=b"Traceback (most recent call last):\nValueError: no\n", exit_code=1),
            ("FAIL", "import-error", "package"),
        ),
    ],
)
def test_a_failed_import(harness: CellHarness, act: ScriptedCommand, expected: tuple[str, str, str]) -> None:
    harness.script = Script(importing=act)
    record = harness.record()
    assert verdict(record) == expected
    assert record.failed_phase is Phase.IMPORT
    assert record.imports == ("example_lib",)


def test_the_module_that_failed_is_named(harness: CellHarness) -> None:
    passing = Script(paths=["alpha.py", "beta.py", "gamma.py"])

    def script(argv: Sequence[str], files: Files) -> ScriptedCommand:
        act = passing(argv, files)
        output = b"KeyError: '/fake/work/env x'\n"
        return ScriptedCommand(output=output, exit_code=1) if argv == ["prove", "alpha"] else act

    harness.script = script
    record = harness.record()
    assert record.primary_module is None
    assert record.detail == "import alpha: KeyError: '/ppp/work/env x'"
    (failure,) = record.import_failures
    assert (failure.module, failure.detail) == ("alpha", "KeyError: '/ppp/work/env x'")


def test_what_is_inside_a_release_is_recorded(harness: CellHarness) -> None:
    passing = Script(inner=["example_lib/api.py", "example_lib/gui.py"])

    def script(argv: Sequence[str], files: Files) -> ScriptedCommand:
        act = passing(argv, files)
        output = b"KeyError: '/fake/work/env x'\n"
        return ScriptedCommand(output=output, exit_code=1) if argv == ["prove", "example_lib.gui"] else act

    harness.script = script
    record = harness.record()
    assert (record.result, record.detail, record.primary_module) == (Result.PASS, None, "example_lib")
    assert record.import_failures == ()
    assert record.submodules is not None
    (failure,) = record.submodules.failed
    assert (record.submodules.tried, failure.module) == (2, "example_lib.gui")
    assert failure.detail == "KeyError: '/ppp/work/env x'"


def test_the_module_after_a_slow_one_gets_a_second(harness: CellHarness) -> None:
    harness.script = Script(paths=["alpha.py", "beta.py"], importing=replace(PROVED, takes_s=0.7))
    matrix = tiny_matrix(SLIM, timeouts_s={Phase.IMPORT: 1})
    runtime = FakeRuntime(matrix, harness.script)
    record = (
        Checker(index=harness.index, runtime=runtime, matrix=matrix, node=NODE)
        .check(CELL, prepared_environment(SLIM))
        .record
    )
    # Each has a second at least, so that a slow first module does not starve the next.
    assert record.result is Result.PASS
    assert record.duration_ms[Phase.IMPORT] == 1400


# ---------------------------------------------------------------- logs


def test_hosts_of_the_index_are_in_neither_log_nor_detail(harness: CellHarness) -> None:
    harness.hosts = frozenset({"pkg.example", "pkg.example:8080", "files.example"})
    line = "ERROR: No matching distribution found for other at http://pkg.example:8080/simple/ files.example"
    harness.script = Script(full=ScriptedCommand(output=f"Looking in pkg.example\n{line}\n".encode(), exit_code=1))
    observation = harness.check()
    shown = f"{observation.record.detail} {observation.log}"
    assert "pkg.example" not in shown
    assert "files.example" not in shown
    assert "8080" not in shown
    assert "http://index.example/simple/" in shown


def test_folders_of_the_sandbox_are_replaced_by_their_aliases(harness: CellHarness) -> None:
    text = b"/fake/work/env/lib/x.py /fake/file/example.whl /fake/pip/pip\n"
    harness.script = Script(full=ScriptedCommand(output=text, exit_code=1))
    assert harness.check().log == "/ppp/work/env/lib/x.py /ppp/file/example.whl /ppp/pip/pip\n"


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (
            "error: /tmp/pip-build-env-a1b2c3d4/overlay/lib/python3.12/site-packages/setuptools/dist.py: no",
            "error: setuptools/dist.py: no",
        ),
        (f"error: /tmp/pip-install-x_y1z2w3/lib_{'5a' * 16}/setup.py", "error: setup.py"),
        ("error: /tmp/pip-req-build-12345678/setup.py", "error: setup.py"),
        ("error: no room in /tmp/tmpdvk307gx", "error: no room in /tmp/tmp…"),
        ("error: /tmp/ccAb12Cd.o: no room", "error: /tmp/cc….o: no room"),
        (
            "error: no (needed by /usr/local/lib/python3.9/lib-dynload/_tkinter.so)",
            "error: no (needed by _tkinter.so)",
        ),
        (
            "error: /root/.pyenv/versions/3.11.7/bin/python3.11: undefined symbol: f",
            "error: python3.11: undefined symbol: f",
        ),
        ("error: /usr/lib/python3/dist-packages/lib.py: no", "error: lib.py: no"),
        ("error: command '/opt/musl/bin/mcc' failed: No such file", "error: command 'mcc' failed: No such file"),
        ("error: <lib.Thing object at 0x7f5aba3416a0> is 0x1f", "error: <lib.Thing object at 0x…> is 0x1f"),
    ],
)
def test_a_detail_is_the_same_when_the_cell_is_checked_again(harness: CellHarness, line: str, detail: str) -> None:
    harness.script = Script(nodeps=ScriptedCommand(output=f"{line}\n".encode(), exit_code=1))
    assert harness.record().detail == detail


@pytest.mark.parametrize("length", range(280, 320, 3))
def test_a_detail_is_cut_after_everything_else(harness: CellHarness, length: int) -> None:
    # The placeholder is longer than this host's name, and some end of the line would fall into it.
    harness.hosts = frozenset({"a.b"})
    line = f"error: {'x' * (length - 60)} {'a.b ' * 100}"
    harness.script = Script(nodeps=ScriptedCommand(output=f"{line}\n".encode(), exit_code=1))
    detail = harness.record().detail or ""
    assert len(detail) <= MAX_DETAIL
    assert "a.b" not in detail
    secret = "user:secret-word@index.internal"
    harness.hosts = frozenset({secret})
    line = f"error: {'x' * (length - 7 - len(secret) // 2)}{secret} failed"
    harness.script = Script(nodeps=ScriptedCommand(output=f"{line}\n".encode(), exit_code=1))
    assert "user" not in (harness.record().detail or "")


@pytest.mark.attack("credentials")
@pytest.mark.parametrize("step", ["nodeps", "full", "importing"])
def test_secrets_are_hidden_in_details_and_logs(harness: CellHarness, step: str) -> None:
    harness.hide = lambda text: text.replace("secret-word", "***")
    harness.script = scripted(step, ScriptedCommand(output=b"error: secret-word\n", exit_code=1))
    harness.script.full = harness.script.full or INSTALLED
    observation = harness.check()
    assert "secret-word" not in f"{observation.record} {observation.log}"
    assert "***" in (observation.log or "")


# ---------------------------------------------------------------- a package speaks for itself only


def script_of(alone: dict[str, Any], full: dict[str, Any] | None = None, *, imports: bool = True) -> Script:
    """Return the script of a cell whose inspections, alone and with dependencies, give these."""

    class Described(Script):
        def inspection(self, package: str, filename: str, *, alone: bool) -> dict[str, object]:  # noqa: ARG002 - the port's
            return inspections[alone]

    inspections = {True: alone, False: full or alone}
    importing = (
        PROVED
        if imports
        else ScriptedCommand(output=b"Traceback (most recent call last):\nValueError: no\n", exit_code=1)
    )
    return Described(full=INSTALLED if full else None, importing=importing)


DEPENDS: Final = {"requires": ["other"], "markers": MARKERS}
ALONE: Final = inspection(needs=DEPENDS)
OTHER_ROW: Final = ["other", "1.0", "5a" * 32]


def with_dependency(**changes: object) -> dict[str, Any]:
    return ALONE | {"installed": [OWN_ROW, OTHER_ROW]} | changes


def test_modules_are_those_of_the_installation_without_dependencies(harness: CellHarness) -> None:
    changed = TARGET | {"paths": ["json.py"], "import_names": ["json"], "digests": {"METADATA": "00" * 32}}
    harness.script = script_of(ALONE, with_dependency(target=changed))
    record = harness.record()
    assert record.imports == ("example_lib",)
    assert verdict(record) == ("PASS", None, None)
    assert record.detail == "a dependency changed its dist-info: METADATA"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        (
            {"folders": [OWN_FOLDER, "example_lib-0.dist-info"]},
            "a dependency added another dist-info of it: example_lib-0.dist-info",
        ),
        ({"folders": ["example_lib-0.dist-info"]}, f"a dependency removed its {OWN_FOLDER}"),
        ({"target": None}, f"a dependency removed its {OWN_FOLDER}"),
        (
            {"target": TARGET | {"digests": dict.fromkeys(("METADATA", "RECORD", "a", "b"), "00" * 32)}},
            "a dependency changed its dist-info: METADATA, RECORD, a and 1 more",
        ),
        ({"target": TARGET | {"digests": {}}}, "a dependency changed its dist-info: METADATA"),
    ],
)
def test_what_a_dependency_changes_is_named_and_decides_nothing(
    harness: CellHarness, changes: dict[str, Any], detail: str
) -> None:
    harness.script = script_of(ALONE, with_dependency(**changes))
    record = harness.record()
    assert verdict(record) == ("PASS", None, None)
    assert record.detail == detail
    harness.script = script_of(ALONE, with_dependency(**changes), imports=False)
    record = harness.record()
    assert verdict(record) == ("FAIL", "import-error", "dependency")
    assert (record.detail or "").endswith(f"; {detail}")


def test_an_sdist_that_builds_differently_each_time_accuses_nobody(harness: CellHarness) -> None:
    sdist = replace(WHEEL, filename="example_lib-2.1.0.tar.gz")
    harness.index.page = (sdist,)
    harness.script = script_of(ALONE, with_dependency(target=TARGET | {"digests": {"RECORD": "00" * 32}}))
    assert harness.record().detail is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"requested": [["example-lib", "2.0", WHEEL.sha256]]}, ("FAIL", "bad-metadata", "package")),
        ({"requested": [["example-lib", "2.1", WHEEL.sha256]]}, ("PASS", None, None)),
        ({"requested": [["Example.Lib", "v2.1.0", WHEEL.sha256]]}, ("PASS", None, None)),
        ({"requested": [["other", "2.1.0", WHEEL.sha256]]}, ("FAIL", "bad-metadata", "package")),
        ({"requested": [["İxample-lib", "2.1.0", WHEEL.sha256]]}, ("FAIL", "bad-metadata", "package")),
        ({"requested": [["example-lib", "no version", None]]}, ("FAIL", "bad-metadata", "package")),
        ({"target": None, "folders": [OWN_FOLDER, "Example.Lib-2.1.0.dist-info"]}, ("FAIL", "bad-metadata", "package")),
        ({"target": None}, ("ERROR", "sandbox", "infrastructure")),
        ({"target": None, "folders": []}, ("ERROR", "sandbox", "infrastructure")),
        ({"requested": [["example-lib", "2.1.0", "5a" * 32]]}, ("FAIL", "forged-report", "package")),
        ({"requested": []}, ("FAIL", "forged-report", "package")),
        ({"requested": [OWN_ROW, OTHER_ROW]}, ("FAIL", "forged-report", "package")),
        ({"installed": [OWN_ROW, OTHER_ROW]}, ("FAIL", "forged-report", "package")),
        ({"installed": []}, ("FAIL", "forged-report", "package")),
    ],
)
def test_what_is_installed_alone_must_be_the_release(
    harness: CellHarness, changes: dict[str, Any], expected: tuple[str, str | None, str | None]
) -> None:
    harness.script = script_of(inspection(**changes))
    # Of a wheel nothing is built, so what cannot be is our own trouble.
    ours = ("ERROR", "sandbox", "infrastructure")
    assert verdict(harness.record()) == (ours if expected[1] == "forged-report" else expected)
    harness.index.page = (replace(WHEEL, filename="example_lib-2.1.0.tar.gz"),)
    record = harness.record()
    assert verdict(record) == expected
    assert record.failed_phase is (None if expected[0] == "PASS" else Phase.NODEPS)


@pytest.mark.parametrize(
    ("filename", "blame"), [(WHEEL.filename, "dependency"), ("example_lib-2.1.0.tar.gz", "unknown")]
)
@pytest.mark.parametrize("requested", [[], [OTHER_ROW], [["example-lib", "2.1.0", "5a" * 32]], [OWN_ROW, OTHER_ROW]])
def test_a_report_that_a_dependency_forged_is_no_pass(
    harness: CellHarness, filename: str, blame: str, requested: list[list[str]]
) -> None:
    harness.index.page = (replace(WHEEL, filename=filename),)
    harness.script = script_of(ALONE, with_dependency(requested=requested))
    record = harness.record()
    assert verdict(record) == ("FAIL", "forged-report", blame)
    assert record.failed_phase is Phase.FULL
    assert record.installed == ()


@pytest.mark.parametrize(
    ("listed", "page", "result"),
    [
        (True, (), "PASS"),
        (False, (), "FAIL"),
        (None, (replace(WHEEL, sha256="5a" * 32),), "PASS"),
        (None, (replace(WHEEL, sha256=None),), "PASS"),
        (None, (replace(WHEEL, sha256="5A" * 32),), "PASS"),
        (None, (WHEEL,), "FAIL"),
        (None, UnknownPackageError("no other", hint=""), "FAIL"),
        (None, IndexUnreachableError("no page for other", hint=""), "ERROR"),
    ],
)
def test_what_is_installed_must_be_what_the_index_lists(
    harness: CellHarness, page: tuple[IndexFile, ...] | Exception, result: str, *, listed: bool | None
) -> None:
    asked: list[tuple[str, str]] = []

    def lists(project: str, sha256: str) -> bool | None:
        asked.append((project, sha256))
        return listed

    harness.lists = lists
    harness.index.others["other"] = page
    harness.script = script_of(ALONE, with_dependency())
    record = harness.record()
    assert record.result is Result(result)
    assert record.cause == {"PASS": None, "FAIL": "forged-report", "ERROR": "network"}[result]
    assert asked == [("other", "5a" * 32)]


def test_without_a_gateway_nothing_is_known_of_what_cells_get(harness: CellHarness) -> None:
    harness.script = script_of(ALONE, with_dependency())
    assert harness.record().result is Result.PASS


def test_a_long_log_keeps_its_end_with_a_notice(harness: CellHarness) -> None:
    # Longer than the tail of a log, shorter than what is read of an output.
    harness.script = Script(nodeps=ScriptedCommand(output=b"begin " + b"x" * 40_000 + b" end", exit_code=1))
    log = harness.check().log
    assert log is not None
    assert len(log) == LOG_TAIL_CHARS
    assert log.startswith(CUT_NOTICE)
    assert log.endswith(" end")


def test_a_log_of_the_largest_length_is_complete(harness: CellHarness) -> None:
    harness.script = Script(nodeps=ScriptedCommand(output=b"x" * LOG_TAIL_CHARS, exit_code=1))
    assert harness.check().log == "x" * LOG_TAIL_CHARS


@pytest.mark.parametrize("output", [b"", b" \n\t\n"])
def test_an_empty_log_is_none(harness: CellHarness, output: bytes) -> None:
    harness.script = Script(nodeps=ScriptedCommand(output=output, exit_code=1))
    assert harness.check().log is None


@pytest.mark.attack("inert-text")
def test_bytes_that_are_not_text_are_replaced(harness: CellHarness) -> None:
    harness.script = Script(nodeps=ScriptedCommand(output=bytes(range(256)) * 4, exit_code=1))
    log = harness.check().log
    assert log is not None
    assert "\x00" not in log


def test_a_cell_that_passes_keeps_no_log(harness: CellHarness) -> None:
    harness.script = Script(full=ScriptedCommand(output=b"Successfully installed\n"))
    assert harness.check().log is None


# ---------------------------------------------------------------- any outcome at any step

acts = st.builds(
    ScriptedCommand,
    output=st.binary(max_size=200) | st.sampled_from([GCC.output, b"imported", b"ERROR: No matching"]),
    exit_code=st.integers(min_value=-64, max_value=255),
    oom=st.booleans(),
    import_proved=st.booleans(),
    received_bytes=st.integers(min_value=0, max_value=2**53 - 1),
    lost=st.none() | st.text(max_size=20),
)
STEPS_OF_A_CELL: Final = ("begin", "nodeps", "check", "reset", "full", "inspect", "isolate", "importing")


@pytest.mark.attack("valid-records")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_acts=st.dictionaries(st.sampled_from(STEPS_OF_A_CELL), acts))
def test_whatever_happens_becomes_a_record(harness: CellHarness, given_acts: Mapping[str, ScriptedCommand]) -> None:
    harness.script = Script(**given_acts)  # type: ignore[arg-type]
    record = harness.record()
    assert (record.result is Result.PASS) == (record.failed_phase is None and record.cause is None)
    if record.outcome(Phase.IMPORT) is Outcome.PASS:
        assert record.result is Result.PASS
    if record.result is Result.ERROR:
        assert record.blame is Blame.INFRASTRUCTURE


# ---------------------------------------------------------------- nothing to import, and scripts


SCRIPT_ROW: Final = ["console_scripts", "run", "example_lib.cli:main"]
TARGET_OF_SCRIPT: Final = "example_lib.cli:main"
NO_CLI: Final = ScriptedCommand(exit_code=1, output=b"ModuleNotFoundError: No module named 'example_lib'\n")


def test_metadata_alone_is_a_failure(harness: CellHarness) -> None:
    harness.script = Script(paths=["example_lib-2.1.0.dist-info/METADATA"])
    record = harness.record()
    assert outcomes(record) == "PASS PASS PASS FAIL"
    assert verdict(record) == ("FAIL", "empty", "package")
    assert record.detail == "it installs its metadata alone, and it requires nothing"
    assert (record.imports, Phase.IMPORT in record.grounds) == ((), False)


def test_metadata_alone_that_requires_something_is_a_pass(harness: CellHarness) -> None:
    harness.script = Script(paths=[], full=INSTALLED)
    record = harness.record()
    assert verdict(record) == ("PASS", None, None)
    assert record.grounds == {Phase.IMPORT: "requirements-only"}
    harness.script = Script(paths=[], requires=["other; sys_platform == 'win32'"])
    record = harness.record()
    assert record.grounds == {Phase.FULL: NOTHING_TO_ADD, Phase.IMPORT: "requirements-only"}
    assert record.detail == "it holds requirements only, and none of them applies here"


def test_a_script_whose_module_is_not_there_fails_a_release_without_modules(harness: CellHarness) -> None:
    harness.script = Script(paths=[], entry_points=[SCRIPT_ROW], scripts={TARGET_OF_SCRIPT: NO_CLI})
    record = harness.record()
    assert harness.commands[-2:] == ["isolate", f"prove {TARGET_OF_SCRIPT}"]
    assert verdict(record) == ("FAIL", "broken-entry-point", "package")
    assert record.detail == f"script run = {TARGET_OF_SCRIPT}: there is no module example_lib"
    assert record.entry_points == EntryPoints(
        tried=1,
        broken=(
            BrokenEntryPoint(
                group="console_scripts",
                name="run",
                value=TARGET_OF_SCRIPT,
                detail="there is no module example_lib",
            ),
        ),
    )


def test_a_script_that_works_is_enough_for_a_release_without_modules(harness: CellHarness) -> None:
    harness.script = Script(paths=[], entry_points=[SCRIPT_ROW])
    record = harness.record()
    assert verdict(record) == ("PASS", None, None)
    assert record.grounds[Phase.IMPORT] == "scripts"
    assert record.entry_points == EntryPoints(tried=1, broken=())


def test_a_broken_script_beside_a_module_is_only_told(harness: CellHarness) -> None:
    harness.script = Script(entry_points=[SCRIPT_ROW], scripts={TARGET_OF_SCRIPT: NO_CLI})
    record = harness.record()
    assert verdict(record) == ("PASS", None, None)
    assert record.detail is None
    assert record.entry_points is not None
    assert [broken.name for broken in record.entry_points.broken] == ["run"]


@pytest.mark.parametrize(
    "ending",
    [
        ScriptedCommand(exit_code=-9, oom=True),
        ScriptedCommand(lost="the run was ended"),
    ],
)
def test_a_script_that_cannot_be_tried_beside_a_module_is_not_told_of(
    harness: CellHarness, ending: ScriptedCommand
) -> None:
    harness.script = Script(entry_points=[SCRIPT_ROW], scripts={TARGET_OF_SCRIPT: ending})
    record = harness.record()
    assert (verdict(record), record.entry_points) == (("PASS", None, None), None)


def test_scripts_are_not_tried_after_a_failed_import(harness: CellHarness) -> None:
    harness.script = Script(
        entry_points=[SCRIPT_ROW], importing=ScriptedCommand(exit_code=1, output=b"ValueError: no\n")
    )
    assert harness.record().entry_points is None
    assert f"prove {TARGET_OF_SCRIPT}" not in harness.commands


def test_a_sandbox_that_is_lost_while_scripts_decide_is_our_trouble(harness: CellHarness) -> None:
    lost = ScriptedCommand(lost="the run was ended")
    harness.script = Script(paths=[], entry_points=[SCRIPT_ROW], scripts={TARGET_OF_SCRIPT: lost})
    assert verdict(harness.record()) == ("ERROR", "sandbox", "infrastructure")


@pytest.mark.attack("inert-text")
def test_what_is_said_of_a_script_belongs_to_no_machine(harness: CellHarness) -> None:
    harness.hosts = frozenset({"files.example"})
    ending = ScriptedCommand(
        exit_code=1, output=b"Traceback (most recent call last):\nValueError: \x1b[31m/fake/work/x files.example\n"
    )
    harness.script = Script(entry_points=[SCRIPT_ROW], scripts={TARGET_OF_SCRIPT: ending})
    points = harness.record().entry_points
    assert points is not None
    assert points.broken[0].detail == "import example_lib.cli: ValueError: [31m/ppp/work/x index.example"


def test_a_record_that_differs_from_the_wheel_decides_nothing(harness: CellHarness) -> None:
    wheel = Project(name="example-lib", version="2.1.0", files={"example_lib.py": b""}, recorded=("gone.py",))
    harness.index.content = wheel.build()
    record = harness.record()
    assert verdict(record) == ("PASS", None, None)
    assert record.record_mismatch == RecordMismatch(missing=1, unlisted=0, different=0, examples=("gone.py",))


# ---------------------------------------------------------------- the index's copy of METADATA (PEP 658)


OWN_WHEEL: Final = Project(name="example-lib", version="2.1.0", requires=("other",))
OWN_METADATA: Final = replace(OWN_WHEEL, copied_requires=("other",)).index_metadata() or b""
OTHER_METADATA: Final = replace(OWN_WHEEL, copied_requires=()).index_metadata() or b""


def with_copy(harness: CellHarness, announced: bytes, content: bytes | DownloadError) -> Record:
    """Return the record of a wheel whose metadata the index has announced and sends so."""
    harness.index.page = (replace(WHEEL, metadata_sha256=sha256_hex(announced)),)
    harness.index.content = OWN_WHEEL.build()
    harness.index.copy = content
    return harness.record()


def test_a_copy_with_the_right_hash_is_not_even_fetched(harness: CellHarness) -> None:
    assert with_copy(harness, OWN_METADATA, OTHER_METADATA).detail is None
    assert len(harness.index.fetched) == 1


def test_a_copy_that_differs_is_told_and_decides_nothing(harness: CellHarness) -> None:
    record = with_copy(harness, OTHER_METADATA, OTHER_METADATA)
    assert verdict(record) == ("PASS", None, None)
    assert record.detail == (
        "the index's copy of its metadata has another Requires-Dist: pip 26.2 and newer refuse to install it"
    )


def test_a_copy_that_differs_in_what_pip_does_not_compare_is_none_of_our_business(harness: CellHarness) -> None:
    assert with_copy(harness, b"other bytes", OWN_METADATA + b"\nText.\n").detail is None


def test_of_a_copy_that_cannot_be_fetched_nothing_is_known(harness: CellHarness) -> None:
    assert with_copy(harness, OTHER_METADATA, DownloadError("network", "it broke off")).detail is None


# ---------------------------------------------------------------- a release that is preinstalled itself


@pytest.mark.parametrize(("version", "removals"), [("2.1.0", 1), ("2.1", 1), ("2.0.9", 0), ("no version", 0)])
def test_a_release_that_is_preinstalled_is_removed_before_its_file_is_installed(
    harness: CellHarness, version: str, removals: int
) -> None:
    # pip itself replaces another version; of the same one it would say that it is there already.
    plain = Script(full=INSTALLED)

    def script(argv: Sequence[str], files: Files) -> ScriptedCommand:
        return ScriptedCommand() if argv[:2] == ["pip", "uninstall"] else plain(argv, files)

    harness.script = script
    own = PreinstalledDistribution(name="example-lib", version=version, modules=("example_lib",))
    record = harness.check(preinstalled=(own,)).record
    assert record.result is Result.PASS
    steps = [step for step in harness.commands if step in {"nodeps", "full", "pip uninstall --yes example-lib"}]
    room = ["pip uninstall --yes example-lib"] * removals
    assert steps == [*room, "nodeps", *room, "full"]


def test_a_preinstalled_release_that_cannot_be_removed_is_an_error_of_ours(harness: CellHarness) -> None:
    plain = Script()

    def script(argv: Sequence[str], files: Files) -> ScriptedCommand:
        return ScriptedCommand(exit_code=1) if argv[:2] == ["pip", "uninstall"] else plain(argv, files)

    harness.script = script
    own = PreinstalledDistribution(name="example-lib", version="2.1.0", modules=("example_lib",))
    assert verdict(harness.check(preinstalled=(own,)).record) == ("ERROR", "sandbox", "infrastructure")


@pytest.mark.parametrize("newer", [True, False])
def test_what_the_index_listed_then_is_recorded(harness: CellHarness, *, newer: bool) -> None:
    other = replace(WHEEL, filename=f"example_lib-{'9' if newer else '0'}.0-py3-none-any.whl")
    harness.index.page = (WHEEL, other)
    record = harness.record()
    assert record.result is Result.PASS
    assert record.on_index == OnIndex(newest="9.0" if newer else record.release.version, versions=2)


def test_nothing_is_recorded_of_a_page_that_was_not_read(harness: CellHarness) -> None:
    harness.index.page = ()
    assert harness.record().on_index is None
