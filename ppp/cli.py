"""The commands: parse, wire, map errors to exit codes."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import click
from rich.console import Console

import ppp
from ppp import config as settings
from ppp import console, pipeline
from ppp.context import Context, node_at_work
from ppp.ledger import queries
from ppp.ledger.peers import peers
from ppp.ledger.schema import read_ledger
from ppp.mesh import node as nodes
from ppp.mesh import peer as peering
from ppp.mesh import serve as web
from ppp.mesh.fetch import HttpTransport
from ppp.mesh.push import Heard
from ppp.mesh.sync import SyncFailure, SyncReport
from ppp.model.errors import PPPError, RefusedError, UnknownPackageError
from ppp.model.record import Record
from ppp.model.release import Release, Wanted, parse_package
from ppp.narrate.episode import plain_text
from ppp.narrate.model import MAX_SEED
from ppp.options import Options, WantedType, common, stoppable
from ppp.publish import datasette
from ppp.steps import Order, Sources

INTERRUPTED: Final = 130
#: Columns of a table that nobody's terminal limits.
PIPE_WIDTH: Final = 160
NO_PEERS: Final = "no peers: pin one with `ppp peer add URL KEY`"
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
@click.option("--again", is_flag=True, help="Check anew what this node has a verdict on.")
@click.pass_obj
def run(
    options: Options,
    *,
    named: tuple[Wanted, ...],
    requirements: Path | None,
    environments: tuple[str, ...],
    watchlist: Path | None,
    feed: bool,
    jobs: int | None,
    minutes: float,
    again: bool,
) -> None:
    """Do the main job: watch, check, record, publish.

    Without a package or a file, that is what the release feed and the watchlist name, and what is queued.
    """
    context = options.context()
    matrix, chosen = options.environments(environments)
    order = Order(
        matrix=matrix,
        environments=chosen,
        sources=Sources(
            named=named,
            requirements=requirements,
            feed=feed,
            watchlist=watchlist or settings.resource("matrices/watchlist.txt"),
        ),
        jobs=jobs or context.config.jobs,
        minutes=minutes,
        again=again,
    )
    with stoppable(context.stop):
        summary = pipeline.run(context, order)
    _tell_results(options, context, summary.releases, [e.id for e in chosen], summary.unavailable)
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
    queued = pipeline.watch(context, Order(matrix=matrix, environments=chosen, sources=sources, jobs=1))
    options.answer({"queued": queued}, f"{queued} cells are queued: `ppp run` checks them")


@cli.command()
@common
@click.argument("environment")
@click.argument("packages", type=WantedType(), nargs=-1, required=True)
@click.pass_obj
def check(options: Options, *, environment: str, packages: tuple[Wanted, ...]) -> None:
    """Check packages in one environment now, and tell what happened in each phase."""
    context = options.context()
    matrix, (chosen,) = options.environments([environment])
    for observation in pipeline.reproduce(context, matrix, chosen, packages):
        options.answer(
            _record_json(observation.record, observation.log),
            console.account(observation.record, observation.log),
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
    options.answer(episode.to_json(), plain_text(episode).rstrip("\n"))


@cli.command()
@common
@click.pass_obj
def publish(options: Options) -> None:
    """Build the public folder from the ledger, and sign what it holds."""
    page = pipeline.publish(options.context())
    options.answer({"page": str(page)}, f"open {page}")


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
        columns = sorted({e for r in releases for e in queries.current_of(db, r)}, key=_column_order)
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
@click.pass_obj
def serve(options: Options, *, mesh: bool, host: str, port: int) -> None:
    """Serve the ledger with Datasette; or, with --mesh, the public folder to peers."""
    context = options.context()
    data = context.config.data
    if not mesh:
        datasette.serve(data, host=host, port=port)
        return
    transport = HttpTransport(user_agent=context.config.user_agent)

    def pinned() -> set[str]:
        db = read_ledger(data)
        try:
            return {peer.node for peer in peers(db)}
        finally:
            db.close()

    def fetch(node: str) -> None:
        report = pipeline.sync_announced(context, transport, node)
        context.reporter.note(f"{report.peer.url}: {report.records} new records")

    listening = web.listen(host, port)
    click.echo(f"serving {context.config.public} at {web.address(listening)}")
    web.run(web.app(context.config.public, pinned=pinned, on_announce=fetch), listening)


@cli.group()
def node() -> None:
    """Make or show the key of this node."""


@node.command("init")
@common
@click.pass_obj
def node_init(options: Options) -> None:
    """Make this node's key."""
    _tell_node(options, nodes.init(options.context().config.data))


@node.command("show")
@common
@click.pass_obj
def node_show(options: Options) -> None:
    """Show this node's id and public key."""
    _tell_node(options, nodes.load(options.context().config.data))


@cli.group()
def peer() -> None:
    """Say whose word is taken."""


@peer.command("add")
@common
@click.argument("url")
@click.argument("key")
@click.pass_obj
def peer_add(options: Options, *, url: str, key: str) -> None:
    """Pin the node with KEY, whose public folder is at URL."""
    context = options.context()
    with node_at_work(context) as at_work:
        added = peering.add(at_work.store, at_work.key, url, key, now=context.now)
    options.answer({"node": added.node, "url": added.url}, f"pinned {added.node} at {added.url}")


@peer.command("list")
@common
@click.pass_obj
def peer_list(options: Options) -> None:
    """List the pinned nodes."""
    db = read_ledger(options.context().config.data)
    try:
        known = peers(db)
    finally:
        db.close()
    rows = [
        {"node": p.node, "url": p.url, "sequence": p.sequence, "synced_at": p.synced_at, "trouble": p.trouble}
        for p in known
    ]
    lines = [f"{p.node}  {p.url}  {p.trouble or ('synced' if p.synced_at else 'not synced yet')}" for p in known]
    options.answer(rows, "\n".join(lines) or NO_PEERS)


@peer.command("remove")
@common
@click.argument("which", metavar="URL-OR-KEY")
@click.pass_obj
def peer_remove(options: Options, *, which: str) -> None:
    """Unpin a node; the records that came from it stay."""
    with node_at_work(options.context()) as at_work:
        removed = peering.remove(at_work.store, which)
    options.answer({"node": removed.node, "url": removed.url}, f"unpinned {removed.node}")


@cli.command()
@common
@click.pass_obj
def sync(options: Options) -> None:
    """Fetch, verify and merge what the peers have."""
    context = options.context()
    outcomes = pipeline.sync(context, HttpTransport(user_agent=context.config.user_agent))
    options.answer([_sync_json(outcome) for outcome in outcomes], "\n".join(map(_sync_line, outcomes)) or NO_PEERS)
    failures = [outcome for outcome in outcomes if not isinstance(outcome, SyncReport)]
    for failure in failures:
        click.echo(console.plain(f"ppp: {failure.peer.url}: {failure.error}"), err=True)
    if failures:
        raise SystemExit(failures[0].error.exit_code)


@cli.command()
@common
@click.pass_obj
def push(options: Options) -> None:
    """Tell the peers that listen what this node last published."""
    context = options.context()
    told = pipeline.push(context, HttpTransport(user_agent=context.config.user_agent))
    rows = [{"node": a.peer.node, "url": a.peer.url, "heard": str(a.heard), "detail": a.detail} for a in told]
    options.answer(rows, "\n".join(f"{a.peer.url}: {a.heard} ({a.detail})" for a in told))
    if any(a.heard is Heard.REFUSED for a in told):
        raise SystemExit(RefusedError.exit_code)


# ---------------------------------------------------------------- telling


def _sync_json(outcome: SyncReport | SyncFailure) -> dict[str, object]:
    peer = {"node": outcome.peer.node, "url": outcome.peer.url}
    if not isinstance(outcome, SyncReport):
        return {**peer, "trouble": str(outcome.error)}
    return {
        **peer,
        "batches": outcome.batches,
        "records": outcome.records,
        "left_out": outcome.left_out,
        "agree": outcome.agree,
    }


def _sync_line(outcome: SyncReport | SyncFailure) -> str:
    if not isinstance(outcome, SyncReport):
        return f"{outcome.peer.url}: not synced"
    left_out = f", {outcome.left_out} batches of nodes not pinned here left out" if outcome.left_out else ""
    agree = "the same set of records" if outcome.agree else "the sets of records differ"
    return f"{outcome.peer.url}: {outcome.records} new records in {outcome.batches} batches{left_out}; {agree}"


def _tell_node(options: Options, key: nodes.NodeKey) -> None:
    options.answer({"id": key.id, "key": key.id}, f"id and public key: {key.id}")


def _record_json(record: Record, log: str | None) -> dict[str, object]:
    return {**record.to_json(), "record": record.id, "log": log}


def _tell_results(
    options: Options,
    context: Context,
    releases: Sequence[Release],
    columns: Sequence[str],
    unavailable: Mapping[str, str],
) -> None:
    db = read_ledger(context.config.data)
    try:
        rows = [(release, queries.current_of(db, release)) for release in releases]
    finally:
        db.close()
    if options.json:
        found = [record for _, records in rows for environment, record in records.items() if environment in columns]
        options.answer({"results": [_record_json(r, None) for r in found], "unavailable": dict(unavailable)}, "")
    elif rows:
        out = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        out.print(console.results_table(rows, columns, unavailable))
        click.echo("\n".join(["", *console.remarks(rows, columns)]))


def _column_order(environment: str) -> tuple[str, int]:
    python, _, platform = environment.removeprefix("py3").partition("-")
    return {"slim": "0", "alpine": "1"}.get(platform, "2"), int(python)


def main() -> NoReturn:
    """Run a command; every error is one line on standard error, and has an exit code of its own."""
    if bundle := os.environ.get("SSL_CERT_FILE"):
        # Whom this machine trusts, pip and Python learn from this; requests from a variable of its own.
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    try:
        sys.exit(cli(obj=Options(), standalone_mode=False) or 0)
    except PPPError as error:
        click.echo(console.plain(f"ppp: {error}"), err=True)
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
