"""Views of an index: which files are there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_gateway import index_client
from local_index import LocalIndex

from ppp.check.index.view import IndexView, ViewedIndex

HASHES = st.sampled_from([f"{n:064x}" for n in range(4)])
PROJECTS = st.sampled_from(["a", "b", "c"])
VIEWS = st.builds(
    IndexView,
    allowed=st.dictionaries(PROJECTS, st.frozensets(HASHES, max_size=3), max_size=3),
    uploaded_before=st.none() | st.integers(0, 3),
    unyanked=st.frozensets(PROJECTS),
    is_closed=st.booleans(),
)


@given(view=VIEWS, project=PROJECTS, sha256=st.none() | HASHES, uploaded_at=st.none() | st.integers(0, 4))
def test_what_is_named_is_there_and_nothing_newer_than_the_time(
    view: IndexView, project: str, sha256: str | None, uploaded_at: int | None
) -> None:
    there = view.admits(project, sha256=sha256, uploaded_at=uploaded_at)
    if project in view.allowed:
        assert there == (sha256 in view.allowed[project]), "of a project that is named, exactly the files named"
    elif view.is_closed:
        assert not there, "nothing of any other project"
    elif uploaded_at is not None and view.uploaded_before is not None:
        assert there == (uploaded_at <= view.uploaded_before)
    else:
        assert there, "nobody can tell"


@given(one=VIEWS, other=VIEWS)
def test_two_views_have_one_digest_only_if_they_are_equal(one: IndexView, other: IndexView) -> None:
    assert (one.digest == other.digest) == (one == other)


@pytest.mark.parametrize(
    ("before", "versions"),
    [
        (None, ["1.0", "2.0", "3.0"]),
        (1_600_000_000, ["1.0", "3.0"]),
        (1_500_000_000 - 1, ["3.0"]),
        (1_500_000_000, ["1.0", "3.0"]),
    ],
)
def test_an_index_as_it_was(tmp_path: Path, before: int | None, versions: list[str]) -> None:
    with LocalIndex(json_pages=True) as local:
        local.add_file("lib", "lib-1.0.zip", b"1", uploaded="2017-07-14T02:40:00.5Z")
        local.add_file("lib", "lib-2.0.zip", b"2", uploaded="2024-01-01T00:00:00Z")
        local.add_file("lib", "lib-3.0.zip", b"3")
        index = ViewedIndex(index_client(local.url, tmp_path), IndexView(uploaded_before=before))
        assert [file.filename.removeprefix("lib-").removesuffix(".zip") for file in index.files("lib")] == versions


def test_files_that_were_installed_are_not_yanked_in_their_view(tmp_path: Path) -> None:
    with LocalIndex(json_pages=True) as local:
        listed = local.add_file("lib", "lib-1.0.zip", b"1", yanked="broken")
        local.add_file("lib", "lib-2.0.zip", b"2")
        index = index_client(local.url, tmp_path)
        allowed = {"lib": frozenset({listed.sha256})}
        assert [f.yanked for f in ViewedIndex(index, IndexView(allowed=allowed)).files("lib")] == [True]
        (file,) = ViewedIndex(index, IndexView(allowed=allowed, unyanked=frozenset({"lib"}))).files("lib")
        assert not file.yanked
        assert not file.yanked_reason
