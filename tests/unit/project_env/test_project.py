"""What a pyproject.toml requires, and the lock that follows from resolutions."""

import pytest
from my_lib import PROJECT
from packaging.pylock import Pylock

from ppp.model.errors import ProjectFileError
from ppp.project_env.lock_content import Resolution, is_up_to_date, merge_resolutions, render_lock
from ppp.project_env.locked import parse_lock
from ppp.project_env.project import parse_project, read_project

HASH = "ab" * 32


def test_extras_and_groups_are_expanded() -> None:
    project = read_project(PROJECT)
    assert project.extras["all"] == ["my-lib-fancy", "my-lib-linux"]
    assert project.groups == {"dev": ["my-lib-tests", "my-lib-docs"], "docs": ["my-lib-docs"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no 'project'"),
        ("[project]\n", "it has no 'name'"),
        ("[project]\nname = 'a b'\n", "invalid"),
        ("[project]\nname = 'a'\ndependencies = 'six'\n", "not a list"),
        ("[project]\nname = 'a'\ndependencies = ['six ==']\n", "six"),
        ("[project]\nname = 'a'\nrequires-python = 'x'\n", "x"),
        ("[project]\nname = 'a'\n[project.optional-dependencies]\nb = ['a[c]']\n", "no extra c"),
        ("[project]\nname = 'a'\n[dependency-groups]\nb = [{include-group = 'b'}]\n", "b"),
        ("\x00", "invalid"),
    ],
)
def test_an_invalid_file_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ProjectFileError, match=r"(?is)pyproject\.toml is not valid: .*" + reason):
        parse_project(text.encode(), "pyproject.toml")


def part(**markers: str) -> Pylock:
    packages = "".join(
        f"[[packages]]\nname = '{name}'\nversion = '1'\n"
        + (f'marker = "{marker}"\n' if marker else "")
        + f"[[packages.wheels]]\nurl = 'https://files.example/{name}-1-py3-none-any.whl'\n"
        + f"hashes = {{sha256 = '{HASH}'}}\n"
        for name, marker in markers.items()
    )
    return parse_lock(f"lock-version = '1.0'\ncreated-by = 'tests'\n{packages or 'packages = []'}\n".encode(), "part")


def test_markers_say_which_extra_or_group_needs_a_package() -> None:
    windows = "sys_platform == 'win32'"
    resolution = Resolution(
        union=part(a="", b="", c="", d=windows),
        base=part(a="", b=windows),
        extras={"fancy": part(a="", b="", c="")},
        groups={"dev": part(c="", d=windows)},
    )
    project = read_project(PROJECT)
    lock = merge_resolutions(resolution, project, requires_python=">=3.11")
    assert {package.name: str(package.marker or "") for package in lock.packages} == {
        "a": "",
        "b": 'sys_platform == "win32" or "fancy" in extras',
        "c": '"fancy" in extras or "dev" in dependency_groups',
        "d": 'sys_platform == "win32" and "dev" in dependency_groups',
    }
    again = parse_lock(render_lock(lock), "again")
    assert render_lock(again) == render_lock(lock)
    assert is_up_to_date(again, project)
    assert not is_up_to_date(again, parse_project(b"[project]\nname = 'a'\n", ""))
