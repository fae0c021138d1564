"""The audio of an episode in the data folder: complete or absent, of one script, and its description not trusted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from episode_sounds import store_made_up_audio
from hypothesis import given
from hypothesis import strategies as st

from ppp.episode_audio import (
    AUDIO_FILES,
    DESCRIPTION,
    MP3,
    audio_folder,
    audio_periods,
    parse_audio,
    read_audio,
    script_digest,
)
from ppp.ledger.episodes import StoredEpisode
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import ConfigError

LINES: list[dict[str, Any]] = [
    {"speaker": "relay", "text": "Two cells were checked.", "pattern": "a", "facts": ["f"], "chapter": "Totals"},
    {"speaker": "static", "text": "Both passed.", "pattern": "b", "facts": [], "chapter": None},
]
EPISODE = StoredEpisode(
    period="2026-11-28", title="A night", seed=1, writer="seeded", facts="[]", script=canonical_json(LINES).decode()
)


def test_audio_is_read_as_it_was_written(tmp_path: Path) -> None:
    audio = store_made_up_audio(tmp_path, EPISODE)
    assert read_audio(tmp_path, "2026-11-28") == audio
    content = (tmp_path / "episodes" / "2026-11-28" / MP3).read_bytes()
    assert (audio.files[MP3].bytes, audio.files[MP3].sha256) == (len(content), sha256_hex(content))
    assert audio.files[MP3].media_type == "audio/mpeg"
    assert read_audio(tmp_path, "2026-11-27") is None


@pytest.mark.parametrize("name", [*AUDIO_FILES, DESCRIPTION])
def test_audio_that_lacks_a_file_is_no_audio(tmp_path: Path, name: str) -> None:
    store_made_up_audio(tmp_path, EPISODE)
    (audio_folder(tmp_path, EPISODE.period) / name).unlink()
    assert read_audio(tmp_path, EPISODE.period) is None


@pytest.mark.parametrize("name", AUDIO_FILES)
def test_audio_with_a_file_cut_off_is_no_audio(tmp_path: Path, name: str) -> None:
    store_made_up_audio(tmp_path, EPISODE)
    (audio_folder(tmp_path, EPISODE.period) / name).write_bytes(b"cut")
    assert read_audio(tmp_path, EPISODE.period) is None


def test_audio_is_of_one_script() -> None:
    changes: list[dict[str, Any]] = [
        {"title": "Another"},
        {"script": canonical_json(LINES[:1]).decode()},
        {"script": canonical_json([LINES[1], LINES[0]]).decode()},
        {"script": canonical_json([{**LINES[0], "chapter": "News"}, LINES[1]]).decode()},
        {"period": "2026-11-27"},
    ]
    digests = {script_digest(replace(EPISODE, **change)) for change in ({}, *changes)}
    assert len(digests) == 1 + len(changes)
    assert script_digest(replace(EPISODE, seed=2, writer="model")) == script_digest(EPISODE), "the same words"


def test_audio_of_other_words_no_longer_counts(tmp_path: Path) -> None:
    audio = store_made_up_audio(tmp_path, EPISODE)
    assert audio.is_of(EPISODE)
    assert not audio.is_of(replace(EPISODE, script=canonical_json(LINES[:1]).decode()))


def test_periods_are_listed_newest_first_and_nothing_else(tmp_path: Path) -> None:
    assert [*audio_periods(tmp_path)] == []
    for name in ("2026-11-28", "2026-W48", "2026-11-29", "2026-02-30", ".2026-11-28", "2026-11-30x", "notes"):
        (tmp_path / "episodes" / name).mkdir(parents=True)
    assert [*audio_periods(tmp_path)] == ["2026-W48", "2026-11-29", "2026-11-28"]


def test_a_folder_is_never_outside(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a day nor a week"):
        audio_folder(tmp_path, "../2026-11-28")


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_no_description_is_trusted(content: bytes) -> None:
    assert parse_audio(content) is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"script_sha256": "x"},
        {"duration_ms": -1},
        {"duration_ms": True},
        {"duration_ms": 10**12},
        {"times": [[3_000, 2_000]]},
        {"times": [[2_000, 9_999_999]]},
        {"times": [[2_000]]},
        {"times": [[4_000, 5_000], [2_000, 3_000]]},
        {"voices": "v" * 1_000},
        {"files": {}},
        {"files": {name: {"bytes": -1, "sha256": "0" * 64} for name in AUDIO_FILES}},
        {"files": {name: {"bytes": 1, "sha256": "../.."} for name in AUDIO_FILES}},
    ],
)
def test_a_description_with_a_wrong_value_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    described = store_made_up_audio(tmp_path, EPISODE).to_json()
    assert parse_audio(canonical_json(described)) is not None
    assert parse_audio(canonical_json({**described, **change})) is None
