"""Files are checked between two runs of the canary, on a runtime in memory; nothing is stored."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, tiny_matrix
from fake_runtime import CellScript, FakeRuntime, ScriptedCommand
from projects import module_project
from recording_reporter import RecordingReporter

from ppp import config
from ppp.check.given.reading import GivenFile, copied_files
from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import PreparedEnvironment
from ppp.model.matrix import Platform
from ppp.model.record import Phase, Result
from ppp.runner.check_files import FileResult, check_in_environment
from ppp.runner.context import Context
from ppp.runner.environments import ReadyEnvironments

LOST: Final = ScriptedCommand(lost="the engine is gone")
FAULT: Final = "example-canary==1.0 had to result in PASS"


@dataclass(slots=True, kw_only=True)
class Harness:
    """A prepared environment, a wheel of example-lib, and a canary that finds `faults` in the order of its runs."""

    ready: ReadyEnvironments
    runtime: FakeRuntime
    context: Context
    reporter: RecordingReporter
    files: tuple[GivenFile, ...]
    script: CellScript
    faults: list[str] = field(default_factory=list)
    canaries: int = 0

    def check(self, *files: GivenFile) -> list[FileResult]:
        return list(check_in_environment(self.context, self.ready, SLIM, files or self.files))

    def begun(self) -> int:
        return self.runtime.commands.count(["begin"])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Harness]:
    project = module_project("example-lib", "")
    source = tmp_path / project.filename
    source.write_bytes(project.build())
    reporter, script, matrix = RecordingReporter(), CellScript(), tiny_matrix(SLIM)
    runtime = FakeRuntime(matrix, script)
    context = Context(
        config=config.load({}, data=tmp_path / "data"), reporter=reporter, environ={}, stop=threading.Event()
    )
    with copied_files([str(source)], parent=tmp_path / "cache", max_bytes=10_000) as files:
        script.installed = [["example-lib", "1.0", files[0].sha256]]
        index = SimpleIndex("https://index.example/simple/", cache=tmp_path / "files", user_agent="tests")
        ready = ReadyEnvironments(
            index=index,
            matrix=matrix,
            runtimes=dict.fromkeys(Platform, runtime),
            prepared={SLIM.id: runtime.prepare(SLIM)},
            unavailable={},
        )
        made = Harness(ready=ready, runtime=runtime, context=context, reporter=reporter, files=files, script=script)
        made.ready = replace(ready, canary=_canary(made))
        yield made


def _canary(rig: Harness) -> Callable[[PreparedEnvironment], Sequence[str]]:
    def run(_: PreparedEnvironment) -> Sequence[str]:
        rig.canaries += 1
        fault = rig.faults.pop(0) if rig.faults else ""
        return [fault] if fault else []

    return run


def test_a_file_is_checked_between_two_canaries(rig: Harness) -> None:
    (found,) = rig.check()
    assert (found.result, found.cause, rig.canaries, rig.begun()) == (Result.PASS, None, 2, 1)
    assert found.record
    assert found.record.installed[0].sha256 == rig.files[0].sha256
    assert (rig.reporter.totals, len(rig.reporter.records), rig.reporter.ended) == ([1], 1, 1)
    installs = [argv for argv in rig.runtime.commands if argv[:2] == ["pip", "install"]]
    assert all(argv[2:4] == ["--find-links", "/fake/file"] for argv in installs)


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize(("faults", "checked"), [([FAULT], 0), (["", FAULT], 1)])
def test_no_result_counts_in_an_unhealthy_environment(rig: Harness, faults: list[str], checked: int) -> None:
    rig.faults = faults
    (found,) = rig.check()
    assert (found.result, found.cause, found.log) == (Result.ERROR, "unhealthy-environment", None)
    assert FAULT in str(found.detail)
    assert rig.begun() == checked


def test_an_environment_that_cannot_be_had_is_told_of_each_file(rig: Harness) -> None:
    rig.ready = replace(rig.ready, prepared={}, unavailable={SLIM.id: "no Docker engine answers"})
    (found,) = rig.check()
    assert (found.result, found.detail, rig.canaries) == (Result.ERROR, "no Docker engine answers", 0)


def test_our_own_trouble_is_tried_once_more(rig: Harness) -> None:
    rig.script.begin = LOST
    (found,) = rig.check()
    assert (found.result, found.cause, rig.begun()) == (Result.ERROR, "sandbox", 2)
    rig.script.begin = ScriptedCommand()
    assert rig.check()[0].result is Result.PASS


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("sha256", ["ab" * 32, None])
def test_other_bytes_under_the_same_name_are_no_pass(rig: Harness, sha256: str | None) -> None:
    rig.script.installed = [["example-lib", "1.0", sha256]]
    (found,) = rig.check()
    assert found.result is Result.ERROR


def test_a_copy_that_changed_is_not_installed(rig: Harness) -> None:
    rig.files[0].path.write_bytes(b"other")
    (found,) = rig.check()
    assert (found.result, found.cause, rig.begun()) == (Result.ERROR, "hash", 0)


def test_a_name_that_is_none_is_the_packages_fault_and_runs_nothing(rig: Harness) -> None:
    nameless = replace(rig.files[0], release=None, fault="its name is not that of a wheel")
    (found,) = rig.check(nameless)
    assert (found.result, found.phase, found.cause, found.record) == (Result.FAIL, Phase.DOWNLOAD, "bad-wheel", None)
    assert (found.detail, rig.begun()) == ("its name is not that of a wheel", 0)


def test_a_python_that_the_file_excludes_is_not_claimed(rig: Harness) -> None:
    (found,) = rig.check(replace(rig.files[0], requires_python=">=3.99"))
    assert (found.result, found.cause, rig.begun()) == (Result.NA, "requires-python", 0)
