"""The command line: the commands, and an exit code of its own for each error."""

import io
import os
import sqlite3
import sys
from typing import Final, NoReturn

import click

import ppp
from ppp.cli.lazy import LazyCommand, LazyGroup
from ppp.cli.signals import interrupted_by_signals
from ppp.log_lines import LogFormat, chosen_log_format, write_error
from ppp.model.errors import PPPError
from ppp.model.printable import printable_line
from ppp.storage_errors import storage_error

INTERRUPTED: Final = 130


#: What is listed of a command without importing it: a test compares each with the command's own help.
NODE: Final = {
    "init": LazyCommand("ppp.cli.mesh:node_init", "Create this node's key."),
    "show": LazyCommand("ppp.cli.mesh:node_show", "Show this node's id and public key."),
    "step": LazyCommand("ppp.cli.node_up:node_step", "Do one step of the daily schedule now."),
    "up": LazyCommand("ppp.cli.node_up:node_up", "Follow the daily schedule until it is stopped."),
}
PEER: Final = {
    "add": LazyCommand("ppp.cli.peer_keys:peer_add", "Trust the node that publishes at URL, and fetch from there."),
    "clear": LazyCommand("ppp.cli.mesh:peer_clear", "End a peer's quarantine."),
    "distrust": LazyCommand("ppp.cli.peer_keys:peer_distrust", "Trust a node no more, whatever the shipped list says."),
    "evidence": LazyCommand("ppp.cli.mesh:peer_evidence", "Show how nodes contradicted themselves."),
    "import": LazyCommand("ppp.cli.peer_import:peer_import", "Merge batches from files."),
    "list": LazyCommand("ppp.cli.peer_keys:peer_list", "List the keys that are trusted, and why; and distrusted ones."),
    "push": LazyCommand("ppp.cli.mesh:peer_push", "Announce this node's newest statement to all peers."),
    "remove": LazyCommand("ppp.cli.mesh:peer_remove", "Stop trusting a peer; the records that came from it stay."),
    "sync": LazyCommand("ppp.cli.mesh:peer_sync", "Fetch, verify and merge what all peers publish."),
    "trust": LazyCommand("ppp.cli.peer_keys:peer_trust", "Trust the node with KEY, whoever serves its batches."),
}
ATTEST: Final = {
    "sign": LazyCommand("ppp.cli.attest:sign", "Sign a verdict of this node as an in-toto statement."),
    "verify": LazyCommand("ppp.cli.attest:verify", "Check an attestation, and show what it says."),
}
ENV: Final = {
    "init": LazyCommand("ppp.cli.env:env_init", "Write what a project lacks, and make .venv."),
    "lock": LazyCommand("ppp.cli.env_lock:env_lock", "Lock a project, or packages that work together."),
    "run": LazyCommand("ppp.cli.env:env_run", "Run a command in .venv, if it is as locked."),
    "shell": LazyCommand("ppp.cli.env:env_shell", "Start a shell in .venv, if it is as locked."),
    "sync": LazyCommand("ppp.cli.env:env_sync", "Make .venv as pylock.toml says."),
}
RELEASE: Final = {
    "build": LazyCommand("ppp.cli.release:release_build", "Check a declared set, and release it."),
    "check": LazyCommand("ppp.cli.release:release_check", "Check a declared set of packages."),
    "diff": LazyCommand("ppp.cli.release:release_diff", "Show what changed between two releases."),
}
COMMANDS: Final = {
    "ask": LazyCommand("ppp.cli.ask:ask", "Show what works where, what fails and why, of what was checked."),
    "backup": LazyCommand("ppp.cli.backup:backup", "Copy the ledger into a new file, and verify the copy."),
    "changes": LazyCommand("ppp.cli.changes:changes", "Show what broke and what was fixed lately."),
    "check": LazyCommand("ppp.cli.check:check", "Check packages or files in environments now; show each phase."),
    "coverage": LazyCommand("ppp.cli.coverage:coverage", "Show what became of every release that the index named."),
    "doctor": LazyCommand("ppp.cli.doctor:doctor", "Find out what is wrong with this machine."),
    "downloads": LazyCommand("ppp.cli.downloads:downloads", "Import how often packages are downloaded, or show it."),
    "export": LazyCommand("ppp.cli.export:export", "Write the ledger's public tables as Parquet files."),
    "feed": LazyCommand("ppp.cli.feed:feed", "Write one feed about several packages."),
    "health": LazyCommand("ppp.cli.health:health", "Show how the steps of this node went."),
    "lock": LazyCommand("ppp.cli.lock:lock", "Write a lock of a PASS: its files, by address and hash."),
    "narrate": LazyCommand("ppp.cli.publish:narrate", "Narrate a night or a week in verified sentences."),
    "publish": LazyCommand("ppp.cli.publish:publish", "Build and sign the public folder from the ledger."),
    "queue": LazyCommand("ppp.cli.queue:queue", "Show what is checked next, and why."),
    "render": LazyCommand("ppp.cli.render:render", "Render the sound of episodes."),
    "reproduce": LazyCommand("ppp.cli.reproduce:reproduce", "Run the cell of a record again and compare."),
    "restore": LazyCommand("ppp.cli.state:restore", "Replace the ledger by the one whose state is in FOLDER."),
    "rot": LazyCommand("ppp.cli.rot:rot", "Check again what passed long ago."),
    "run": LazyCommand("ppp.cli.run:run", "Check new releases and publish the results: the main job."),
    "serve": LazyCommand("ppp.cli.serve:serve", "Serve the ledger with Datasette, or the public folder to peers."),
    "shard": LazyCommand("ppp.cli.shard:shard", "Check the queue on machines without the key."),
    "show": LazyCommand("ppp.cli.show:show", "Show the newest results, or all results of some packages."),
    "snapshot": LazyCommand("ppp.cli.publish:snapshot", "Write dated SQLite snapshots of the ledger, and publish."),
    "state": LazyCommand("ppp.cli.state:state", "Save this node's state, for a machine that keeps nothing."),
    "status": LazyCommand("ppp.cli.status:status", "Show what is queued, and what of it cannot be checked here."),
    "verify": LazyCommand("ppp.cli.verify:verify", "Check whether published files are valid."),
    "watch": LazyCommand("ppp.cli.run:watch", "Queue PyPI's new releases without checking them."),
    "attest": LazyGroup("attest", lazy=ATTEST, help="State verdicts in a form that others verify."),
    "env": LazyGroup("env", lazy=ENV, help="Make a project's environment as it is locked."),
    "node": LazyGroup("node", lazy=NODE, help="Create or show the key of this node."),
    "release": LazyGroup("release", lazy=RELEASE, help="Release sets of packages that work together."),
    "peer": LazyGroup("peer", lazy=PEER, help="Manage trust, and exchange records with peers."),
}


@click.group(
    cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(ppp.__version__, prog_name="ppp")
def cli() -> None:
    """Install and import PyPI releases for real, and publish the results.

    Options follow the command, as in `ppp show --json`; `ppp COMMAND --help` lists them.
    """


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
        click.echo(printable_line(f"ppp: {error}"), err=True)
    sys.exit(error.exit_code)
