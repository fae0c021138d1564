"""What cells may reach is said, or is the gateway alone: a machine that has none refuses, and tells what to do."""

from pathlib import Path

import pytest
from cell_environments import FetchedPip, host_environ, host_environment
from local_index import LocalIndex
from program import Program
from projects import module_project

from ppp.check.sandbox.host import find_interpreters

pytestmark = pytest.mark.online


@pytest.fixture
def bare(program: Program, local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path) -> Program:
    """The program on a machine with a Python, but without anything that confines cells to a gateway."""
    local.add_pip(pinned_pip.wheel)
    local.add(module_project("quiet", ""))
    programs = tmp_path / "bin"
    programs.mkdir()
    version = host_environment().python
    (programs / f"python{version}").symlink_to(next(find_interpreters(version, host_environ())))
    program.settings |= {"PATH": str(programs), "DOCKER_HOST": "unix:///absent.sock"}
    del program.settings["PPP_NETWORK"]
    return program


@pytest.mark.attack("only-gateway")
def test_without_a_gateway_a_run_refuses(bare: Program) -> None:
    done = bare.run("run", "--package", "quiet")
    assert done.code == 38, done
    (line,) = [line for line in done.err.splitlines() if line.startswith("ppp: ")]
    assert "install nginx" in line or "install bubblewrap" in line
    assert "--network open" in line
    assert bare.run("check", bare.environment, "quiet").code == 38


def test_the_open_network_is_used_on_request_and_recorded(bare: Program) -> None:
    asked = bare.run("run", "--package", "quiet", "--network", "open")
    assert asked.code == 0, asked
    assert "cells have the open network, as requested" in asked.err
    assert bare.query("SELECT result, network FROM records") == [("PASS", "open")]


def test_what_is_said_behind_the_command_stands_above_the_environment(bare: Program) -> None:
    bare.settings["PPP_NETWORK"] = "open"
    assert bare.run("check", bare.environment, "quiet", "--network", "gateway").code == 38
    assert bare.run("check", bare.environment, "quiet").code == 0
    assert bare.run("check", bare.environment, "quiet", "--network", "shut").code == 2
