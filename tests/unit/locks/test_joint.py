"""What blocks a joint lock, told from what the ledger knows; and joint locks as files."""

import shlex
import tomllib
from dataclasses import replace

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from sample_lock import HASHES, indexed_files, sample_pass

from ppp.locks import pylock
from ppp.locks.joint import Blocker, BlockKind, JointAnswer, answer_words, unmet
from ppp.locks.lock import JointClaim, Lock
from ppp.locks.make import make_joint_lock, make_lock
from ppp.locks.pylock import read_lock, write_pylock
from ppp.locks.requirements import write_requirements
from ppp.model.cell_result import CellResult
from ppp.model.errors import InvalidLockError, LockRefusedError
from ppp.model.record import Result

RECORD = sample_pass("needed")
ORIGIN = make_lock(RECORD, "cd" * 32, indexed_files()).origin
CLAIM = JointClaim(requirements=("lib[fast]>=1", "needed"), imported=("lib", "needed.sub"))
LOCK = make_joint_lock(RECORD.installed, indexed_files(), ORIGIN, CLAIM)
PASSED_2 = CellResult("2.0", Result.PASS, None)
FAILED_3 = CellResult("3.0", Result.FAIL, "build-backend")
TIMED_OUT = CellResult("1.0", Result.TIMEOUT, "timeout")


@pytest.mark.parametrize(
    ("requirement", "results", "kind", "detail"),
    [
        ("foo", [], BlockKind.NOT_CHECKED, "no release of foo was checked in py312-slim"),
        ("foo", [FAILED_3], BlockKind.FAILS, "foo 3.0 is FAIL with the cause build-backend"),
        ("foo>=3", [FAILED_3, PASSED_2], BlockKind.FAILS, "foo 3.0 is FAIL with the cause build-backend"),
        ("foo<2", [FAILED_3, PASSED_2, TIMED_OUT], BlockKind.FAILS, "foo 1.0 is TIMEOUT with the cause timeout"),
        ("foo<2", [FAILED_3, PASSED_2], BlockKind.NO_PROVEN_VERSION, "no proven version satisfies it: proven are 2.0"),
        ("foo>9", [FAILED_3], BlockKind.NO_PROVEN_VERSION, "no proven version satisfies it: none is proven"),
    ],
)
def test_a_requirement_that_nothing_proven_meets_says_what_there_is(
    requirement: str, results: list[CellResult], kind: BlockKind, detail: str
) -> None:
    found = unmet(Requirement(requirement), results, "py312-slim")
    assert found
    assert (found.kind, found.requirement, found.detail) == (kind, requirement, detail)
    assert f"`ppp check py312-slim {shlex.quote(requirement)}`" in found.hint


def test_what_needs_a_requirement_is_named() -> None:
    found = unmet(Requirement("foo"), [], "py312-slim", needed_by="bar")
    assert str(found) == (
        "foo: no release of foo was checked in py312-slim, which bar needs (`ppp check py312-slim foo` checks one)"
    )


RESULTS = st.lists(
    st.builds(
        CellResult,
        st.sampled_from(["1.0", "1.5rc1", "2.0", "2.1.dev3", "3.0"]),
        st.sampled_from([*Result]),
        st.sampled_from([None, "cause"]),
    ),
    max_size=5,
    unique_by=lambda one: one.version,
)


@given(results=RESULTS, specifier=st.sampled_from(["", "<2", ">=2", "==1.5rc1", "!=3.0", ">2,<3", "===2.0"]))
def test_a_requirement_is_met_exactly_if_pip_could_take_a_proven_version(
    results: list[CellResult], specifier: str
) -> None:
    proven = [one.version for one in results if one.result is Result.PASS]
    met = bool([*SpecifierSet(specifier).filter(proven)])
    found = unmet(Requirement(f"foo{specifier}"), results, "py39-alpine")
    assert (found is None) == met
    assert found is None or "\n" not in str(found)


def test_a_joint_lock_is_read_as_it_was_written() -> None:
    assert read_lock(write_pylock(LOCK)) == LOCK
    table = tomllib.loads(write_pylock(LOCK).decode())["tool"]["ppp"]
    assert (table["joint"], table["requirements"], table["imported"]) == (
        True,
        ["lib[fast]>=1", "needed"],
        ["lib", "needed.sub"],
    )
    text = write_requirements(LOCK).decode()
    assert "#   joint: lib[fast]>=1, needed\n#   imported: lib, needed.sub\n" in text


def test_a_lock_of_one_cell_does_not_mention_joint_locks() -> None:
    alone = write_pylock(replace(LOCK, joint=None))
    assert b"joint" not in alone
    assert b"joint" not in write_requirements(replace(LOCK, joint=None))
    assert read_lock(alone).joint is None


def changed(**values: object) -> bytes:
    """Return a joint lock with other values, and with the digest that belongs to it."""
    document = tomllib.loads(write_pylock(LOCK).decode())
    table = document["tool"]["ppp"]
    del table["digest"]
    table |= values
    document["tool"]["ppp"] = {key: value for key, value in table.items() if value != "absent"}
    document["tool"]["ppp"]["digest"] = pylock._digest(document)
    return tomli_w.dumps(document).encode()


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"joint": False}, "has something that no lock of PPP has"),
        ({"joint": "absent"}, "has something that no lock of PPP has"),
        ({"requirements": "absent"}, "lacks a value"),
        ({"requirements": "lib"}, "has no list of what was installed together"),
        ({"requirements": ["lib>>1"]}, "names a requirement that cannot be read"),
        ({"requirements": ["lib >= 1"]}, "in another form than the normal one"),
        ({"requirements": ["x" * 2_000]}, "more than 1000 characters"),
        ({"imported": ["os; import sys"]}, "names a module that is none"),
        ({"imported": [1]}, "where a text is needed"),
    ],
)
def test_a_joint_claim_that_ours_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    assert read_lock(changed()) == LOCK
    with pytest.raises(InvalidLockError, match=message):
        read_lock(changed(**values))


def test_a_file_that_the_index_does_not_list_makes_no_lock() -> None:
    files = {key: file for key, file in indexed_files().items() if key[0] != HASHES["needed"]}
    with pytest.raises(LockRefusedError, match="does not list the files of needed"):
        make_joint_lock(RECORD.installed, files, ORIGIN, CLAIM)


@pytest.mark.parametrize(
    ("lock", "blockers", "words"),
    [
        (LOCK, (), ["locked, 2 packages"]),
        (
            None,
            (
                Blocker(kind=BlockKind.NOT_IMPORTED_TOGETHER, requirement="foo", detail="it fails", hint="bound it"),
                Blocker(kind=BlockKind.UNAVAILABLE, requirement="", detail="no Docker engine answers", hint=""),
            ),
            ["blocked by foo: it fails (bound it)", "blocked: no Docker engine answers"],
        ),
    ],
)
def test_an_answer_has_a_line_for_each_thing(
    lock: Lock | None, blockers: tuple[Blocker, ...], words: list[str]
) -> None:
    assert answer_words(JointAnswer(environment="py312-slim", lock=lock, blockers=blockers)) == words
