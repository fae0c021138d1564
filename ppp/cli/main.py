"""The commands: parse, wire, map errors to exit codes."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import click
from rich.console import Console

import ppp
from ppp import console, pipeline
from ppp.cli.doctor import doctor
from ppp.cli.mesh import node, peer, push, sync
from ppp.cli.options import Options, WantedType, common, network_option, stop_on_signals
from ppp.cli.verify import verify
from ppp.ledger import queries
from ppp.ledger.peers import list_peers
from ppp.ledger.schema import read_ledger
from ppp.mesh import serve as web
from ppp.mesh.fetch import HttpTransport
from ppp.model.errors import PPPError, UnknownPackageError
from ppp.model.matrix import environment_sort_key
from ppp.model.record import Record
from ppp.model.release import Release, RequestedPackage, parse_package
from ppp.narrate.episode import format_episode
from ppp.narrate.model import MAX_SEED
from ppp.publish.datasette import serve as datasette
from ppp.publish.snapshots.take import TakenSnapshots
from ppp.resources import resource
from ppp.runner.context import Context
from ppp.runner.request import RunRequest, Sources

INTERRUPTED: Final = 130
#: Columns of a table that nobody's terminal limits.
PIPE_WIDTH: Final = 160
#: A first run on a small machine ends within five minutes; what is left stays queued for the next.
DEFAULT_MINUTES: Final = 4.0


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(ppp.__version__, prog_name="ppp")
@common
def cli() -> None:
    """Install and import releases for real, and publish what happened: The PyPI Place."""


@cli.command()
@common
@click.option(
    "-p", "--package", "named", type=WantedType(), multiple=True, help="Check this package, and only what is named."
)
@click.option(
    "-r", "--requirements", type=click.Path(path_type=Path), help="Check what this file asks for, and only that."
)
@click.option("-e", "--env", "environments", multiple=True, help="Only in this environment (may be repeated).")
@click.option("--watchlist", type=click.Path(path_type=Path), help="Another watchlist than the one PPP ships.")
@click.option("--feed/--no-feed", default=True, show_default=True, help="Read PyPI's release feed too.")
@click.option("-j", "--jobs", type=click.IntRange(1, 256), help="Cells at a time (PPP_JOBS, or the number of cores).")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="Begin no cell after this; what is left stays queued.",
)
@network_option
@click.option("--again", is_flag=True, help="Check anew what this node has a verdict on.")
@click.option(
    "--aa", type=click.IntRange(min=0), default=0, help="Then check so many cells twice, to know PPP's own noise."
)
@click.option("--seed", type=click.IntRange(0, MAX_SEED), help="Choose those cells alike each time.")
@click.pass_obj
def run(
    options: Options,
    *,
    named: tuple[RequestedPackage, ...],
    requirements: Path | None,
    environments: tuple[str, ...],
    watchlist: Path | None,
    feed: bool,
    jobs: int | None,
    minutes: float,
    again: bool,
    aa: int,
    seed: int | None,
) -> None:
    """Do the main job: watch, check, record, publish.

    Without a package or a file, that is what the release feed and the watchlist name, and what is queued.
    """
    context = options.context()
    matrix, chosen = options.environments(environments)
    order = RunRequest(
        matrix=matrix,
        environments=chosen,
        sources=Sources(
            named=named,
            requirements=requirements,
            feed=feed,
            watchlist=watchlist or resource("matrices/watchlist.txt"),
        ),
        jobs=jobs or context.config.jobs,
        minutes=minutes,
        recheck=again,
        aa_cells=aa,
        seed=context.now if seed is None else seed,
    )
    with stop_on_signals(context.stop):
        summary = pipeline.run(context, order)
    noise = {} if summary.flakiness is None else {"noise": summary.flakiness.to_json()}
    _tell_results(options, context, summary.releases, [e.id for e in chosen], summary.unavailable, **noise)
    if summary.queued:
        context.reporter.note(f"{summary.queued} cells are queued still: run again to go on")
    if not options.json:
        click.echo(f"checked {summary.checked} cells; open {summary.page}")
    if context.stop.is_set():
        raise KeyboardInterrupt


@cli.command()
@common
@click.option(
    "-r", "--requirements", type=click.Path(path_type=Path), help="Queue what this file asks for, not the feed."
)
@click.option("-e", "--env", "environments", multiple=True, help="Only for this environment (may be repeated).")
@click.pass_obj
def watch(options: Options, *, requirements: Path | None, environments: tuple[str, ...]) -> None:
    """Queue what PyPI's release feed names, and check nothing."""
    context = options.context()
    matrix, chosen = options.environments(environments)
    sources = Sources(requirements=requirements)
    queued = pipeline.watch(context, RunRequest(matrix=matrix, environments=chosen, sources=sources, jobs=1))
    options.print_answer({"queued": queued}, f"{queued} cells are queued: `ppp run` checks them")


@cli.command()
@common
@network_option
@click.argument("environment")
@click.argument("packages", type=WantedType(), nargs=-1, required=True)
@click.pass_obj
def check(options: Options, *, environment: str, packages: tuple[RequestedPackage, ...]) -> None:
    """Check packages in one environment now, and tell what happened in each phase."""
    context = options.context()
    matrix, (chosen,) = options.environments([environment])
    for observation in pipeline.check(context, matrix, chosen, packages):
        options.print_answer(
            _record_json(observation.record, observation.log),
            console.cell_report(observation.record, observation.log),
        )


@cli.command()
@common
@click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    default=0,
    show_default=True,
    help="The same seed tells the same facts in the same words.",
)
@click.option("--day", help="The UTC day to tell, as 2026-11-20; else the newest with a record.")
@click.pass_obj
def narrate(options: Options, *, seed: int, day: str | None) -> None:
    """Tell the newest day in words that were verified against the ledger."""
    episode = pipeline.narrate(options.context(), seed=seed, day=day)
    options.print_answer(episode.to_json(), format_episode(episode).rstrip("\n"))


@cli.command()
@common
@click.pass_obj
def publish(options: Options) -> None:
    """Build the public folder from the ledger, and sign what it holds."""
    page = pipeline.publish(options.context())
    options.print_answer({"page": str(page)}, f"open {page}")


@cli.command()
@common
@click.pass_obj
def snapshot(options: Options) -> None:
    """Write the ledger's public part as dated databases, and publish them.

    Kept are those of 14 days (PPP_SNAPSHOT_DAYS) and the last of 8 weeks (PPP_SNAPSHOT_WEEKS); closed months stay. A
    window of the newest days, without logs, stays below 45 MiB (PPP_WINDOW_MIB).
    """
    taken = pipeline.snapshot(options.context())
    options.print_answer(
        {
            "latest": taken.latest.to_json(),
            "written": list(taken.written),
            "unchanged": list(taken.unchanged),
            "removed": list(taken.removed),
            "notes": list(taken.notes),
        },
        "\n".join(_snapshot_lines(taken)),
    )


@cli.command()
@common
@click.argument("package", required=False)
@click.pass_obj
def show(options: Options, *, package: str | None) -> None:
    """Show the newest results of all packages, or all that is known of one."""
    context = options.context()
    db = read_ledger(context.config.data)
    try:
        releases = queries.releases_of(db, parse_package(package)) if package else queries.newest_releases(db)
        columns = sorted({e for r in releases for e in queries.current_by_environment(db, r)}, key=environment_sort_key)
    finally:
        db.close()
    if package and not releases:
        raise UnknownPackageError(
            f"the ledger holds no result of {package}", hint=f"check it with `ppp run --package {package}`"
        )
    _tell_results(options, context, releases, columns, {})


@cli.command()
@common
@click.option("--mesh", is_flag=True, help="Serve the public folder to peers, and take their announcements.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; `::` is all of them.")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0 takes any free port.")
@click.option("--into", type=click.Path(path_type=Path), help="Serve nothing: write all that a container needs here.")
@click.pass_obj
def serve(options: Options, *, mesh: bool, host: str, port: int, into: Path | None) -> None:
    """Serve the ledger with Datasette; or, with --mesh, the public folder to peers."""
    context = options.context()
    data = context.config.data
    if mesh and into:
        raise click.UsageError("--into is Datasette's: it does not go with --mesh")
    if into:
        datasette.prepare(data, into)
        options.print_answer({"into": str(into)}, f"{into} is ready to be served: its Containerfile says how")
        return
    if not mesh:
        datasette.serve(data, host=host, port=port)
        return
    transport = HttpTransport(user_agent=context.config.user_agent)

    def pinned() -> set[str]:
        db = read_ledger(data)
        try:
            return {peer.node for peer in list_peers(db)}
        finally:
            db.close()

    def fetch(node: str) -> None:
        report = pipeline.sync_announced(context, transport, node)
        context.reporter.note(f"{report.peer.url}: {report.records} new records")

    listening = web.open_socket(host, port)
    click.echo(f"serving {context.config.public} at {web.local_url(listening)}")
    web.run_server(web.create_app(context.config.public, trusted=pinned, on_announce=fetch), listening)


for command in (doctor, node, peer, push, sync, verify):
    cli.add_command(command)


# ---------------------------------------------------------------- telling


def _snapshot_lines(taken: TakenSnapshots) -> list[str]:
    latest = taken.latest
    told = [f"wrote {path}" for path in taken.written if path.endswith((".db", ".gz"))]
    return [
        *(told or ["nothing changed since the last snapshot"]),
        *(f"removed {path}" for path in taken.removed if path.endswith(".db")),
        *taken.notes,
        f"{latest.file} holds {latest.rows['records']} records ({latest.bytes} bytes, sha256 {latest.sha256})",
    ]


def _record_json(record: Record, log: str | None) -> dict[str, object]:
    return {**record.to_json(), "record": record.id, "log": log}


def _tell_results(
    options: Options,
    context: Context,
    releases: Sequence[Release],
    columns: Sequence[str],
    unavailable: Mapping[str, str],
    **more: object,
) -> None:
    db = read_ledger(context.config.data)
    try:
        rows = [(release, queries.current_by_environment(db, release)) for release in releases]
    finally:
        db.close()
    if options.json:
        found = [record for _, records in rows for environment, record in records.items() if environment in columns]
        options.print_answer(
            {"results": [_record_json(r, None) for r in found], "unavailable": dict(unavailable), **more}, ""
        )
    elif rows:
        out = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        out.print(console.results_table(rows, columns, unavailable))
        click.echo("\n".join(["", *console.explanations(rows, columns)]))


def main() -> NoReturn:
    """Run a command; every error is one line on standard error, and has an exit code of its own."""
    if bundle := os.environ.get("SSL_CERT_FILE"):
        # Whom this machine trusts, pip and Python learn from this; requests from a variable of its own.
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    try:
        sys.exit(cli(obj=Options(), standalone_mode=False) or 0)
    except PPPError as error:
        click.echo(console.printable_line(f"ppp: {error}"), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read us has gone: keep the interpreter from saying so again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
