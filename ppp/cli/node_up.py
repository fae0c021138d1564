"""`ppp node up`: follow the daily schedule in one process."""

import os
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from ppp.cli.options import data_option, make_context
from ppp.cli.signals import stop_on_signals
from ppp.mesh.fetch import UnavailableFileError
from ppp.mesh.statement import ForkedError
from ppp.model.errors import NoRecordsError, PeerError, RejectedDataError, UnknownPackageError, UnknownVersionError
from ppp.model.schedule import SCHEDULE, Step
from ppp.runner.uptime import CommandRunner, ScheduledNode

#: A run begins no cell after so many minutes: the next one is due six hours after it began.
RUN_MINUTES: Final = 300
#: The commands of each step.
COMMANDS: Final = MappingProxyType(
    {
        Step.WATCH: (("peer", "sync"), ("run", "--minutes", str(RUN_MINUTES))),
        Step.WRITE: (("narrate",),),
        Step.RENDER: (("publish",),),
        Step.PUBLISH: (("snapshot",), ("peer", "push")),
    }
)
_PEERS: Final = (PeerError, RejectedDataError, ForkedError, UnavailableFileError)
#: Statuses that do not make a step fail: what peers do, no news, and a watchlist that names what the index lacks.
ACCEPTED: Final = MappingProxyType(
    {
        "peer": frozenset(error.exit_code for error in _PEERS),
        "narrate": frozenset({NoRecordsError.exit_code}),
        "run": frozenset({UnknownPackageError.exit_code, UnknownVersionError.exit_code}),
    }
)


@click.command("up")
@data_option
def node_up(*, data: Path | None) -> None:
    """Follow the daily schedule until it is stopped.

    Watch (and check what is found) at 00:00, 06:00, 12:00 and 18:00 UTC, write at 20:00, render at 22:30, publish at
    23:15. What was missed while it was off is done once at the start. It can be killed at any time.
    """
    # Reading the settings takes secrets out of the environment: each step is given what this command was given.
    given = {**os.environ}
    context = make_context(data)
    folder = context.config.data
    environ = {**given, "PPP_DATA": str(folder.resolve())}
    runner = CommandRunner(
        commands=COMMANDS,
        accepted=ACCEPTED,
        stop=context.stop,
        environ=environ,
        program=(sys.executable, "-m", "ppp"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    node = ScheduledNode(data=folder, run=runner, reporter=context.reporter, stop=context.stop, now=context.clock)
    times = ", ".join(f"{one.step} {one}" for one in SCHEDULE)
    context.reporter.note(f"this node follows its schedule (UTC): {times}")
    with stop_on_signals(context.stop):
        node.follow()
