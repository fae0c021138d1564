"""The best file of a release by pip's order is chosen, in whatever order the files are listed."""

from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename

from ppp.check.index.choose import IndexFile, NotClaimed, choose_file
from ppp.check.runtime import PreparedEnvironment
from ppp.model.matrix import Environment, Platform
from ppp.model.record import Network

TAGS = tuple(f"cp312-{abi}-manylinux_2_{glibc}_x86_64" for abi in ("cp312", "abi3") for glibc in (36, 28, 17))
TAGS += ("py312-none-any", "py3-none-any")
FOREIGN = ("cp312-cp312-win_amd64", "cp311-cp311-manylinux_2_28_x86_64", "py2-none-any")
HERE = PreparedEnvironment(
    environment=Environment(id="py312-slim", python="3.12", platform=Platform.SLIM, image="python:3.12-slim"),
    python="3.12.1",
    arch="x86_64",
    image_digest=None,
    standin=False,
    network=Network.OPEN,
    tags=TAGS,
    suffixes=(".py",),
    pip_version="26.0.1",
)

wheels = st.builds(
    "lib-1.0-{}{}.whl".format, st.sampled_from(["", "1-", "2-", "2b-", "11-"]), st.sampled_from([*TAGS, *FOREIGN])
)
sdists = st.sampled_from(["lib-1.0.tar.gz", "lib-1.0.zip"])
files = st.lists(
    st.builds(
        IndexFile,
        filename=wheels | sdists,
        url=st.just("https://files.example/"),
        sha256=st.just("0" * 64),
        requires_python=st.sampled_from([None, ">=3.9", ">=3.12", "<3.12", "nonsense"]),
        yanked=st.booleans(),
    ),
    unique_by=lambda file: file.filename,
    max_size=12,
)


def usable(file: IndexFile) -> bool:
    if file.requires_python not in {None, "nonsense"} and not SpecifierSet(file.requires_python or "").contains(
        "3.12.1"
    ):
        return False
    return not file.filename.endswith(".whl") or bool(places(file))


def places(file: IndexFile) -> list[int]:
    return [TAGS.index(str(tag)) for tag in parse_wheel_filename(file.filename)[3] if str(tag) in TAGS]


@given(files=files, data=st.data())
def test_the_order_of_files_does_not_matter(files: list[IndexFile], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(files))
    one, other = choose_file(files, HERE), choose_file(shuffled, HERE)
    if isinstance(one, NotClaimed):
        assert isinstance(other, NotClaimed)
        assert one.cause == other.cause
    else:
        assert one == other


@given(files=files)
def test_a_file_is_chosen_if_any_is_usable(files: list[IndexFile]) -> None:
    chosen = choose_file(files, HERE)
    assert isinstance(chosen, IndexFile) == any(map(usable, files))
    if isinstance(chosen, IndexFile):
        assert chosen in files
        assert usable(chosen)


@given(files=files)
def test_no_usable_file_is_better(files: list[IndexFile]) -> None:
    chosen = choose_file(files, HERE)
    if isinstance(chosen, NotClaimed):
        return
    rivals = [file for file in files if usable(file) and file.yanked <= chosen.yanked and file != chosen]
    assert not chosen.yanked or not [file for file in rivals if not file.yanked]
    wheels = [file for file in rivals if file.filename.endswith(".whl")]
    if not chosen.filename.endswith(".whl"):
        assert not wheels
        return
    mine = min(places(chosen))
    assert all(min(places(rival)) >= mine for rival in wheels)
    equals = [rival for rival in wheels if min(places(rival)) == mine]
    build = parse_wheel_filename(chosen.filename)[2]
    assert all(parse_wheel_filename(rival.filename)[2] <= build for rival in equals)
