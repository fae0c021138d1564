"""Made-up audio of episodes, for tests that need none to be heard."""

from collections.abc import Mapping
from pathlib import Path

from ppp.episode_audio import AUDIO_FILES, EpisodeAudio, describe_files, script_digest, write_audio
from ppp.ledger.episodes import StoredEpisode


def store_made_up_audio(
    data: Path, episode: StoredEpisode, contents: Mapping[str, bytes] | None = None
) -> EpisodeAudio:
    """Write audio of a stored episode whose files have made-up bytes; each sentence takes two seconds."""
    contents = contents or {name: f"{name} of {episode.period}".encode() for name in AUDIO_FILES}
    times = tuple((2_000 * number, 2_000 * number + 1_500) for number in range(1, 1 + len(episode.script_lines)))
    audio = EpisodeAudio(
        period=episode.period,
        script_sha256=script_digest(episode),
        voices="made up",
        duration_ms=2_000 * (len(times) + 2),
        times=times,
        files=describe_files(contents),
    )
    write_audio(data, audio, contents)
    return audio
