"""The joint cell: what is installed together and imported, and what ends it. What comes out is not trusted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cell_environments import SLIM, tiny_matrix
from fake_runtime import (
    INSTALLED,
    MARKERS,
    PREINSTALLED_PIP,
    PROVED,
    FakeRuntime,
    Files,
    ScriptedCommand,
    prepared_environment,
)
from hypothesis import given
from hypothesis import strategies as st

from ppp.check.joint import JointCell, JointChecker, JointRun
from ppp.model.record import Blame, Installed, Outcome

HASHES = {"left": "1" * 64, "right": "2" * 64, "shared": "3" * 64}
ROWS: list[list[str | None]] = [[name, "1.0", sha256] for name, sha256 in HASHES.items()]
BROKEN = ScriptedCommand(
    exit_code=1,
    output=b'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n'
    b"ImportError: cannot import name 'left_only' from 'shared'\n",
)


@dataclass(slots=True, kw_only=True)
class JointScript:
    """The script of a joint cell that passes; each step can be replaced."""

    install: ScriptedCommand = INSTALLED
    check: ScriptedCommand = INSTALLED
    inspect: ScriptedCommand | None = None
    rows: list[list[str | None]] = field(default_factory=lambda: ROWS)
    imports: Mapping[str, ScriptedCommand] = field(default_factory=dict)

    def __call__(self, argv: Sequence[str], files: Files) -> ScriptedCommand:  # noqa: ARG002 - the port's
        match argv:
            case ["begin"] | ["isolate"] | ["pip", "uninstall", *_]:
                return ScriptedCommand()
            case ["pip", "install", *_]:
                return self.install
            case ["pip", "check"]:
                return self.check
            case ["prove", module]:
                return self.imports.get(module, PROVED)
            case ["inspect", package]:
                return self.inspect or ScriptedCommand(output=json.dumps(self.inspection(package)).encode())
        raise AssertionError(f"no joint cell runs this: {argv}")

    def inspection(self, package: str) -> dict[str, object]:
        return {
            "installed": self.rows,
            "requested": self.rows[:2],
            "folders": [f"{package}-1.0.dist-info"],
            "target": None,
            "needs": {"requires": [], "markers": MARKERS},
            "owned": [["left", ["left"]], ["right", ["right"]], ["shared", ["shared"]]],
        }


def run(
    folder: Path, script: JointScript, *, preinstalled: Sequence[str] = ()
) -> tuple[JointRun, list[Sequence[str]], str]:
    """Return what was observed, the commands that ran, and what pip was given."""
    matrix = tiny_matrix(SLIM, timeouts_s={"import": 1})
    runtime = FakeRuntime(matrix, script)
    found = tuple(
        PREINSTALLED_PIP.__class__(name=name, version="1.0") for name in (PREINSTALLED_PIP.name, *preinstalled)
    )
    checker = JointChecker(
        runtime=runtime, prepared=prepared_environment(SLIM, preinstalled=found), matrix=matrix, hide=str
    )
    cell = JointCell(
        requirements={"left": "left", "right": "right>=1"},
        modules=lambda package, _: [package, f"{package}.inner"],
        is_proven=lambda project, sha256: HASHES.get(project) == sha256,
    )
    done = checker.check(cell, folder)
    assert not runtime.open
    return done, runtime.commands, (folder / "requirements.txt").read_text()


def test_what_was_asked_for_is_installed_together_and_imported(tmp_path: Path) -> None:
    done, commands, given_to_pip = run(tmp_path, JointScript())
    assert done.passed
    assert done.installed == tuple(Installed(name=n, version="1.0", sha256=h) for n, h in HASHES.items())
    assert done.imported == ("left", "left.inner", "right", "right.inner"), "and what they need is not imported"
    assert given_to_pip == "left\nright>=1\n"
    kinds = [" ".join(command[:2]) for command in commands]
    assert kinds.index("isolate") > kinds.index("pip check"), "imports have no network"
    assert "pip uninstall" not in kinds


def test_what_the_image_has_already_is_installed_all_the_same(tmp_path: Path) -> None:
    _, commands, _ = run(tmp_path, JointScript(), preinstalled=["left", "other"])
    assert ["pip", "uninstall", "--yes", "left"] in [list(command) for command in commands]


@pytest.mark.parametrize(
    ("script", "cause", "package"),
    [
        (JointScript(imports={"right.inner": BROKEN}), "dependency-drift", "right"),
        (JointScript(imports={"left": ScriptedCommand(exit_code=0)}), None, "left"),
        (JointScript(imports={"left": ScriptedCommand(takes_s=600)}), "timeout", "left"),
        (
            JointScript(install=ScriptedCommand(exit_code=1, output=b"ERROR: ResolutionImpossible: see\n")),
            "conflict",
            None,
        ),
        (JointScript(check=ScriptedCommand(exit_code=1, output=b"left 1.0 requires x, which is not\n")), None, None),
        (JointScript(inspect=ScriptedCommand(output=b"{")), "sandbox", None),
        (JointScript(install=ScriptedCommand(lost="the engine stopped")), "sandbox", None),
        (JointScript(imports={"left": ScriptedCommand(lost="the engine stopped")}), "sandbox", None),
    ],
)
def test_what_ends_it_is_said_with_whose_module_it_was(
    tmp_path: Path, script: JointScript, cause: str | None, package: str | None
) -> None:
    done, _, _ = run(tmp_path, script)
    assert not done.passed
    assert (done.package, done.installed, done.imported) == (package, (), ())
    assert cause is None or done.report.cause == cause
    assert (done.report.outcome is Outcome.ERROR) == (cause == "sandbox")


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([*ROWS[:2], ["shared", "1.0", "4" * 64]], "a file that is not proven: shared 1.0"),
        ([*ROWS[:2], ["shared", "1.0", None]], "a file that is not proven: shared 1.0"),
        ([*ROWS, ["other", "1.0", "1" * 64]], "a file that is not proven: other 1.0"),
        ([["left", "1.0", HASHES["right"]], *ROWS[1:]], "a file that is not proven: left 1.0"),
        ([*ROWS, ROWS[0]], "names a distribution twice"),
        ([ROWS[0], ROWS[2]], "does not name right"),
        ([], "does not name left"),
    ],
)
def test_a_report_that_cannot_be_is_no_success(tmp_path: Path, rows: list[list[str | None]], said: str) -> None:
    done, commands, _ = run(tmp_path, JointScript(rows=rows))
    assert (done.report.cause, done.report.blame) == ("forged-report", Blame.UNKNOWN)
    assert said in str(done.report.detail)
    assert "prove" not in [command[0] for command in commands]


@pytest.mark.attack("own-verdict")
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([*HASHES, "other"]), st.just("1.0"), st.sampled_from([*HASHES.values(), "4" * 64, None])
        ).map(list),
        max_size=5,
    )
)
def test_whatever_a_report_claims_only_proven_files_pass(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str | None]]
) -> None:
    done, _, _ = run(tmp_path_factory.mktemp("joint"), JointScript(rows=rows))
    names = [str(row[0]) for row in rows]
    possible = len({*names}) == len(names) and {"left", "right"} <= {*names}
    assert done.passed == (possible and all(HASHES.get(str(row[0])) == row[2] for row in rows))
