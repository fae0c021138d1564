"""`ppp render`: the sound of episodes."""

from pathlib import Path
from typing import Final

import click

from ppp.cli.options import data_option, json_option, log_options, make_context, print_answer
from ppp.episode_audio import MP3, EpisodeAudio
from ppp.runner.render import RenderReport
from ppp.runner.render import render as render_episodes

#: What an option without a value stands for.
NEWEST: Final = ""


@click.command()
@click.option(
    "--night", is_flag=False, flag_value=NEWEST, metavar="[DATE]", help="The episode of a UTC day, or the newest."
)
@click.option(
    "--week", is_flag=False, flag_value=NEWEST, metavar="[WEEK]", help="That of an ISO week, such as 2026-W48."
)
@click.option("--recent", type=click.IntRange(1, 60), metavar="N", help="The N newest episodes that lack their sound.")
@data_option
@log_options
@json_option
def render(*, night: str | None, week: str | None, recent: int | None, data: Path | None, as_json: bool) -> None:
    """Render the sound of episodes.

    Without an option, that of the newest night and the newest week. It needs espeak-ng (with PPP_SPEECH=piper, piper)
    and ffmpeg: without them, episodes are text, and it says so. What is there already is not rendered again, and an
    interrupted render goes on where it stopped.
    """
    report = render_episodes(make_context(data), night=night, week=week, recent=recent)
    print_answer(_report_json(report), "\n".join(_report_lines(report)), as_json=as_json)


def _report_json(report: RenderReport) -> dict[str, object]:
    return {
        "rendered": [audio.to_json() for audio in report.rendered],
        "current": [audio.to_json() for audio in report.current],
        "removed": list(report.removed),
        "no_sound": None if report.no_sound is None else str(report.no_sound),
    }


def _report_lines(report: RenderReport) -> list[str]:
    if report.no_sound is not None:
        return [f"no sound: {report.no_sound}; episodes are published as text"]
    return [
        *(f"rendered {_described(audio)}" for audio in report.rendered),
        *(f"unchanged: {_described(audio)}" for audio in report.current),
        *(f"removed the audio of {period}" for period in report.removed),
    ]


def _described(audio: EpisodeAudio) -> str:
    minutes, seconds = divmod(round(audio.duration_ms / 1_000), 60)
    return f"{audio.period}: {minutes}:{seconds:02}, {audio.files[MP3].bytes:,} bytes of MP3"
