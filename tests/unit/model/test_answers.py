"""What is answered about a requirement: the version that pip would take there, and the nearest one that passes."""

from collections.abc import Mapping

import pytest

from ppp.model.answers import Answer, AnswerState, CheckedCell, CheckedRelease, Knowledge, answer
from ppp.model.record import Result
from ppp.model.release import RequestedPackage

PLACE = "py312-slim"
LETTERS = {"P": Result.PASS, "F": Result.FAIL, "T": Result.TIMEOUT, "E": Result.ERROR, "N": Result.NA}


def knowledge(history: str, passing: Mapping[str, str | None] | None = None) -> Knowledge:
    """Return what is known, from `2.0:F 1.0:P`: versions newest first, each with its result (`-` for none)."""
    releases = [
        CheckedRelease(
            version=version, cells={} if letter == "-" else {PLACE: CheckedCell(result=LETTERS[letter], cause="why")}
        )
        for version, _, letter in (one.partition(":") for one in history.split())
    ]
    return Knowledge(releases=releases, passing=passing)


def ask(wanted: str, known: Knowledge, *, needed: bool = True) -> Answer:
    return answer(RequestedPackage.parse(wanted), known, {PLACE: needed})


@pytest.mark.parametrize(
    ("wanted", "history", "state", "version", "nearest"),
    [
        ("six", "2.0:P 1.0:F", "works", "2.0", None),
        ("six", "2.0:F 1.0:P", "fails", "2.0", "1.0"),
        ("six", "2.0:T 1.0:P", "fails", "2.0", "1.0"),
        ("six", "2.0:F 1.0:F", "fails", "2.0", None),
        ("six==1.0", "2.0:P 1.0:F", "fails", "1.0", "2.0"),
        ("six==2.0", "3.0:P 2.0:F 1.0:P", "fails", "2.0", "3.0"),
        ("six==2.0", "4.0:P 3.0:F 2.0:F 1.0:P", "fails", "2.0", "1.0"),
        # An error of ours says nothing.
        ("six", "2.0:E 1.0:P", "unknown", "2.0", "1.0"),
        ("six", "2.0:- 1.0:P", "unknown", "2.0", "1.0"),
        # pip passes over a release that does not claim the environment.
        ("six", "2.0:N 1.0:P", "works", "1.0", None),
        ("six", "3.0:N 2.0:F 1.0:P", "fails", "2.0", "1.0"),
        ("six==2.0", "2.0:N 1.0:P", "not-claimed", "2.0", "1.0"),
        ("six", "2.0:N 1.0:N", "not-claimed", "2.0", None),
        # Nothing that is allowed was checked.
        ("six<1", "2.0:P 1.0:P", "unknown", None, "2.0"),
        ("six", "", "unknown", None, None),
        # A pre-release counts only where the specifier names one, or nothing else is there.
        ("six", "2.0rc1:F 1.0:P", "works", "1.0", None),
        ("six>=2.0rc1", "2.0rc1:F 1.0:P", "fails", "2.0rc1", "1.0"),
        ("six", "2.0rc1:P", "works", "2.0rc1", None),
        ("six>=1,<2", "2.0:P 1.5:F 1.0:P", "fails", "1.5", "2.0"),
        ("six==1.0", "1.0+local:P", "works", "1.0+local", None),
    ],
)
def test_the_answer(wanted: str, history: str, state: str, version: str | None, nearest: str | None) -> None:
    (cell,) = ask(wanted, knowledge(history)).cells
    assert (cell.state, cell.version, cell.nearest) == (state, version, nearest)


def test_what_the_marker_excludes_is_not_needed() -> None:
    (cell,) = ask("six", knowledge("1.0:F"), needed=False).cells
    assert cell.state is AnswerState.NOT_NEEDED


def test_a_package_that_was_never_checked_is_not_known() -> None:
    assert not ask("six", knowledge("")).is_known
    assert ask("six<1", knowledge("1.0:P")).is_known


def test_a_passing_version_that_is_not_listed_is_told() -> None:
    (cell,) = ask("six", knowledge("2.0:F", {PLACE: "0.5"})).cells
    assert cell.nearest == "0.5"
