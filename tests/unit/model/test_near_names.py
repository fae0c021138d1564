"""Which names are near one that was mistyped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.model.near_names import MAX_NEAR, edit_distance, near_names

KNOWN = ("pyyaml", "requests", "requests-oauthlib", "six", "numpy", "scipy", "zope-interface", "types-pyyaml", "pip")
WORDS = st.text(alphabet="abc-", max_size=7)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("rqeuests", ["requests"]),  # two letters changed places
        ("request", ["requests", "requests-oauthlib"]),  # one is missing; and it is part of a longer one
        ("yaml", ["pyyaml", "types-pyyaml"]),
        ("py-yaml", ["pyyaml", "types-pyyaml"]),
        ("sx", ["six"]),
        ("numby", ["numpy"]),
        ("zopeinterface", ["zope-interface"]),
        ("oauth", ["requests-oauthlib"]),
        # One letter or two are part of nearly every name.
        ("s", []),
        ("py", []),
        ("django", []),
        # Names that are known are found otherwise.
        ("six", []),
    ],
)
def test_near_names(typed: str, expected: list[str]) -> None:
    assert near_names(typed, KNOWN) == expected


def test_at_most_so_many() -> None:
    assert near_names("six", [f"six-{n}" for n in range(100)]) == [f"six-{n}" for n in range(MAX_NEAR)]


@given(one=WORDS, other=WORDS, bound=st.integers(0, 3))
def test_the_bound_changes_no_distance(one: str, other: str, bound: int) -> None:
    whole = edit_distance(one, other, 20)
    assert whole is not None
    assert edit_distance(one, other, bound) == (whole if whole <= bound else None)
    assert whole == edit_distance(other, one, 20)
    assert (whole == 0) == (one == other)
    assert abs(len(one) - len(other)) <= whole <= max(len(one), len(other))
