"""An environment is ready only if records can name it."""

from typing import Any

import pytest
from cell_environments import SLIM
from fake_runtime import prepared_environment

from ppp.check.runtime import EnvironmentUnavailableError


@pytest.mark.parametrize(
    "facts",
    [
        {"python": "3.15.0a1+"},
        {"python": "3.9.25"},
        {"arch": "aarch64"},
        {"arch": "armv7l"},
        {"image_digest": None},
        {"pip_version": "26"},
    ],
)
def test_what_records_can_name_is_ready(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        assert getattr(prepared_environment(SLIM, **facts), name) == value


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    "facts",
    [
        {"python": "2.7.18"},
        {"python": "3.12.1\n"},
        {"python": "3.12." + "1" * 17},
        {"python": 3},
        {"arch": "x86\x1b[31m"},
        {"arch": ""},
        {"arch": "a" * 33},
        {"arch": ["x86_64"]},
        {"image_digest": "5a" * 32},
        {"image_digest": "sha256:" + "5A" * 32},
        {"pip_version": "26.0rc1"},
        {"pip_version": "1" * 33},
    ],
)
def test_an_image_that_describes_itself_as_no_record_can_is_unavailable(facts: dict[str, Any]) -> None:
    (name,) = facts
    with pytest.raises(EnvironmentUnavailableError, match=f"the {name} of py312-slim cannot be recorded") as error:
        prepared_environment(SLIM, **facts)
    assert str(error.value).isprintable()
