"""Commands of a package's page: what is checked with them, and that no name leads out of their quotes."""

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from ppp.model.record import Record
from ppp.publish.site.own_check import docker_command, pin_commands

DIGEST = "sha256:" + "7" * 64


@pytest.fixture
def command(record: Callable[..., Record]) -> Callable[..., str]:
    def make(environment: str = "py312-alpine", **changes: Any) -> str:
        return docker_command([record("six", "1.17.0", environment, **changes)]) or ""

    return make


def test_the_image_by_digest_pip_pinned_then_the_import(command: Callable[..., str]) -> None:
    line = command(image_digest=DIGEST, imports=("six",), pip_version="26.0.1")
    assert shlex.split(line) == [
        *("docker", "run", "--rm", f"python:3.12-alpine@{DIGEST}", "sh", "-c"),
        'pip install -q pip==26.0.1 && pip install six==1.17.0 && python -c "import six"',
    ]


def test_a_stand_in_is_on_no_registry(command: Callable[..., str]) -> None:
    assert " python:3.12-alpine sh -c " in command(image_digest=DIGEST, standin=True)


@pytest.mark.parametrize("module", ['x"; rm -rf / #', "a b", "$(id)", "a'b", "a.", "", "x\n"])
def test_what_is_no_module_is_left_out(command: Callable[..., str], module: str) -> None:
    *_, script = shlex.split(command(imports=(module,), pip_version="'; id"))
    assert script == "pip install six==1.17.0"


def test_the_cell_that_fails_is_the_one_to_look_at(record: Callable[..., Record]) -> None:
    cells = [record("six", "1", "py39-slim"), record("six", "1", "py312-slim", result="FAIL")]
    assert "python:3.12-slim" in str(docker_command(cells))


def test_no_image_no_command(record: Callable[..., Record]) -> None:
    assert docker_command([record("six", "1", "py312-host")]) is None


def test_a_pin_of_an_epoch_is_quoted() -> None:
    assert pin_commands("six", "1!2.0") == ("pip install 'six==1!2.0'", "uv add 'six==1!2.0'")
