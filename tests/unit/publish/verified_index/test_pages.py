"""Pages of an index, read back by pypi-simple; HTML and JSON say the same."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypi_simple import DistributionPackage, IndexPage
from pypi_simple import ProjectPage as ParsedPage

from ppp.model.content_id import raw_content_id
from ppp.model.file_sizes import MAX_DISTRIBUTION_BYTES
from ppp.publish.verified_index.listing import IndexName, VerifiedFile, in_order
from ppp.publish.verified_index.pages import (
    ProjectPage,
    index_folder,
    project_files,
    project_html,
    project_json,
    root_html,
    root_json,
)

URL = "https://files.example/packages/ab/cd/"
PAGE_URL = "https://place.example/simple/py312-alpine/sample/"
INDEX = IndexName(environment="py312-alpine")
HOSTILE = "</a><script>alert(1)</script>\"'&]]>\u202e"


def a_file(version: str = "1.0", **changes: object) -> VerifiedFile:
    filename = f"sample-{version}-py3-none-any.whl"
    file = VerifiedFile(
        version=version, filename=filename, sha256="a" * 64, size=100, url=f"{URL}{filename}", record="b" * 64
    )
    return replace(file, **changes)  # type: ignore[arg-type]


def page_of(*files: VerifiedFile, index: IndexName = INDEX) -> ProjectPage:
    return ProjectPage(index=index, project="sample", files=files)


def read_html(page: ProjectPage) -> ParsedPage:
    return ParsedPage.from_html("sample", project_html(page), base_url=PAGE_URL)


def read_json(page: ProjectPage) -> ParsedPage:
    return ParsedPage.from_json_data(json.loads(project_json(page)), base_url=PAGE_URL)


def said(package: DistributionPackage) -> dict[str, object]:
    return {
        "filename": package.filename,
        "url": package.url.partition("#")[0],
        "digests": package.digests,
        "requires_python": package.requires_python,
        "is_yanked": package.is_yanked,
        "yanked_reason": package.yanked_reason or None,
        "metadata": package.metadata_digests,
    }


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=40).map(
    lambda t: " ".join(t.split())
)
files = st.builds(
    a_file,
    st.sampled_from(["0.9", "1.0", "1.10", "2.0rc1", "1!3.0", "1.0+local.1"]),
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    size=st.integers(1, MAX_DISTRIBUTION_BYTES),
    requires_python=st.sampled_from([None, ">=3.9", "!=3.10.*,<4,>=3.8"]),
    yanked=st.none() | texts,
    metadata_sha256=st.sampled_from([None, "c" * 64]),
    uploaded=st.sampled_from([None, "2024-01-31T12:00:00.123456Z"]),
    imported=st.booleans(),
)


@given(st.lists(files, max_size=5, unique_by=lambda file: file.filename))
def test_html_and_json_say_the_same_whatever_a_package_says(listed: list[VerifiedFile]) -> None:
    page = page_of(*in_order(listed))
    html, in_json = read_html(page), read_json(page)
    assert [said(package) for package in html.packages] == [said(package) for package in in_json.packages]
    assert [(package.filename, package.size) for package in in_json.packages] == [
        (f.filename, f.size) for f in page.files
    ]
    assert [package.digests for package in html.packages] == [{"sha256": file.sha256} for file in page.files]
    for file, package in zip(page.files, html.packages, strict=True):
        assert (package.is_yanked, package.yanked_reason or "") == (file.yanked is not None, file.yanked or "")
        assert package.requires_python == file.requires_python


def test_the_json_has_what_html_has_no_place_for() -> None:
    page = page_of(a_file(uploaded="2024-01-31T12:00:00.123456Z", metadata_sha256="c" * 64))
    (package,) = read_json(page).packages
    assert package.upload_time == datetime(2024, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert package.size == 100
    document = json.loads(project_json(page))
    assert document["meta"] == {"api-version": "1.1"}
    assert document["versions"] == ["1.0"]
    (row,) = document["files"]
    # A dict under the old name crashes pip 23.0.1.
    assert "dist-info-metadata" not in row
    assert row["core-metadata"] == {"sha256": "c" * 64}
    assert row["_cid"] == raw_content_id("a" * 64)
    assert row["_ppp"] == {"record": "b" * 64, "imported": True, "arch": ""}
    assert document["_ppp"]["environment"] == "py312-alpine"


def test_a_hostile_reason_is_text_and_adds_no_link() -> None:
    page = page_of(a_file(yanked=HOSTILE))
    (package,) = read_html(page).packages
    assert package.yanked_reason == HOSTILE
    assert b"<script" not in project_html(page)
    assert read_html(page).packages[0].filename == "sample-1.0-py3-none-any.whl"


def test_a_yank_without_a_reason_is_a_yank_in_both() -> None:
    page = page_of(a_file(yanked=""))
    assert [package.is_yanked for parsed in (read_html(page), read_json(page)) for package in parsed.packages] == [
        True
    ] * 2


def test_a_mirrored_file_is_linked_by_a_relative_address() -> None:
    page = page_of(a_file("1.0+local.1", mirrored=True))
    expected = f"https://place.example/mirror/aa/{'a' * 64}/sample-1.0%2Blocal.1-py3-none-any.whl"
    for parsed in (read_html(page), read_json(page)):
        (package,) = parsed.packages
        assert urljoin(PAGE_URL, package.url).partition("#")[0] == expected
    assert json.loads(project_json(page))["files"][0]["_ppp"]["upstream"].startswith(URL)


def test_what_is_open_is_said_for_people_and_for_programs() -> None:
    page = replace(page_of(a_file()), open_needs={"sample-1.0-py3-none-any.whl": ("six==1.17.0",)})
    assert b"<strong>Open</strong>" in project_html(page)
    assert b"six==1.17.0 not listed" in project_html(page)
    document = json.loads(project_json(page))
    assert document["_ppp"]["open"] is True
    assert document["files"][0]["_ppp"]["open"] == ["six==1.17.0"]
    assert json.loads(project_json(page_of(a_file())))["_ppp"]["open"] is False


@pytest.mark.parametrize("index", [INDEX, IndexName(environment="py312-alpine", days=7)])
def test_every_page_says_what_is_claimed_and_what_is_not(index: IndexName) -> None:
    pages = [project_html(page_of(a_file(), index=index)), root_html(index, ["sample"])]
    for page in pages:
        shown = page.decode()
        assert "Proven one by one is not proven together" in shown
        assert "never with --extra-index-url" in shown
        assert ("at least 7 days" in shown) == (index.days is not None)


def test_an_index_lists_its_projects_and_nothing_else() -> None:
    names = ["a", "b-c", "zope-interface"]
    assert IndexPage.from_html(root_html(INDEX, names)).projects == names
    assert IndexPage.from_json_data(json.loads(root_json(INDEX, names))).projects == names
    assert IndexPage.from_html(root_html(INDEX, [])).projects == []


def test_the_same_values_give_the_same_bytes_at_the_same_paths() -> None:
    page = page_of(a_file("1.10"), a_file("1.9"), index=IndexName(environment="py39-slim", days=7))
    assert [*project_files(page)] == [*project_files(page)]
    assert [path for path, _ in project_files(page)] == [
        "simple/py39-slim-cooldown/sample/index.html",
        "simple/py39-slim-cooldown/sample/index.v1_json",
    ]
    assert index_folder(INDEX) == "simple/py312-alpine"


def test_a_cid_is_the_one_of_the_specification() -> None:
    # sha256 of "hello world", and its CID as the library `multiformats` gives it.
    digest = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    assert raw_content_id(digest) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
