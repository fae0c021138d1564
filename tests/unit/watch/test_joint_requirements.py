"""The requirements of a joint lock: honoured as pip reads them, or refused with what to do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from ppp.model.errors import PPPError, RequirementsError
from ppp.model.release import InvalidReleaseError
from ppp.watch.joint_requirements import (
    MAX_REQUIREMENTS,
    parse_joint_requirement,
    parse_joint_requirements,
    read_joint_requirements,
)


@pytest.mark.parametrize(
    ("text", "given_to_pip", "marker"),
    [
        ("Foo.Bar", "foo-bar", None),
        ("foo<2,>=1", "foo<2,>=1", None),
        ("foo[Fast,other]==1.*", "foo[fast,other]==1.*", None),
        ("foo; python_version < '3.10'", "foo", 'python_version < "3.10"'),
    ],
)
def test_names_versions_extras_and_markers_are_honoured(text: str, given_to_pip: str, marker: str | None) -> None:
    found = parse_joint_requirement(text)
    assert (found.text, found.marker and str(found.marker)) == (given_to_pip, marker)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--index-url https://evil.example/simple/", "is an option"),
        ("-r other.txt", "is an option"),
        ("-e .", "is an option"),
        ("-c bounds.txt", "is an option"),
        ("--no-binary :all:", "is an option"),
        ("foo @ https://evil.example/foo-1.0-py3-none-any.whl", "is a URL"),
        ("foo @ file:///etc/passwd", "is a URL"),
        ("https://evil.example/foo.whl", "is not a requirement"),
        ("./foo", "is not a requirement"),
        ("git+https://evil.example/foo", "is not a requirement"),
        ("foo==1 --hash=sha256:" + "0" * 64, "has a hash"),
        ("foo ==1 --global-option=x", "is not a requirement"),
        ("foo; python_version ~= 'x'", "has a marker without a value"),
        ("foo==" + "1" * 200, "too long"),
        ("x" * 300, "is not a package name"),
        ("${HOME}", "is not a requirement"),
        ("foo===${HOME}", "unusual characters"),
        ("foo===1#2", "unusual characters"),
        ("(" * 3000, "is not a requirement"),
    ],
)
@pytest.mark.attack("bounded-input")
def test_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises((RequirementsError, InvalidReleaseError), match=said):
        parse_joint_requirement(text)


@pytest.mark.attack("bounded-input")
def test_all_mistakes_of_a_file_are_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# ours\nfoo\n-r other.txt\nbar \\\n  --hash=sha256:00\n--index-url https://evil.example/\n")
    with pytest.raises(RequirementsError, match=r"3 mistakes: line 3: .* line 4: .* line 6: "):
        read_joint_requirements(path)


def test_a_file_is_read_as_pip_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("foo>=1, \\\n  <2  # a comment\n\n# another\nbar[x]\n")
    assert [one.text for one in read_joint_requirements(path)] == ["foo<2,>=1", "bar[x]"]


@pytest.mark.parametrize("count", [0, MAX_REQUIREMENTS + 1])
def test_none_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(RequirementsError, match=r"names no package|at most 500"):
        parse_joint_requirements([f"foo{number}" for number in range(count)])


@pytest.mark.attack("bounded-input")
@given(text=st.text(max_size=60) | st.from_regex(r"[-a-z\[\]<>=!~;@ .0-9'\"]{1,40}", fullmatch=True))
def test_whatever_is_accepted_is_one_line_that_names_a_package_of_the_index(text: str) -> None:
    try:
        found = parse_joint_requirement(text)
    except PPPError:
        return
    assert found.text.isprintable()
    assert not {*"$#\\ "} & {*found.text}
    assert not found.text.startswith("-")
    requirement = Requirement(found.text)
    assert (requirement.url, requirement.marker) == (None, None)
