"""Versions: the sort key for SQL orders them as packaging does."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from ppp.model.release import MAX_VERSION_LENGTH, Release, RequestedPackage, parse_version, version_key

# Few and near values, so that draws collide; and some long ones, which would be sorted wrongly as text.
NUMBERS = st.integers(0, 3) | st.sampled_from([9, 10, 11, 99, 100, 20231120, 10**30])


@st.composite
def _versions(draw: Any) -> str:
    epoch = draw(st.sampled_from(["", "", "0!", "1!", "2!", "10!"]))
    release = ".".join(str(n) for n in draw(st.lists(NUMBERS, min_size=1, max_size=4)))
    pre = draw(st.just("") | st.builds("{}{}".format, st.sampled_from(["a", "b", "rc"]), NUMBERS))
    post = draw(st.just("") | st.builds(".post{}".format, NUMBERS))
    dev = draw(st.just("") | st.builds(".dev{}".format, NUMBERS))
    words = st.sampled_from(["a", "b", "ab", "a1", "1a", "z", "0z"]) | NUMBERS.map(str)
    local = draw(st.just("") | st.lists(words, min_size=1, max_size=3).map(lambda parts: f"+{'.'.join(parts)}"))
    return f"{epoch}{release}{pre}{post}{dev}{local}"


def versions() -> st.SearchStrategy[str]:
    return _versions().filter(lambda version: len(version) <= MAX_VERSION_LENGTH)


@given(versions(), versions())
def test_keys_order_as_versions_do(one: str, other: str) -> None:
    expected = (Version(one) > Version(other)) - (Version(one) < Version(other))
    keys = version_key(one).encode(), version_key(other).encode()
    assert (keys[0] > keys[1]) - (keys[0] < keys[1]) == expected


@given(st.lists(versions(), max_size=12))
def test_sorting_by_key_is_sorting_by_version(drawn: list[str]) -> None:
    by_key = [Version(v) for v in sorted(drawn, key=version_key)]
    assert by_key == sorted(map(Version, drawn))


@given(versions())
def test_the_normal_form_is_its_own(version: str) -> None:
    normal = parse_version(version)
    assert parse_version(normal) == normal
    assert Version(normal) == Version(version)
    assert version_key(normal) == version_key(version)


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True), versions())
def test_a_release_is_read_back_from_its_own_words(name: str, version: str) -> None:
    release = Release.parse(name, version)
    assert Release.parse(release.package, release.version) == release
    wanted = RequestedPackage.parse(str(release))
    assert wanted == RequestedPackage(package=release.package, specifier=f"=={release.version}")
    assert str(wanted) == str(release)
    assert len(release.version) <= MAX_VERSION_LENGTH
