"""Which files are copied into a mirror: the newest and most needed first, and never more than there is room for."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ppp.publish.page_budget import Room
from ppp.publish.verified_index.listing import VerifiedFile, VerifiedPackage, VerifiedProject
from ppp.publish.verified_index.mirror_choice import MirrorCandidate, choose_mirrored, mirror_candidates


def a_file(name: str, version: str, *needs: str, yanked: str | None = None, size: int = 100) -> VerifiedFile:
    filename = f"{name}-{version}-py3-none-any.whl"
    return VerifiedFile(
        version=version,
        filename=filename,
        sha256=f"{hash_of(filename):064x}",
        size=size,
        url=f"https://files.example/{filename}",
        record="b" * 64,
        needs=needs,
        yanked=yanked,
    )


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode(), "big") % 16**64


def a_package(name: str, *files: VerifiedFile, environment: str = "py312-slim") -> VerifiedPackage:
    return VerifiedPackage(package=name, projects={environment: VerifiedProject(files=files)})


def names(candidates: Sequence[MirrorCandidate]) -> list[str]:
    return [candidate.file.filename.removesuffix("-py3-none-any.whl") for candidate in candidates]


def test_the_newest_come_first_and_before_them_what_most_others_need() -> None:
    packages = [
        a_package("app", a_file("app", "1.0", "lib==1.0"), a_file("app", "2.0", "lib==1.0", "base==1.0")),
        a_package("base", a_file("base", "0.9"), a_file("base", "1.0")),
        a_package("lib", a_file("lib", "1.0", "base==1.0")),
    ]
    assert names(mirror_candidates(packages)) == ["base-1.0", "lib-1.0", "app-2.0", "base-0.9", "app-1.0"]


def test_what_is_newest_is_what_pip_takes_without_a_version() -> None:
    package = a_package(
        "app", a_file("app", "1.9"), a_file("app", "1.10"), a_file("app", "2.0rc1"), a_file("app", "3.0", yanked="")
    )
    assert names([one for one in mirror_candidates([package]) if one.is_newest]) == ["app-1.10"]


def test_a_file_that_several_indexes_list_counts_once_and_is_newest_if_it_is_somewhere() -> None:
    old, new = a_file("app", "1.0"), a_file("app", "2.0")
    package = VerifiedPackage(
        package="app",
        projects={"py312-slim": VerifiedProject(files=(old, new)), "py312-alpine": VerifiedProject(files=(old,))},
    )
    assert [(one.file.version, one.is_newest) for one in mirror_candidates([package])] == [("1.0", True), ("2.0", True)]


def test_one_that_is_too_large_does_not_keep_smaller_ones_out() -> None:
    candidates = [
        MirrorCandidate(project="app", file=a_file("app", version, size=size))
        for version, size in (("1.0", 5_000), ("2.0", 90_000), ("3.0", 5_000))
    ]
    choice = choose_mirrored(candidates, Room(20_000, 100))
    assert (names(choice.kept), names(choice.dropped)) == (["app-1.0", "app-3.0"], ["app-2.0"])
    assert names(choose_mirrored(candidates, Room(10**9, 3)).kept) == ["app-1.0"]


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 9), st.integers(0, 50_000)), max_size=20, unique=True),
    st.integers(0, 300_000),
    st.integers(0, 40),
    st.randoms(use_true_random=False),
)
def test_what_is_kept_fits_and_nothing_is_lost(
    made: list[tuple[str, int, int]], max_bytes: int, max_files: int, chance: object
) -> None:
    by_name: dict[str, dict[str, VerifiedFile]] = {}
    for name, number, size in made:
        file = a_file(name, f"{number}.0", size=size)
        by_name.setdefault(name, {})[file.filename] = file
    packages = [a_package(name, *files.values()) for name, files in by_name.items()]
    room = Room(max_bytes, max_files)
    choice = choose_mirrored(mirror_candidates(packages), room)
    taken = Room(0, 0)
    for candidate in choice.kept:
        taken = taken.plus(candidate.room)
    assert room.has(taken) or not choice.kept
    assert sorted(names([*choice.kept, *choice.dropped])) == sorted(
        name.removesuffix("-py3-none-any.whl") for files in by_name.values() for name in files
    )
    chance.shuffle(packages)  # type: ignore[attr-defined]
    assert choose_mirrored(mirror_candidates(packages), room) == choice
