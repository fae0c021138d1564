"""In which environments a requirement with a marker applies, as pip would decide there."""

import platform

import pytest
from cell_environments import ALPINE, SLIM
from fake_runtime import prepared_environment
from packaging.markers import Marker, default_environment

from ppp.model.matrix import Environment, Platform
from ppp.watch.markers import applies_in, can_be_evaluated

HOST = Environment(id="py39-host", python="3.9", platform=Platform.HOST)


@pytest.mark.parametrize(
    ("marker", "where"),
    [
        ('python_version < "3.11"', [HOST]),
        ('python_version >= "3.12"', [SLIM]),
        # As versions, not as texts.
        ('python_version > "3.9"', [SLIM, ALPINE]),
        ('python_version in "3.9 3.12"', [SLIM, HOST]),
        ('python_version ~= "3.11"', [SLIM, ALPINE]),
        ('sys_platform == "win32"', []),
        ("os_name == 'nt'", []),
        ("sys.platform == 'linux'", [SLIM, ALPINE, HOST]),
        ('platform_system == "Darwin" or python_version == "3.11"', [ALPINE]),
        ('extra == "test"', []),
        ('extra != "test"', [SLIM, ALPINE, HOST]),
    ],
)
def test_what_the_matrix_says_is_known_of_every_environment(marker: str, where: list[Environment]) -> None:
    found = {e.id: applies_in(Marker(marker), e, {}) for e in (SLIM, ALPINE, HOST)}
    assert found == {e.id: e in where for e in (SLIM, ALPINE, HOST)}


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ('python_full_version < "3.12.4"', False),
        ('python_full_version >= "3.12.7"', True),
        ('platform_machine == "aarch64"', False),
        ('platform_machine in "x86_64 AMD64"', True),
        ("implementation_name == 'pypy'", False),
        ("platform_python_implementation != 'PyPy'", True),
        ("platform_machine == 'arm64' and sys_platform == 'darwin'", False),
    ],
)
def test_the_rest_is_known_once_the_interpreter_has_described_itself(marker: str, *, expected: bool) -> None:
    facts = prepared_environment(SLIM).markers
    assert applies_in(Marker(marker), SLIM, facts) is expected
    assert applies_in(Marker(marker), SLIM, {}) is None, "what is not known is never guessed"


def test_the_name_of_a_variable_in_a_text_is_no_variable() -> None:
    assert applies_in(Marker("sys_platform == 'platform_machine'"), SLIM, {}) is False


def test_this_interpreter_s_own_values_decide_nothing() -> None:
    other = Environment(id="py38-slim", python="3.8", platform=Platform.SLIM, image="python:3.8-slim")
    facts = {**prepared_environment(other).markers, "platform_machine": "riscv64"}
    assert applies_in(Marker(f'platform_machine == "{platform.machine()}"'), other, facts) is False
    assert applies_in(Marker(f'python_full_version == "{platform.python_version()}"'), other, facts) is False


def test_without_a_marker_a_requirement_applies() -> None:
    assert applies_in(None, SLIM, {}) is True


def test_every_variable_of_a_marker_is_known_of_a_ready_environment() -> None:
    assert prepared_environment(SLIM).markers.keys() == default_environment().keys()


@pytest.mark.parametrize("marker", ['"x" in extras', "'dev' in dependency_groups"])
def test_a_marker_that_has_no_value_in_an_environment(marker: str) -> None:
    assert not can_be_evaluated(Marker(marker))
    assert can_be_evaluated(Marker("python_full_version < '3.10' or platform_machine == 'x'"))
