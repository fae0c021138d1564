"""A page that is shortened to some environments' tags leads to the same choice of files there as the whole page.

Asked are `choose`, and pip itself: the page goes through its own reading, judging and sorting of links.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from pip._internal.index.collector import IndexContent, parse_links
from pip._internal.index.package_finder import PackageFinder
from pip._internal.models.candidate import InstallationCandidate
from pip._internal.models.link import Link
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.models.target_python import TargetPython
from pip._vendor.packaging.specifiers import SpecifierSet
from pypi_simple import ACCEPT_HTML_ONLY, PYPI_SIMPLE_ENDPOINT, ProjectPage

from ppp.check.gateway.page_server import page_file
from ppp.check.gateway.pages import PageFile, PageForm, filter_files, write_page
from ppp.check.index.choose import (
    IndexFile,
    NotClaimed,
    choose_file,
    file_version,
    newest_installable,
    release_files,
)
from ppp.check.index.page import parse_page
from ppp.check.runtime import PreparedEnvironment
from ppp.model.matrix import Environment, Platform
from ppp.model.record import Network
from ppp.model.release import Release

URL = "http://127.0.0.1:8080/0123456789abcdef/lib/"
PYTHONS = ("3.9.2", "3.11.2", "3.12.1")
PLATFORMS = (
    ("manylinux_2_36_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64"),
    ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "linux_x86_64"),
)


def target(python: str, platforms: Sequence[str]) -> TargetPython:
    """Return an environment as pip describes it."""
    version = tuple(map(int, python.split(".")))
    return TargetPython(
        platforms=list(platforms), py_version_info=version, abis=[f"cp{version[0]}{version[1]}"], implementation="cp"
    )


def prepared(python: str, tags: Sequence[str]) -> PreparedEnvironment:
    """Return an environment as PPP describes it."""
    return PreparedEnvironment(
        environment=Environment(id="py3-slim", python=python.rpartition(".")[0], platform=Platform.SLIM, image="slim"),
        python=python,
        arch="x86_64",
        image_digest=None,
        standin=False,
        network=Network.GATEWAY,
        tags=tuple(tags),
        suffixes=(".py",),
        pip_version="26.0.1",
    )


def tags_of(wanted: TargetPython) -> tuple[str, ...]:
    return tuple(map(str, wanted.get_sorted_tags()))


TARGETS = [(python, target(python, platforms)) for python in PYTHONS for platforms in PLATFORMS]

#: Tags of one environment, of another one, of none, single and compressed, and no tags at all.
interpreters = st.sampled_from(["cp312", "cp39", "cp311", "py3", "py2.py3", "cp310", "CP312", "pp39", "cp313", "py39"])
abis = st.sampled_from(["cp312", "cp39", "cp311", "abi3", "none", "cp312.abi3", "cp313t", "abi3t", "abi3.abi3t"])
platforms = st.lists(
    st.sampled_from([
        "any", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "musllinux_1_1_x86_64", "win_amd64", "linux_x86_64",
        "macosx_11_0_arm64", "manylinux_2_39_x86_64", "manylinux_2_17_aarch64", "Linux_x86_64",
    ]),
    min_size=1,
    max_size=2,
    unique=True,
).map(".".join)  # fmt: skip
versions = st.sampled_from(["1.0", "1.1", "2.0b1", "2.0", "1.0.post1", "1.0+local", "nonsense", "1_0"])
builds = st.sampled_from(["", "-1", "-2", "-2b"])
names = st.sampled_from(["lib", "lib", "lib", "Lib", "li.b", "other", "other_lib"])
wheels = st.builds("{}-{}{}-{}-{}-{}.whl".format, names, versions, builds, interpreters, abis, platforms)
others = st.builds(
    "{}-{}{}".format, names, versions, st.sampled_from([".tar.gz", ".zip", ".tar.bz2", ".tgz", ".exe", ".egg", ".whl"])
) | st.sampled_from(
    [
        "lib.whl", "-.whl", "lib-1.0-py3-none.whl", "lib-1.0-py3-none-any-x-y.whl", "lib", "lib-1.0.whl",
        # A variant (PEP 825), without a build number and with one.
        "lib-1.0-py3-none-any-x86_64_v3.whl", "lib-1.0-1-cp312-cp312-linux_x86_64-cu128.whl",
        "lib-1.0-1.tar.gz", "lib-1.0-py3.zip", "Lib-2.0.tar.xz",
    ]
)  # fmt: skip
texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(['<b>"&amp;', "a\nb", "</a><a href='x'>"])
files = st.builds(
    PageFile,
    url=(wheels | others).map("/-/0123456789abcdef/ab/{}".format),
    hashes=st.fixed_dictionaries({"sha256": st.text("0123456789abcdef", min_size=64, max_size=64)}),
    requires_python=st.none() | st.sampled_from([">=3.9", ">=3.12", "<3.12", ">=3.10,<3.12", "nonsense"]) | texts,
    yanked=st.none() | st.just("") | texts,
    metadata=st.sampled_from([None, {}, {"sha256": "0" * 64}]),
)
pages = st.lists(files, max_size=15).map(tuple)
some_tags = st.lists(st.sampled_from(TARGETS), min_size=1, unique_by=id)


def links(page: bytes, form: PageForm) -> list[Link]:
    """Read a page as pip does."""
    return list(parse_links(IndexContent(page, form.content_type, "utf-8", URL, cache_link_parsing=False)))


def found(
    listed: list[Link], wanted: TargetPython, project: str = "lib", *, specifier: str = ""
) -> tuple[list[InstallationCandidate], list[str]]:
    """Return what pip would install, worst first, and the links that it would report as skipped for their Python."""
    finder = PackageFinder.create(
        link_collector=None,  # type: ignore[arg-type] # it is not used
        selection_prefs=SelectionPreferences(allow_yanked=True),
        target_python=wanted,
    )
    candidates = finder.evaluate_links(finder.make_link_evaluator(project), listed)
    evaluator = finder.make_candidate_evaluator(project, specifier=SpecifierSet(specifier))
    applicable = sorted(evaluator.get_applicable_candidates(candidates), key=evaluator._sort_key)
    return applicable, finder.requires_python_skipped_reasons()


def installed_version(listed: list[Link], wanted: TargetPython, specifier: str) -> Version | None:
    """Return the version that pip would install of links: the last of those that it would consider."""
    applicable, _ = found(listed, wanted, specifier=specifier)
    # By PEP 592, as pip's resolver applies it.
    pinned = any(
        one.operator == "===" or (one.operator == "==" and "*" not in one.version) for one in SpecifierSet(specifier)
    )
    if not (pinned and all(candidate.link.is_yanked for candidate in applicable)):
        applicable = [candidate for candidate in applicable if not candidate.link.is_yanked]
    return Version(str(applicable[-1].version)) if applicable else None


def index_files(page: bytes, form: PageForm) -> list[IndexFile]:
    """Read a page as `ppp.check.index.client` does."""
    read = (
        ProjectPage.from_html("lib", page, URL)
        if form is PageForm.HTML
        else ProjectPage.from_json_data(json.loads(page), URL)
    )
    return [
        IndexFile(
            filename=file.filename,
            url=file.url,
            sha256=file.digests.get("sha256"),
            requires_python=file.requires_python,
            yanked=file.is_yanked,
        )
        for file in read.packages
    ]


@given(page=pages, admitted=some_tags, form=st.sampled_from(PageForm))
def test_pip_chooses_the_same_from_a_shortened_page(
    page: tuple[PageFile, ...], admitted: list[tuple[str, TargetPython]], form: PageForm
) -> None:
    tags = frozenset(tag for _, wanted in admitted for tag in tags_of(wanted))
    whole, smaller = (links(write_page("lib", files, form), form) for files in (page, filter_files(page, tags)))
    for _, wanted in admitted:
        assert found(smaller, wanted) == found(whole, wanted)


@given(page=pages, admitted=some_tags, form=st.sampled_from(PageForm))
def test_ppp_chooses_the_same_from_a_shortened_page(
    page: tuple[PageFile, ...], admitted: list[tuple[str, TargetPython]], form: PageForm
) -> None:
    tags = frozenset(tag for _, wanted in admitted for tag in tags_of(wanted))
    sound = tuple(file for file in page if is_of(file, "1.0"))
    whole = index_files(write_page("lib", sound, form), form)
    smaller = index_files(write_page("lib", filter_files(sound, tags), form), form)
    for python, wanted in admitted:
        here = prepared(python, tags_of(wanted))
        chosen, other = choose_file(smaller, here), choose_file(whole, here)
        assert isinstance(chosen, IndexFile) == isinstance(other, IndexFile)
        if isinstance(other, IndexFile):
            assert chosen == other


@given(
    # An index lists each name once.
    page=st.lists(files, max_size=12, unique_by=lambda file: file.filename).map(tuple),
    target_of=st.sampled_from(TARGETS),
    specifier=st.sampled_from(["", "", ">=1.1", "<2", "==1.0", "==2.0", "===2.0", "==1.*", ">1.0,!=2.0", "==2.0b1"]),
    form=st.sampled_from(PageForm),
)
def test_the_newest_version_is_the_one_that_pip_would_install(
    page: tuple[PageFile, ...], target_of: tuple[str, TargetPython], specifier: str, form: PageForm
) -> None:
    python, wanted = target_of
    content = write_page("lib", page, form)
    here, ours = prepared(python, tags_of(wanted)), index_files(content, form)
    theirs = installed_version(links(content, form), wanted, specifier)
    newest = newest_installable("lib", ours, specifier, here)
    if theirs is not None:
        assert newest == theirs
    elif newest is not None:
        # Where pip finds nothing, it is a release whose cell says what is missing.
        its = release_files(Release(package="lib", version=str(newest)), ours)
        assert isinstance(choose_file(its, here), NotClaimed)


def is_of(file: PageFile, version: str) -> bool:
    return file_version(listed([file])[0], "lib") == Version(version)


@given(page=pages, form=st.sampled_from(PageForm))
def test_what_is_written_is_read_back(page: tuple[PageFile, ...], form: PageForm) -> None:
    read = parse_page(
        "lib", write_page("lib", page, form), form.content_type, "https://index.example/simple/lib/"
    ).files
    absolute = tuple(replace(file, url=f"https://index.example{file.url}") for file in page)
    assert tuple(map(page_file, read)) == absolute


#: One page of each kind: wheels for many platforms, pure wheels, only sdists, eggs and installers, yanked files.
REAL = ("numpy", "cryptography", "requests", "six", "markupsafe", "pyyaml", "lxml", "docopt", "pytz", "psycopg2-binary")


@pytest.mark.online
@pytest.mark.parametrize("project", REAL)
def test_the_same_is_chosen_from_real_pages(project: str) -> None:
    session = requests.Session()
    with session.get(f"{PYPI_SIMPLE_ENDPOINT}{project}/", headers={"Accept": ACCEPT_HTML_ONLY}, timeout=60) as answer:
        listed_there = parse_page(project, answer.content, answer.headers["Content-Type"], answer.url).files
    page = tuple(map(page_file, listed_there))
    smaller = filter_files(page, frozenset(tag for _, wanted in TARGETS for tag in tags_of(wanted)))
    whole_links, smaller_links = (
        links(write_page(project, files, PageForm.JSON), PageForm.JSON) for files in (page, smaller)
    )
    assert 0 < len(smaller) <= len(page)
    whole, less = by_version(project, page), by_version(project, smaller)
    chosen = 0
    for python, wanted in TARGETS:
        here = prepared(python, tags_of(wanted))
        assert found(smaller_links, wanted, project) == found(whole_links, wanted, project)
        for version, files in whole.items():
            if isinstance(choice := choose_file(files, here), IndexFile):
                assert choose_file(less[version], here) == choice
                chosen += 1
    assert chosen


def by_version(project: str, page: Iterable[PageFile]) -> dict[Version, list[IndexFile]]:
    found: dict[Version, list[IndexFile]] = {}
    for file in listed(page):
        if version := file_version(file, project):
            found.setdefault(version, []).append(file)
    return found


def listed(files: Iterable[PageFile]) -> list[IndexFile]:
    return [
        IndexFile(
            filename=file.filename,
            url=file.url,
            sha256=file.hashes.get("sha256"),
            requires_python=file.requires_python,
            yanked=file.yanked is not None,
        )
        for file in files
    ]


@given(page=pages, admitted=some_tags)
def test_kept_links_are_unchanged_and_in_order(
    page: tuple[PageFile, ...], admitted: list[tuple[str, TargetPython]]
) -> None:
    kept = filter_files(page, frozenset(tag for _, wanted in admitted for tag in tags_of(wanted)))
    rest = iter(page)
    assert all(file in rest for file in kept), "a subsequence"
    assert [f for f in page if not f.filename.endswith(".whl")] == [f for f in kept if not f.filename.endswith(".whl")]
