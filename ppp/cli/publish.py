"""`ppp publish`, `ppp snapshot` and `ppp narrate`: what is made from the ledger."""

from pathlib import Path
from typing import Final

import click

from ppp import pipeline
from ppp.cli.episode_stream import StreamChoice, stream_options
from ppp.cli.options import data_option, json_option, log_options, make_context, print_answer, snapshot_option
from ppp.model.period import PeriodKind
from ppp.narrate.episode import format_episode
from ppp.narrate.model import MAX_SEED
from ppp.publish.snapshots.take import TakenSnapshots

#: The value of `--week` without one.
NEWEST: Final = "newest"
_DATABASES: Final = (".db", ".gz")


@click.command()
@snapshot_option
@click.option(
    "--mirror",
    is_flag=True,
    help="First copy the files that simple indexes list, up to PPP_MIRROR_BYTES, so that these need no upstream.",
)
@data_option
@log_options
@json_option
def publish(*, snapshot: bool, mirror: bool, data: Path | None, as_json: bool) -> None:
    """Build and sign the public folder from the ledger."""
    page = pipeline.publish(make_context(data), snapshot=snapshot, mirror=mirror)
    print_answer({"page": str(page)}, f"open {page}", as_json=as_json)


@click.command()
@data_option
@log_options
@json_option
def snapshot(*, data: Path | None, as_json: bool) -> None:
    """Write dated SQLite snapshots of the ledger, and publish.

    Snapshots of 14 days are kept (PPP_SNAPSHOT_DAYS), then the last one of each of 8 weeks (PPP_SNAPSHOT_WEEKS), and
    those of closed months for good. Where the site has a bound (PPP_SITE_PRESET), all of them have a quarter of it: the
    oldest days make room. A window of the newest days, without logs, stays below 45 MiB (PPP_WINDOW_MIB).
    """
    taken = pipeline.snapshot(make_context(data))
    answer = {
        "latest": taken.latest.to_json(),
        "written": list(taken.written),
        "unchanged": list(taken.unchanged),
        "removed": list(taken.removed),
        "notes": list(taken.notes),
    }
    print_answer(answer, "\n".join(_snapshot_lines(taken)), as_json=as_json)


@click.command()
@click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    default=0,
    show_default=True,
    help="Chooses the wording: the same seed and facts give the same words.",
)
@click.option("--night", "--day", "night", metavar="DATE", help="A UTC day, as 2026-11-28; else the newest.")
@click.option(
    "--week", is_flag=False, flag_value=NEWEST, metavar="[WEEK]", help="An ISO week, as 2026-W48; else the newest."
)
@stream_options
@data_option
@log_options
@json_option
def narrate(
    *,
    seed: int,
    night: str | None,
    week: str | None,
    play: bool,
    follow: bool,
    plain: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Narrate a night or a week in verified sentences.

    With --stream, the stored episode is played, and none is written unless the period has none.
    """
    if night is not None and week is not None:
        raise click.UsageError("--night and --week exclude each other: choose one")
    stream = StreamChoice(play=play, follow=follow, plain=plain)
    kind = PeriodKind.NIGHT if week is None else PeriodKind.WEEK
    period = night if week is None else (None if week == NEWEST else week)
    context = make_context(data)
    # Which week is the newest is known once it is narrated.
    if week != NEWEST and stream.show(context.config.data, period):
        return
    episode = pipeline.narrate(context, seed=seed, kind=kind, period=period)
    if stream.show(context.config.data, episode.period.id):
        return
    print_answer(episode.to_json(), format_episode(episode).rstrip("\n"), as_json=as_json)


def _snapshot_lines(taken: TakenSnapshots) -> list[str]:
    latest = taken.latest
    written = [f"wrote {path}" for path in taken.written if path.endswith(_DATABASES)]
    return [
        *(written or ["nothing changed since the last snapshot"]),
        *(f"removed {path}" for path in taken.removed if path.endswith(".db")),
        *taken.notes,
        f"{latest.file} holds {latest.rows['records']} records ({latest.bytes} bytes, sha256 {latest.sha256})",
    ]
