import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
import tomli_w
from packaging.pylock import Pylock
from sample_lock import NAMES, indexed_files, sample_pass

from ppp.locks import pylock
from ppp.locks.lock import Lock
from ppp.locks.make import make_lock
from ppp.locks.pylock import MAX_LOCK_BYTES, read_lock, write_pylock
from ppp.locks.requirements import write_requirements
from ppp.model.errors import InvalidLockError

LOCK: Final = make_lock(sample_pass("needed", "built"), "cd" * 32, indexed_files())
CONTENT: Final = write_pylock(LOCK)


def with_markers() -> Lock:
    """Return a lock with extras and groups, as one that several packages share has them."""
    first, *others = LOCK.packages
    marked = replace(first, marker='"dev" in dependency_groups')
    return replace(LOCK, packages=(marked, *others), extras=("fast",), dependency_groups=("dev",), default_groups=())


@pytest.mark.parametrize("lock", [LOCK, with_markers()])
def test_a_lock_is_read_as_it_was_written(lock: Lock) -> None:
    assert read_lock(write_pylock(lock)) == lock


def test_a_lock_is_valid_by_the_specification() -> None:
    parsed = Pylock.from_dict(tomllib.loads(CONTENT.decode()))
    assert [package.name for package in parsed.packages] == ["built", "lib", "needed"]
    assert parsed.packages[0].sdist is not None
    (wheel,) = parsed.packages[1].wheels or ()
    assert (wheel.filename, wheel.size, dict(wheel.hashes)) == (
        NAMES["lib"],
        7,
        {"sha256": LOCK.packages[1].file.sha256},
    )
    assert wheel.upload_time == LOCK.packages[1].file.upload_time


def test_a_lock_says_what_it_does_not_pin() -> None:
    table = tomllib.loads(CONTENT.decode())["tool"]["ppp"]
    assert table["strength"] == "weaker: holds an sdist, whose build is not pinned"
    assert (table["environment"], table["image-digest"]) == ("py312-slim", "sha256:" + "ef" * 32)
    assert (table["arch"], table["python"], table["pip-version"]) == ("x86_64", "3.12.1", "26.0.1")
    assert (table["evidence"], table["node"], table["observed-at"]) == (["cd" * 32], "ab" * 32, 1_700_000_000)


def read_or_refuse(content: bytes) -> Lock | str:
    """Return what a lock holds, or why it is refused."""
    try:
        return read_lock(content)
    except InvalidLockError as error:
        return error.message


@pytest.mark.attack("same-bytes")
def test_a_flipped_byte_is_refused_or_means_the_same() -> None:
    for position in range(len(CONTENT)):
        for flip in (1, 32, 128):
            changed = bytearray(CONTENT)
            changed[position] ^= flip
            found = read_or_refuse(bytes(changed))
            assert found == LOCK or str(found).startswith("the lock "), (position, flip)


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("what", ["built-3.0.tar.gz", LOCK.packages[1].file.sha256, 'name = "needed"', "lib-1.0-cp312"])
def test_a_changed_name_or_hash_is_told_in_one_line(what: str) -> None:
    changed = CONTENT.replace(what.encode(), what.replace("0", "1").replace("e", "f").encode(), 1)
    assert changed != CONTENT
    with pytest.raises(InvalidLockError, match="was changed since it was made: its content has the sha256") as caught:
        read_lock(changed)
    assert "\n" not in str(caught.value)


def rewritten(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a changed lock with the digest that belongs to it, as somebody makes it who knows how."""
    document = tomllib.loads(CONTENT.decode())
    del document["tool"]["ppp"]["digest"]
    change(document)
    document["tool"]["ppp"]["digest"] = pylock._digest(document)
    return tomli_w.dumps(document).encode()


def wheel_of(document: dict[str, Any]) -> Any:
    return document["packages"][1]["wheels"][0]


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["packages"].reverse(), "each package once"),
        (lambda d: d["packages"].append(d["packages"][-1]), "each package once"),
        (lambda d: d.update(packages=[]), "has no packages"),
        (lambda d: d["packages"][0].pop("sdist"), "not exactly one file of 'built'"),
        (lambda d: d["packages"][0].update(name="other"), "has the file built-3.0.tar.gz for other==3.0"),
        (lambda d: d["packages"][0].update(version="4.0"), "has the file built-3.0.tar.gz for built==4.0"),
        (lambda d: d["packages"][0].update(name="Built"), "for Built==3.0"),
        (lambda d: d["packages"][0].update(marker="python_version >"), "has a marker that cannot be read"),
        (lambda d: d["packages"][0].update(marker="python_version>'3'"), "or in another form"),
        (lambda d: d["packages"][0].update(marker="(" * 500), "has a marker that cannot be read"),
        (lambda d: d["packages"][0].update(vcs={}), "something that no lock of PPP has"),
        (lambda d: d["packages"][1]["wheels"].append(wheel_of(d)), "not exactly one file of 'lib'"),
        (lambda d: wheel_of(d).update(name="../lib-1.0-py3-none-any.whl"), "names a file"),
        (lambda d: wheel_of(d).update(name=5), "where a text is needed"),
        (lambda d: wheel_of(d).update(url="file:///etc/passwd"), "has an address that is none of"),
        (lambda d: wheel_of(d).update(url="https://files.example/other.whl"), "has an address that is none of"),
        (lambda d: wheel_of(d).update(hashes={"md5": "0" * 32}), "lacks a value"),
        (lambda d: wheel_of(d)["hashes"].update(md5="0" * 32), "something that no lock of PPP has"),
        (lambda d: wheel_of(d)["hashes"].update(sha256="0" * 63), "has no sha256 of"),
        (lambda d: wheel_of(d).update(size=-1), "has a size"),
        (lambda d: wheel_of(d).update(size=True), "has a size"),
        (lambda d: wheel_of(d).update({"upload-time": "2024"}), "has a time of upload"),
        (lambda d: d.update({"lock-version": "2.0"}), "something that no lock of PPP has"),
        (lambda d: d.update({"requires-python": ">>3"}), "requires a Python that cannot be read"),
        (lambda d: d.update(environments=["os_name == 'nt'"]), "something that no lock of PPP has"),
        (lambda d: d.update(extras="all"), "that are no list"),
        (lambda d: d.update(extras=["A b"]), "with the name"),
        (lambda d: d.update({"default-groups": ["dev"]}), "groups by default that it does not have: dev"),
        (lambda d: d["tool"]["ppp"].update(environment="../x"), "names an environment that is none"),
        (lambda d: d["tool"]["ppp"].update(platform="windows"), "names an environment that is none"),
        (lambda d: d["tool"]["ppp"].update(evidence=["x"]), "names a record that is none"),
        (lambda d: d["tool"]["ppp"].update({"image-digest": "latest"}), "names an image that is none"),
        (lambda d: d["tool"]["ppp"].update({"observed-at": -1}), "has a number that is none"),
        (lambda d: d["tool"]["ppp"].update(arch="x86\n64"), "unusual characters"),
        (lambda d: d["tool"]["ppp"].update(node="n" * 300), "more than 200 characters"),
        (lambda d: d["tool"]["ppp"].update(strength="files"), "something that no lock of PPP has"),
        (lambda d: d["tool"]["ppp"].pop("node"), "lacks a value"),
        (lambda d: d["tool"].update(other={}), "something that no lock of PPP has"),
    ],
)
def test_a_lock_that_ours_cannot_be_is_refused(change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(InvalidLockError, match=message):
        read_lock(rewritten(change))


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no digest"),
        (b"\xff", "is not TOML"),
        (b"x", "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"#" * (MAX_LOCK_BYTES + 1), "is larger than"),
        (b"tool.ppp.digest = 5", "has no digest"),
        (b"tool = 5", "has no digest"),
        (b'x = 0.5\ntool.ppp.digest = ""', "has a value of the kind float"),
    ],
)
def test_what_is_no_lock_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidLockError, match=message):
        read_lock(content)


def test_requirements_are_addresses_with_hashes() -> None:
    lines = write_requirements(LOCK).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        f"{package.name} @ {package.file.url} --hash=sha256:{package.file.sha256}" for package in LOCK.packages
    ]
    comments = "\n".join(line for line in lines if line.startswith("#"))
    for fact in ("does not pin the base image", "py312-slim", "ef" * 32, "x86_64", "26.0.1", "weaker", "cd" * 32):
        assert fact in comments
    marked = write_requirements(with_markers()).decode()
    assert '.tar.gz ; "dev" in dependency_groups --hash=' in marked
