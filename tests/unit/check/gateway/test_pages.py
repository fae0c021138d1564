"""Pages as the gateway serves them: what is left out, how the rest is written, and the names of views."""

import json

import pytest
from pypi_simple import ProjectPage

from ppp.check.gateway.pages import (
    PageFile,
    PageForm,
    could_be_chosen,
    filter_files,
    is_distribution,
    served_file,
    view_name,
    write_page,
)
from ppp.check.index.page import ProjectStatus, Status, parse_page
from ppp.model.canonical import sha256_hex

TAGS = frozenset({"cp312-cp312-manylinux_2_17_x86_64", "py3-none-any"})
HOSTILE = '"><script>alert(1)</script>&amp;'


@pytest.mark.parametrize(
    ("filename", "kept"),
    [
        ("lib-1.0-py3-none-any.whl", True),
        ("lib-1.0-py2.py3-none-any.whl", True),
        ("lib-1.0-2b-py3-none-any.whl", True),
        ("lib-1.0-CP312-cp312-ManyLinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("lib-1.0-cp312-cp312-win_amd64.whl", False),
        ("lib-1.0-cp313-cp313-manylinux_2_17_x86_64.whl", False),
        ("lib-1.0-py2-none-any.whl", False),
        ("lib-1.0-py3-none.whl", True),
        ("lib.whl", True),
        ("lib-1.0.tar.gz", True),
        ("lib-1.0-cp312-cp312-win_amd64.zip", True),
    ],
)
def test_only_valid_wheels_for_other_environments_are_left_out(filename: str, *, kept: bool) -> None:
    assert could_be_chosen(filename, TAGS) is kept
    file = PageFile(url=f"https://files.example/{filename}")
    assert filter_files([file], TAGS) == ((file,) if kept else ())
    assert filter_files([file], None) == (file,)


def test_a_filename_is_what_pip_takes_it_for() -> None:
    assert PageFile(url="https://files.example/a/lib-1.0%2Blocal.tar.gz?x=y/z.whl").filename == "lib-1.0+local.tar.gz"


@pytest.mark.parametrize("filename", ["lib-1.0.exe", "lib-1.0.egg", "lib", "", "lib-1.0.WHL", "lib-1.0.tar.gz.asc"])
def test_files_that_are_not_distributions_for_pip(filename: str) -> None:
    assert not is_distribution(filename)


SHA256 = "0" * 63 + "a"


@pytest.mark.parametrize(
    ("hashes", "key"),
    [
        ({"sha256": SHA256, "md5": "0" * 32}, SHA256),
        ({}, None),
        ({"md5": "0" * 32}, None),
        ({"sha256": SHA256[1:]}, None),
        ({"sha256": f"{SHA256}/.."}, None),
        ({"sha256": SHA256.upper()}, None),
    ],
)
def test_a_file_is_served_under_its_project_and_hash(hashes: dict[str, str], key: str | None) -> None:
    url = "https://files.example/a/lib-1.0%2B1.whl?sig=1#sha256=00"
    served = served_file("lib", PageFile(url=url, hashes=hashes))
    assert served.url == f"/-/lib/{key or sha256_hex(url.encode())}/lib-1.0%2B1.whl"
    assert served.filename == "lib-1.0+1.whl"
    assert served.hashes == hashes


@pytest.mark.parametrize(
    ("metadata", "kept"), [({"sha256": SHA256}, True), ({"sha256": "x"}, False), ({"md5": "x"}, False), ({}, False)]
)
def test_metadata_that_cannot_be_checked_is_left_out(metadata: dict[str, str], *, kept: bool) -> None:
    served = served_file("lib", PageFile(url="https://files.example/lib-1.0-py3-none-any.whl", metadata=metadata))
    assert served.metadata == (metadata if kept else None)


def test_a_views_name_depends_on_all_that_its_pages_depend_on() -> None:
    index = "https://index.example/simple/"
    name = view_name(TAGS, index_url=index, local_projects="")
    assert name == view_name(frozenset([*sorted(TAGS, reverse=True)]), index_url=index, local_projects="")
    others = [
        view_name(None, index_url=index, local_projects=""),
        view_name(frozenset(), index_url=index, local_projects=""),
        view_name(TAGS | {"py2-none-any"}, index_url=index, local_projects=""),
        view_name(TAGS, index_url="https://other.example/simple/", local_projects=""),
        view_name(TAGS, index_url=index, local_projects="ours"),
    ]
    assert len({name, *others}) == 6


def test_a_page_in_json() -> None:
    files = [
        PageFile(
            url="/-/x/lib-1.0.tar.gz", hashes={"sha256": "ab", "md5": "cd"}, requires_python=">=3.9", yanked="broken"
        ),
        PageFile(url="/-/x/lib-1.1.tar.gz", yanked="", metadata={}),
        PageFile(url="/-/x/lib-1.2.tar.gz", metadata={"sha256": "ef"}),
    ]
    assert json.loads(write_page("lib", files, PageForm.JSON)) == {
        "meta": {"api-version": "1.0"},
        "name": "lib",
        "files": [
            {
                "filename": "lib-1.0.tar.gz",
                "url": "/-/x/lib-1.0.tar.gz",
                "hashes": {"sha256": "ab", "md5": "cd"},
                "requires-python": ">=3.9",
                "yanked": "broken",
            },
            {
                "filename": "lib-1.1.tar.gz",
                "url": "/-/x/lib-1.1.tar.gz",
                "hashes": {},
                "yanked": True,
                "core-metadata": True,
            },
            {
                "filename": "lib-1.2.tar.gz",
                "url": "/-/x/lib-1.2.tar.gz",
                "hashes": {},
                "core-metadata": {"sha256": "ef"},
            },
        ],
    }


@pytest.mark.attack("inert-text")
def test_text_from_the_index_is_escaped_in_html() -> None:
    file = PageFile(
        url=f"/-/x/{HOSTILE}.zip",
        hashes={"md5": "cd", "sha256": HOSTILE},
        requires_python=HOSTILE,
        yanked=HOSTILE,
        metadata={},
    )
    page = write_page(HOSTILE, [file], PageForm.HTML)
    assert b"<script" not in page
    (read,) = ProjectPage.from_html("lib", page).packages
    assert read.requires_python == read.yanked_reason == read.digests["sha256"] == HOSTILE
    assert read.has_metadata


def test_a_wheel_with_a_variant_is_left_to_pip() -> None:
    variants = ("lib-1.0-cp39-cp39-win32-x86_64_v3.whl", "lib-1.0-1-cp39-cp39-win32-cu128.whl")
    known = ("lib-1.0-cp39-cp39-win32.whl", "lib-1.0-1-cp39-cp39-win32.whl")
    tags = frozenset({"cp312-cp312-linux_x86_64"})
    assert all(could_be_chosen(name, tags) for name in variants)
    assert not any(could_be_chosen(name, tags) for name in known)


def test_a_page_without_a_status_has_the_version_that_it_always_had() -> None:
    status = ProjectStatus(status=Status.ARCHIVED, reason="a < b")
    for form, versions in ((PageForm.JSON, (b'"1.0"', b'"1.4"')), (PageForm.HTML, (b'"1.0"', b'"1.4"'))):
        plain, marked = write_page("lib", [], form), write_page("lib", [], form, status)
        assert versions[0] in plain
        assert b"status" not in plain
        assert versions[1] in marked
        assert parse_page("lib", marked, form.content_type, "https://index.example/simple/lib/").status == status
