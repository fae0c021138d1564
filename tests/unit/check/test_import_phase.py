"""The phase `import`: which modules decide, what is recorded of the others, and how little time these have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, tiny_matrix
from fake_runtime import PROVED, FakeRuntime, Files, ScriptedCommand, prepared_environment

from ppp.check.cell_facts import CellContext, CellFacts
from ppp.check.contents import Requires
from ppp.check.import_phase import NOT_TRIED, ImportPhase
from ppp.check.index.client import Index
from ppp.check.installation import DistInfo, Inspection
from ppp.check.modules import InstalledMetadata, modules_to_import
from ppp.check.phases import PhaseReport
from ppp.check.submodules import MAX_OTHERS
from ppp.model.record import EntryPoints, ModuleFailure, Outcome, Submodules
from ppp.model.release import Release

#: How long the phase may take in these tests, and with it all that decides nothing, and each of it.
IMPORT_S: Final = 0.3
SLOW: Final = ScriptedCommand(import_proved=True, takes_s=IMPORT_S * 0.7)
HANGS: Final = ScriptedCommand(takes_s=60)
LOST: Final = ScriptedCommand(lost="the engine was stopped")
OOM: Final = ScriptedCommand(exit_code=-9, oom=True)
MISSING: Final = ScriptedCommand(
    exit_code=1,
    output=b'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n'
    b"ModuleNotFoundError: No module named 'ppp_plugin'\n",
)
NO_MODULE: Final = ScriptedCommand(
    exit_code=1,
    output=b'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n'
    b"ImportError: dynamic module does not define module export function (PyInit__c)\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseResult:
    """What the phase returned and noted, and the modules that were imported, in order."""

    report: PhaseReport
    failures: tuple[ModuleFailure, ...]
    submodules: Submodules | None
    entry_points: EntryPoints | None
    relies_on: tuple[str, ...]
    tried: list[str]

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcomes of the top-level modules that were not imported."""
        return {failure.module: str(failure.outcome) for failure in self.failures}


@dataclass(slots=True, kw_only=True)
class ReleaseScript:
    """What a release installs, and what comes of importing its modules: `PROVED` unless it says otherwise."""

    paths: Sequence[str] = ("lib.py",)
    inner: Sequence[str] = ()
    scripts: Sequence[str] = ()
    commands: Mapping[str, ScriptedCommand] = field(default_factory=dict)

    def import_all(self) -> PhaseResult:
        """Run the phase."""
        matrix = tiny_matrix(SLIM, timeouts_s={"import": IMPORT_S})  # type: ignore[dict-item]
        prepared = prepared_environment(SLIM)
        runtime = FakeRuntime(matrix, self._script)
        metadata = InstalledMetadata(paths=tuple(self.paths), inner=tuple(self.inner))
        scripts = tuple(("console_scripts", name, f"lib:{name}") for name in self.scripts)
        target = DistInfo(folder="lib-1.0.dist-info", metadata=metadata, digests={}, entry_points=scripts)
        alone = Inspection(
            installed=(),
            requested=(),
            folders=frozenset(),
            target=target,
            requires=Requires.NOTHING,
            requirements={"lib": ()},
        )
        facts = CellFacts(
            modules=modules_to_import("lib", metadata, prepared.suffixes),
            alone=alone,
            last=alone,
        )
        context = CellContext(
            release=Release.parse("lib", "1.0"),
            prepared=prepared,
            index=NO_INDEX,
            runtime=runtime,
            matrix=matrix,
            is_listed=lambda *_: True,
        )
        with runtime.sandbox(prepared, Path("lib.whl")) as facts.sandbox:
            report = ImportPhase(context, facts).run()
        return PhaseResult(
            report=report,
            failures=facts.import_failures,
            submodules=facts.submodules,
            entry_points=facts.entry_points,
            relies_on=facts.relies_on,
            tried=[argv[1] for argv in runtime.commands if argv[0] == "prove"],
        )

    def _script(self, argv: Sequence[str], files: Files) -> ScriptedCommand:
        del files
        return self.commands.get(argv[-1], PROVED) if argv[0] in {"prove", "isolate"} else ScriptedCommand()


class NoIndex:
    """See `ppp.check.index.client.Index`: nothing is looked up in this phase."""

    def files(self, package: str) -> tuple[()]:
        raise AssertionError(package)

    def status(self, package: str) -> None:
        raise AssertionError(package)

    def fetch(self, file: object, *, timeout_s: float, max_bytes: int) -> Path:
        raise AssertionError(file, timeout_s, max_bytes)


NO_INDEX: Final[Index] = NoIndex()


# ---------------------------------------------------------------- the modules that decide


def test_the_primary_module_alone_decides() -> None:
    done = ReleaseScript(paths=["lib.py", "pwmio.py"], commands={"pwmio": MISSING}).import_all()
    assert done.report.outcome is Outcome.PASS
    assert (done.report.cause, done.report.detail, done.report.log) == (None, None, "")
    detail = "ModuleNotFoundError: No module named 'ppp_plugin'"
    assert done.failures == (
        ModuleFailure(module="pwmio", outcome=Outcome.FAIL, cause="module-missing", detail=detail),
    )


def test_a_primary_module_that_fails_is_a_failure_whatever_the_others_do() -> None:
    done = ReleaseScript(paths=["lib.py", "pwmio.py"], commands={"lib": MISSING}).import_all()
    assert (done.report.outcome, done.report.cause) == (Outcome.FAIL, "module-missing")
    assert (done.report.detail or "").startswith("import lib: ModuleNotFoundError")
    assert done.outcomes == {"lib": "FAIL"}
    assert done.tried == ["lib", "pwmio"]


def test_without_a_primary_module_all_have_to_import() -> None:
    paths = ["one.py", "two.py", "three.py"]
    assert ReleaseScript(paths=paths).import_all().report.outcome is Outcome.PASS
    done = ReleaseScript(paths=paths, commands={"two": MISSING, "three": NO_MODULE}).import_all()
    assert (done.report.outcome, done.report.cause) == (Outcome.FAIL, "module-missing")
    assert (done.report.detail or "").startswith("import two: ")
    assert done.outcomes == {"two": "FAIL", "three": "FAIL"}


@pytest.mark.parametrize(("command", "outcome"), [(HANGS, "TIMEOUT"), (OOM, "ERROR"), (LOST, "ERROR")])
def test_after_a_deciding_module_that_says_nothing_nothing_is_tried(command: ScriptedCommand, outcome: str) -> None:
    done = ReleaseScript(paths=["lib.py", "other.py"], inner=["lib/a.py"], commands={"lib": command}).import_all()
    assert done.report.outcome is Outcome(outcome)
    assert done.outcomes == {"lib": outcome, "other": "SKIP"}
    assert done.tried == ["lib"]
    assert done.submodules is None


def test_a_sandbox_that_is_lost_before_the_first_import_is_an_infrastructure_error() -> None:
    done = ReleaseScript(commands={"isolate": LOST}).import_all()
    assert (done.report.outcome, done.report.cause) == (Outcome.ERROR, "sandbox")
    assert (done.failures, done.submodules, done.tried) == ((), None, [])


# ---------------------------------------------------------------- the modules that decide nothing


@pytest.mark.parametrize(
    ("command", "outcome", "cause"), [(OOM, "ERROR", "oom"), (LOST, "ERROR", "sandbox"), (HANGS, "TIMEOUT", "timeout")]
)
def test_no_trouble_with_another_module_changes_the_verdict(command: ScriptedCommand, outcome: str, cause: str) -> None:
    done = ReleaseScript(paths=["lib.py", "other.py"], commands={"other": command}).import_all()
    assert done.report.outcome is Outcome.PASS
    (failure,) = done.failures
    assert (failure.module, str(failure.outcome), failure.cause) == ("other", outcome, cause)


def test_what_there_is_no_time_for_is_not_tried() -> None:
    done = ReleaseScript(paths=["lib.py", "a.py", "b.py", "c.py"], commands={"a": SLOW, "b": SLOW}).import_all()
    assert done.report.outcome is Outcome.PASS
    assert done.outcomes == {"b": "SKIP", "c": "SKIP"}
    assert {failure.detail for failure in done.failures} == {NOT_TRIED.detail}
    assert {failure.cause for failure in done.failures} == {None}


def test_after_the_sandbox_is_lost_nothing_more_is_tried() -> None:
    done = ReleaseScript(paths=["lib.py", "a.py", "b.py"], inner=["lib/c.py"], commands={"a": LOST}).import_all()
    assert done.outcomes == {"a": "ERROR", "b": "SKIP"}
    assert done.tried == ["lib", "a"]
    assert done.submodules == Submodules(tried=0, left_out=1, failed=())


def test_what_an_import_relies_on_is_known_before_anything_else_can_end_the_sandbox() -> None:
    loads = ScriptedCommand(import_proved=True, loaded=("pip",))
    commands = {"lib": loads, "pip": MISSING, "other": LOST}
    done = ReleaseScript(paths=["lib.py", "other.py"], commands=commands).import_all()
    assert (done.report.outcome, done.relies_on) == (Outcome.PASS, ("pip",))
    assert done.outcomes == {"other": "ERROR"}
    assert done.tried == ["lib", "lib", "other"]


def test_a_sandbox_that_is_lost_while_that_is_found_out_is_an_infrastructure_error() -> None:
    loads = ScriptedCommand(import_proved=True, loaded=("pip",))
    done = ReleaseScript(paths=["lib.py", "other.py"], commands={"lib": loads, "pip": LOST}).import_all()
    assert (done.report.outcome, done.report.cause, done.relies_on) == (Outcome.ERROR, "sandbox", ())
    assert done.failures == ()


def test_the_time_of_all_modules_is_that_of_the_phase() -> None:
    takes = ScriptedCommand(import_proved=True, takes_s=0.02)
    done = ReleaseScript(paths=["lib.py", "a.py"], inner=["lib/c.py"], commands={"lib": takes, "a": takes}).import_all()
    assert done.report.duration_ms == 40


# ---------------------------------------------------------------- what is inside the release


def test_submodules_are_imported_after_a_pass_and_never_decide() -> None:
    inner = ["lib/_c.abi3.so", "lib/api.py", "lib/plugin.py"]
    done = ReleaseScript(paths=["lib/__init__.py"], inner=inner, commands={"lib.plugin": MISSING}).import_all()
    assert done.report.outcome is Outcome.PASS
    assert done.tried == ["lib", "lib._c", "lib.api", "lib.plugin"]
    assert done.submodules is not None
    assert (done.submodules.tried, done.submodules.left_out) == (3, 0)
    assert [(f.module, f.cause) for f in done.submodules.failed] == [("lib.plugin", "module-missing")]


def test_what_the_primary_module_loads_needs_no_process() -> None:
    inner = ["lib/_c.abi3.so", "lib/api.py", "lib/other.py"]
    loads = ScriptedCommand(import_proved=True, loaded=("lib._c", "lib.api", "json"))
    done = ReleaseScript(paths=["lib/__init__.py"], inner=inner, commands={"lib": loads}).import_all()
    assert done.tried == ["lib", "lib.other"]
    assert done.submodules == Submodules(tried=3, left_out=0, failed=())


def test_what_a_module_loads_that_fails_is_not_believed() -> None:
    loads = ScriptedCommand(loaded=("one.a",), exit_code=1)
    done = ReleaseScript(paths=["one/__init__.py", "two.py"], inner=["one/a.py"], commands={"one": loads}).import_all()
    assert (done.report.outcome, done.submodules) == (Outcome.FAIL, None)


def test_after_a_failure_no_submodule_is_imported() -> None:
    done = ReleaseScript(paths=["lib/__init__.py"], inner=["lib/api.py"], commands={"lib": MISSING}).import_all()
    assert (done.tried, done.submodules) == (["lib"], None)


def test_without_submodules_there_is_nothing_to_say() -> None:
    assert ReleaseScript().import_all().submodules is None


@pytest.mark.attack("bounded-input")
def test_the_number_of_submodules_is_limited() -> None:
    done = ReleaseScript(paths=["lib/__init__.py"], inner=[f"lib/m{n}.py" for n in range(100)]).import_all()
    assert done.submodules == Submodules(tried=MAX_OTHERS, left_out=100 - MAX_OTHERS, failed=())
    assert len(done.tried) == 1 + MAX_OTHERS


@pytest.mark.attack("deadlines")
def test_a_submodule_that_hangs_takes_the_time_of_the_others_and_is_the_only_one_that_failed() -> None:
    inner = ["lib/server.py", "lib/zzzzzzzzz.py", "lib/zzzzzzzzzz.py"]
    done = ReleaseScript(paths=["lib/__init__.py"], inner=inner, commands={"lib.server": HANGS}).import_all()
    assert done.report.outcome is Outcome.PASS
    assert done.submodules is not None
    assert (done.submodules.tried, done.submodules.left_out) == (1, 2)
    assert [str(failure.outcome) for failure in done.submodules.failed] == ["TIMEOUT"]


def test_a_shared_library_that_is_no_module_is_not_counted() -> None:
    inner = ["lib/_c.abi3.so", "lib/a.py"]
    done = ReleaseScript(paths=["lib/__init__.py"], inner=inner, commands={"lib._c": NO_MODULE}).import_all()
    assert done.submodules == Submodules(tried=1, left_out=0, failed=())


# ---------------------------------------------------------------- scripts


def test_scripts_are_tried_after_the_modules() -> None:
    done = ReleaseScript(scripts=["one", "two"]).import_all()
    assert done.tried == ["lib", "lib:one", "lib:two"]
    assert done.entry_points == EntryPoints(tried=2, broken=())


def test_a_script_that_takes_too_long_beside_modules_is_not_told_of() -> None:
    done = ReleaseScript(scripts=["one", "two"], commands={"lib:one": HANGS}).import_all()
    assert done.report.outcome is Outcome.PASS
    assert done.entry_points == EntryPoints(tried=1, broken=())


def test_a_script_that_takes_too_long_without_modules_is_a_timeout() -> None:
    done = ReleaseScript(paths=[], scripts=["one"], commands={"lib:one": HANGS}).import_all()
    assert (done.report.outcome, done.report.cause) == (Outcome.TIMEOUT, "timeout")
    assert 250 < done.report.duration_ms < 2000
