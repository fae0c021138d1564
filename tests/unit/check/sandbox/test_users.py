"""The users that cells run as."""

import os
import subprocess
import sys

from ppp.check.sandbox.users import CELLS_PER_PROCESS, FIRST_USER, next_user


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
    assert FIRST_USER + (highest_pid + 1) * CELLS_PER_PROCESS < 2**31
