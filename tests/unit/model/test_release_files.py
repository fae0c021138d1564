"""A release takes files for 14 days."""

import pytest

from ppp.model.release_files import files_until, is_final

AT = 1_714_003_200  # 2024-04-25T00:00:00Z
LAST = 1_715_212_800  # 2024-05-09T00:00:00Z


def test_files_are_taken_for_14_days() -> None:
    assert files_until(AT) == LAST


@pytest.mark.parametrize("now", [AT, LAST - 1])
def test_until_then_files_may_come(now: int) -> None:
    assert not is_final(AT, now)


@pytest.mark.parametrize("now", [LAST, LAST + 1])
def test_from_then_on_it_is_final(now: int) -> None:
    assert is_final(AT, now)
