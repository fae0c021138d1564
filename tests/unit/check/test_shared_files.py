"""Which files of several distributions are a conflict, whatever their files RECORD claim."""

import base64
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_record import SAMPLE_RECORD

from ppp.check.shared_files import MAX_PATH_CHARS, MAX_SHARED_FILES, Claim, ClaimedFile, find_shared_files
from ppp.model.installed_files import SharedFile, SharedFiles
from ppp.record_rules import record_mistakes


def claim(name: str, content: bytes = b"x", *, size: str = "1") -> Claim:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return Claim(folder=f"{name}-1.0.dist-info", digest=f"sha256={digest}", size=size)


def bare(name: str, digest: str = "", size: str = "") -> Claim:
    return Claim(folder=f"{name}-1.0.dist-info", digest=digest, size=size)


def claimed(*claims: Claim, path: str = "conf.py", there: bytes | None = None) -> ClaimedFile:
    sha256 = None if there is None else hashlib.sha256(there).hexdigest()
    return ClaimedFile(path=path, claims=claims, sha256=sha256)


def found(*files: ClaimedFile) -> SharedFiles | None:
    return find_shared_files(files, installed=["left", "right", "third"], preinstalled=["setuptools", "wheel"])


def only(file: ClaimedFile) -> SharedFile | None:
    shared = found(file)
    return shared.files[0] if shared else None


@pytest.mark.parametrize(
    ("file", "equal", "kept"),
    [
        (claimed(claim("left", b"l"), claim("right", b"r"), there=b"r"), False, "right"),
        (claimed(claim("left", b"l"), claim("right", b"r"), there=b"other"), False, None),
        (claimed(claim("left", b"l"), claim("right", b"r")), False, None),
        (claimed(claim("left"), claim("right")), True, None),
        # The padding of base64 is no difference.
        (claimed(bare("left", "sha256=ab="), bare("right", "sha256=ab")), True, None),
        # Without hashes that can be compared, sizes can still differ.
        (claimed(bare("left", "", "1"), claim("right", size="2")), False, None),
        (claimed(bare("left", "sha512=x", "1"), bare("right", "sha256=x", "2")), False, None),
        (claimed(claim("left", b"l"), claim("setuptools", b"s"), there=b"l"), False, "left"),
        # Names are normalized.
        (claimed(claim("Left", b"l"), claim("RIGHT", b"r")), False, None),
    ],
)
def test_what_harms_is_a_conflict(file: ClaimedFile, *, equal: bool, kept: str | None) -> None:
    shared = only(file)
    assert shared is not None
    assert (shared.equal, shared.kept) == (equal, kept)


@pytest.mark.parametrize(
    "file",
    [
        # Nobody knows whether these differ.
        claimed(bare("left", "", "1"), bare("right", "", "1")),
        claimed(bare("left"), claim("right")),
        claimed(bare("left", "sha512=x"), bare("right", "sha256=x")),
        # Two dist-infos of one distribution are one owner.
        claimed(claim("left", b"l"), Claim(folder="left-2.0.dist-info", digest="sha256=x", size="1")),
        # What is not known to be installed owns nothing; nor is it about the release what the image has twice.
        claimed(claim("left", b"l"), claim("stranger", b"s")),
        claimed(claim("setuptools", b"s"), claim("wheel", b"w")),
        claimed(claim("left"), bare("../evil")),
        claimed(claim("left", b"l"), claim("right", b"r"), path="\x00\x1b"),
        claimed(),
    ],
)
def test_nothing_is_claimed(file: ClaimedFile) -> None:
    assert found(file) is None


def test_three_owners_are_in_conflict_if_two_are() -> None:
    shared = only(claimed(claim("left"), claim("third"), claim("right", b"r"), there=b"x"))
    assert shared == SharedFile(path="conf.py", owners=("left", "right", "third"), equal=False, kept="left")


def test_conflicts_come_first_and_all_are_counted() -> None:
    equal = [claimed(claim("left"), claim("right"), path=f"a{n}.py") for n in range(40)]
    conflict = claimed(claim("left", b"l"), claim("right", b"r"), path="z.py")
    shared = found(*equal, conflict)
    assert shared is not None
    assert (shared.conflicts, shared.equal, len(shared.files)) == (1, 40, MAX_SHARED_FILES)
    assert shared.files[0].path == "z.py"


def test_a_conflict_is_one_clause() -> None:
    left, right = claim("left", b"l"), claim("right", b"r")
    one, two = found(claimed(left, right, there=b"r")), found(claimed(left, right), claimed(left, right, path="z.py"))
    assert one is not None
    assert two is not None
    assert one.words == "conf.py differs between left and right; right's content is there"
    assert two.words == "2 files, among them conf.py, which differs between left and right"
    equal = found(claimed(claim("left"), claim("right")))
    assert equal is not None
    assert equal.words == ""


texts = st.text(max_size=12) | st.text(min_size=MAX_PATH_CHARS, max_size=400)
claims = st.builds(
    Claim,
    folder=st.sampled_from(["left-1.dist-info", "right-2.dist-info", "third-1.dist-info", "wheel-1.dist-info"]) | texts,
    digest=st.sampled_from(["sha256=a", "sha256=b", ""]) | texts,
    size=st.sampled_from(["1", "2", ""]) | texts,
)
files = st.builds(
    ClaimedFile,
    path=texts,
    claims=st.lists(claims, max_size=4).map(tuple),
    sha256=st.none() | st.just("5a" * 32),
)


@pytest.mark.attack("valid-records")
@given(st.lists(files, max_size=6))
def test_whatever_is_claimed_it_is_valid(drawn: list[ClaimedFile]) -> None:
    shared = found(*drawn)
    if shared is not None:
        assert record_mistakes(replace(SAMPLE_RECORD, shared_files=shared)) == []
        assert SharedFiles.from_json(shared.to_json()) == shared
        assert shared == found(*reversed(drawn))
        assert all(file.path.isprintable() and len(file.owners) > 1 for file in shared.files)
