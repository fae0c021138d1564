"""The users that cells run as."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.check.sandbox.users import (
    CELLS_PER_PROCESS,
    END_OF_USERS,
    FIRST_MAPPED_USER,
    FIRST_USER,
    Accounts,
    next_user,
)


def test_cells_of_one_process_differ() -> None:
    users = [next_user() for _ in range(CELLS_PER_PROCESS)]
    assert len(set(users)) == CELLS_PER_PROCESS
    assert {(user - FIRST_USER) // CELLS_PER_PROCESS for user in users} == {os.getpid()}


def test_cells_of_two_processes_differ() -> None:
    program = "from ppp.check.sandbox.users import *; print(*(next_user() for _ in range(300)))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
    assert not {next_user() for _ in range(300)} & set(map(int, other.split()))


def test_the_highest_number_fits() -> None:
    highest_pid = 2**22
    assert FIRST_USER + (highest_pid + 1) * CELLS_PER_PROCESS < min(2**31, END_OF_USERS)


@pytest.mark.parametrize("end", [FIRST_MAPPED_USER + CELLS_PER_PROCESS, 5_000, 65_536, FIRST_USER])
def test_where_only_some_numbers_are_mapped_cells_differ_within_them(end: int) -> None:
    users = [next_user(end) for _ in range(CELLS_PER_PROCESS)]
    assert len(set(users)) == CELLS_PER_PROCESS
    assert FIRST_MAPPED_USER <= min(users) <= max(users) < end


@pytest.mark.parametrize("end", [0, 1, 1_000, FIRST_MAPPED_USER + CELLS_PER_PROCESS - 1])
def test_too_few_users_are_an_error(end: int) -> None:
    with pytest.raises(ValueError, match=f"only {end} users"):
        next_user(end)


DEBIAN = Accounts(
    passwd="root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    group="root:x:0:\nnogroup:x:65534:\n",
)


def test_nobody_gets_the_cells_number_and_all_else_stays() -> None:
    assert DEBIAN.with_nobody(1234) == Accounts(
        passwd="root:x:0:0:root:/root:/bin/bash\nnobody:x:1234:1234:nobody:/nonexistent:/usr/sbin/nologin\n",
        group="root:x:0:\nnogroup:x:1234:\n",
    )


def test_a_group_of_nobodys_own_stays() -> None:
    accounts = Accounts(passwd="nobody:x:65534:99::/:/bin/sh\n", group="nobody:x:99:\nnogroup:x:65534:nobody\n")
    assert accounts.with_nobody(7) == Accounts(
        passwd="nobody:x:7:99::/:/bin/sh\n", group="nobody:x:99:\nnogroup:x:7:nobody\n"
    )


def test_a_missing_nobody_is_added() -> None:
    assert Accounts(passwd="", group="root:x:0:").with_nobody(7) == Accounts(
        passwd="nobody:x:7:7::/:/bin/false\n", group="root:x:0:\nnogroup:x:7:\n"
    )


@pytest.mark.heavy
@given(passwd=st.text(), group=st.text())
def test_any_file_of_an_image_gives_the_cell_a_name(passwd: str, group: str) -> None:
    accounts = Accounts(passwd=passwd, group=group).with_nobody(7)
    assert any(line.split(":")[2:3] == ["7"] for line in accounts.passwd.splitlines())
    assert any(line.split(":")[2:3] == ["7"] for line in accounts.group.splitlines())


def test_everybody_may_read_them(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        DEBIAN.write(tmp_path)
    finally:
        os.umask(before)
    for name, text in (("passwd", DEBIAN.passwd), ("group", DEBIAN.group)):
        assert (tmp_path / name).read_text() == text
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644
