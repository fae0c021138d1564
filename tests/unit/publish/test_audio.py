"""The audio of episodes on a site: copied once, listed, of the script that is stored, within a share of the bound."""

import json
from pathlib import Path

import pytest
from episode_sounds import store_made_up_audio
from small_sites import bound_with_room

from ppp.episode_audio import AUDIO_FILES, KEPT, MP3, EpisodeAudio, describe_files, keep_newest
from ppp.ledger.episodes import StoredEpisode, store_episode
from ppp.ledger.store import Store
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.errors import PublishError
from ppp.model.period import PeriodKind
from ppp.model.site_bound import SiteBound
from ppp.publish.audio_budget import AUDIO_SHARE, audio_room, choose_audio
from ppp.publish.build import BuildResult, build


def stored_episode(store: Store, period: str = "2024-04-25", words: str = "Two cells were checked.") -> StoredEpisode:
    script: list[dict[str, object]] = [{"speaker": "relay", "text": words, "pattern": "", "facts": [], "chapter": None}]
    episode = StoredEpisode(
        period=period, title="A night", seed=1, writer="seeded", facts="[]", script=canonical_json(script).decode()
    )
    store_episode(store, episode)
    return episode


def publish(store: Store, folder: Path, bound: SiteBound | None = None) -> BuildResult:
    return build(store.db, folder / "public", cache_path=folder / "cache.db", audio=folder, bound=bound)


def audio_files(folder: Path, period: str = "2024-04-25") -> set[str]:
    return {path.name for path in (folder / "public" / "episodes" / period).glob("*")} & {*AUDIO_FILES}


def listed(folder: Path) -> dict[str, tuple[int, str]]:
    public = folder / "public"
    lists = [path for path, *_ in json.loads((public / "files.json").read_text())["files"] if path.startswith("files/")]
    rows = [row for name in lists for row in json.loads((public / name).read_text())["files"]]
    return {path: (size, sha256) for path, size, sha256 in rows}


def test_audio_is_published_and_listed_with_its_sizes(small: Store, tmp_path: Path) -> None:
    audio = store_made_up_audio(tmp_path, stored_episode(small))
    publish(small, tmp_path)
    assert audio_files(tmp_path) == {*AUDIO_FILES}
    found = listed(tmp_path)
    for name, file in audio.files.items():
        assert found[f"episodes/2024-04-25/{name}"] == (file.bytes, file.sha256)


def test_audio_is_copied_once(small: Store, tmp_path: Path) -> None:
    store_made_up_audio(tmp_path, stored_episode(small))
    assert any("episodes/2024-04-25/" in path for path in publish(small, tmp_path).written)
    assert publish(small, tmp_path).written == ()


def test_audio_that_comes_later_is_published_without_new_records(small: Store, tmp_path: Path) -> None:
    episode = stored_episode(small)
    publish(small, tmp_path)
    assert audio_files(tmp_path) == set()
    store_made_up_audio(tmp_path, episode)
    publish(small, tmp_path)
    assert audio_files(tmp_path) == {*AUDIO_FILES}


def test_audio_of_other_words_drops_out(small: Store, tmp_path: Path) -> None:
    store_made_up_audio(tmp_path, stored_episode(small))
    publish(small, tmp_path)
    stored_episode(small, words="One cell was checked.")
    removed = publish(small, tmp_path).removed
    assert audio_files(tmp_path) == set()
    assert f"episodes/2024-04-25/{MP3}" in removed


def test_audio_without_an_episode_is_nobodys(small: Store, tmp_path: Path) -> None:
    episode = stored_episode(small)
    store_made_up_audio(tmp_path, episode)
    small.db.execute("DELETE FROM episodes")
    publish(small, tmp_path)
    assert audio_files(tmp_path) == set()


def test_damaged_audio_is_left_out(small: Store, tmp_path: Path) -> None:
    audio = store_made_up_audio(tmp_path, stored_episode(small))
    (tmp_path / "episodes" / "2024-04-25" / MP3).write_bytes(b"x" * audio.files[MP3].bytes)
    publish(small, tmp_path)
    assert audio_files(tmp_path) == set()


def test_audio_that_is_damaged_after_it_was_published_stops_no_later_build(small: Store, tmp_path: Path) -> None:
    audio = store_made_up_audio(tmp_path, stored_episode(small))
    publish(small, tmp_path)
    (tmp_path / "episodes" / "2024-04-25" / MP3).write_bytes(b"x" * audio.files[MP3].bytes)
    publish(small, tmp_path)
    published = (tmp_path / "public" / "episodes" / "2024-04-25" / MP3).read_bytes()
    assert sha256_hex(published) == audio.files[MP3].sha256
    (tmp_path / "public" / "current.json").unlink()
    with pytest.raises(PublishError, match="remove that folder and render it again"):
        publish(small, tmp_path)


def made_up(period: str, size: int) -> EpisodeAudio:
    contents = {name: bytes(size) for name in AUDIO_FILES}
    return EpisodeAudio(
        period=period, script_sha256="0" * 64, voices="", duration_ms=0, times=(), files=describe_files(contents)
    )


def test_the_newest_audio_has_a_share_of_the_bound() -> None:
    audios = [made_up(f"2026-11-{day:02}", 10_000) for day in range(28, 0, -1)]
    three = audio_room(audios[:3]).bytes
    bound = SiteBound(max_bytes=AUDIO_SHARE * three, max_files=1_000_000)
    assert [audio.period for audio in choose_audio(audios, bound)] == ["2026-11-28", "2026-11-27", "2026-11-26"]
    smaller = SiteBound(max_bytes=AUDIO_SHARE * (three - 1), max_files=1_000_000)
    assert len(choose_audio(audios, smaller)) == 2
    assert len(choose_audio(audios, SiteBound(max_bytes=10**9, max_files=AUDIO_SHARE * 5))) == 1
    assert choose_audio(audios, None) == tuple(audios)


def test_audio_of_old_periods_drops_out_and_weeks_are_counted_apart() -> None:
    nights = [f"2026-{month:02}-{day:02}" for month in range(12, 0, -1) for day in range(28, 0, -1)]
    weeks = [f"2026-W{week:02}" for week in range(52, 0, -1)]
    kept = [*keep_newest([*weeks, *nights], str)]
    assert kept == [*weeks[: KEPT[PeriodKind.WEEK]], *nights[: KEPT[PeriodKind.NIGHT]]]


def test_a_site_with_a_bound_has_room_for_audio(small: Store, tmp_path: Path) -> None:
    store_made_up_audio(tmp_path, stored_episode(small), {name: bytes(20_000) for name in AUDIO_FILES})
    publish(small, tmp_path, bound_with_room(100))
    assert audio_files(tmp_path) == {*AUDIO_FILES}
