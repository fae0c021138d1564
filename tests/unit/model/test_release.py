"""Names, versions and requests: parsed, or refused with a hint."""

import pytest

from ppp.model.release import (
    MAX_NAME_LENGTH,
    InvalidReleaseError,
    Release,
    RequestedPackage,
    parse_package,
    parse_version,
)


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("six", "six"),
        ("Zope.Interface", "zope-interface"),
        ("a__b--c..d", "a-b-c-d"),
        ("0", "0"),
        ("A" * 214, "a" * 214),
    ],
)
def test_names_are_normalized(name: str, normal: str) -> None:
    assert parse_package(name) == normal


@pytest.mark.parametrize(
    "name",
    ["", "-six", "six-", "s ix", "six\n", "../six", "six/1", "sïx", "<b>", "a" * (MAX_NAME_LENGTH + 1), "six\x00"],
)
def test_invalid_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidReleaseError, match="is not a package name") as caught:
        parse_package(name)
    assert len(str(caught.value)) < 350
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "normal"),
    [("1.0", "1.0"), ("v1.0-RC.1", "1.0rc1"), ("01.02", "1.2"), (" 1.0\n", "1.0"), ("1-2", "1.post2")],
)
def test_versions_take_their_normal_form(version: str, normal: str) -> None:
    assert parse_version(version) == normal


@pytest.mark.parametrize("version", ["", "one", "1.0/../2", "1..0", "1" * 129, "1" * 5000, "1.0+<b>", "1\n2"])
def test_invalid_versions_are_refused(version: str) -> None:
    with pytest.raises(InvalidReleaseError, match="is not a version") as caught:
        parse_version(version)
    assert len(str(caught.value)) < 350


def test_the_text_of_a_release_is_a_requirement() -> None:
    assert str(Release.parse("Six", "1.17.0")) == "six==1.17.0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("six", RequestedPackage(package="six")),
        ("Six == 1.17.0", RequestedPackage(package="six", specifier="==1.17.0")),
        ("six>=1.16,<2", RequestedPackage(package="six", specifier="<2,>=1.16")),
        (f"six=={'9' * 128}", RequestedPackage(package="six", specifier=f"=={'9' * 128}")),
    ],
)
def test_requests_are_parsed(text: str, expected: RequestedPackage) -> None:
    assert RequestedPackage.parse(text) == expected
    assert RequestedPackage.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is not a requirement"),
        ("six 1.0", "is not a requirement"),
        ("six=1.0", "is not a requirement"),
        (f"six; {'(' * 5000}", "is not a requirement"),
        ("six @ https://files.example/six.whl", "has a URL, a marker or extras"),
        ("six[extra]", "has a URL, a marker or extras"),
        ("six; python_version < '3'", "has a URL, a marker or extras"),
        ("a" * 300, "is not a package name"),
        (f"six=={'9' * 129}", "names a version that is too long"),
        (f"six>=1,!=1.{'9' * 5000}", "names a version that is too long"),
    ],
)
def test_invalid_requests_are_refused_with_a_short_message(text: str, what: str) -> None:
    with pytest.raises(InvalidReleaseError, match=what) as caught:
        RequestedPackage.parse(text)
    assert len(str(caught.value)) < 400
