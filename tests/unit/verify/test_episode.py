"""Verification of an episode's document: valid as published, INVALID after any change of it or of its audio."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from episode_sounds import store_made_up_audio
from told_nights import told_night

from ppp.episode_audio import MP3
from ppp.ledger.episodes import store_episode
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.verify.episode import MAX_EPISODE_BYTES
from ppp.verify.examine import VerifyOptions, examine

AUDIBLE, SILENT = "2024-04-25", "2024-W17"

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def published(record: Callable[..., Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    with Store.open(folder / "data") as store:
        store.add_record(record())
        for period in (AUDIBLE, SILENT):
            store_episode(store, told_night(period))
        store_made_up_audio(folder / "data", told_night(AUDIBLE))
        build(store.db, folder / "public", audio=folder / "data", cache_path=folder / "cache.db")
    return folder / "public"


def verified(path: Path, sha256: str | None = None) -> tuple[bool, str]:
    (found,) = examine(path, VerifyOptions(now=0, sha256=sha256))
    assert found.message.isprintable()
    return found.valid, found.message


def test_an_episode_is_valid_as_published(published: Path) -> None:
    folder = published / "episodes"
    said = len(told_night(AUDIBLE).script_lines)
    valid, message = verified(folder / AUDIBLE / "episode.json")
    assert valid
    assert message.startswith(f"an episode of {said} sentences and ")
    assert "with 5 files of audio, all present with their size and sha256; listed in" in message
    assert "without audio; listed in" in verified(folder / SILENT / "episode.json")[1]


def test_nothing_confirms_an_episode_alone_but_its_digest(published: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(published / "episodes" / SILENT / "episode.json", tmp_path / "other-name.json"))
    assert verified(alone) == (False, "nothing confirms its content: give its digest with --sha256")
    valid, message = verified(alone, sha256_hex(alone.read_bytes()))
    assert (valid, message.endswith("without audio; a file with the given sha256")) == (True, True)


def repeat_a_fact(document: dict[str, Any]) -> None:
    document["facts"].append(document["facts"][0])


#: What is changed in a document, and what is said of it.
CHANGES: dict[str, tuple[Change, str]] = {
    "another field": (lambda d: d.update(mood="calm"), "mood"),
    "a missing field": (lambda d: d.pop("writer"), "writer"),
    "no period": (lambda d: d.update(period="2024-02-31"), "'2024-02-31' is neither a day nor a week"),
    "another period": (lambda d: d.update(period="2024-04-24"), "its kind, start or end is not that of 2024-04-24"),
    "another end": (lambda d: d.update(end=d["end"] + 1), "its kind, start or end is not that of"),
    "another kind": (lambda d: d.update(kind="week"), "its kind, start or end is not that of"),
    "a fact twice": (repeat_a_fact, "two of its facts have the same id"),
    "a stranger": (lambda d: d["script"][1].update(speaker="Nobody"), "sentence 2 is spoken by none of its presenters"),
    "no such fact": (lambda d: d["script"][0].update(facts=[999]), "sentence 1 states a fact that is not there"),
    "no audio": (lambda d: d.update(audio=None), "its sentences have times, but there is no audio"),
    "no time": (lambda d: d["script"][0].update(time=None), "there is audio, but a sentence has no time"),
    "reversed": (lambda d: d["script"][0]["time"].reverse(), "the times of its sentences are not in order"),
    "overlapping": (
        lambda d: d["script"][1].update(time=d["script"][0]["time"]),
        "the times of its sentences are not in order",
    ),
    "too long": (lambda d: d["audio"].update(duration_ms=1), "a sentence ends after the audio"),
    "a missing file": (lambda d: d["audio"]["files"].pop(MP3), "has not the files that it should have: episode.mp3"),
    "another file": (
        lambda d: d["audio"]["files"].update({"other.mp3": d["audio"]["files"][MP3]}),
        "has not the files that it should have: other.mp3",
    ),
    "a path": (lambda d: d["audio"]["files"].update({"../x": d["audio"]["files"][MP3]}), "../x"),
    "another size": (
        lambda d: d["audio"]["files"][MP3].update(bytes=9),
        "episode.mp3 has 25 bytes, episode.json lists 9",
    ),
    "another hash": (lambda d: d["audio"]["files"][MP3].update(sha256="0" * 64), "episode.json lists 00000"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_document_is_invalid(published: Path, tmp_path: Path, name: str) -> None:
    change, reason = CHANGES[name]
    folder = Path(shutil.copytree(published / "episodes" / AUDIBLE, tmp_path / "copy"))
    document = json.loads((folder / "episode.json").read_bytes())
    change(document)
    (folder / "episode.json").write_text(json.dumps(document))
    valid, message = verified(folder / "episode.json", sha256_hex((folder / "episode.json").read_bytes()))
    assert not valid
    assert reason in message


def test_audio_that_was_changed_or_removed_is_invalid(published: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(published / "episodes" / AUDIBLE, tmp_path / "copy"))
    document = folder / "episode.json"
    digest = sha256_hex(document.read_bytes())
    (folder / MP3).write_bytes((folder / MP3).read_bytes()[::-1])
    assert "episode.mp3 hashes to" in verified(document, digest)[1]
    (folder / MP3).unlink()
    assert verified(document, digest) == (False, "episode.mp3 is listed but missing")


def test_a_huge_document_is_not_read(published: Path, tmp_path: Path) -> None:
    document = json.loads((published / "episodes" / SILENT / "episode.json").read_bytes())
    path = tmp_path / "episode.json"
    path.write_text(json.dumps({**document, "title": "x" * MAX_EPISODE_BYTES}))
    assert verified(path, sha256_hex(path.read_bytes())) == (False, "episode.json is larger than 8,388,608 bytes")
