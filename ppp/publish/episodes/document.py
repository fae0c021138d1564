"""`episode.json`: an episode as a program reads it, with the facts of each sentence and the SQL of each fact."""

from typing import Final

from ppp.episode_audio import EpisodeAudio
from ppp.model.canonical import Json
from ppp.publish.api.encoding import document_bytes
from ppp.publish.episodes.content import EpisodeContent, episode_folder

SCHEMA: Final = "ppp-episode-1"
DOCUMENT_NAME: Final = "episode.json"


def episode_document(episode: EpisodeContent) -> tuple[str, bytes]:
    """Return `/episodes/<period>/episode.json`."""
    period = episode.period
    return f"{episode_folder(period.id)}/{DOCUMENT_NAME}", document_bytes(
        {
            "schema": SCHEMA,
            "period": period.id,
            "kind": str(period.kind),
            "start": period.start,
            "end": period.end,
            "title": episode.title,
            "seed": episode.seed,
            "writer": episode.writer,
            "fallback": episode.fallback,
            "presenters": [{"name": name, "role": role} for name, role in episode.presenters],
            "facts": [
                {"id": fact.id, "kind": fact.kind, "slots": dict(fact.values), "sql": fact.sql}
                for fact in episode.facts
            ],
            "script": [
                {
                    "speaker": line.speaker,
                    "text": line.text,
                    "facts": list(line.facts),
                    "chapter": line.chapter,
                    "time": line.time and list(line.time),
                }
                for line in episode.lines
            ],
            "audio": _audio_json(episode.audio) if episode.audio else None,
        }
    )


def _audio_json(audio: EpisodeAudio) -> dict[str, Json]:
    return {
        "duration_ms": audio.duration_ms,
        "voices": audio.voices,
        "files": {
            name: {"bytes": file.bytes, "sha256": file.sha256, "type": file.media_type}
            for name, file in audio.files.items()
        },
    }
