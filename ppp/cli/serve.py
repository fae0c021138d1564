"""`ppp serve`: Datasette over the ledger, or the public folder for peers."""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppp import pipeline
from ppp.cli.options import data_option, make_context
from ppp.cli.paths import NonEmptyPath
from ppp.client_limits import ClientLimits
from ppp.config import DEFAULT_PORT
from ppp.folder_paths import path_mistake
from ppp.ledger.peers import list_peers
from ppp.ledger.schema import read_ledger
from ppp.mesh.fetch import ANNOUNCED_DEADLINE_S, HttpTransport
from ppp.model.errors import ConfigError, PPPError
from ppp.publish.datasette import serve as datasette
from ppp.runner.context import Context
from ppp.runner.health import judge_steps, metrics_registry, read_health, step_problems
from ppp.runner.schedule_record import read_record

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


@click.command()
@click.option("--mesh", is_flag=True, help="Serve the public folder to peers, and take their announcements.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; `::` is all of them.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 takes any free port."
)
@click.option(
    "--per-address",
    type=click.IntRange(min=0),
    default=ClientLimits().per_address,
    show_default=True,
    help="Connections of one client address; 0 is no limit, for a server behind a reverse proxy.",
)
@click.option("--into", type=NonEmptyPath(), help="Only write what a container needs to serve the ledger, here.")
@data_option
def serve(*, mesh: bool, host: str, port: int, per_address: int, into: Path | None, data: Path | None) -> None:
    """Serve the ledger with Datasette, or the public folder to peers.

    It ends at SIGINT, SIGTERM or SIGHUP, and then leaves no process and no open port.
    """
    context = make_context(data)
    if mesh and into:
        raise click.UsageError("--into belongs to Datasette: it cannot be combined with --mesh")
    limits = ClientLimits(per_address=per_address)
    if mesh:
        _serve_mesh(context, host=host, port=port, limits=limits)
    elif into:
        if mistake := path_mistake(into):
            raise ConfigError(f"--into={str(into)!r} {mistake}", hint="then run the same command again")
        datasette.prepare(context.config.data, into, site=context.config.base_url)
        click.echo(f"{into} is ready to be served: its Containerfile shows how")
    else:
        _serve_sql(context, host=host, port=port, limits=limits)


def _serve_sql(context: Context, *, host: str, port: int, limits: ClientLimits) -> None:
    from ppp.web_server import local_url, open_socket  # noqa: PLC0415 - as below

    with open_socket(host, port) as listening:
        command = datasette.prepare(
            context.config.data, context.config.data / "cache" / "serve", site=context.config.base_url
        )
        click.echo(f"serving {command.database} at {local_url(listening)}{command.database.stem}")
        datasette.run(command, listening, limits=limits)


def _serve_mesh(context: Context, *, host: str, port: int, limits: ClientLimits) -> None:
    # Web servers take megabytes of memory, which no other command needs.
    from ppp.mesh import serve as mesh_server  # noqa: PLC0415
    from ppp.web_server import local_url, open_socket, run_server  # noqa: PLC0415

    transport = HttpTransport(user_agent=context.config.user_agent, peer_s=ANNOUNCED_DEADLINE_S)

    def trusted() -> set[str]:
        with closing(read_ledger(context.config.data)) as db:
            return {peer.node for peer in list_peers(db)}

    def fetch(node: str) -> None:
        report = pipeline.sync_announced(context, transport, node)
        context.reporter.note(f"{report.peer.url}: {report.records} new records")
        for left_out in report.untrusted:
            context.reporter.note(f"{report.peer.url}: {left_out}")

    def problems() -> tuple[str, ...]:
        try:
            return step_problems(judge_steps(read_record(context.config.data), now=context.now))
        except PPPError:
            return ("the record of the schedule cannot be read",)

    def metrics() -> "CollectorRegistry":
        return metrics_registry(read_health(context.config.data, now=context.now))

    listening = open_socket(host, port)
    application = mesh_server.create_app(
        context.config.public, trusted=trusted, on_announce=fetch, problems=problems, metrics=metrics
    )
    with _ended_by_signals():
        click.echo(f"serving {context.config.public} at {local_url(listening)}")
        run_server(application, listening, limits=limits)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Make SIGINT, SIGTERM and SIGHUP end the server normally, as they end Datasette."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # The server itself handles SIGINT and SIGTERM, and raises them again once it has stopped; SIGHUP it does not know.
    handlers = {
        signal.SIGINT: interrupt,
        signal.SIGTERM: interrupt,
        signal.SIGHUP: lambda *_: signal.raise_signal(signal.SIGTERM),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
