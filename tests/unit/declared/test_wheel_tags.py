"""Where wheels are installable: against what packaging says of single platforms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from ppp.declared.wheel_tags import clash, is_installable


def wheel(tags: str) -> str:
    return f"lib-1.0-{tags}.whl"


@pytest.mark.parametrize(
    ("one", "other", "platform"),
    [
        ("py3-none-any", "py2.py3-none-any", "any"),
        ("py3-none-any", "cp312-cp312-manylinux_2_17_x86_64", "manylinux_2_17_x86_64"),
        ("cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_28_x86_64", "manylinux_2_28_x86_64"),
        ("cp310-abi3-manylinux2014_x86_64", "cp312-cp312-manylinux_2_28_x86_64", "manylinux_2_28_x86_64"),
        ("cp312-cp312-linux_x86_64", "cp312-cp312-musllinux_1_2_x86_64", "musllinux_1_2_x86_64"),
        ("cp312-cp312-macosx_11_0_universal2", "cp312-cp312-macosx_10_9_x86_64", "macosx_10_9_x86_64"),
        ("cp312-cp312-win_amd64", "cp311.cp312-none-win_amd64", "win_amd64"),
        ("pp310-pypy310_pp73-win_amd64", "pp310-pypy310_pp73-win_amd64", "win_amd64"),
        ("cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_17_aarch64", None),
        ("cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-musllinux_1_2_x86_64", None),
        ("cp312-cp312-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_17_x86_64", None),
        ("cp313-cp313-win_amd64", "cp313-cp313t-win_amd64", None),
        ("cp313-abi3-win_amd64", "cp312-cp312-win_amd64", None),
        ("cp312-cp312-macosx_11_0_arm64", "cp312-cp312-macosx_10_9_x86_64", None),
        ("cp312-cp312-win32", "cp312-cp312-win_amd64", None),
        ("py2-none-any", "py3-none-any", None),
        ("pp310-pypy310_pp73-win_amd64", "cp310-cp310-win_amd64", None),
    ],
)
def test_wheels_clash_where_both_are_installable(one: str, other: str, platform: str | None) -> None:
    assert clash(wheel(one), wheel(other)) == platform
    assert (clash(wheel(other), wheel(one)) is None) == (platform is None)


@pytest.mark.parametrize(
    ("tags", "environment", "expected"),
    [
        ("py3-none-any", "py39-alpine", True),
        ("cp38-abi3-manylinux_2_28_x86_64", "py312-slim", True),
        ("cp312-cp312-manylinux1_x86_64", "py312-slim", True),
        ("cp312-cp312-musllinux_1_2_x86_64", "py312-alpine", True),
        ("cp312-cp312-manylinux_2_28_x86_64", "py312-alpine", False),
        ("cp312-cp312-musllinux_1_2_x86_64", "py312-slim", False),
        ("cp312-cp312-manylinux_2_28_aarch64", "py312-slim", False),
        ("cp311-cp311-manylinux_2_28_x86_64", "py312-slim", False),
    ],
)
def test_an_environment_takes_what_its_tags_admit(tags: str, environment: str, *, expected: bool) -> None:
    assert is_installable(wheel(tags), environment, "x86_64") is expected


PLATFORMS = ["manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "musllinux_1_2_x86_64", "manylinux_2_17_aarch64", "any"]
PYTHONS = ["cp39-cp39", "cp311-cp311", "cp312-cp312", "cp39-abi3", "cp311-abi3", "py3-none", "py39-none", "cp312-none"]
TAGS = st.builds(lambda python, platform: f"{python}-{platform}", st.sampled_from(PYTHONS), st.sampled_from(PLATFORMS))


@given(
    one=TAGS,
    other=TAGS,
    minor=st.sampled_from([9, 11, 12, 13]),
    musl=st.booleans(),
    arch=st.sampled_from(["x86_64", "aarch64"]),
)
def test_what_one_machine_accepts_clashes(one: str, other: str, minor: int, arch: str, *, musl: bool) -> None:
    platforms = [f"musllinux_1_2_{arch}"] if musl else [f"manylinux_2_{n}_{arch}" for n in (28, 17)]
    accepted = {
        *cpython_tags((3, minor), [f"cp3{minor}"], platforms),
        *compatible_tags((3, minor), f"cp3{minor}", platforms),
    }
    both = all(not parse_wheel_filename(wheel(tags))[3].isdisjoint(accepted) for tags in (one, other))
    if both:
        assert clash(wheel(one), wheel(other)) is not None
