"""Completion in shells, as the documentation says to switch it on."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ppp.resources import resource

#: The program as it is installed, beside the Python that runs the tests.
PPP = Path(sys.executable).with_name("ppp")
GUIDE = resource("docs/first-ten-minutes.md").read_text("utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_gives_the_shell_a_script(shell: str) -> None:
    assert f"_PPP_COMPLETE={shell}_source ppp" in GUIDE
    done = subprocess.run(
        [PPP],
        env={"_PPP_COMPLETE": f"{shell}_source", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_PPP_COMPLETE={shell}_complete" in done.stdout
    if program := shutil.which(shell):
        checked = subprocess.run([program, "-n"], input=done.stdout, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(("typed", "offered"), [("ppp sh", "show"), ("ppp show --fa", "--failing")])
def test_bash_is_offered_commands_and_options(typed: str, offered: str) -> None:
    environ = {"_PPP_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = subprocess.run([PPP], env=environ, capture_output=True, text=True, check=True)
    assert offered in re.findall(r"^plain,(.+)$", done.stdout, re.MULTILINE)
