"""A result of a given file counts only with the proof that the file's own bytes were installed."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from sample_record import SAMPLE_RECORD

from ppp.check.given.reading import GivenFile
from ppp.check.given.verdict import explained, notes, proven
from ppp.model.record import Blame, DistributionFile, Installed, Outcome, Phase, Record, Result
from ppp.model.release import Release
from ppp.record_rules import valid_or_error

OWN: Final = "12" * 32
PASSED, FAILED, SKIPPED = Outcome.PASS, Outcome.FAIL, Outcome.SKIP
OUTCOMES: Final = {
    "PASS": (PASSED, PASSED, PASSED, PASSED),
    "FAIL": (PASSED, PASSED, PASSED, FAILED),
    "TIMEOUT": (PASSED, PASSED, PASSED, Outcome.TIMEOUT),
    "NA": (SKIPPED, SKIPPED, SKIPPED, SKIPPED),
}


def given(package: str = "six", filename: str = "six-1.0-py3-none-any.whl", sha256: str = OWN) -> GivenFile:
    release = Release(package=package, version="1.0")
    return GivenFile(shown=filename, path=Path(filename), sha256=sha256, size=9, release=release)


def record(result: str, *installed: tuple[str, str | None]) -> Record:
    return replace(
        SAMPLE_RECORD,
        result=Result(result),
        outcomes=OUTCOMES[result],
        file=None if result == "NA" else DistributionFile(filename=given().filename, sha256=OWN, size=9),
        installed=tuple(Installed(name=name, version="1.0", sha256=sha256) for name, sha256 in installed),
        cause=None if result == "PASS" else "unclassified",
        blame=None if result == "PASS" else Blame.UNKNOWN,
        detail=None if result == "PASS" else "it did not work",
    )


@pytest.mark.parametrize("result", ["PASS", "FAIL", "TIMEOUT"])
def test_a_result_with_the_proof_stays(result: str) -> None:
    observed = record(result, ("six", OWN), ("other", "ab" * 32))
    assert proven(observed, given()) is observed


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("result", ["PASS", "FAIL", "TIMEOUT"])
@pytest.mark.parametrize("installed", [[("six", "cd" * 32)], [("six", None)]])
def test_a_result_of_other_bytes_is_our_error(result: str, installed: list[tuple[str, str | None]]) -> None:
    found = proven(record(result, *installed), given())
    assert (found.result, found.cause, found.failed_phase) == (Result.ERROR, "sandbox", Phase.NODEPS)
    assert "not proven" in str(found.detail)
    assert valid_or_error(found) is found


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("changes", [{"installed": ()}, {"file": None}])
def test_a_pass_without_anything_installed_is_our_error(changes: dict[str, object]) -> None:
    assert proven(replace(record("PASS", ("six", OWN)), **changes), given()).result is Result.ERROR  # type: ignore[arg-type]


def test_a_failure_before_anything_was_installed_needs_no_proof() -> None:
    observed = record("FAIL")
    assert proven(observed, given()) is observed


def test_a_wheel_for_others_names_its_tags() -> None:
    not_claimed = replace(record("NA"), cause="no-distribution", detail="ships nothing")
    wheel = given(filename="six-1.0-cp312-cp312-win_amd64.whl")
    assert explained(not_claimed, wheel) == (
        "the wheel is for cp312-cp312-win_amd64, which pip does not accept in this environment"
    )
    assert explained(replace(not_claimed, cause="requires-python"), wheel) == "ships nothing"


def test_it_is_told_if_pip_took_a_dependency_from_the_index_although_one_was_given() -> None:
    other = given("other", "other-1.0-py3-none-any.whl", "ef" * 32)
    taken = record("PASS", ("six", OWN), ("other", "ab" * 32))
    assert notes(taken, given(), [other]) == (
        "pip preferred the index's other 1.0 to the given other-1.0-py3-none-any.whl",
    )
    assert notes(record("PASS", ("six", OWN), ("other", "ef" * 32)), given(), [other]) == ()
