"""Blame assigned by sibling cells: the cases of the reference, one by one."""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from ppp.model.blame import AMBIGUOUS_CAUSES, AssignedBlame, BlameSource, assign_blame
from ppp.model.drift import Culprit, Drift
from ppp.model.record import Blame, Record

Builder = Callable[..., Record]
LOG: Final = BlameSource.LOG
SIBLINGS: Final = BlameSource.SIBLINGS
#: A failure whose log alone cannot tell.
UNSURE: Final[dict[str, object]] = {"result": "FAIL", "cause": "import-error", "blame": Blame.PACKAGE}
SURE: Final[dict[str, object]] = {"result": "FAIL", "cause": "no-compiler", "blame": Blame.ENVIRONMENT}


def assigned(
    record: Builder, cells: Mapping[str, Mapping[str, object]]
) -> dict[str, tuple[Blame | None, BlameSource | None]]:
    told = assign_blame([record("six", "1.0", environment, **changes) for environment, changes in cells.items()])
    return {environment: (judgement.blame, judgement.source) for environment, judgement in told.items()}


@pytest.mark.parametrize("cause", sorted(AMBIGUOUS_CAUSES))
@pytest.mark.parametrize("blame", [Blame.PACKAGE, Blame.UNKNOWN, None])
def test_a_pass_on_the_other_platform_blames_the_environment(record: Builder, cause: str, blame: Blame | None) -> None:
    cells = {"py312-slim": {}, "py312-alpine": UNSURE | {"cause": cause, "blame": blame}}
    assert assigned(record, cells)["py312-alpine"] == (Blame.ENVIRONMENT, SIBLINGS)


def test_another_python_on_another_platform_implies_nothing(record: Builder) -> None:
    assert assigned(record, {"py39-slim": {}, "py312-alpine": UNSURE})["py312-alpine"] == (Blame.PACKAGE, LOG)


@pytest.mark.parametrize(
    ("result_then", "culprits", "source"),
    [
        ("PASS", (), BlameSource.RUNS),
        ("FAIL", (Culprit(name="markupsafe", works_with="2.0.1", fails_with="2.1.0"),), BlameSource.RUNS),
        ("FAIL", (), LOG),
    ],
)
def test_what_runs_have_shown_is_said_to_be_shown_by_runs(
    record: Builder, result_then: str, culprits: tuple[Culprit, ...], source: BlameSource
) -> None:
    drift = Drift(as_of=1, result_then=result_then, runs=3, culprits=culprits)
    failed = {"result": "FAIL", "cause": "dependency-drift", "blame": Blame.DEPENDENCY, "drift": drift}
    assert assigned(record, {"py312-slim": failed, "py39-slim": {}})["py312-slim"] == (Blame.DEPENDENCY, source)
    # Where nothing is blamed, nothing decided it.
    assert assigned(record, {"py312-slim": failed | {"blame": None}})["py312-slim"] == (None, None)


@pytest.mark.parametrize("passes", ["py39-slim", "py312-slim"])
def test_a_pass_with_another_python_blames_the_package(record: Builder, passes: str) -> None:
    cells = {passes: {}, "py311-slim": UNSURE | {"blame": Blame.UNKNOWN}}
    assert assigned(record, cells)["py311-slim"] == (Blame.PACKAGE, SIBLINGS)


def test_the_platform_has_priority_over_the_python(record: Builder) -> None:
    cells: dict[str, Mapping[str, object]] = {"py39-alpine": {}, "py312-slim": {}, "py312-alpine": UNSURE}
    assert assigned(record, cells)["py312-alpine"] == (Blame.ENVIRONMENT, SIBLINGS)


def test_the_same_failure_everywhere_blames_the_package(record: Builder) -> None:
    unknown = UNSURE | {"blame": Blame.UNKNOWN}
    cells: dict[str, Mapping[str, object]] = {
        "py39-slim": unknown,
        "py312-slim": unknown | {"blame": None},
        "py39-alpine": unknown,
    }
    silent: dict[str, Mapping[str, object]] = {"py312-alpine": {"result": "NA"}, "py311-alpine": {"result": "ERROR"}}
    told = assigned(record, cells | silent)
    assert {environment: told[environment] for environment in cells} == dict.fromkeys(cells, (Blame.PACKAGE, SIBLINGS))


@pytest.mark.parametrize("cause", ["unclassified", None])
def test_a_failure_without_a_known_cause_everywhere_implies_nothing(record: Builder, cause: str | None) -> None:
    unknown = UNSURE | {"cause": cause, "blame": Blame.UNKNOWN}
    told = assigned(record, {"py39-slim": unknown, "py312-slim": unknown, "py39-alpine": unknown})
    assert set(told.values()) == {(Blame.UNKNOWN, LOG)}


@pytest.mark.parametrize("cause", [*sorted(AMBIGUOUS_CAUSES), "missing-program", "needs-network", "shared-library"])
def test_what_all_cells_lack_implies_nothing_about_the_package(record: Builder, cause: str) -> None:
    lacking = UNSURE | {"cause": cause, "blame": Blame.ENVIRONMENT}
    told = assigned(record, {"py39-slim": lacking, "py312-slim": lacking, "py312-alpine": lacking})
    assert set(told.values()) == {(Blame.ENVIRONMENT, LOG)}


@pytest.mark.parametrize(
    "other",
    [
        UNSURE | {"cause": "crash"},
        UNSURE | {"blame": Blame.DEPENDENCY},
        {"result": "TIMEOUT", "cause": "timeout"},
        SURE,
    ],
)
def test_different_failures_keep_the_blame_of_the_log(record: Builder, other: dict[str, object]) -> None:
    cells = {"py39-slim": UNSURE | {"blame": Blame.UNKNOWN}, "py312-slim": other}
    assert assigned(record, cells)["py39-slim"] == (Blame.UNKNOWN, LOG)


def test_a_single_cell_keeps_the_blame_of_its_log(record: Builder) -> None:
    silent: dict[str, object] = {"result": "NA"}
    cells = {"py39-slim": UNSURE | {"blame": Blame.UNKNOWN}, "py312-slim": silent}
    assert assigned(record, cells)["py39-slim"] == (Blame.UNKNOWN, LOG)


@pytest.mark.parametrize(
    "cell", [SURE, UNSURE | {"blame": Blame.DEPENDENCY}, {"result": "ERROR", "cause": "oom", "blame": "infrastructure"}]
)
def test_an_unambiguous_log_keeps_its_blame(record: Builder, cell: dict[str, object]) -> None:
    assert assigned(record, {"py312-slim": {}, "py312-alpine": cell})["py312-alpine"] == (cell["blame"], LOG)


def test_without_blame_there_is_no_source(record: Builder) -> None:
    assert assign_blame([record("six")]) == {"py312-slim": AssignedBlame(blame=None, source=None)}
