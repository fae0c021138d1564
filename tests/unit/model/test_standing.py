"""What the newest checked version is, in view of what the index listed: every order of the two, known or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from ppp.model.on_index import OnIndex
from ppp.model.standing import CheckedVersions, Standing

VERSIONS = st.sampled_from(["0.8.post1", "1.0.dev1", "1.0rc1", "1.0", "1.0+local", "1.9", "1.10", "2.0", "1!0.1"])


def seen(newest: str, on_index: str | None, *others: str, versions: int = 34) -> CheckedVersions:
    """Return the newest checked version in view of the index's newest."""
    listed = on_index and OnIndex(newest=on_index, versions=versions)
    return CheckedVersions(newest=newest, on_index=listed or None, checked=frozenset({newest, *others}))


@given(ours=VERSIONS, theirs=st.none() | VERSIONS)
def test_it_is_the_newest_only_where_the_index_said_so(ours: str, theirs: str | None) -> None:
    found = seen(ours, theirs)
    if theirs is None:
        expected = Standing.UNKNOWN
    else:
        expected = next(
            standing
            for standing, holds in (
                (Standing.NEWEST, Version(ours) == Version(theirs)),
                (Standing.OLDER, Version(ours) < Version(theirs)),
                (Standing.AHEAD, Version(ours) > Version(theirs)),
            )
            if holds
        )
    assert found.standing is expected
    # Whatever is not what pip takes says what pip takes, and whether that was checked.
    assert found.is_what_pip_takes == (found.other_newest is None) == (found.notice == "")
    assert found.other_newest is None or found.other_newest == theirs
    assert ("newest release checked" in found.words) == (theirs is None)


@pytest.mark.parametrize(
    ("found", "words", "notice", "count"),
    [
        (seen("6.0.4", "6.0.4"), "PyPI's newest release", "", "1 version checked of 34"),
        (
            seen("5.4.1", "6.0.4", "5.3"),
            "an older release",
            "PyPI's newest is 6.0.4: not checked yet.",
            "2 versions checked of 34",
        ),
        (
            seen("7.0rc1", "6.0.4", "6.0.4"),
            "a release that pip takes only if asked for it",
            "PyPI's newest is 6.0.4: checked, too.",
            "2 versions checked of 34",
        ),
        (
            seen("5.4.1", None),
            "the newest release checked (PyPI's newest was not recorded)",
            "",
            "1 version checked",
        ),
        # Versions that were checked and that the index has withdrawn since.
        (seen("3", "3", "2", "1", versions=1), "PyPI's newest release", "", "3 versions checked of 3"),
    ],
)
def test_words(found: CheckedVersions, words: str, notice: str, count: str) -> None:
    assert (found.words, found.notice, found.count) == (words, notice, count)
