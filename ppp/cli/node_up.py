"""`ppp node up` and `ppp node step`: follow the daily schedule in one process, or do one step of it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import click

from ppp.cli.options import data_option, log_options, make_context
from ppp.cli.signals import stop_on_signals
from ppp.config import LOG_FORMAT_VARIABLE
from ppp.log_lines import chosen_log_format
from ppp.mesh.fetch import UnavailableFileError
from ppp.mesh.statement import ForkedError
from ppp.model.errors import (
    NoEpisodeError,
    NoRecordsError,
    PeerError,
    RejectedDataError,
    UnknownPackageError,
    UnknownVersionError,
)
from ppp.model.schedule import SCHEDULE, Step
from ppp.runner.context import Context

if TYPE_CHECKING:
    from ppp.runner.uptime import CommandRunner

#: The commands of each step.
COMMANDS: Final = MappingProxyType(
    {
        Step.WATCH: (("peer", "sync"), ("run", "--minutes", "{minutes}")),
        Step.WRITE: (("narrate",),),
        Step.RENDER: (("render",),),
        Step.PUBLISH: (("snapshot",), ("peer", "push")),
    }
)
_PEERS: Final = (PeerError, RejectedDataError, ForkedError, UnavailableFileError)
#: Statuses that do not make a step fail: what peers do, no news, and a watchlist that names what the index lacks.
ACCEPTED: Final = MappingProxyType(
    {
        "peer": frozenset(error.exit_code for error in _PEERS),
        "narrate": frozenset({NoRecordsError.exit_code}),
        "render": frozenset({NoEpisodeError.exit_code}),
        "run": frozenset({UnknownPackageError.exit_code, UnknownVersionError.exit_code}),
    }
)


def _make_runner(context: Context, given: Mapping[str, str]) -> "CommandRunner":
    from ppp.runner.uptime import CommandRunner  # noqa: PLC0415 - as below

    # Each step is given what this command was given; reading the settings took the secrets out of the environment.
    return CommandRunner(
        commands=COMMANDS,
        accepted=ACCEPTED,
        stop=context.stop,
        environ={**given, "PPP_DATA": str(context.config.data.resolve()), LOG_FORMAT_VARIABLE: chosen_log_format.get()},
        program=(sys.executable, "-m", "ppp"),
        now=context.clock,
    )


@click.command("up")
@data_option
@log_options
def node_up(*, data: Path | None) -> None:
    """Follow the daily schedule until it is stopped.

    Watch (and check what is found) at 00:00, 06:00, 12:00 and 18:00 UTC, write at 20:00, render at 22:30, publish at
    23:15. What was missed while it was off is done once at the start. It can be killed at any time.
    """
    # Its scheduler takes memory that no other command needs.
    from ppp.runner.uptime import ScheduledNode  # noqa: PLC0415

    given = {**os.environ}
    context = make_context(data)
    folder = context.config.data
    folder.mkdir(parents=True, exist_ok=True)
    node = ScheduledNode(
        data=folder,
        run=_make_runner(context, given),
        reporter=context.reporter,
        stop=context.stop,
        now=context.clock,
    )
    times = ", ".join(f"{one.step} {one}" for one in SCHEDULE)
    context.reporter.note(f"this node follows its schedule (UTC): {times}")
    with stop_on_signals(context.stop):
        node.follow()


@click.command("step")
@click.argument("step", type=click.Choice([str(step) for step in Step]))
@data_option
@log_options
def node_step(*, step: str, data: Path | None) -> None:
    """Do one step of the daily schedule now.

    This is what the timers in scripts/systemd/ begin, one step at a time.
    """
    from ppp.runner.uptime import record_step  # noqa: PLC0415 - as above

    given = {**os.environ}
    context = make_context(data)
    with stop_on_signals(context.stop):
        status = _make_runner(context, given)(Step(step))
    if context.stop.is_set():
        raise KeyboardInterrupt
    record_step(context.config.data, Step(step), status, context.reporter, now=context.now)
    raise SystemExit(status)
