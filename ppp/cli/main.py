"""The command line: the commands, and an exit code of its own for each error."""

import io
import os
import sqlite3
import sys
from typing import Final, NoReturn

import click

import ppp
from ppp import console
from ppp.cli.ask import ask
from ppp.cli.backup import backup
from ppp.cli.check import check
from ppp.cli.coverage import coverage
from ppp.cli.doctor import doctor
from ppp.cli.downloads import downloads
from ppp.cli.feed import feed
from ppp.cli.health import health
from ppp.cli.mesh import node, peer
from ppp.cli.node_up import node_step, node_up
from ppp.cli.options import chosen_log_format
from ppp.cli.peer_import import peer_import
from ppp.cli.peer_keys import peer_add, peer_distrust, peer_list, peer_trust
from ppp.cli.publish import narrate, publish, snapshot
from ppp.cli.queue import queue
from ppp.cli.run import run, watch
from ppp.cli.serve import serve
from ppp.cli.shard import shard
from ppp.cli.show import show
from ppp.cli.signals import interrupted_by_signals
from ppp.cli.state import restore, state
from ppp.cli.status import status
from ppp.cli.verify import verify
from ppp.model.errors import PPPError
from ppp.run_logs import LogFormat, write_error
from ppp.storage_errors import storage_error

INTERRUPTED: Final = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(ppp.__version__, prog_name="ppp")
def cli() -> None:
    """Install and import PyPI releases for real, and publish the results.

    Options follow the command, as in `ppp show --json`; `ppp COMMAND --help` lists them.
    """


for command in (
    run,
    watch,
    check,
    ask,
    feed,
    status,
    queue,
    coverage,
    downloads,
    show,
    publish,
    snapshot,
    narrate,
    serve,
    peer,
    node,
    shard,
    state,
    restore,
    backup,
    health,
    verify,
    doctor,
):
    cli.add_command(command)

node.add_command(node_up)
node.add_command(node_step)

for peer_command in (peer_add, peer_list, peer_trust, peer_distrust, peer_import):
    peer.add_command(peer_command)


def main() -> NoReturn:
    """Run a command; an error is one line on standard error, and each kind has an exit code of its own."""
    if bundle := os.environ.get("SSL_CERT_FILE"):
        # pip and Python take this machine's certificates from SSL_CERT_FILE; requests has a variable of its own.
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    chosen_log_format.set(LogFormat.TEXT)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path may have any bytes, and a terminal may have no character for a glyph.
        sys.stdout.reconfigure(errors="replace")
    try:
        with interrupted_by_signals():
            code = cli(standalone_mode=False) or 0
            sys.stdout.flush()
        sys.exit(code)
    except PPPError as error:
        _fail(error)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone: keep the interpreter from reporting that again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (OSError, sqlite3.Error) as error:
        if translated := storage_error(error):
            _fail(translated)
        raise


def _fail(error: PPPError) -> NoReturn:
    if chosen_log_format.get() is LogFormat.JSON:
        write_error(sys.stderr, error)
    else:
        click.echo(console.printable_line(f"ppp: {error}"), err=True)
    sys.exit(error.exit_code)
