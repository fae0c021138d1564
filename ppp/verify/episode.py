"""Verify the document of an episode: its form, its times, and the files of its audio beside it.

That a sentence is licensed was decided when it was stored: wordings and queries change from version to version.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from ppp.episode_audio import AUDIO_FILES
from ppp.mesh.files import PublishedFile
from ppp.mesh.untrusted import check_schema, parse_json
from ppp.model.errors import ConfigError
from ppp.model.period import Period
from ppp.verify.documents import check_listed, read
from ppp.verify.result import fail

MAX_EPISODE_BYTES: Final = 8 * 1024 * 1024


def check_episode(path: Path) -> str:
    """Check an `episode.json`: what it says of itself, of its facts and times, and of each file of its audio."""
    document = parse_json(read(path, most=MAX_EPISODE_BYTES), what=path.name, max_bytes=MAX_EPISODE_BYTES)
    check_schema(document, what=path.name, schema="site/schemas/episode.schema.json")
    _check_period(document)
    script, facts, audio = document["script"], document["facts"], document["audio"]
    if len({fact["id"] for fact in facts}) < len(facts):
        fail("two of its facts have the same id")
    speakers = {presenter["name"] for presenter in document["presenters"]}
    for number, line in enumerate(script):
        if line["speaker"] not in speakers:
            fail(f"sentence {number + 1} is spoken by none of its presenters")
        if any(fact >= len(facts) for fact in line["facts"]):
            fail(f"sentence {number + 1} states a fact that is not there")
    summary = f"an episode of {len(script)} sentences and {len(facts)} facts"
    if audio is None:
        if any(line["time"] for line in script):
            fail("its sentences have times, but there is no audio")
        return f"{summary}, without audio"
    _check_times([line["time"] for line in script], audio["duration_ms"])
    if unknown := sorted({*audio["files"]} ^ {*AUDIO_FILES}):
        fail(f"its audio has not the files that it should have: {', '.join(unknown)}")
    for name, file in audio["files"].items():
        check_listed(path.parent, PublishedFile(path=name, size=file["bytes"], sha256=file["sha256"]), by=path.name)
    return f"{summary}, with {len(audio['files'])} files of audio, all present with their size and sha256"


def _check_period(document: dict[str, Any]) -> None:
    try:
        period = Period.parse(document["period"])
    except ConfigError as error:
        fail(error.message)
    if (document["kind"], document["start"], document["end"]) != (str(period.kind), period.start, period.end):
        fail(f"its kind, start or end is not that of {period.id}")


def _check_times(times: list[list[int] | None], duration_ms: int) -> None:
    known = [time for time in times if time]
    if len(known) < len(times):
        fail("there is audio, but a sentence has no time")
    if any(start >= end for start, end in known) or any(end > start for (_, end), (start, _) in pairwise(known)):
        fail("the times of its sentences are not in order")
    if known and known[-1][1] > duration_ms:
        fail("a sentence ends after the audio")
