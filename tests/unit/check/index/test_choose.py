"""Which file pip would choose, from names, tags and the index's page; compared with pip itself."""

import json
import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, FetchedPip, host_environ, host_environment, tiny_matrix
from fake_runtime import prepared_environment
from local_index import LocalIndex
from packaging.requirements import Requirement
from packaging.version import Version
from projects import Project

from ppp.check.index.choose import (
    IndexFile,
    NotClaimed,
    all_yanked,
    choose_file,
    file_version,
    files_by_version,
    has_unread_name,
    listed_on_index,
    metadata_copy,
    newest_installable,
    newest_version,
    other_files,
    release_files,
    unmet_because,
    unmet_cause,
)
from ppp.check.index.client import SimpleIndex
from ppp.check.index.page import ProjectStatus, Status
from ppp.check.runtime import pip_environment
from ppp.check.sandbox.host import HostRuntime
from ppp.model.release import Release

#: cp312 manylinux, then its abi3, then pure.
PY312: Final = prepared_environment(SLIM)
BEST, ABI3, PURE = PY312.tags


def listed(filename: str, *, requires_python: str | None = None, yanked: bool = False) -> IndexFile:
    return IndexFile(
        filename=filename,
        url=f"https://files.example/{filename}",
        sha256="0" * 64,
        requires_python=requires_python,
        yanked=yanked,
    )


def chosen(*files: IndexFile | str) -> str:
    """Return the name of the chosen file, or the cause if there is none."""
    found = choose_file([listed(file) if isinstance(file, str) else file for file in files], PY312)
    return found.cause if isinstance(found, NotClaimed) else found.filename


def wheel(tag: str, build: str = "") -> str:
    return f"lib-1.0-{build}{tag}.whl"


# ---------------------------------------------------------------- the version of a file


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("lib-1.0-py3-none-any.whl", "1.0"),
        ("lib-1.0-1-py3-none-any.whl", "1.0"),
        ("Lib-1.0.tar.gz", "1.0"),
        ("lib-1.0.zip", "1.0"),
        ("lib-01.00.tar.gz", "1.0"),
        ("lib-1.0+local.1.tar.gz", "1.0+local.1"),
        ("other-1.0.tar.gz", None),
        ("other-1.0-py3-none-any.whl", None),
        ("lib-1.0.exe", None),
        ("lib-1.0-py2.7.egg", None),
        # All that pip takes for an sdist, and a post-release in its old form.
        ("lib-1.0.tar.bz2", "1.0"),
        ("lib-1.0.tgz", "1.0"),
        ("lib-1.0.tar.xz", "1.0"),
        ("lib-1.0-1.tar.gz", "1.0.post1"),
        ("l-ib-1.0.tar.gz", None),
        ("lib-x-1.0.tar.gz", None),
        ("lib.tar.gz", None),
        ("lib-.tar.gz", None),
        # A variant (PEP 825) beside a tag and beside a build number.
        ("lib-1.0-py3-none-any-x86_64_v3.whl", None),
        ("lib-1.0-1-cp312-cp312-linux_x86_64-cu128.whl", None),
        ("lib-1.0.linux-x86_64.tar.gz", None),
        ("lib-not_a_version-py3-none-any.whl", None),
        ("lib.whl", None),
        ("", None),
        ("../../etc/passwd.whl", None),
        ("lib-1.0-py3.x/../../up-none-any.whl", None),
        ("lib-1.0-py3.<script>-none-any.whl", None),
        ("lib-1.0 .tar.gz", None),
        (f"lib-1.0-py3.{'x' * 250}-none-any.whl", None),
    ],
)
def test_the_version_of_a_file(filename: str, version: str | None) -> None:
    found = file_version(listed(filename), "lib")
    assert found == (None if version is None else Version(version))


@pytest.mark.parametrize("name", ["My_Lib-1.0.zip", "my.lib-1.0.zip", "MY--lib-1.0.zip", "my_-.lib-1.0.tar.gz"])
def test_a_name_is_read_in_any_spelling(name: str) -> None:
    assert file_version(listed(name), "my-lib") == Version("1.0")
    assert file_version(listed(name), "my") is None


def test_a_long_name_is_read_in_time() -> None:
    hostile = "a-" * 124
    started = time.process_time()
    for package in ("a", "a-a", "-".join("a" * 100)):
        for _ in range(200):
            file_version(listed(f"{hostile}.zip"), package)
            other_files(Release(package=package, version="1.0"), [listed(f"{hostile}.exe"), listed("1." * 5000)])
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("filename", "is_unread"),
    [
        ("lib-1.0-py3-none-any.whl", False),
        ("lib-1.0.tar.gz", False),
        ("lib-1.0-py3-none-any-x86_64_v3.whl", True),
        ("lib-1.0.linux-x86_64.tar.gz", True),
        ("lib.zip", True),
        # pip does not look at these: they are of another kind.
        ("lib-1.0-py2.7.egg", False),
        ("lib-1.0.win32.exe", False),
        ("readme.txt", False),
    ],
)
def test_names_that_cannot_be_read_are_told_from_other_kinds(filename: str, *, is_unread: bool) -> None:
    assert has_unread_name(listed(filename), "lib") is is_unread


def test_the_files_of_another_kind_belong_to_the_release_that_their_names_begin_with() -> None:
    mine = [
        "Lib-1.0-py2.7.egg", "lib-1.0.win32-py2.7.exe", "lib-1.0-1.noarch.rpm", "lib-1.0.0.dmg",
        "lib-1.0-py3-none-any-x86_64_v3.whl",
    ]  # fmt: skip
    others = ["lib-1.0.tar.gz", "lib-1.0-py3-none-any.whl", "lib-1.1-py2.7.egg", "lib-x-1.0.egg", "lib.exe", "1.0.egg"]
    found = other_files(Release.parse("lib", "1.0"), [listed(name) for name in (*mine, *others)])
    assert found == mine


def test_a_release_has_only_its_own_files() -> None:
    files = [listed(name) for name in ("lib-1.0.tar.gz", "lib-1.0.0-py3-none-any.whl", "lib-1.0.1.tar.gz", "lib.exe")]
    assert [f.filename for f in release_files(Release.parse("lib", "1"), files)] == [
        "lib-1.0.tar.gz",
        "lib-1.0.0-py3-none-any.whl",
    ]


# ---------------------------------------------------------------- the choice


def test_the_better_tag_wins() -> None:
    assert chosen(wheel(PURE), wheel(BEST), wheel(ABI3)) == wheel(BEST)


def test_of_several_tags_in_one_name_the_best_counts() -> None:
    assert chosen(wheel(ABI3), wheel("cp312-cp312.abi3-manylinux_2_36_x86_64")) == wheel(
        "cp312-cp312.abi3-manylinux_2_36_x86_64"
    )


def test_the_higher_build_number_wins_among_equal_tags() -> None:
    assert chosen(wheel(PURE), wheel(PURE, "2-"), wheel(PURE, "10-")) == wheel(PURE, "10-")
    assert chosen(wheel(PURE, "2a-"), wheel(PURE, "2b-")) == wheel(PURE, "2b-")


def test_a_better_tag_comes_before_a_higher_build_number() -> None:
    assert chosen(wheel(PURE, "99-"), wheel(BEST)) == wheel(BEST)


def test_a_wheel_comes_before_an_sdist() -> None:
    assert chosen("lib-1.0.tar.gz", wheel(PURE)) == wheel(PURE)


def test_an_sdist_is_chosen_if_there_is_no_wheel() -> None:
    assert chosen("lib-1.0.tar.gz", wheel("cp312-cp312-win_amd64")) == "lib-1.0.tar.gz"


def test_a_release_for_other_platforms_only_is_not_claimed() -> None:
    assert chosen(wheel("cp312-cp312-win_amd64"), wheel("cp311-cp311-manylinux_2_36_x86_64")) == "no-distribution"


def test_requires_python_comes_before_tags() -> None:
    best = listed(wheel(BEST), requires_python=">=3.13")
    assert chosen(best, listed(wheel(PURE), requires_python=">=3.8")) == wheel(PURE)


def test_a_release_for_another_python_is_not_claimed_with_a_reason() -> None:
    found = choose_file([listed(wheel(PURE), requires_python="<3.8")], PY312)
    assert isinstance(found, NotClaimed)
    assert found.cause == "requires-python"
    assert "<3.8" in found.detail


def test_an_invalid_requires_python_excludes_nothing() -> None:
    assert chosen(listed(wheel(PURE), requires_python="three or so")) == wheel(PURE)


def test_a_prerelease_of_python_is_admitted() -> None:
    soon = replace(PY312, python="3.12.0rc1")
    assert isinstance(choose_file([listed(wheel(PURE), requires_python=">=3.11")], soon), IndexFile)


def test_files_that_are_not_yanked_come_first() -> None:
    assert chosen(listed(wheel(BEST), yanked=True), listed("lib-1.0.tar.gz")) == "lib-1.0.tar.gz"


def test_a_yanked_file_is_chosen_if_there_is_no_other() -> None:
    assert chosen(listed(wheel(BEST), yanked=True), listed(wheel(PURE), yanked=True)) == wheel(BEST)


def test_of_equal_files_the_last_by_name_is_chosen() -> None:
    assert chosen("lib-1.0.tar.gz", "lib-1.0.zip") == "lib-1.0.zip"
    assert chosen(wheel("py3-none-any"), wheel("py2.py3-none-any")) == wheel("py3-none-any")


# ---------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("versions", "specifier", "expected"),
    [
        (["1.0", "2.0", "1.5"], "", "2.0"),
        (["1.0", "2.0"], "<2", "1.0"),
        (["1.0", "2.0rc1"], "", "1.0"),
        (["2.0rc1", "2.0rc2"], "", "2.0rc2"),
        (["1.0", "2.0rc1"], "==2.0rc1", "2.0rc1"),
        (["1.0", "2.0!yanked"], "", "1.0"),
        (["1.0", "2.0!yanked"], "==2.0", "2.0"),
        (["1.0", "2.0!yanked"], "===2.0", "2.0"),
        (["1.0!yanked", "2.0!yanked"], "==2.0,>1", "2.0"),
        # What is yanked has to be pinned, even if there is nothing else.
        (["1.0!yanked", "2.0!yanked"], "", None),
        (["1.0", "2.0!yanked"], "==2.*", None),
        (["1.0", "2.0!yanked"], ">=2", None),
        (["1.0", "2.0rc1!yanked"], ">1.0", None),
        # A pre-release is not taken for want of what is yanked.
        (["1.0!yanked", "2.0rc1"], "", None),
        (["1.0", "2.0rc1!yanked"], "", "1.0"),
        (["1.0"], ">=2", None),
        ([], "", None),
    ],
)
def test_the_newest_admitted_version(versions: Sequence[str], specifier: str, expected: str | None) -> None:
    pairs = [(Version(text.removesuffix("!yanked")), text.endswith("!yanked")) for text in versions]
    assert newest_version(pairs, specifier) == (expected and Version(expected))


@pytest.mark.parametrize(
    ("files", "specifier", "expected"),
    [
        # The newest serves.
        ({"lib-2.0-py3-none-any.whl": "", "lib-1.0-py3-none-any.whl": ""}, "", "2.0"),
        # The newest has left this Python behind: an older one serves.
        ({"lib-2.0-py3-none-any.whl": ">=3.13", "lib-1.0-py3-none-any.whl": ""}, "", "1.0"),
        # The newest has no file for this platform.
        ({"lib-2.0-cp312-cp312-win_amd64.whl": "", "lib-1.0.tar.gz": ""}, "", "1.0"),
        # None serves: the newest that admits this Python can tell what is missing.
        ({"lib-2.0-py3-none-any.whl": ">=3.13", "lib-1.0-cp312-cp312-win_amd64.whl": ""}, "", "1.0"),
        ({"lib-2.0-py3-none-any.whl": ">=3.13"}, "", None),
        ({"lib-2.0-py3-none-any.whl": "", "lib-1.0-py3-none-any.whl": ""}, "<2", "1.0"),
        ({"other-9.0-py3-none-any.whl": ""}, "", None),
        ({}, "", None),
    ],
)
def test_the_newest_version_that_pip_would_install(files: dict[str, str], specifier: str, expected: str | None) -> None:
    page = [listed(name, requires_python=needs or None) for name, needs in files.items()]
    assert newest_installable("lib", page, specifier, PY312) == (expected and Version(expected))


def test_that_another_file_of_a_release_is_not_yanked_does_not_help() -> None:
    page = [
        listed("lib-2.0-cp312-cp312-win_amd64.whl"),
        listed("lib-2.0.tar.gz", yanked=True),
        listed("lib-1.0.tar.gz"),
    ]
    assert newest_installable("lib", page, "", PY312) == Version("1.0")
    assert newest_installable("lib", page, "==2.0", PY312) == Version("2.0")


def test_versions_of_which_all_are_yanked() -> None:
    pairs = [(Version("1.0"), True), (Version("2.0"), True), (Version("3.0"), False)]
    assert all_yanked(pairs, "<3") == Version("2.0")
    assert all_yanked(pairs, "") is None
    assert all_yanked(pairs, ">3") is None


# ---------------------------------------------------------------- stable ABI of free-threaded builds (PEP 803)


@pytest.mark.parametrize(
    ("tags", "best"),
    [
        # Each as packaging lists them for CPython 3.15, the preferred ones first.
        (("cp315-cp315-linux_x86_64", "cp315-abi3-linux_x86_64", "py3-none-any"), "cp315-abi3.abi3t-linux_x86_64"),
        (("cp315-cp315t-linux_x86_64", "cp315-abi3t-linux_x86_64", "py3-none-any"), "cp315-abi3.abi3t-linux_x86_64"),
        (("cp312-cp312-linux_x86_64", "cp312-abi3-linux_x86_64", "py3-none-any"), "py3-none-any"),
    ],
)
def test_the_environments_own_tags_decide_about_abi3t(tags: tuple[str, ...], best: str) -> None:
    here = replace(PY312, tags=tags)
    names = [f"lib-1.0-{tag}.whl" for tag in ("cp315-abi3.abi3t-linux_x86_64", "py3-none-any")]
    found = choose_file([listed(name) for name in names], here)
    assert isinstance(found, IndexFile)
    assert found.filename == f"lib-1.0-{best}.whl"
    alone = choose_file([listed("lib-1.0-cp315-abi3t-linux_x86_64.whl")], here)
    assert isinstance(alone, IndexFile) is ("cp315-abi3t-linux_x86_64" in tags)


# ---------------------------------------------------------------- the same as pip


@pytest.mark.heavy
@pytest.mark.online
def test_pip_makes_the_same_choices(pinned_pip: FetchedPip, tmp_path: Path) -> None:
    runtime = HostRuntime(
        tiny_matrix(host_environment()), pip=pinned_pip.folder, index_url="http://127.0.0.1:9/", environ=host_environ()
    )
    here = runtime.prepare(host_environment())
    dice = random.Random(20_240_425)
    tags = [*dice.sample(here.tags[:200], 12), "py3-none-any", "py2.py3-none-any", "cp27-none-any", "cp312-cp312-win32"]
    names = [f"choice-{n}" for n in range(24)]
    with LocalIndex() as index:
        for name in names:
            # As an index lists them: by name.
            for project in sorted(_some_files(name, tags, dice), key=lambda project: project.filename):
                index.add(project)
        simple = SimpleIndex(index.url, cache=tmp_path, user_agent="the-pypi-place/tests")
        ours = {}
        for name in names:
            found = choose_file(simple.files(name), here)
            ours[name] = None if isinstance(found, NotClaimed) else found.filename
        installable = [name for name in names if ours[name]]
        command = [str(pinned_pip.folder / "pip"), "install", "--dry-run", "--no-deps", "--quiet", "--report", "-"]
        done = subprocess.run(
            [
                runtime._interpreters[here.environment.id].executable,
                "-I",
                *command,
                *(f"{name}==1.0" for name in installable),
            ],
            env={"HOME": str(tmp_path), **pip_environment(index.url)},
            capture_output=True,
            text=True,
            check=True,
        )
        theirs = {
            item["metadata"]["name"]: item["download_info"]["url"].rpartition("/")[2]
            for item in json.loads(done.stdout)["install"]
        }
    assert theirs == {name: ours[name] for name in installable}
    assert len(installable) > 15


# ---------------------------------------------------------------- unmet requirements


@pytest.mark.parametrize(
    ("filename", "requires_python", "cause"),
    [
        ("lib-1.5-py3-none-any.whl", ">=3.99", "requires-python"),
        ("lib-1.5.tar.gz", ">=3.99", "requires-python"),
        ("lib-1.5-cp399-cp399-manylinux_2_36_x86_64.whl", ">=3.99", "requires-python"),
        # It would not be there with another Python either.
        ("lib-1.5-cp399-cp399-musllinux_1_2_x86_64.whl", ">=3.99", "no-distribution"),
        ("lib-1.5-cp312-cp312-win_amd64.whl", None, "no-distribution"),
        # Nobody wants these.
        ("lib-2.5-py3-none-any.whl", ">=3.99", "no-distribution"),
        ("other-1.5-py3-none-any.whl", ">=3.99", "no-distribution"),
        ("no distribution", ">=3.99", "no-distribution"),
        # Pip would have taken them: it says nothing of the Python.
        ("lib-1.5-py3-none-any.whl", None, "no-distribution"),
        ("lib-1.5-py3-none-any.whl", "no specifier", "no-distribution"),
        # A pre-release excluded by its Python is one more that pip passes over.
        ("lib-1.5rc1-py3-none-any.whl", ">=3.99", "requires-python"),
    ],
)
def test_the_cause_of_an_unmet_requirement(filename: str, requires_python: str | None, cause: str) -> None:
    files = [listed("lib-1.4-cp312-cp312-win_amd64.whl"), listed(filename, requires_python=requires_python)]
    assert unmet_cause(Requirement("Lib[extra]<2,>=1"), files, PY312) == cause


@pytest.mark.parametrize("wanted", ["lib<2,>=1", "lib==1.5"])
def test_a_yanked_file_is_no_reason_unless_it_is_pinned(wanted: str) -> None:
    files = [listed("lib-1.5-py3-none-any.whl", requires_python=">=3.99", yanked=True)]
    expected = "requires-python" if wanted == "lib==1.5" else "no-distribution"
    assert unmet_cause(Requirement(wanted), files, PY312) == expected


REASON: Final = "breaks everything"


@pytest.mark.parametrize(
    ("wanted", "files", "status", "because"),
    [
        ("lib", [], None, None),
        ("lib", ["lib-1.0.tar.gz"], None, None),
        ("lib", ["lib-1.0.tar.gz!"], None, f"every release that would do is yanked: {REASON}"),
        ("Lib>=2", ["lib-1.0.tar.gz", "lib-2.0.tar.gz!"], None, f"every release that would do is yanked: {REASON}"),
        ("lib>=2", ["lib-2.0.tar.gz", "lib-2.0-py3-none-any.whl!"], None, None),
        # It may be taken, so that is not why.
        ("lib==1.0", ["lib-1.0.tar.gz!"], None, None),
        ("lib", [], ProjectStatus(status=Status.QUARANTINED), "the index has quarantined it"),
        (
            "lib",
            [],
            ProjectStatus(status=Status.QUARANTINED, reason="malware"),
            "the index has quarantined it: malware",
        ),
        ("lib", [], ProjectStatus(status=Status.ARCHIVED), None),
    ],
)
def test_what_the_index_says_about_an_unmet_requirement(
    wanted: str, files: Sequence[str], status: ProjectStatus | None, because: str | None
) -> None:
    page = [
        replace(listed(name.removesuffix("!"), yanked=name.endswith("!")), yanked_reason=REASON * name.endswith("!"))
        for name in files
    ]
    assert unmet_because(Requirement(wanted), page, status) == because


def _some_files(name: str, tags: Sequence[str], dice: random.Random) -> list[Project]:
    files = [
        Project(
            name=name,
            tag=dice.choice(["", "1-", "2-", "10-"]) + tag,
            requires_python=dice.choice([None, None, ">=3.6", ">=3.99"]),
            yanked=dice.random() < 0.2,
        )
        for tag in dice.sample(tags, dice.randint(1, 5))
    ]
    return [*files, *([Project(name=name, kind="sdist")] if dice.random() < 0.3 else [])]


# ---------------------------------------------------------------- the index's copy of METADATA


def test_a_copy_of_metadata_is_beside_its_file() -> None:
    listed = IndexFile(
        filename="lib-1.0-py3-none-any.whl",
        url="https://files.example/lib-1.0-py3-none-any.whl#sha256=x",
        sha256="ab" * 32,
        requires_python=None,
        yanked=False,
        metadata_sha256="cd" * 32,
    )
    copy = metadata_copy(listed)
    assert copy is not None
    assert (copy.filename, copy.sha256) == ("lib-1.0-py3-none-any.whl.metadata", "cd" * 32)
    assert copy.url == "https://files.example/lib-1.0-py3-none-any.whl.metadata"
    assert metadata_copy(replace(listed, metadata_sha256=None)) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["lib-1.0.tar.gz", "lib-1.10-py3-none-any.whl", "lib-1.9.tar.gz"], ("1.10", 3)),
        # What pip takes without being asked: no pre-release, nothing yanked; both are versions all the same.
        (["lib-2.0rc1.tar.gz", "lib-1.0.tar.gz"], ("1.0", 2)),
        ([listed("lib-2.0.tar.gz", yanked=True), "lib-1.0.tar.gz"], ("1.0", 2)),
        (["lib-2.0rc1.tar.gz", "lib-2.0rc2.tar.gz"], ("2.0rc2", 2)),
        # One of its files is still offered.
        ([listed("lib-2.0.tar.gz", yanked=True), "lib-2.0-py3-none-any.whl"], ("2.0", 1)),
        # A version is one, however many files it has, and whatever Python they require.
        (["lib-1.0.tar.gz", listed("lib-1.0-py3-none-any.whl", requires_python="<3")], ("1.0", 1)),
        (["other-3.0.tar.gz", "lib-1.0.exe", "lib-1.0.tar.gz"], ("1.0", 1)),
        # A record has no room for it, and it must not cost the others theirs.
        ([f"lib-9{'9' * 128}.tar.gz", "lib-1.0.tar.gz"], ("1.0", 1)),
        ([listed("lib-1.0.tar.gz", yanked=True)], None),
        ([], None),
    ],
)
def test_what_an_index_lists(files: list[IndexFile | str], expected: tuple[str, int] | None) -> None:
    found = listed_on_index(
        files_by_version("lib", [listed(file) if isinstance(file, str) else file for file in files])
    )
    assert (found and (found.newest, found.versions)) == expected
