"""Drift is told from a release's own fault by runs alone; here a rule says which installations pass."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cell_environments import SLIM
from fake_runtime import prepared_environment
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_record import SAMPLE_RECORD

from ppp.check.drift import DAY_S, examine, is_examined, proven
from ppp.check.examined_cell import ExaminedCell, RanCell
from ppp.check.index.choose import IndexFile, file_version
from ppp.check.index.page import ProjectStatus
from ppp.check.index.view import IndexView, ViewedIndex
from ppp.model.canonical import sha256_hex
from ppp.model.drift import Culprit, Drift, DriftLimits
from ppp.model.errors import UnknownPackageError
from ppp.model.record import Blame, DistributionFile, Installed, Outcome, Record, Result
from ppp.model.release import Release

UPLOADED = 1_700_000_000
MAX_RUNS = DriftLimits().runs
Versions = Mapping[str, int]


def version_file(project: str, version: int, at: int) -> IndexFile:
    name = f"{project.replace('-', '_')}-{version}.0-py3-none-any.whl"
    return IndexFile(
        filename=name,
        url="",
        sha256=sha256_hex(name.encode()),
        requires_python=None,
        yanked=False,
        upload_time=datetime.fromtimestamp(at, UTC),
    )


@dataclass(slots=True, kw_only=True)
class ModelIndex:
    """Projects with versions 1.0, 2.0, …; of each, the first `before` came before the release, the others later."""

    projects: Mapping[str, tuple[int, int]]

    def files(self, package: str) -> tuple[IndexFile, ...]:
        if package not in self.projects:
            raise UnknownPackageError("no", hint="")
        before, after = self.projects[package]
        times = [UPLOADED - 1000] * before + [UPLOADED + 100 * DAY_S] * after
        return tuple(version_file(package, number + 1, at) for number, at in enumerate(times))

    def status(self, package: str) -> ProjectStatus | None:  # noqa: ARG002 - the port's
        return None

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        raise AssertionError((file, timeout_s, max_bytes))


@dataclass(slots=True, kw_only=True)
class Model:
    """A release that needs all projects, and passes if `works` says so of the versions that pip takes."""

    index: ModelIndex
    works: Callable[[Versions], bool]
    record: Record
    views: list[IndexView] = field(default_factory=list)
    explain: Callable[[Versions], str | None] | None = None
    take: Callable[[Versions], Versions] = dict

    def run(self, view: IndexView) -> RanCell:
        self.views.append(view)
        index, newest = ViewedIndex(self.index, view), {}
        for project in self.index.projects:
            versions = [file_version(file, project) for file in index.files(project)]
            if not versions:
                return RanCell(record=self.record, asked=frozenset(self.index.projects))
            newest[project] = max(version.major for version in versions if version)
        taken = self.take(newest)
        installed = tuple(
            Installed(name=name, version=f"{number}.0", sha256=version_file(name, number, 0).sha256)
            for name, number in sorted(taken.items())
        )
        result = Result.PASS if self.works(taken) else Result.FAIL
        return RanCell(
            record=replace(self.record, result=result, installed=installed, detail=self._detail(taken)),
            asked=frozenset(self.index.projects),
        )

    def _detail(self, taken: Versions) -> str | None:
        return self.explain(taken) if self.explain else self.record.detail

    def examine(self, known: Iterable[Culprit] = (), *, max_runs: int = MAX_RUNS) -> Drift | None:
        cell = ExaminedCell(
            record=self.record,
            uploaded_at=UPLOADED,
            index=self.index,
            prepared=prepared_environment(SLIM),
            run=self.run,
            max_runs=max_runs,
        )
        return examine(cell, known=[*known])


@pytest.fixture
def model(record: Callable[..., Record]) -> Callable[..., Model]:
    def make(projects: Mapping[str, tuple[int, int]], works: Callable[[Versions], bool], detail: str = "x") -> Model:
        failed = record("app", "1.0", result="FAIL", detail=detail, observed_at=UPLOADED + 1000 * DAY_S)
        return Model(index=ModelIndex(projects=projects), works=works, record=failed)

    return make


def test_the_one_project_that_changed_is_the_culprit_with_the_first_version_that_breaks(
    model: Callable[..., Model],
) -> None:
    projects = {f"lib{number}": (2, 9) for number in range(8)}
    drift = model(projects, lambda taken: taken["lib5"] < 7).examine()
    assert drift
    assert drift.culprits == (Culprit(name="lib5", works_with="6.0", fails_with="7.0"),)
    assert (drift.as_of, drift.result_then, drift.bounds) == (UPLOADED + DAY_S, "PASS", "lib5<7.0")


def test_what_the_failure_names_is_tried_first(model: Callable[..., Model]) -> None:
    projects = {f"lib-{number}": (1, 1) for number in range(30)}
    named = model(projects, lambda taken: taken["lib-17"] < 2, "lib_17: cannot import name 'x' from 'lib_17'").examine()
    other = model(projects, lambda taken: taken["lib-17"] < 2).examine()
    assert named
    assert other
    assert named.culprits == other.culprits == (Culprit(name="lib-17", works_with="1.0", fails_with="2.0"),)
    assert named.runs < other.runs


def test_two_projects_that_must_both_stay_are_both_named(model: Callable[..., Model]) -> None:
    projects = {f"lib{number}": (1, 2) for number in range(5)}
    drift = model(projects, lambda taken: taken["lib1"] < 2 and taken["lib4"] < 3).examine()
    assert drift
    assert {culprit.bound for culprit in drift.culprits} == {"lib1<2.0", "lib4<3.0"}


def test_failures_that_follow_one_another_are_followed(model: Callable[..., Model]) -> None:
    projects = {f"lib{number}": (1, 30) for number in range(40)}
    one = model(projects, lambda taken: taken["lib31"] < 9 and taken["lib7"] < 5 and taken["lib20"] < 7)
    limits = {"lib7": 5, "lib31": 9, "lib20": 7}
    one.explain = lambda taken: next((f"{n}: no name" for n, first in limits.items() if taken[n] >= first), None)
    drift = one.examine()
    assert drift
    assert {culprit.bound for culprit in drift.culprits} == {"lib7<5.0", "lib31<9.0", "lib20<7.0"}


def test_a_bound_that_a_failure_suggests_is_corrected_by_runs(model: Callable[..., Model]) -> None:
    projects = {f"lib{number}": (1, 7) for number in range(9)}
    one = model(projects, lambda taken: taken["lib7"] < 5 and taken["lib2"] < 3)
    # It names one of them in versions that work.
    one.explain = lambda taken: "lib7: no name" if taken["lib7"] > 3 else "lib2: no name" if taken["lib2"] > 2 else None
    drift = one.examine()
    assert drift
    assert {culprit.bound for culprit in drift.culprits} == {"lib7<5.0", "lib2<3.0"}


def test_a_loose_bound_lets_others_bound_the_rest(model: Callable[..., Model]) -> None:
    # web 3 needs core 3; web 2 needs core 2, and has bounds for all others; web 1 needs nothing of anybody.
    others = [f"lib{number}" for number in range(6)]
    projects = {"core": (1, 3), "web": (1, 2), **dict.fromkeys(others, (1, 4))}
    first = {"core": 3, **dict.fromkeys(others, 3)}
    one = model(projects, lambda taken: all(taken[name] < broken for name, broken in first.items()))
    one.explain = lambda taken: next(
        (f"{name}: no name" for name, broken in first.items() if taken[name] >= broken), ""
    )

    def take(newest: Versions) -> Versions:
        web = min(newest["web"], newest["core"], 3)
        bounded = {name: min(newest[name], 2) if web == 2 else newest[name] for name in others}
        return {**newest, **bounded, "web": web}

    one.take = take
    drift = one.examine()
    assert drift
    assert [culprit.bound for culprit in drift.culprits] == ["core<3.0"], "not seven bounds, of versions as they were"


def test_a_failure_that_was_hidden_by_another_gets_a_lower_bound(model: Callable[..., Model]) -> None:
    one = model({"web": (1, 9), "core": (1, 6), "other": (1, 3)}, lambda taken: taken["web"] < 2)

    def explain(taken: Versions) -> str:
        # Some versions fail earlier, because of another project, than where they would fail by themselves.
        return "core: no url" if 4 <= taken["web"] < 8 and taken["core"] >= 3 else "web: no compat"

    one.explain = explain
    drift = one.examine()
    assert drift
    assert [culprit.bound for culprit in drift.culprits] == ["web<2.0"], "what was in the way is no culprit"


def test_a_python_too_new_for_what_came_with_a_release_has_bounds_all_the_same(model: Callable[..., Model]) -> None:
    one = model({"lib": (1, 8), "other": (1, 3)}, lambda taken: 3 <= taken["lib"] < 6, "lib: no name (lib 9.0)")
    one.explain = lambda taken: f"lib: no name (lib {taken['lib']}.0)" if taken["lib"] > 3 else "the build failed"
    drift = one.examine()
    assert drift
    assert (drift.result_then, drift.bounds, drift.is_proven) == ("FAIL", "lib<6.0", True)
    assert drift.words == "passes today with lib<6.0"


@pytest.mark.parametrize("named", ["lib", "nobody"])
def test_a_fault_of_its_own_that_looked_otherwise_then_has_no_bounds(model: Callable[..., Model], named: str) -> None:
    one = model({"lib": (1, 8)}, lambda _: False, f"{named}: no name")
    one.explain = lambda taken: f"{named}: no name" if taken["lib"] > 1 else "the build failed"
    drift = one.examine()
    assert drift
    assert (drift.result_then, drift.culprits, drift.is_proven) == ("FAIL", (), False)
    assert drift.runs < 8


def test_a_release_named_after_a_project_does_not_name_it(model: Callable[..., Model]) -> None:
    one = model({"app": (1, 1), "lib": (1, 1)}, lambda taken: taken["lib"] < 2, "import app_extra: lib: no name")
    one.record = replace(one.record, release=Release(package="app-extra", version="1.0"))
    drift = one.examine()
    assert drift
    assert ([one.bound for one in drift.culprits], drift.runs) == (["lib<2.0"], 3)


def test_what_is_named_and_not_needed_is_no_culprit(model: Callable[..., Model]) -> None:
    one = model({f"lib{number}": (1, 2) for number in range(9)}, lambda taken: taken["lib3"] < 2)
    one.explain = lambda taken: "lib1: no name" if taken["lib1"] > 1 else "lib3: no name"
    drift = one.examine()
    assert drift
    assert [culprit.bound for culprit in drift.culprits] == ["lib3<2.0"]


def test_a_fault_of_its_own_fails_then_as_well(model: Callable[..., Model]) -> None:
    one = model({"lib": (1, 3)}, lambda _: False)
    drift = one.examine()
    assert drift == Drift(as_of=UPLOADED + DAY_S, result_then="FAIL", runs=1)
    assert "failed with the index as of its upload too" in drift.words
    assert proven(one.record, drift) == replace(one.record, drift=drift), "its cause stays what it was"


def test_a_failure_that_does_not_return_is_no_drift(model: Callable[..., Model]) -> None:
    assert model({"lib": (1, 3)}, lambda _: True).examine() is None


def test_what_is_known_of_another_cell_is_tried_before_anything_is_searched(model: Callable[..., Model]) -> None:
    projects = {f"lib{number}": (2, 200) for number in range(8)}
    known = Culprit(name="lib3", works_with="99.0", fails_with="100.0")
    drift = model(projects, lambda taken: taken["lib3"] < 100).examine([known])
    assert drift
    assert (drift.culprits, drift.runs) == ((known,), 3)
    wrong = model(projects, lambda taken: taken["lib4"] < 100).examine([known])
    assert wrong
    assert [one.bound for one in wrong.culprits] == ["lib4<100.0"]


@given(
    after=st.lists(st.integers(0, 40), min_size=1, max_size=20),
    breaking=st.integers(0, 19),
    first=st.integers(2, 60),
    limit=st.integers(1, MAX_RUNS),
)
@settings(max_examples=60)
def test_no_bound_is_claimed_that_was_not_run_and_the_limit_holds(
    after: list[int], breaking: int, first: int, limit: int
) -> None:
    release, late = Release(package="app", version="1.0"), UPLOADED + 1000 * DAY_S
    file = DistributionFile(filename="app-1.0-py3-none-any.whl", sha256="ab" * 32, size=1)
    failed = replace(SAMPLE_RECORD, release=release, result=Result.FAIL, observed_at=late, file=file)
    projects = {f"lib{number}": (1, count) for number, count in enumerate(after)}
    culprit = f"lib{breaking % len(after)}"
    one = Model(index=ModelIndex(projects=projects), works=lambda taken: taken[culprit] < first, record=failed)
    drift = one.examine(max_runs=limit)
    assert len(one.views) <= limit
    for found in drift.culprits if drift else ():
        assert (found.name, found.fails_with) == (culprit, f"{first}.0")
        assert one.works({culprit: int(found.works_with.partition(".")[0])})


@pytest.mark.parametrize(
    ("age", "result", "failing", "filename"),
    [
        (DAY_S + 1, "FAIL", 3, "app-1.0-py3-none-any.whl"),
        (DAY_S + 1, "FAIL", 1, "app-1.0.tar.gz"),
        (DAY_S + 1, "FAIL", 2, "app-1.0.tar.gz"),
        # These are not examined.
        (DAY_S, "FAIL", 3, "app-1.0-py3-none-any.whl"),
        (DAY_S + 1, "PASS", 3, "app-1.0-py3-none-any.whl"),
        (DAY_S + 1, "TIMEOUT", 3, "app-1.0-py3-none-any.whl"),
        (DAY_S + 1, "FAIL", 1, "app-1.0-py3-none-any.whl"),
    ],
)
def test_only_failures_that_something_later_may_have_caused_are_examined(
    record: Callable[..., Record], age: int, result: str, failing: int, filename: str
) -> None:
    outcomes = (*[Outcome.PASS] * failing, Outcome(result), *[Outcome.SKIP] * (3 - failing))
    made = record("app", "1.0", result=result, outcomes=outcomes, observed_at=UPLOADED + age)
    assert made.file
    made = replace(made, file=replace(made.file, filename=filename))
    builds_or_later = failing > 1 or filename.endswith(".gz")
    assert is_examined(made, UPLOADED) == (age > DAY_S and result == "FAIL" and builds_or_later)
    assert not is_examined(made, None)


@pytest.mark.parametrize(
    ("culprit", "cause", "blame"),
    [
        (Culprit(name="setuptools", works_with="81.0.0", fails_with="82.0.0"), "pkg-resources", Blame.PACKAGE),
        (Culprit(name="setuptools", works_with="45.3.0", fails_with="46.0.0"), "dependency-drift", Blame.DEPENDENCY),
        (Culprit(name="werkzeug", works_with="0.16.1", fails_with="1.0.0"), "dependency-drift", Blame.DEPENDENCY),
    ],
)
def test_a_proof_outranks_what_the_log_suggests(
    record: Callable[..., Record], culprit: Culprit, cause: str, blame: Blame
) -> None:
    drift = Drift(as_of=UPLOADED, result_then="PASS", runs=4, culprits=(culprit,))
    shown = proven(record(result="FAIL", cause="build-backend", blame=Blame.UNKNOWN), drift)
    assert (shown.cause, shown.blame, shown.drift) == (cause, blame, drift)
