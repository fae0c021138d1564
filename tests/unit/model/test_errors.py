"""Errors: each has a unique exit code and is shown on one line."""

import importlib
import pkgutil
from collections import Counter

import pytest

import ppp
from ppp.model.errors import ConfigError, PPPError


def subclasses(root: type[PPPError]) -> set[type[PPPError]]:
    return {root}.union(*(subclasses(child) for child in root.__subclasses__()))


@pytest.fixture(scope="module")
def all_errors() -> set[type[PPPError]]:
    for module in pkgutil.walk_packages(ppp.__path__, "ppp."):
        if module.name not in {"ppp.__main__", "ppp.shared"}:
            importlib.import_module(module.name)
    return {error for error in subclasses(PPPError) if error.__module__.startswith("ppp.")}


def test_each_error_has_an_exit_code_of_its_own(all_errors: set[type[PPPError]]) -> None:
    assert len(all_errors) > 20
    shared = {code for code, times in Counter(error.exit_code for error in all_errors).items() if times > 1}
    assert not [error.__name__ for error in all_errors if error.exit_code in shared]
    assert not [error.__name__ for error in all_errors if "exit_code" not in vars(error)]


def test_no_exit_code_means_something_else_already(all_errors: set[type[PPPError]]) -> None:
    # 0 success, 1 a crash, 2 click's usage error; from 126 on the shell's own.
    assert not [error.__name__ for error in all_errors if not 3 <= error.exit_code < 126]


def test_each_error_has_a_docstring(all_errors: set[type[PPPError]]) -> None:
    assert not [error.__name__ for error in all_errors if not error.__doc__]


def test_an_error_is_shown_on_one_line_with_its_hint() -> None:
    error = ConfigError("PPP_JOBS='many' is not a number", hint="give a number")
    assert str(error) == "PPP_JOBS='many' is not a number (give a number)"
    assert str(ConfigError("it broke", hint="")) == "it broke"
