"""What differs between two observations of one cell."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ppp.model.record import Blame, Installed, Record, Result
from ppp.runner.differences import MAX_LOG_LINES, compare

A, B = "a" * 64, "b" * 64
TMP = "/tmp"  # noqa: S108 - as it is inside a sandbox


def test_the_same_claims_at_another_time_are_the_same(record: Callable[..., Record]) -> None:
    before = record()
    now = replace(before, observed_at=before.observed_at + 10, duration_ms={}, bytes={}, node="ef" * 32)
    assert compare(before, now, log_before=None, log_now=None).is_same


def test_what_differs_is_named_as_it_was_and_as_it_is(record: Callable[..., Record]) -> None:
    before = record(
        installed=(Installed(name="base", version="1.0", sha256=A), Installed(name="gone", version="1", sha256=A))
    )
    now = replace(
        record(result=Result.FAIL, cause="module-missing", blame=Blame.PACKAGE),
        installed=(Installed(name="base", version="1.0", sha256=B), Installed(name="new", version="2", sha256=None)),
    )
    found = compare(before, now, log_before=None, log_now="x")
    assert [str(one) for one in found.phases] == [
        "result: PASS, now FAIL",
        "import: PASS, now FAIL",
        "cause: nothing, now module-missing",
    ]
    assert [str(one) for one in found.files] == [
        f"base: 1.0 ({A[:12]}), now 1.0 ({B[:12]})",
        f"gone: 1 ({A[:12]}), now nothing",
        "new: nothing, now 2 (no hash)",
    ]
    assert not found.is_same
    assert found.log == (), "a cell that passed has no log to compare"


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ("made in 0.31s at 0x7f00deadbe", "made in 12.5s at 0x7f11112222", 0),
        (f"{TMP}/pip-build-env-abcdefgh/overlay/lib/python3.12/site-packages/x.py", "x.py", 0),
        ("Downloading six-1.0.whl (11 kB)", "Downloading six-1.0.whl (12 kB)", 0),
        ("error: one", "error: another", 2),
        ("a\nb", "a\nb\nc", 1),
    ],
)
def test_logs_are_compared_without_what_changes_from_run_to_run_and_decide_nothing(
    record: Callable[..., Record], before: str, now: str, lines: int
) -> None:
    found = compare(record(), record(), log_before=before, log_now=now)
    assert sum(line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"} for line in found.log) == lines, found.log
    assert found.is_same


def test_a_comparison_of_logs_has_an_end(record: Callable[..., Record]) -> None:
    found = compare(record(), record(), log_before="a\n" * 5000, log_now="b\n" * 5000)
    assert len(found.log) == MAX_LOG_LINES
