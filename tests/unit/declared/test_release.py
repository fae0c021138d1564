"""Declared releases: named by their content, signed, on top of one another; and what changed between two."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from declared_sets import APP, LIB, declared_set, sample_joint_lock, source_facts, with_package
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from ppp.declared.declaration import DeclaredSet
from ppp.declared.difference import compare_sets
from ppp.declared.folder import read_latest, read_release, write_release
from ppp.declared.release import (
    PAYLOAD_TYPE,
    DeclaredRelease,
    check_signature,
    make_release,
    parse_release,
    sign_release,
)
from ppp.locks.pylock import write_pylock
from ppp.mesh.envelope import seal_envelope
from ppp.mesh.node import NodeKey
from ppp.model.canonical import plain_canonical_json, sha256_hex
from ppp.model.errors import DeclaredReleaseError
from ppp.verify.examine import VerifyOptions, examine

KEY, OTHER = NodeKey.from_seed(b"k" * 32), NodeKey.from_seed(b"o" * 32)
SET = declared_set()
LOCKS = dict.fromkeys(SET.environments, sample_joint_lock())
LOCK_FILES = {environment: write_pylock(lock) for environment, lock in LOCKS.items()}
NEWER = with_package(
    LIB,
    version="2.1",
    sources=[
        {"file": "lib-2.1-cp312-cp312-manylinux_2_17_x86_64.whl", "sha256": "d" * 64},
        {"file": "lib-2.1-cp311-cp311-musllinux_1_2_x86_64.whl", "sha256": "e" * 64},
    ],
)


def released(declared: DeclaredSet = SET, previous: DeclaredRelease | None = None) -> DeclaredRelease:
    return make_release(declared, source_facts(declared).indexed, LOCKS, previous)


FIRST = released()
SECOND = released(NEWER, FIRST)


def write(folder: Path, release: DeclaredRelease, key: NodeKey = KEY) -> Path:
    return write_release(folder, release, sign_release(release, key), LOCK_FILES)


def test_a_release_is_named_by_its_content_and_on_top_of_the_one_before() -> None:
    assert FIRST.id == sha256_hex(FIRST.content)
    assert released() == FIRST, "the same bytes"
    assert parse_release(FIRST.content) == FIRST
    assert (FIRST.declared, SECOND.declared) == (SET, NEWER)
    assert (FIRST.number, FIRST.document["previous"]) == (1, None)
    assert (SECOND.number, SECOND.document["previous"]) == (2, FIRST.id)


def test_releases_name_the_wheels_that_they_share_and_hold_none(tmp_path: Path) -> None:
    files = [{f["sha256"] for p in one.document["packages"] for f in p["files"]} for one in (FIRST, SECOND)]
    assert files[0] & files[1] == {"a" * 64}
    write(tmp_path, FIRST)
    write(tmp_path, SECOND)
    assert not [*tmp_path.rglob("*.whl")]
    assert len([*tmp_path.rglob("*")]) == 2 + 2 * 5


def test_what_is_written_is_read_back_and_verified(tmp_path: Path) -> None:
    assert read_latest(tmp_path, "demo", {KEY.id}) is None
    write(tmp_path, FIRST)
    assert read_latest(tmp_path, "demo", {KEY.id}) == FIRST
    place = write(tmp_path, SECOND)
    assert read_latest(tmp_path, "demo", {KEY.id}) == SECOND
    for nodes, path in (((), place), ((), place / "release.json"), ({KEY.id}, place)):
        (found,) = examine(path, VerifyOptions(now=0, nodes=nodes))
        assert (found.valid, found.message) == (True, f"release 2 of demo, with 2 locks, signed by {KEY.id}")
    (refused,) = examine(place / "release.json", VerifyOptions(now=0, nodes={OTHER.id}))
    assert (refused.valid, "not trusted here" in refused.message) == (False, True)
    (place / "copy.json").write_bytes(SECOND.content)
    (moved,) = examine(place / "copy.json", VerifyOptions(now=0))
    assert (moved.valid, "NAME/ID/release.json" in moved.message) == (False, True)


def _replace(path: Path, content: bytes) -> None:
    assert path.exists()
    path.write_bytes(content)


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda place: _replace(place / "release.json", FIRST.content), "has the release"),
        (
            lambda place: _replace(place / "release.json", SECOND.content.replace(b"lib-2.1", b"lib-2.2")),
            "has the release",
        ),
        (lambda place: _replace(place / "release.json", SECOND.content + b"\n"), "canonical form"),
        (lambda place: _replace(place / "release.json", b"{}"), "required"),
        (lambda place: _replace(place / "release.json", b"{"), "not JSON"),
        (lambda place: _replace(place / "release.json", b"[" * 9_000_000), "is larger than"),
        (lambda place: _replace(place / "release.dsse.json", sign_release(FIRST, KEY)), "is another release"),
        (lambda place: _replace(place / "release.dsse.json", sign_release(SECOND, OTHER)), "not trusted here"),
        (
            lambda place: _replace(place / "release.dsse.json", seal_envelope(SECOND.content, "text/plain", KEY)),
            "holds 'text/plain', not a declared release",
        ),
        (lambda place: _replace(place / "release.dsse.json", b"{}"), "not a DSSE envelope"),
        (lambda place: (place / "release.dsse.json").unlink(), "cannot be read"),
        (lambda place: _replace(place / "pylock.py312-slim.toml", b"x"), "and its release says"),
        (lambda place: (place / "pylock.py312-slim.toml").unlink(), "cannot be read"),
        (lambda place: (place.parent / FIRST.id / "release.json").unlink(), "cannot be read"),
        (lambda place: _replace(place.parent / "latest.json", b"{}"), "cannot be read"),
        (lambda place: _replace(place.parent / "latest.json", b'{"id": "../x"}'), "is not the id of a release"),
        (lambda place: _replace(place.parent / "latest.json", b'{"id": 7}'), "is not the id of a release"),
    ],
)
def test_one_changed_byte_is_refused(tmp_path: Path, change: Callable[[Path], object], said: str) -> None:
    write(tmp_path, FIRST)
    change(write(tmp_path, SECOND))
    with pytest.raises(DeclaredReleaseError) as caught:
        read_latest(tmp_path, "demo", {KEY.id})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": 3, "previous": FIRST.id}, "has the number 3, and the one before 1"),
        ({"number": 2, "previous": None}, "has the number 2, and names none before it"),
    ],
)
def test_a_chain_with_a_gap_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write(tmp_path, FIRST)
    forged = parse_release(plain_canonical_json({**SECOND.document, **change}))
    write(tmp_path, forged)
    with pytest.raises(DeclaredReleaseError, match=said):
        read_latest(tmp_path, "demo", {KEY.id})


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    "change",
    [
        {"name": "../demo"},
        {"environments": {}},
        {"environments": {"../x": next(iter(FIRST.document["environments"].values()))}},
        {"packages": []},
        {"previous": "x"},
        {"number": 0},
        {"more": 1},
    ],
)
def test_a_document_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DeclaredReleaseError):
        parse_release(plain_canonical_json({**FIRST.document, **change}))


def test_a_release_is_signed_in_an_envelope_that_others_read() -> None:
    envelope = json.loads(sign_release(FIRST, KEY))
    assert (envelope["payloadType"], envelope["signatures"][0]["keyid"]) == (PAYLOAD_TYPE, KEY.id)
    assert check_signature(FIRST, sign_release(FIRST, KEY), {KEY.id, OTHER.id}) == KEY.id
    public = SSlibKey(KEY.id, "ed25519", "ed25519", {"public": KEY.id})
    opened = Envelope.from_dict(envelope)
    assert opened.verify([public], 1).keys() == {KEY.id}
    assert opened.payload == FIRST.content


def test_a_release_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    partial = tmp_path / "demo" / f".{FIRST.id}"
    partial.mkdir(parents=True)
    (partial / "release.json").write_bytes(b"cut off")
    write(tmp_path, FIRST)
    assert read_latest(tmp_path, "demo", {KEY.id}) == FIRST
    assert not partial.exists()


# ---------------------------------------------------------------- what changed


def test_the_same_set_has_no_difference() -> None:
    found = compare_sets(SET, FIRST.declared)
    assert found.is_empty
    assert found.lines() == []


def test_what_changed_is_told_by_package() -> None:
    third = declared_set(environments=["py312-slim"], package=[{**APP, "dependencies": [], "requires-python": ""}])
    assert compare_sets(SET, NEWER).lines() == [
        "~ lib 2.0 → 2.1",
        f"~ lib without the file lib-2.0-cp311-cp311-musllinux_1_2_x86_64.whl ({'c' * 12})",
        f"~ lib without the file lib-2.0-cp312-cp312-manylinux_2_17_x86_64.whl ({'b' * 12})",
        f"~ lib with the file lib-2.1-cp311-cp311-musllinux_1_2_x86_64.whl ({'e' * 12})",
        f"~ lib with the file lib-2.1-cp312-cp312-manylinux_2_17_x86_64.whl ({'d' * 12})",
    ]
    assert compare_sets(SET, third).lines() == [
        "- environment py311-alpine",
        "- lib[fast]==2.0",
        "~ app without the dependency lib[fast]>=2",
        "~ app without the requires-python >=3.9",
        "~ app with the requires-python (any)",
    ]
    assert compare_sets(third, SET).to_json()["added"] == ["environment py311-alpine", "lib[fast]==2.0"]


def test_two_folders_are_compared(tmp_path: Path) -> None:
    first, second = (write(tmp_path, one) for one in (FIRST, SECOND))
    assert read_release(first / "release.json").declared == SET
    assert read_release(second / "release.json").declared == NEWER
