"""The closure check, and what an index with a cooldown keeps."""

from collections.abc import Mapping

import pytest
from packaging.version import Version

from ppp.publish.verified_index.closure import marker_values, open_needs
from ppp.publish.verified_index.listing import (
    VerifiedFile,
    VerifiedPackage,
    VerifiedProject,
    in_order,
    matured,
    next_maturity,
)

MARKERS = marker_values("3.12")
NAME = "sample-1.0-py3-none-any.whl"
DAY = 86_400


def a_file(*needs: str, version: str = "1.0", uploaded: str | None = None, yanked: str | None = None) -> VerifiedFile:
    name = f"sample-{version}-py3-none-any.whl"
    return VerifiedFile(
        version=version,
        filename=name,
        sha256="a" * 64,
        size=1,
        url=f"https://files.example/{name}",
        record="b" * 64,
        arch="x86_64",
        needs=needs,
        uploaded=uploaded,
        yanked=yanked,
    )


def a_project(*files: VerifiedFile) -> VerifiedProject:
    return VerifiedProject(files=files)


@pytest.mark.parametrize(
    ("need", "listed", "is_open"),
    [
        ("six==1.17.0", {"1.17.0": True}, False),
        ("six==1.17.0", {"1.16.0": True}, True),
        ("six==1.17.0", {}, True),
        ("Six>=1.16", {"1.17.0": True}, False),
        ("six>=1.16,<1.17", {"1.17.0": True}, True),
        ("six", {"1.17.0rc1": True}, False),
        ("six>=1.16", {"1.17.0": False}, True),
        ("six==1.17.0", {"1.17.0": False}, False),
        ("six; python_version < '3.10'", {}, False),
        ("six; python_version >= '3.10'", {}, True),
        ("six; extra == 'test'", {}, False),
        ("six; platform_machine == 'aarch64'", {}, False),
        ("six; platform_machine == 'x86_64'", {}, True),
        ("six @ https://files.example/six.whl", {"1.17.0": True}, True),
        ("no requirement at all!", {"1.17.0": True}, True),
    ],
)
def test_a_need_is_met_by_a_listed_version_that_pip_would_take(
    need: str,
    listed: Mapping[str, bool],
    is_open: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    versions = {Version(version): unpinned for version, unpinned in listed.items()}
    found = open_needs(a_project(a_file(need)), lambda name: versions if name == "six" else {}, MARKERS)
    assert found == ({NAME: (need,)} if is_open else {})


def test_each_file_has_its_own_needs() -> None:
    project = a_project(a_file("six==1.0"), a_file("six==2.0", version="2.0"))
    found = open_needs(project, lambda _: {Version("2.0"): True}, MARKERS)
    assert found == {NAME: ("six==1.0",)}


def test_a_cooldown_keeps_what_is_old_enough_and_not_yanked() -> None:
    old, young = "2024-01-01T00:00:00.500000Z", "2024-01-08T00:00:00.000000Z"
    project = a_project(
        a_file(version="1.0", uploaded=old),
        a_file(version="1.1", uploaded=young),
        a_file(version="1.2"),
        a_file(version="1.3", uploaded=old, yanked=""),
    )
    newest = 1_704_067_200 + 7 * DAY  # 2024-01-08
    assert [file.version for file in matured(project, as_of=newest, days=7).files] == ["1.0"]
    assert [file.version for file in matured(project, as_of=newest - 1, days=7).files] == []
    assert [file.version for file in matured(project, as_of=newest + 7 * DAY, days=7).files] == ["1.0", "1.1"]
    package = VerifiedPackage(package="sample", projects={"py312-slim": project})
    assert next_maturity(package, as_of=newest, days=7) == newest + 7 * DAY
    assert next_maturity(package, as_of=newest + 7 * DAY, days=7) is None


def test_what_the_cache_keeps_is_the_same_package() -> None:
    files = in_order([a_file("six==1", version="1.10", uploaded="2024-01-01T00:00:00.500000Z"), a_file(version="1.9")])
    projects = {
        "py312-slim": VerifiedProject(files=files, left_out={"unknown-address": 2}),
        "py39-slim": VerifiedProject(files=(), left_out={"no-file": 1}),
    }
    package = VerifiedPackage(package="sample", projects=projects)
    assert VerifiedPackage.from_text("sample", package.to_text()) == package
    assert [file.version for file in files] == ["1.9", "1.10"]
    assert package.needed == {"six"}
