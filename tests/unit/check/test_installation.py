"""What an installation installed, parsed from a description that is not to be trusted."""

import json
import time
from typing import Any, Final

import pytest
from fake_runtime import MARKERS

from ppp.check.contents import Requires
from ppp.check.installation import (
    MAX_INSTALLED,
    InvalidInspectionError,
    parse_inspection,
    what_is_required,
)
from ppp.model.record import Installed

ROW: Final = ["Example.Lib", "2.1.0", "5a" * 32]
DESCRIPTION: Final[dict[str, Any]] = {
    "installed": [["zed", "2.0", None], ROW],
    "requested": [ROW],
    "folders": ["Example.Lib-2.1.0.dist-info"],
    "target": None,
    "needs": {"requires": ["other; os_name == 'nt'"], "markers": {"os_name": "posix"}},
}


def test_a_description_is_parsed() -> None:
    found = parse_inspection(json.dumps(DESCRIPTION))
    assert found.installed == (
        Installed(name="example-lib", version="2.1.0", sha256="5a" * 32),
        Installed(name="zed", version="2.0", sha256=None),
    )
    # As it was reported: it is compared with metadata.
    assert found.requested == (Installed(name="Example.Lib", version="2.1.0", sha256="5a" * 32),)
    assert found.folders == {"Example.Lib-2.1.0.dist-info"}
    assert (found.target, found.has_dependencies) == (None, False)


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("İ" * 214, "1.0"),
        ("x" * 215, "1.0"),
        ("", "1.0"),
        ("-", "1.0"),
        ("a b", "1.0"),
        ("a\n", "1.0"),
        ("\ud800", "1.0"),
        ("a", "1" * 129),
        (["a"], "1.0"),
        ("a", 1),
        ("a", float("nan")),
    ],
)
def test_a_distribution_that_pip_cannot_have_installed_is_no_description(name: object, version: object) -> None:
    with pytest.raises(InvalidInspectionError):
        parse_inspection(json.dumps(DESCRIPTION | {"installed": [[name, version, None]]}))


@pytest.mark.attack("bounded-input")
def test_a_description_is_parsed_within_bounds() -> None:
    started = time.process_time()
    for output in (
        "[" * 2_000_000,
        json.dumps(DESCRIPTION | {"installed": [ROW] * (MAX_INSTALLED + 1)}),
        "1" * 100_000,
    ):
        with pytest.raises(InvalidInspectionError) as error:
            parse_inspection(output)
        assert len(str(error.value)) < 300
    assert time.process_time() - started < 5


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    "line", ["a; " + "(" * 4000, "a; " + "os_name == 'x' and " * 200 + "os_name == 'x'", "a" * 4096, "a[" + "b," * 2000]
)
def test_requirements_of_any_length_take_no_time(line: str) -> None:
    started = time.process_time()
    try:
        assert what_is_required([line] * 10_000, MARKERS) is Requires.HERE
    finally:
        assert time.process_time() - started < 5
